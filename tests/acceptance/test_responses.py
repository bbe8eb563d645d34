"""OpenAI Responses as its SDK uses it, through the whole proxy: a version in force, exact cost, and every way it can end."""

import asyncio
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tests.harness import MODEL, Deployment, deployed

VERSIONED = "gpt-4.1-mini"
PRICE = {"input": 1, "output": 4, "context_window": 100_000}
WITHOUT_SEARCHES = {f"openai/{name}": PRICE for name in (VERSIONED, f"{VERSIONED}-2025-04-14")}
TOOL: Any = {
    "type": "function",
    "name": "lookup",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
SEARCH: Any = {"type": "web_search"}


@pytest.fixture
async def agent(deployment: Deployment) -> Deployment:
    await deployment.operator.agent("support", "Be kind.", model=VERSIONED)
    return deployment


async def only_run(deployment: Deployment, count: int = 1) -> dict[str, Any]:
    return (await deployment.operator.runs(count))[0]


async def hard_cap(deployment: Deployment, limit: float = 5) -> None:
    await deployment.operator.post(
        "/caps", scope={}, window="day", unit="usd", limit=limit, at_limit="block", why="cap"
    )


async def test_a_version_is_in_force_and_its_cost_exact_whole_and_streamed(agent: Deployment) -> None:
    app = agent.openai()
    whole = await app.responses.create(model=MODEL, input="hello", instructions="Be rude.")
    async with app.responses.stream(model=MODEL, input="hello", instructions="Be rude.") as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_response()
    assert whole.output_text == final.output_text != ""
    assert (whole.usage, whole.model) == (final.usage, final.model)
    assert [kinds[0], kinds[-1], kinds.count("response.output_text.delta") > 1] == [
        "response.created",
        "response.completed",
        True,
    ]
    assert [call.json["instructions"] for call in agent.simulator.calls] == ["Be kind."] * 2
    assert [call.json["model"] for call in agent.simulator.calls] == [VERSIONED] * 2
    for run, call in zip(await agent.operator.runs(2), reversed(agent.simulator.calls), strict=True):
        assert (run["wire"], run["operation"], run["version"]) == ("openai_responses", "responses", 1)
        assert (run["result"], run["finish"], run["usage_source"]) == ("ok", "stop", "reported")
        assert run["cost_usd"] == call.billed_nanodollars / 1e9 > 0
        assert run["tokens"]["input"] == whole.usage.input_tokens if whole.usage else False


async def test_cached_and_reasoning_tokens_are_metered(agent: Deployment) -> None:
    order = {"X-Simulate": "cached_tokens=3; reasoning_tokens=7"}
    for streamed in (False, True):
        answer: Any = await agent.openai().responses.create(
            model=MODEL, input="hello there", stream=streamed, extra_headers=order
        )
        if streamed:
            assert [event.type async for event in answer][-1] == "response.completed"
    for run in await agent.operator.runs(2):
        assert (run["tokens"]["cached"], run["tokens"]["reasoning"]) == (3, 7)
        assert run["cost_usd"] == agent.simulator.billed_nanodollars / 2e9


async def test_structured_output_of_the_callers_is_parsed(agent: Deployment) -> None:
    class Answer(BaseModel):
        text: str

    app = agent.openai()
    with pytest.raises(ValueError, match=r"text|JSON"):
        # What the simulator says is no JSON; that the schema got there is what matters.
        await app.responses.parse(model=MODEL, input="hello", text_format=Answer)
    assert agent.simulator.calls[-1].json["text"]["format"]["name"] == "Answer"
    assert agent.simulator.calls[-1].json["instructions"] == "Be kind."
    await agent.operator.post("/switches", scope={}, mode="reply", reply='{"text":"yes"}', why="a test")
    parsed = await app.responses.parse(model=MODEL, input="hello", text_format=Answer)
    assert parsed.output_parsed == Answer(text="yes")


async def test_a_function_is_called_and_its_result_goes_back(agent: Deployment) -> None:
    app = agent.openai()
    asked: list[Any] = [{"role": "user", "content": "Please call the tool lookup"}]
    first = await app.responses.create(model=MODEL, input=asked, tools=[TOOL])
    (call,) = [item for item in first.output if item.type == "function_call"]
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    second = await app.responses.create(model=MODEL, input=[*asked, *first.output, output], tools=[TOOL])
    assert "sunny" in second.output_text
    async with app.responses.stream(model=MODEL, input=asked, tools=[TOOL]) as stream:
        streamed = await stream.get_final_response()
    assert streamed.output[0].type == "function_call"
    newest, middle, oldest = await agent.operator.runs(3)
    assert [run["finish"] for run in (oldest, middle, newest)] == ["tool_call", "stop", "tool_call"]
    assert [run["tool_calls"] for run in (oldest, middle, newest)] == [["lookup"], [], ["lookup"]]


@pytest.mark.parametrize("streamed", [False, True])
async def test_refusals_and_cut_answers_are_told_apart(agent: Deployment, streamed: bool) -> None:
    app = agent.openai()
    for order, finish in (("refuse", "refused"), ("finish=length", "length"), ("finish=content_filter", "filtered")):
        answer: Any = await app.responses.create(
            model=MODEL, input="hello", stream=streamed, extra_headers={"X-Simulate": order}
        )
        if streamed:
            assert [event.type async for event in answer]
        run = (await agent.operator.runs(1))[0]
        while run["finish"] != finish:
            await asyncio.sleep(0.01)
            run = (await agent.operator.runs(1))[0]
        assert (run["result"], run["refusal"]) == ("ok", order == "refuse")
        assert run["cost_usd"] > 0


async def test_a_response_that_failed_is_an_error_of_the_providers(agent: Deployment) -> None:
    answer = await agent.openai().responses.create(
        model=MODEL, input="hello", extra_headers={"X-Simulate": "finish=failed"}
    )
    assert answer.status == "failed"
    run = await only_run(agent)
    assert (run["result"], run["error_class"]) == ("error", "provider_error")
    assert run["cost_usd"] == agent.simulator.billed_nanodollars / 1e9


@pytest.mark.parametrize(
    ("order", "error_class"),
    [
        ("error_after_events=1", "stream_error"),
        ("end_after_events=1", "stream_incomplete"),
        ("cut_after_events=1", "upstream_broken"),
    ],
)
async def test_a_stream_that_breaks_is_neither_a_success_nor_free(
    agent: Deployment, order: str, error_class: str
) -> None:
    stream = await agent.openai().responses.create(
        model=MODEL, input="hello", stream=True, extra_headers={"X-Simulate": order}
    )
    kinds: list[str] = []

    async def read() -> None:
        async for event in stream:
            kinds.append(event.type)  # noqa: PERF401 also of a stream that breaks

    if error_class == "stream_error":
        await read()
        assert kinds[-1] == "error"
    else:
        with pytest.raises(openai.APIConnectionError):
            await read()
    assert "response.completed" not in kinds
    run = await only_run(agent)
    assert (run["result"], run["error_class"]) == ("error", error_class)
    assert run["usage_source"] == "estimated"
    assert run["estimated_cost_usd"] > 0


async def test_a_stream_that_is_switched_off_ends_with_an_error_that_its_sdk_raises(agent: Deployment) -> None:
    stream = await agent.openai().responses.create(
        model=MODEL, input="hello", stream=True, extra_headers={"X-Simulate": "stall_after_events=2"}
    )
    await anext(aiter(stream))
    await agent.operator.post("/switches", scope={}, mode="block", cut_streams=True, why="wrong refunds")
    with pytest.raises(openai.APIError) as caught:
        async for _ in stream:
            pass
    assert caught.value.code == "agent_disabled"
    with pytest.raises(openai.PermissionDeniedError) as refused:
        await agent.openai().responses.create(model=MODEL, input="hello")
    assert refused.value.code == "agent_disabled"


async def test_a_fixed_text_is_a_response_whole_and_streamed(agent: Deployment) -> None:
    await agent.operator.post("/switches", scope={}, mode="reply", reply="We are closed.", why="maintenance")
    app = agent.openai()
    whole = await app.responses.create(model=MODEL, input="hello")
    async with app.responses.stream(model=MODEL, input="hello") as stream:
        streamed = await stream.get_final_response()
    assert whole.output_text == streamed.output_text == "We are closed."
    assert whole.usage == streamed.usage
    assert not agent.simulator.calls


async def test_a_hard_cap_bounds_the_output_and_holds(agent: Deployment) -> None:
    await hard_cap(agent)
    await agent.openai().responses.create(model=MODEL, input="hello")
    assert agent.simulator.calls[-1].json["max_output_tokens"] == 4096
    (cap,) = (await agent.operator.get("/caps"))["items"]
    assert (cap["held"], cap["spent"]) == (0, agent.simulator.billed_nanodollars / 1e9)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"background": True}, "asked for later"),
        ({"tools": [SEARCH]}, "set max_tool_calls"),
        ({"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}], "max_tool_calls": 2}, "in no price list"),
    ],
)  # fmt: skip
async def test_a_hard_cap_refuses_what_nothing_bounds(agent: Deployment, more: dict[str, Any], why: str) -> None:
    await hard_cap(agent)
    with pytest.raises(openai.APIStatusError) as caught:
        await agent.openai().responses.create(model=MODEL, input="hello", **more)
    assert (caught.value.status_code, caught.value.code) == (402, "unpriceable")
    assert why in caught.value.message
    assert not agent.simulator.calls


async def test_searches_of_the_web_are_priced_where_their_price_is_known(agent: Deployment) -> None:
    await hard_cap(agent)
    for streamed in (False, True):
        answer: Any = await agent.openai().responses.create(
            model=MODEL, input="Search the web, then search the web", tools=[SEARCH], max_tool_calls=3, stream=streamed
        )
        if streamed:
            assert [event.type async for event in answer][-1] == "response.completed"
    for run in await agent.operator.runs(2):
        assert run["tool_calls"] == ["web_search"] * 2
        # A cent a search, beside what the simulator bills for tokens.
        assert run["cost_usd"] == pytest.approx(agent.simulator.billed_nanodollars / 2e9 + 0.02)


async def test_searches_without_a_price_are_refused_under_a_hard_cap_and_never_free(tmp_path: Any) -> None:
    async with deployed(tmp_path / "home", prices=WITHOUT_SEARCHES) as running:
        await running.operator.agent("support", "Be kind.", model=VERSIONED)
        search: Any = {"model": MODEL, "input": "search the web", "tools": [SEARCH], "max_tool_calls": 2}
        await running.openai().responses.create(**search)
        run = await only_run(running)
        assert (run["cost_usd"], run["tool_calls"]) == (None, ["web_search"])
        await hard_cap(running)
        with pytest.raises(openai.APIStatusError, match="the price of web searches") as caught:
            await running.openai().responses.create(**search)
        assert caught.value.code == "unpriceable"


async def test_what_is_made_in_the_background_is_shown_as_unmetered(agent: Deployment) -> None:
    answer = await agent.openai().responses.create(model=MODEL, input="hello", background=True)
    assert answer.status == "queued"
    run = await only_run(agent)
    assert (run["result"], run["usage_source"], run["cost_usd"]) == ("ok", "unmetered", None)
    # Streamed to its end it tells what it cost.
    stream = await agent.openai().responses.create(model=MODEL, input="hello", background=True, stream=True)
    assert [event.type async for event in stream][-1] == "response.completed"
    assert (await only_run(agent, 2))["usage_source"] == "reported"


async def test_what_is_asked_of_a_response_that_is_there_is_free(agent: Deployment) -> None:
    await agent.operator.post("/caps", scope={}, window="day", unit="calls", limit=0, at_limit="block", why="cap")
    responses = agent.openai().responses
    assert (await responses.retrieve("resp_1")).id == "resp_1"
    assert (await responses.cancel("resp_1")).status == "cancelled"
    assert [item async for item in responses.input_items.list("resp_1")] == []
    assert (await responses.input_tokens.count(model=MODEL, input="hello")).input_tokens > 0
    await responses.delete("resp_1")
    with pytest.raises(openai.APIStatusError) as caught:
        await responses.create(model=MODEL, input="hello")
    assert caught.value.code == "spend_cap_exceeded"


async def test_a_conversation_that_the_provider_keeps_goes_on_with_the_prompt_of_the_version(agent: Deployment) -> None:
    app = agent.openai()
    await app.responses.create(model=MODEL, input="and then?", previous_response_id="resp_1")
    await app.responses.create(model=MODEL, input="and then?", conversation="conv_1")
    for call, name in zip(agent.simulator.calls, ("previous_response_id", "conversation"), strict=True):
        assert call.json["instructions"] == "Be kind."
        assert name in call.json
    run = await only_run(agent, 2)
    assert (run["conversation"], run["subject_kind"]) == ("conv_1", "conversation")


async def test_a_call_of_no_agent_passes_unchanged_and_is_metered(agent: Deployment) -> None:
    body = {"model": MODEL, "input": "hello", "instructions": "Theirs."}
    async with agent.post("/responses", body) as answer:
        assert (answer.status, (await answer.json())["object"]) == (200, "response")
    assert (agent.simulator.calls[-1].path, agent.simulator.calls[-1].json) == ("/v1/responses", body)
    run = await only_run(agent)
    assert (run["agent"], run["cost_usd"]) == ("unassigned", agent.simulator.billed_nanodollars / 1e9)

"""Vectors and legacy completions over the real server, with the official SDK: metered to the nano-dollar, capped, stopped."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest

from proxy.simulator.app import Simulator
from tests.acceptance.caps import cap
from tests.harness import MODEL, Deployment, deployed

SMALL, LARGE, LEGACY = "text-embedding-3-small", "text-embedding-3-large", "gpt-3.5-turbo-instruct"


@pytest.fixture
async def both(tmp_path: Path, simulator: Simulator) -> AsyncIterator[Deployment]:
    async with deployed(tmp_path / "home", simulator=simulator) as deployment:
        yield deployment


async def newest(deployment: Deployment, count: int = 1) -> dict[str, Any]:
    return (await deployment.operator.runs(count))[0]


def billed(deployment: Deployment) -> float:
    return deployment.simulator.billed_nanodollars / 1e9


async def code_of(call: Any) -> str | None:
    with pytest.raises(openai.APIStatusError) as caught:
        await call
    return caught.value.code


async def test_embeddings_cost_what_they_are_billed_whatever_their_shape(both: Deployment) -> None:
    app = both.openai(None)
    for number, given in enumerate(("hello", ["one", "two words"], [1, 2, 3], [[1, 2], [3]]), start=1):
        vectors = await app.embeddings.create(model=SMALL, input=given, user="ann")
        assert vectors.usage.prompt_tokens > 0
        run = await newest(both, number)
        assert (run["operation"], run["wire"], run["usage_source"]) == ("embeddings", "openai_embeddings", "reported")
        assert (run["tokens"]["input"], run["tokens"]["output"]) == (vectors.usage.prompt_tokens, 0)
        assert (run["model_asked"], run["user"]) == (SMALL, "ann")
    assert sum(one["cost_usd"] for one in await both.operator.runs(4)) == pytest.approx(billed(both))


async def test_a_version_is_in_force_on_embeddings_only_with_a_model_for_them(both: Deployment) -> None:
    await both.operator.agent("plain", "Be kind.")
    await both.operator.agent("search", "Be kind.", model={"name": MODEL, "embeddings": LARGE})
    answer = await both.openai("plain").embeddings.with_raw_response.create(model=SMALL, input="hi")
    assert answer.headers["switchback-reason"] == "passed_through"
    assert both.simulator.calls[-1].json["model"] == SMALL
    answer = await both.openai("search").embeddings.with_raw_response.create(model="agent:search", input="hi")
    assert (answer.headers["switchback-version"], answer.headers["switchback-reason"]) == ("search@1", "label")
    assert both.simulator.calls[-1].json == {"model": LARGE, "input": "hi", "encoding_format": "base64"}
    run = await newest(both, 2)
    assert (run["agent"], run["version"], run["model_asked"], run["dropped_parameters"]) == ("search", 1, LARGE, [])
    assert run["cost_usd"] == pytest.approx(billed(both) - (await both.operator.runs(2))[1]["cost_usd"])
    assert await code_of(both.openai("plain").embeddings.create(model="agent:plain", input="hi")) == (
        "version_not_applicable"
    )


async def test_a_switch_on_the_model_a_version_names_for_embeddings_stops_them_and_not_its_chat(
    both: Deployment,
) -> None:
    await both.operator.agent("search", "Be kind.", model={"name": MODEL, "embeddings": LARGE})
    await both.operator.post("/switches", scope={"model": LARGE}, mode="block", why="stop")
    app = both.openai("search")
    assert await code_of(app.embeddings.create(model=SMALL, input="hi")) == "agent_disabled"
    assert (await app.chat.completions.create(model="x", messages=[{"role": "user", "content": "hi"}])).choices
    # The same the other way round, and of a call that the version's model does not answer.
    assert (await both.openai(None).embeddings.create(model=SMALL, input="hi")).data


@pytest.mark.parametrize("unit", ["usd", "tokens"])
async def test_a_hard_cap_holds_on_embeddings_and_frees_what_was_not_used(both: Deployment, unit: str) -> None:
    await cap(both.operator, unit, 0.00001 if unit == "usd" else 1_000, agent=None)
    app = both.openai(None)
    for _ in range(3):
        await app.embeddings.create(model=SMALL, input="hi")
    shown = (await both.operator.get("/caps"))["items"][0]
    runs = await both.operator.runs(3)
    spent = sum(run["cost_usd"] if unit == "usd" else run["tokens"]["input"] for run in runs)
    assert (shown["spent"], shown["held"]) == (pytest.approx(spent), 0)
    assert await code_of(app.embeddings.create(model=SMALL, input="word " * 10_000)) == "spend_cap_exceeded"
    # Many inputs read more than one context window holds: that bounds nothing.
    assert await code_of(app.embeddings.create(model=SMALL, input=["word " * 1_500] * 12)) == "spend_cap_exceeded"
    body = {"model": SMALL, "input": [{"image": "https://pictures.example/a.png"}]}
    async with both.post("/v1/embeddings", body) as refused:
        assert (refused.status, (await refused.json())["error"]["code"]) == (402, "unpriceable")


async def test_embeddings_without_a_usage_are_charged_what_was_held(both: Deployment) -> None:
    await cap(both.operator, "usd", 5, agent=None)
    async with both.post("/v1/embeddings", {"model": SMALL, "input": "hi"}, x_simulate="no_usage") as answer:
        assert answer.status == 200
    run = await newest(both)
    assert (run["usage_source"], run["cost_usd"] > 0) == ("held", True)
    assert run["estimated_cost_usd"] < run["cost_usd"]


@pytest.mark.parametrize("streamed", [False, True])
async def test_legacy_completions_cost_what_they_are_billed(both: Deployment, streamed: bool) -> None:
    await both.operator.post("/agents", agent="bare", description="for a test")
    await both.operator.version("bare", "", parent=None, model={}, tools={"items": []}, policy={"max_tool_calls": 3})
    await both.operator.label("bare", "prod", 1)
    app = both.openai("bare")
    if streamed:
        text, chunks = "", 0
        async for piece in await app.completions.create(model=LEGACY, prompt="Once", max_tokens=20, stream=True):
            assert len(piece.choices) == 1  # the chunk with the usage was the proxy's, and is gone
            text, chunks = text + piece.choices[0].text, chunks + 1
        assert chunks > 1
    else:
        text = (
            (await app.completions.create(model=LEGACY, prompt=["Once", "Twice"], n=2, max_tokens=20)).choices[0].text
        )
    assert text
    run = await newest(both)
    assert (run["operation"], run["wire"], run["streamed"]) == ("completions", "openai_completions", streamed)
    assert (run["usage_source"], run["agent"], run["version"]) == ("reported", "bare", None)
    assert run["cost_usd"] == pytest.approx(billed(both))
    assert run["tokens"]["output"] > 0


async def test_a_completion_gets_no_prompt_and_is_refused_where_one_would_be_missing(both: Deployment) -> None:
    await both.operator.agent("support", "Be kind.")
    received = both.simulator.record.received
    assert await code_of(both.openai().completions.create(model=LEGACY, prompt="x")) == "version_not_applicable"
    assert both.simulator.record.received == received
    await both.operator.request("PATCH", "/agents/support", {"unapplied": "pass", "why": "old code"})
    stream = await both.openai().completions.create(model=LEGACY, prompt="Once", stream=True)
    assert [piece async for piece in stream]
    sent = both.simulator.calls[-1].json
    assert (sent["prompt"], sent["model"], sent["stream_options"]) == ("Once", LEGACY, {"include_usage": True})
    assert (await newest(both, 2))["usage_source"] == "reported"


async def test_a_hard_cap_bounds_the_output_of_completions_and_holds_for_every_prompt(both: Deployment) -> None:
    await cap(both.operator, "usd", 0.05, agent=None)
    app = both.openai(None)
    await app.completions.create(model=LEGACY, prompt="Once")
    assert both.simulator.calls[-1].json["max_tokens"] == 4096
    # 4,096 tokens for each of 16 prompts are more than is left.
    assert await code_of(app.completions.create(model=LEGACY, prompt=["Once"] * 16)) == "spend_cap_exceeded"
    assert await code_of(app.completions.create(model=LEGACY, prompt="Once", best_of=16)) == "spend_cap_exceeded"
    assert await code_of(app.completions.create(model=SMALL, prompt="Once")) == "unpriceable"


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_switch_replies_or_blocks_on_completions(both: Deployment, streamed: bool) -> None:
    switch = await both.operator.post("/switches", scope={}, mode="reply", reply="closed today", why="stop")
    app = both.openai(None)
    if streamed:
        pieces = [p async for p in await app.completions.create(model=LEGACY, prompt="x", stream=True)]
        assert "".join(piece.choices[0].text for piece in pieces) == "closed today"
    else:
        assert (await app.completions.create(model=LEGACY, prompt="x")).choices[0].text == "closed today"
    assert await code_of(app.embeddings.create(model=SMALL, input="x")) == "agent_disabled"
    await both.operator.request("DELETE", f"/switches/{switch['id']}", {"why": "over"})
    await both.operator.post("/switches", scope={"model": LEGACY}, mode="block", why="stop")
    assert await code_of(app.completions.create(model=LEGACY, prompt="x")) == "agent_disabled"


async def test_a_completion_that_breaks_off_is_broken_for_the_client_too(both: Deployment) -> None:
    await cap(both.operator, "usd", 5, agent=None)
    prompt = "[[simulate: end_after_events=3]] go on"
    stream = await both.openai(None).completions.create(model=LEGACY, prompt=prompt, max_tokens=50, stream=True)
    with pytest.raises((openai.APIError, Exception)):
        async for _ in stream:
            pass
    run = await newest(both)
    assert (run["result"], run["error_class"], run["usage_source"]) == ("error", "stream_incomplete", "held")

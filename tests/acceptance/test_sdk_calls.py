"""An app with the official SDK changes its base URL and nothing else; its answers come from the chosen version."""

import asyncio
from typing import Any

import anthropic
import openai
import pytest

from tests.harness import CALLER_KEY, CLAUDE, MODEL, Deployment

USER = [{"role": "user", "content": "Where is my parcel?"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "…",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


@pytest.fixture
def deployment(over_either: Deployment) -> Deployment:
    """All of this beside a provider over http, and one over https."""
    return over_either


def without_ids(value: Any) -> Any:
    """An SDK object as plain data, without what differs between any two calls."""
    if isinstance(value, dict):
        return {
            key: without_ids(item) for key, item in value.items() if key not in ("id", "created", "system_fingerprint")
        }
    return [without_ids(item) for item in value] if isinstance(value, list) else value


async def test_an_openai_call_is_answered_by_the_labelled_version(deployment: Deployment) -> None:
    await deployment.operator.agent("support", "You are version one.")
    raw = await deployment.openai().chat.completions.with_raw_response.create(model="anything", messages=USER)
    assert raw.parse().choices[0].message.content
    assert raw.headers["switchback-version"] == "support@1"
    assert raw.headers["switchback-label"] == "prod"
    assert raw.headers["switchback-release"] == "1"
    assert raw.headers["switchback-reason"] == "label"
    assert len(raw.headers["switchback-version-id"]) == 64
    call = deployment.simulator.calls[-1]
    assert (call.system, call.model) == ("You are version one.", MODEL)
    assert call.headers["authorization"] == f"Bearer {CALLER_KEY}"
    run = (await deployment.operator.runs(1))[0]
    assert run["id"] == raw.headers["switchback-run-id"]
    assert (run["tokens"]["input"], run["tokens"]["output"]) == (call.input_tokens, call.output_tokens)
    assert (run["usage_source"], run["cost_usd"]) == ("reported", call.billed_nanodollars / 1e9)


async def test_an_anthropic_call_is_answered_by_the_labelled_version(deployment: Deployment) -> None:
    await deployment.operator.agent("support", "You are version one.", model=CLAUDE)
    raw = await deployment.anthropic().messages.with_raw_response.create(model="anything", max_tokens=64, messages=USER)
    assert raw.headers["switchback-version"] == "support@1"
    call = deployment.simulator.calls[-1]
    assert (call.system, call.model) == ("You are version one.", CLAUDE)
    run = (await deployment.operator.runs(1))[0]
    assert (run["wire"], run["result"], run["cost_usd"]) == ("anthropic_messages", "ok", call.billed_nanodollars / 1e9)


async def test_a_coding_agents_account_is_the_user_and_its_session_the_conversation(deployment: Deployment) -> None:
    await deployment.operator.agent("support", "You are version one.", model=CLAUDE)
    metadata: Any = {"user_id": '{"device_id":"d1","account_uuid":"a1","session_id":"s1"}'}
    await deployment.anthropic().messages.create(model="x", max_tokens=64, messages=USER, metadata=metadata)
    run = (await deployment.operator.runs(1))[0]
    assert (run["user"], run["conversation"]) == ("a1", "s1")
    assert deployment.simulator.calls[-1].json["metadata"] == metadata
    headers = {"Switchback-User": "u2", "Switchback-Conversation": "c2"}
    await deployment.anthropic().messages.create(
        model="x", max_tokens=64, messages=USER, metadata=metadata, extra_headers=headers
    )
    run = (await deployment.operator.runs(2))[0]
    assert (run["user"], run["conversation"]) == ("u2", "c2")


async def test_the_sync_clients_work_as_the_async_ones(deployment: Deployment) -> None:
    await deployment.operator.agent("support", "You are version one.")
    await deployment.operator.agent("claude", "You are version one.", model=CLAUDE)

    def calls() -> tuple[Any, Any, list[Any]]:
        with deployment.openai_sync() as app, deployment.anthropic_sync("claude") as other:
            whole = app.chat.completions.create(model="x", messages=USER)
            streamed = list(app.chat.completions.create(model="x", messages=USER, stream=True))
            return whole, other.messages.create(model="x", max_tokens=9, messages=USER), streamed

    whole, message, streamed = await asyncio.to_thread(calls)
    assert whole.choices[0].message.content == "".join(chunk.choices[0].delta.content or "" for chunk in streamed)
    assert message.content[0].text


async def test_an_openai_stream_looks_to_the_sdk_as_without_the_proxy(deployment: Deployment) -> None:
    await deployment.operator.agent("support", "You are version one.")
    direct = openai.AsyncOpenAI(base_url=deployment.simulator.url + "/v1", api_key=CALLER_KEY, max_retries=0)
    messages = [{"role": "system", "content": "You are version one."}, *USER]
    expected = [
        chunk async for chunk in await direct.chat.completions.create(model=MODEL, messages=messages, stream=True)
    ]
    seen = [
        chunk
        async for chunk in await deployment.openai().chat.completions.create(model=MODEL, messages=USER, stream=True)
    ]
    # The proxy asked for usage; the other chunks then carry `usage: null`, and the usage chunk itself is taken out.
    assert [without_ids(chunk.model_dump(exclude={"usage"})) for chunk in seen] == [
        without_ids(chunk.model_dump(exclude={"usage"})) for chunk in expected
    ]
    assert all(chunk.choices for chunk in seen)
    call = deployment.simulator.calls[-1]
    run = (await deployment.operator.runs(1))[0]
    assert run["streamed"]
    assert (run["tokens"]["output"], run["usage_source"]) == (call.output_tokens, "reported")
    assert run["cost_usd"] == call.billed_nanodollars / 1e9
    await direct.close()


async def test_a_caller_who_asked_for_usage_gets_it(deployment: Deployment) -> None:
    await deployment.operator.agent("support", "You are version one.")
    stream = await deployment.openai().chat.completions.create(
        model="x", messages=USER, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert chunks[-1].usage is not None
    assert chunks[-1].choices == []


async def test_an_anthropic_stream_and_its_helper_work(deployment: Deployment) -> None:
    await deployment.operator.agent("support", "You are version one.", model=CLAUDE)
    async with deployment.anthropic().messages.stream(model="x", max_tokens=64, messages=USER) as stream:
        text = "".join([piece async for piece in stream.text_stream])
        final = await stream.get_final_message()
    assert final.content[0].text == text
    call = deployment.simulator.calls[-1]
    run = (await deployment.operator.runs(1))[0]
    assert (run["tokens"]["input"], run["tokens"]["output"]) == (call.input_tokens, call.output_tokens)
    assert final.usage.output_tokens == call.output_tokens


async def test_tools_of_the_version_and_the_caller_meet_as_the_version_says(deployment: Deployment) -> None:
    lookup = {"name": "lookup", "description": "finds", "parameters": {"type": "object", "properties": {}}}
    await deployment.operator.agent("support", "You may look things up.", tools={"mode": "merge", "items": [lookup]})
    asking = [{"role": "user", "content": "please call the tool lookup"}]
    answer = await deployment.openai().chat.completions.create(model="x", messages=asking, tools=[WEATHER])
    assert answer.choices[0].message.tool_calls[0].function.name == "lookup"
    assert {tool["function"]["name"] for tool in deployment.simulator.calls[-1].json["tools"]} == {"weather", "lookup"}
    stream = await deployment.openai().chat.completions.create(model="x", messages=asking, tools=[WEATHER], stream=True)
    names = [
        call.function.name
        async for chunk in stream
        for call in chunk.choices[0].delta.tool_calls or ()
        if call.function.name
    ]
    assert names == ["lookup"]
    for run in await deployment.operator.runs(2):
        assert (run["tool_calls"], run["finish"]) == (["lookup"], "tool_call")


async def test_the_agent_can_be_named_in_every_documented_way(deployment: Deployment) -> None:
    await deployment.operator.agent("support", "You are version one.", "You are version two.")
    await deployment.operator.label("support", "staging", 2)

    async def create(app: openai.AsyncOpenAI, **more: Any) -> Any:
        return await app.chat.completions.with_raw_response.create(**({"model": "x", "messages": USER} | more))

    plain = deployment.openai(None)
    versions = [
        await create(deployment.openai("support@2")),
        await create(deployment.openai("support@staging")),
        await create(plain, extra_headers={"Switchback-Agent": "support", "Switchback-Version": "2"}),
        await create(plain, extra_headers={"Switchback-Agent": "support", "Switchback-Label": "staging"}),
        await create(plain, model="agent:support@2"),
        await create(plain, extra_body={"switchback": {"agent": "support@staging", "user": "u", "tags": {"a": "b"}}}),
    ]
    assert [answer.headers["switchback-version"] for answer in versions] == ["support@2"] * 6
    for call in deployment.simulator.calls:
        assert "switchback" not in call.json
        assert not [name for name in call.headers if name.lower().startswith("switchback")]
        assert call.model == MODEL


async def test_a_call_that_names_no_agent_passes_unchanged_and_is_metered(deployment: Deployment) -> None:
    body = b'{"model": "gpt-4o-mini",  "messages":[{"role":"user","content":"hi"}]}'
    async with deployment.post("/v1/chat/completions", body) as answer:
        assert answer.status == 200
        assert "switchback-version" not in answer.headers
    assert deployment.simulator.calls[-1].body == body
    run = (await deployment.operator.runs(1))[0]
    assert (run["agent"], run["usage_source"]) == ("unassigned", "reported")


async def test_other_paths_pass_through_and_are_recorded(deployment: Deployment) -> None:
    app = deployment.openai(None)
    vectors = await app.embeddings.create(model="text-embedding-3-small", input="hello")
    assert vectors.data[0].embedding
    counted = await deployment.anthropic(None).messages.count_tokens(model=CLAUDE, messages=USER)
    assert counted.input_tokens > 0
    operations = {run["operation"] for run in await deployment.operator.runs(2)}
    assert operations == {"embeddings", "POST /v1/messages/count_tokens"}


async def test_the_model_list_has_the_agents_appended(deployment: Deployment) -> None:
    await deployment.operator.agent("support", "You are version one.")
    assert "agent:support" in {model.id async for model in deployment.openai(None).models.list()}
    assert "agent:support" in {model.id async for model in deployment.anthropic(None).models.list()}


@pytest.mark.parametrize(
    ("order", "error"),
    [
        ("status=400", openai.BadRequestError),
        ("status=401", openai.AuthenticationError),
        ("status=429; retry_after=7", openai.RateLimitError),
        ("status=500", openai.InternalServerError),
        ("status=503", openai.InternalServerError),
    ],
)
async def test_a_provider_s_error_passes_untouched_and_counts_against_the_version(
    deployment: Deployment, order: str, error: type[openai.APIStatusError]
) -> None:
    await deployment.operator.agent("support", f"[[simulate: {order}]]")
    with pytest.raises(error) as caught:
        await deployment.openai().chat.completions.create(model="x", messages=USER)
    assert caught.value.response.headers["switchback-version"] == "support@1"
    if "retry_after" in order:
        assert caught.value.response.headers["retry-after"] == "7"
    run = (await deployment.operator.runs(1))[0]
    assert (run["result"], run["error_class"], run["version"]) == ("error", "provider_error", 1)


async def test_an_overloaded_anthropic_answer_keeps_its_status_and_class(deployment: Deployment) -> None:
    await deployment.operator.agent("support", "[[simulate: status=529]]", model=CLAUDE)
    with pytest.raises(anthropic.APIStatusError) as caught:
        await deployment.anthropic().messages.create(model="x", max_tokens=9, messages=USER)
    assert caught.value.status_code == 529


async def test_variables_are_filled_in_and_a_missing_one_is_the_callers_error(deployment: Deployment) -> None:
    prompt = {
        "text": "Help with {{product}} for {{ name }}.",
        "variables": {"product": {"default": "Acme"}, "name": {}},
    }
    await deployment.operator.post("/agents", agent="support")
    await deployment.operator.version("support", "", parent=None, prompt=prompt)
    await deployment.operator.label("support", "prod", 1)
    body = {"switchback": {"variables": {"name": "{{product}} Ünal"}}}
    await deployment.openai().chat.completions.create(model="x", messages=USER, extra_body=body)
    assert deployment.simulator.calls[-1].system == "Help with Acme for {{product}} Ünal."
    with pytest.raises(openai.BadRequestError) as caught:
        await deployment.openai().chat.completions.create(model="x", messages=USER)
    assert caught.value.code == "variable_missing"

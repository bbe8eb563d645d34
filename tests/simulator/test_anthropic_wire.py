"""The Anthropic wire as bytes: named events, cumulative usage, headers, error shapes, and the rules by version and model."""

from typing import Any

import orjson
import pytest

from proxy.simulator.app import Simulator

OLD = {"x-api-key": "sk-ant-test", "anthropic-version": "2023-06-01"}
NEW = {"Authorization": "Bearer sk-ant-test", "anthropic-version": "2026-10-21"}
MESSAGES = {
    "model": "claude-haiku-4-5",
    "max_tokens": 200,
    "messages": [{"role": "user", "content": "Hello"}],
}
TOOL = {"name": "f", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}


async def test_a_whole_answer_has_the_documented_shape(messages: Any) -> None:
    body = (await messages()).json
    assert body["type"] == "message"
    assert body["id"].startswith("msg_")
    assert body["model"] == "claude-haiku-4-5-20251001"
    assert body["content"][0]["type"] == "text"
    assert (body["stop_reason"], body["stop_sequence"]) == ("end_turn", None)
    assert {"input_tokens", "output_tokens", "cache_read_input_tokens"} <= set(body["usage"])


async def test_answers_carry_request_id_and_rate_limits(messages: Any) -> None:
    headers = (await messages()).headers
    assert headers["request-id"].startswith("req_")
    for kind in ("requests", "tokens", "input-tokens", "output-tokens"):
        for what in ("limit", "remaining", "reset"):
            assert f"anthropic-ratelimit-{kind}-{what}" in headers


async def test_a_stream_is_named_events_in_order(messages: Any) -> None:
    answer = await messages("events=2", stream=True)
    assert answer.complete
    names = [line[7:] for line in answer.body.decode().split("\n") if line.startswith("event: ")]
    assert names == [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert [event["type"] for event in answer.events] == names
    assert b"[DONE]" not in answer.body


async def test_streamed_usage_begins_small_and_ends_with_the_total(messages: Any) -> None:
    whole = (await messages()).json
    events = (await messages(stream=True)).events
    start, end = events[0]["message"]["usage"], events[-2]["usage"]
    assert start["input_tokens"] == end["input_tokens"] == whole["usage"]["input_tokens"]
    assert start["output_tokens"] == 1
    assert end["output_tokens"] == whole["usage"]["output_tokens"]
    text = "".join(e["delta"]["text"] for e in events if e["type"] == "content_block_delta")
    assert text == whole["content"][0]["text"]


async def test_cached_and_written_input_is_not_in_input_tokens(messages: Any, simulator: Simulator) -> None:
    usage = (await messages("cached_tokens=6; cache_write_tokens=3", system="x" * 40)).json["usage"]
    assert usage["cache_read_input_tokens"] == 6
    assert usage["cache_creation_input_tokens"] == 3
    assert usage["input_tokens"] == simulator.calls[0].input_tokens - 9


async def test_tool_use_is_streamed_as_fragments_of_json(messages: Any) -> None:
    user = [{"role": "user", "content": "call the tool f"}]
    whole = (await messages(tools=[TOOL], messages=user)).json
    assert whole["stop_reason"] == "tool_use"
    events = (await messages(tools=[TOOL], messages=user, stream=True)).events
    opening = next(e["content_block"] for e in events if e["type"] == "content_block_start")
    assert (opening["type"], opening["name"], opening["input"]) == ("tool_use", "f", {})
    fragments = [e["delta"]["partial_json"] for e in events if e["type"] == "content_block_delta"]
    assert len(fragments) > 1
    assert orjson.loads("".join(fragments)) == whole["content"][0]["input"]


async def test_a_tool_result_is_answered_with_text(messages: Any) -> None:
    conversation = [
        {"role": "user", "content": "call the tool f"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "sunny"}]},
    ]
    body = (await messages(tools=[TOOL], messages=conversation)).json
    assert body["stop_reason"] == "end_turn"
    assert "sunny" in body["content"][0]["text"]


async def test_a_refusal_has_a_reason_and_details(messages: Any) -> None:
    body = (await messages("refuse")).json
    assert (body["stop_reason"], body["stop_details"]["type"]) == ("refusal", "refusal")
    assert (await messages("refuse", stream=True)).events[-2]["delta"]["stop_reason"] == "refusal"


async def test_limit_and_stop_sequence_end_the_answer(messages: Any) -> None:
    assert (await messages(max_tokens=1)).json["stop_reason"] == "max_tokens"
    stopped = (await messages(stop_sequences=["Hel"])).json
    assert (stopped["stop_reason"], stopped["stop_sequence"]) == ("stop_sequence", "Hel")


async def test_no_tokens_at_all_may_be_asked_for(messages: Any) -> None:
    body = (await messages(max_tokens=0)).json
    assert body["content"] == []
    assert body["usage"]["output_tokens"] == 0


async def test_the_system_prompt_is_a_string_or_text_blocks(messages: Any, simulator: Simulator) -> None:
    await messages(system="One")
    await messages(system=[{"type": "text", "text": "One"}, {"type": "text", "text": "Two"}])
    assert [call.system for call in simulator.calls] == ["One", "One\nTwo"]


@pytest.mark.parametrize(
    ("headers", "status", "kind"),
    [
        ({}, 401, "authentication_error"),
        ({"anthropic-version": "2023-06-01"}, 401, "authentication_error"),
        ({"x-api-key": "k"}, 400, "invalid_request_error"),
        ({"x-api-key": "k", "anthropic-version": "tomorrow"}, 400, "invalid_request_error"),
    ],
)
async def test_a_key_and_a_version_are_required(send: Any, headers: dict[str, str], status: int, kind: str) -> None:
    answer = await send("POST", "/v1/messages", MESSAGES, headers=headers)
    assert (answer.status, answer.json["type"], answer.json["error"]["type"]) == (status, "error", kind)
    assert answer.json["request_id"] == answer.headers["request-id"]


@pytest.mark.parametrize("headers", [OLD, NEW])
async def test_the_key_comes_in_either_header(send: Any, headers: dict[str, str]) -> None:
    assert (await send("POST", "/v1/messages", MESSAGES, headers=headers)).status == 200


@pytest.mark.parametrize("name", ["temperature", "top_p", "top_k"])
async def test_sampling_is_gone_from_the_new_version_and_from_new_models(send: Any, name: str) -> None:
    sampled = MESSAGES | {name: 1}
    newer = sampled | {"model": "claude-sonnet-5"}
    assert (await send("POST", "/v1/messages", sampled, headers=OLD)).status == 200
    assert (await send("POST", "/v1/messages", sampled, headers=NEW)).status == 400
    refused = await send("POST", "/v1/messages", newer, headers=OLD)
    assert refused.json["error"]["message"] == f"`{name}` is deprecated for this model"


@pytest.mark.parametrize(
    ("members", "status", "said"),
    [
        ({"switchback": {}}, 400, "switchback: Extra inputs are not permitted"),
        ({"max_tokens": None}, 400, "max_tokens: Field required"),
        ({"max_tokens": "1"}, 400, "max_tokens"),
        ({"model": "agent:support"}, 404, "model: agent:support"),
        ({"model": "gpt-4o"}, 404, "model: gpt-4o"),
        ({"messages": []}, 400, "at least one message"),
        ({"messages": [{"role": "system", "content": "x"}]}, 400, 'Unexpected role "system"'),
        ({"messages": [{"role": "user", "content": "x", "name": "y"}]}, 400, "messages.0"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, 400, "messages.0.content"),
        ({"system": {"text": "x"}}, 400, "system:"),
        ({"stream": "true"}, 400, "stream:"),
        ({"stop_sequences": "x"}, 400, "stop_sequences"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, 400, "tools.0.name"),
        ({"tools": [{"name": "f"}]}, 400, "input_schema"),
        ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "g"}}, 400, "not found"),
        ({"tools": [TOOL], "tool_choice": "auto"}, 400, "tool_choice"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, 400, "greater than"),
        ({"fallbacks": []}, 400, "fallbacks: Extra inputs are not permitted"),
    ],
)
async def test_the_rules_of_messages_are_enforced(
    messages: Any, simulator: Simulator, members: dict[str, Any], status: int, said: str
) -> None:
    answer = await messages(**members)
    kind = "not_found_error" if status == 404 else "invalid_request_error"
    assert (answer.status, answer.json["error"]["type"]) == (status, kind)
    assert said in answer.json["error"]["message"]
    assert simulator.billed_nanodollars == 0


async def test_beta_members_need_the_beta_header(send: Any) -> None:
    asked = MESSAGES | {"fallbacks": [{"model": "claude-haiku-4-5"}]}
    answer = await send("POST", "/v1/messages", asked, headers=NEW | {"anthropic-beta": "fallbacks"})
    assert answer.status == 200


async def test_newer_models_take_system_messages_inside_the_conversation(messages: Any, simulator: Simulator) -> None:
    conversation = [{"role": "user", "content": "Hi"}, {"role": "system", "content": "Later"}]
    assert (await messages(model="claude-sonnet-5", system="First", messages=conversation)).status == 200
    assert simulator.calls[0].system == "First\nLater"


async def test_tokens_are_counted_as_they_are_billed_and_for_free(
    send: Any, messages: Any, simulator: Simulator
) -> None:
    shared = {"system": "Be kind.", "tools": [TOOL]}
    counting = {key: value for key, value in (MESSAGES | shared).items() if key != "max_tokens"}
    counted = await send("POST", "/v1/messages/count_tokens", counting)
    assert simulator.billed_nanodollars == 0
    assert counted.json == {"input_tokens": (await messages(**shared)).json["usage"]["input_tokens"]}
    assert (await send("POST", "/v1/messages/count_tokens", MESSAGES)).status == 400
    assert (await send("POST", "/v1/messages/count_tokens", b"{")).status == 400


async def test_models_and_missing_paths_follow_the_version_header(send: Any) -> None:
    listed = (await send("GET", "/v1/models", headers=NEW)).json
    assert listed["has_more"] is False
    assert all(model["id"].startswith("claude") for model in listed["data"])
    assert (await send("GET", "/v1/models/claude-opus-5", headers=NEW)).json["type"] == "model"
    for path, status in (("/v1/models/gpt-4o", 404), ("/messages", 404), ("/v1/messages", 405)):
        answer = await send("GET", path, headers=NEW)
        assert (answer.status, answer.json["type"]) == (status, "error")

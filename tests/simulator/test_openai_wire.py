"""The OpenAI wire as bytes: framing, usage, headers, error shapes, and the rules a careless proxy would break."""

from typing import Any

import pytest

from proxy.simulator.app import Simulator

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}


async def test_a_whole_answer_has_the_documented_shape(chat: Any) -> None:
    answer = await chat()
    body = answer.json
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert body["object"] == "chat.completion"
    assert body["model"] == "gpt-4o-mini-2024-07-18"
    assert body["choices"][0]["message"]["role"] == "assistant"
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["usage"]["total_tokens"] == body["usage"]["prompt_tokens"] + body["usage"]["completion_tokens"]


async def test_answers_carry_request_id_processing_time_and_rate_limits(chat: Any) -> None:
    headers = (await chat()).headers
    assert headers["x-request-id"].startswith("req_")
    assert headers["openai-processing-ms"] == "1"
    for kind in ("requests", "tokens"):
        for what in ("limit", "remaining", "reset"):
            assert f"x-ratelimit-{what}-{kind}" in headers


async def test_a_stream_is_data_lines_ended_by_done_without_usage_unless_asked(chat: Any) -> None:
    answer = await chat("events=3", stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.complete
    assert answer.body.endswith(b"data: [DONE]\n\n")
    assert b"event:" not in answer.body
    *chunks, done = answer.events
    assert done == "[DONE]"
    assert all("usage" not in chunk for chunk in chunks)
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert [bool(chunk["choices"][0]["delta"].get("content")) for chunk in chunks] == [
        False,
        True,
        True,
        True,
        False,
    ]
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert len({chunk["id"] for chunk in chunks}) == 1


async def test_usage_on_request_is_null_everywhere_but_in_one_chunk_without_choices(chat: Any) -> None:
    whole = (await chat()).json["usage"]
    answer = await chat(stream=True, stream_options={"include_usage": True})
    *chunks, last, _done = answer.events
    assert all(chunk["usage"] is None for chunk in chunks)
    assert last["choices"] == []
    assert last["usage"] == whole


async def test_stream_and_whole_say_the_same(chat: Any) -> None:
    whole = (await chat()).json["choices"][0]["message"]["content"]
    chunks = (await chat(stream=True)).events[:-1]
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == whole


async def test_chunks_are_padded_against_guessing_unless_declined(chat: Any) -> None:
    padded = (await chat(stream=True)).events
    bare = (await chat(stream=True, stream_options={"include_obfuscation": False})).events
    assert "obfuscation" in padded[1]
    assert "obfuscation" not in bare[1]


async def test_several_choices_are_interleaved_and_all_billed(chat: Any, simulator: Simulator) -> None:
    answer = await chat("events=2", stream=True, n=3)
    indexes = [chunk["choices"][0]["index"] for chunk in answer.events[:-1]]
    assert indexes == [0, 1, 2] * 4
    single = await chat()
    assert simulator.calls[0].output_tokens == 3 * single.json["usage"]["completion_tokens"]


async def test_tool_arguments_arrive_in_fragments_under_one_id(chat: Any) -> None:
    tool = {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
    user = [{"role": "user", "content": "call the tool get_weather"}]
    whole = (await chat(tools=[tool], messages=user)).json["choices"][0]
    assert whole["finish_reason"] == "tool_calls"
    assert whole["message"]["content"] is None
    chunks = (await chat(tools=[tool], messages=user, stream=True)).events[:-1]
    deltas = [chunk["choices"][0]["delta"].get("tool_calls", [{}])[0] for chunk in chunks]
    assert sum("id" in delta for delta in deltas) == 1
    fragments = [delta["function"]["arguments"] for delta in deltas if delta]
    assert len(fragments) > 2
    assert "".join(fragments) == whole["message"]["tool_calls"][0]["function"]["arguments"]


async def test_a_refusal_is_no_error_and_ends_with_stop(chat: Any) -> None:
    choice = (await chat("refuse")).json["choices"][0]
    assert choice["message"]["refusal"]
    assert choice["message"]["content"] is None
    assert choice["finish_reason"] == "stop"
    chunks = (await chat("refuse", stream=True)).events[:-1]
    said = "".join(chunk["choices"][0]["delta"].get("refusal") or "" for chunk in chunks)
    assert said == choice["message"]["refusal"]


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
async def test_a_small_limit_cuts_the_answer(chat: Any, name: str) -> None:
    body = (await chat(**{name: 2})).json
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["usage"]["completion_tokens"] == 2


async def test_system_and_developer_messages_are_both_the_system_prompt(chat: Any, simulator: Simulator) -> None:
    messages = [{"role": role, "content": role.upper()} for role in ("system", "developer", "user")]
    body = (await chat("echo_system", messages=messages)).json
    assert simulator.calls[0].system == "SYSTEM\nDEVELOPER"
    assert body["choices"][0]["message"]["content"].startswith("[system:SYSTEM\nDEVELOPER]")


async def test_without_a_bearer_key_nobody_is_served(send: Any) -> None:
    for headers in ({}, {"x-api-key": "sk"}, {"Authorization": "Basic c2s="}, {"Authorization": "Bearer "}):
        answer = await send("POST", "/v1/chat/completions", {}, headers=headers)
        assert answer.status == 401
        assert set(answer.json["error"]) == {"message", "type", "param", "code"}
        assert answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("members", "status", "said"),
    [
        ({"switchback": {}}, 400, "Unrecognized request argument supplied: switchback"),
        ({"agent": 1, "user_id": 2}, 400, "Unrecognized request arguments supplied: agent, user_id"),
        ({"stream_options": {"include_usage": True}}, 400, "only allowed when 'stream' is enabled"),
        ({"stream": True, "stream_options": {"usage": True}}, 400, "Invalid 'stream_options'"),
        ({"stream": "yes"}, 400, "Invalid type for 'stream'"),
        ({"model": "agent:support"}, 404, "does not exist"),
        ({"model": "claude-haiku-4-5"}, 404, "does not exist"),
        ({"model": "text-embedding-3-small"}, 404, "not supported at this endpoint"),
        ({"model": None}, 400, "model"),
        ({"messages": []}, 400, "non-empty"),
        ({"messages": None}, 400, "Missing required parameter: 'messages'"),
        ({"messages": [{"role": "boss", "content": ""}]}, 400, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, 400, "messages[0].content"),
        ({"messages": [{"role": "tool", "content": "1", "tool_call_id": "c"}]}, 400, "preceding message"),
        ({"messages": [{"role": "assistant", "tool_calls": 1}]}, 400, "tool_calls"),
        ({"max_tokens": 5, "max_completion_tokens": 5}, 400, "at the same time"),
        ({"max_tokens": "5"}, 400, "Invalid type for 'max_tokens'"),
        ({"n": 0}, 400, "Invalid 'n'"),
        ({"temperature": 3}, 400, "Invalid 'temperature'"),
        ({"stop": ["a"] * 5}, 400, "Invalid 'stop'"),
        ({"tools": []}, 400, "Invalid 'tools'"),
        ({"tools": [{"name": "f"}]}, 400, "tools[0]"),
        ({"tool_choice": "auto"}, 400, "only allowed when 'tools'"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}}, 400, "tool_choice"),
        ({"model": "o4-mini", "max_tokens": 5}, 400, "max_completion_tokens"),
        ({"model": "o4-mini", "temperature": 0.2}, 400, "Unsupported value: 'temperature'"),
        ({"model": "o4-mini", "stop": "x"}, 400, "Unsupported parameter: 'stop'"),
    ],
)
async def test_the_rules_of_chat_completions_are_enforced(
    chat: Any, simulator: Simulator, members: dict[str, Any], status: int, said: str
) -> None:
    answer = await chat(**members)
    assert answer.status == status
    assert said in answer.json["error"]["message"]
    assert simulator.billed_nanodollars == 0


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"'])
async def test_a_body_that_is_no_json_object_is_refused(send: Any, body: bytes) -> None:
    answer = await send("POST", "/v1/chat/completions", body)
    assert answer.status == 400
    assert answer.json["error"]["type"] == "invalid_request_error"


async def test_tool_choice_is_obeyed(chat: Any) -> None:
    forced = {"type": "function", "function": {"name": "f"}}
    for choice in ("required", forced):
        body = (await chat(tools=[TOOL], tool_choice=choice)).json
        assert body["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "f"
    user = [{"role": "user", "content": "call the tool f"}]
    body = (await chat(tools=[TOOL], tool_choice="none", messages=user)).json
    assert "tool_calls" not in body["choices"][0]["message"]


async def test_a_path_that_does_not_exist_and_a_wrong_method_have_the_error_shape(send: Any) -> None:
    missing = await send("POST", "/chat/completions", {})
    assert (missing.status, missing.json["error"]["message"]) == (404, "Invalid URL (POST /chat/completions)")
    wrong = await send("GET", "/v1/chat/completions")
    assert (wrong.status, wrong.json["error"]["code"]) == (405, "method_not_supported")


async def test_legacy_completions_answer_and_stream(send: Any) -> None:
    ask = {"model": "gpt-3.5-turbo-instruct", "prompt": ["One", "Two"], "max_tokens": 50}
    whole = (await send("POST", "/v1/completions", ask)).json
    assert whole["object"] == "text_completion"
    assert [choice["index"] for choice in whole["choices"]] == [0, 1]
    options = {"include_usage": True}
    streamed = await send("POST", "/v1/completions", ask | {"stream": True, "stream_options": options})
    *chunks, last, done = streamed.events
    assert done == "[DONE]"
    assert last["usage"] == whole["usage"]
    for index, choice in enumerate(whole["choices"]):
        texts = [c["choices"][0]["text"] for c in chunks if c["choices"][0]["index"] == index]
        assert "".join(texts) == choice["text"]


async def test_legacy_completions_stop_after_sixteen_tokens_by_default(send: Any) -> None:
    ask = {"model": "gpt-3.5-turbo-instruct", "prompt": "x" * 200}
    body = (await send("POST", "/v1/completions", ask)).json
    assert body["usage"]["completion_tokens"] == 16
    assert body["choices"][0]["finish_reason"] == "length"


async def test_embeddings_bill_input_only(send: Any, simulator: Simulator) -> None:
    ask = {"model": "text-embedding-3-small", "input": ["12345678", [1, 2, 3]], "dimensions": 8}
    body = (await send("POST", "/v1/embeddings", ask)).json
    assert [len(item["embedding"]) for item in body["data"]] == [8, 8]
    assert body["usage"] == {"prompt_tokens": 5, "total_tokens": 5}
    assert (simulator.calls[0].output_tokens, simulator.billed_nanodollars) == (0, 100)
    refused = await send("POST", "/v1/embeddings", ask | {"switchback": 1})
    assert refused.status == 400


async def test_models_are_listed_by_the_wire_of_the_version_header(send: Any) -> None:
    listed = (await send("GET", "/v1/models")).json
    assert listed["object"] == "list"
    ids = {model["id"] for model in listed["data"]}
    assert "gpt-4o-mini" in ids
    assert not any(name.startswith("claude") for name in ids)
    assert (await send("GET", "/v1/models/gpt-4o")).json["id"] == "gpt-4o"
    assert (await send("GET", "/v1/models/nothing")).status == 404

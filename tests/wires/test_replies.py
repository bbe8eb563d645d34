"""What the proxy says itself, read by the official SDKs' own types and by the proxy's own readers."""

import json
from collections.abc import Sequence

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import TypeAdapter

from proxy.core.errors import (
    BadInput,
    CapReached,
    Conflict,
    Forbidden,
    Limited,
    NotFound,
    Refusal,
    TooLarge,
    Unauthorized,
    Unavailable,
    UpstreamFailed,
)
from proxy.wires.anthropic_messages.wire import AnthropicMessages
from proxy.wires.openai_chat.wire import OpenAIChat
from proxy.wires.wire import Wire
from tests.wires.recorded import naive_events, read_all

WIRES: Sequence[Wire] = (OpenAIChat(), AnthropicMessages())
TEXT = 'We are "closed".\nCome back é 🙂'


def reply(wire: Wire, streamed: bool) -> bytes:
    return wire.text_reply(TEXT, model="some-model", reply_id="reply_1", created=1_800_000_000, streamed=streamed)


def test_a_fixed_text_is_a_chat_completion() -> None:
    completion = ChatCompletion.model_validate_json(reply(WIRES[0], False), strict=True)
    assert completion.choices[0].message.content == TEXT
    assert (completion.choices[0].finish_reason, completion.id, completion.created) == (
        "stop",
        "reply_1",
        1_800_000_000,
    )


def test_a_fixed_text_is_a_chat_stream() -> None:
    *events, last = naive_events(reply(WIRES[0], True))
    chunks = [ChatCompletionChunk.model_validate_json(event, strict=True) for event in events]
    assert last == b"[DONE]"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEXT
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None, None, "stop"]


def test_a_fixed_text_is_an_anthropic_message() -> None:
    message = Message.model_validate_json(reply(WIRES[1], False), strict=True)
    assert [block.text for block in message.content if block.type == "text"] == [TEXT]
    assert (message.stop_reason, message.id, message.model) == ("end_turn", "reply_1", "some-model")


def test_a_fixed_text_is_an_anthropic_stream_of_named_events() -> None:
    stream = reply(WIRES[1], True)
    adapter: TypeAdapter[RawMessageStreamEvent] = TypeAdapter(RawMessageStreamEvent)
    events = [adapter.validate_json(event) for event in naive_events(stream)]
    names = [line.removeprefix(b"event: ").decode() for line in stream.split(b"\n") if line.startswith(b"event: ")]
    assert [event.type for event in events] == names
    assert names == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
@pytest.mark.parametrize("streamed", [False, True])
def test_the_proxys_own_reader_finds_its_reply_complete(wire: Wire, streamed: bool) -> None:
    body = reply(wire, streamed)
    passed, facts = read_all(wire.answer_reader(streamed=streamed, removes_usage_event=False), [body])
    assert passed == body
    assert (facts.is_complete, facts.finish, facts.unreadable) == (True, "stop", 0)
    assert facts.output_bytes == len(TEXT.encode())


REFUSALS = [
    (BadInput("bad_x", "x", param="n"), "invalid_request_error", "invalid_request_error"),
    (Unauthorized("invalid_api_key", "x"), "invalid_request_error", "authentication_error"),
    (CapReached("spend_cap_exceeded", "x"), "insufficient_quota", "billing_error"),
    (Forbidden("agent_disabled", "x"), "permission_error", "invalid_request_error"),
    (NotFound("agent_not_found", "x"), "invalid_request_error", "not_found_error"),
    (Conflict("x", "x"), "invalid_request_error", "conflict_error"),
    (TooLarge("body_too_large", "x"), "invalid_request_error", "request_too_large"),
    (Limited("rate_limit_exceeded", "x"), "rate_limit_error", "rate_limit_error"),
    (Refusal("proxy_error", "x"), "server_error", "api_error"),
    (UpstreamFailed("upstream_unreachable", "x"), "server_error", "api_error"),
    (UpstreamFailed("upstream_timeout", "x", status=504), "server_error", "timeout_error"),
    (Unavailable("draining", "x"), "server_error", "overloaded_error"),
    (BadInput("odd", "x", status=418), "invalid_request_error", "invalid_request_error"),
]


@pytest.mark.parametrize(
    ("refusal", "openai_type", "anthropic_type"), REFUSALS, ids=lambda value: getattr(value, "code", None)
)
def test_a_refusal_has_the_providers_own_error_shape(refusal: Refusal, openai_type: str, anthropic_type: str) -> None:
    assert json.loads(WIRES[0].error_body(refusal, "req_1")) == {
        "error": {"message": refusal.message, "type": openai_type, "param": refusal.param, "code": refusal.code}
    }
    assert json.loads(WIRES[1].error_body(refusal, "req_1")) == {
        "type": "error",
        "error": {"type": anthropic_type, "message": refusal.message, "details": {"error_code": refusal.code}},
        "request_id": "req_1",
    }

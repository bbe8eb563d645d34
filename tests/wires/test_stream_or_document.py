"""What comes where a stream was asked for may be a document; the first byte tells, whatever the head says."""

import json

import pytest

from proxy.wires.anthropic_messages.wire import AnthropicMessages
from proxy.wires.openai_chat.wire import OpenAIChat
from proxy.wires.wire import Wire
from tests.wires.recorded import CHAT_TEXT, chat_stream, cuttings, read_all

WIRES: list[Wire] = [OpenAIChat(), AnthropicMessages()]
ERROR = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
@pytest.mark.parametrize("removes", [False, True])
@pytest.mark.parametrize("before", [b"", b"\n", b" \r\n", b"\xef\xbb\xbf"])
def test_an_error_document_passes_at_once_and_is_read(wire: Wire, removes: bool, before: bytes) -> None:
    for pieces in cuttings(before + ERROR):
        passed, facts = read_all(wire.answer_reader(streamed=True, removes_usage_event=removes), pieces)
        assert passed == before + ERROR
        if before != b"\xef\xbb\xbf":
            assert (facts.error_type, facts.is_complete, facts.is_bare_error) == ("overloaded_error", True, True)
    reader = wire.answer_reader(streamed=True, removes_usage_event=removes)
    assert (reader.feed(ERROR[:20]), reader.is_stream, reader.takes_event) == (ERROR[:20], False, False)


def test_a_whole_answer_in_the_place_of_a_stream_is_metered() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 5}
    choice = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
    body = json.dumps({"model": "m", "choices": [choice], "usage": usage}).encode()
    for pieces in cuttings(body):
        passed, facts = read_all(OpenAIChat().answer_reader(streamed=True, removes_usage_event=True), pieces)
        assert (passed, facts.is_complete, facts.finish, facts.output_bytes) == (body, True, "stop", 2)
        assert facts.usage is not None
        assert (facts.usage.input_tokens, facts.usage.output_tokens) == (10, 5)


@pytest.mark.parametrize("body", [b"{", b"<html>busy</html>", ERROR[:-1], b'"no'])
def test_a_document_that_is_none_is_no_complete_answer(body: bytes) -> None:
    passed, facts = read_all(OpenAIChat().answer_reader(streamed=True, removes_usage_event=True), [body])
    assert (passed, facts.is_complete, facts.unreadable) == (body, False, 1)


def test_a_heartbeat_in_front_of_the_usage_event_is_not_held_back() -> None:
    reader = OpenAIChat().answer_reader(streamed=True, removes_usage_event=True)
    for heartbeat in (b": ping\n", b":\n\n", b": OPENROUTER PROCESSING\n"):
        assert reader.feed(heartbeat) == heartbeat
    stream = b": ping\n" + chat_stream(*CHAT_TEXT[:-1])
    for pieces in cuttings(stream):
        reader = OpenAIChat().answer_reader(streamed=True, removes_usage_event=True)
        assert read_all(reader, pieces)[0] == stream


@pytest.mark.parametrize("error", [None, "", {}, False])
def test_an_error_member_that_says_nothing_is_no_error(error: object) -> None:
    body = json.dumps({"model": "m", "choices": [], "error": error}).encode()
    assert read_all(OpenAIChat().answer_reader(streamed=False, removes_usage_event=False), [body])[1].error_type is None


def test_an_empty_finish_reason_is_no_finish() -> None:
    chunk = {"model": "m", "choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": ""}]}
    usage = {"prompt_tokens": 3, "completion_tokens": 1}
    stream = f"data: {json.dumps(chunk | {'usage': usage})}\n\n".encode()
    facts = read_all(OpenAIChat().answer_reader(streamed=True, removes_usage_event=False), [stream * 3])[1]
    assert (facts.finish, facts.usage, facts.is_complete) == (None, None, False)
    message = {"message": {"content": "a"}, "finish_reason": ""}
    body = json.dumps({"model": "m", "choices": [message], "usage": usage}).encode()
    assert read_all(OpenAIChat().answer_reader(streamed=False, removes_usage_event=False), [body])[1].finish is None
    delta = {"type": "message_delta", "delta": {"stop_reason": ""}, "usage": {"output_tokens": 1}}
    stream = f"event: message_delta\ndata: {json.dumps(delta)}\n\n".encode()
    assert (
        read_all(AnthropicMessages().answer_reader(streamed=True, removes_usage_event=False), [stream])[1].finish
        is None
    )

"""The text of an answer that was kept whole, on every wire: as the SDKs would show it, or not at all."""

import json
from typing import Any

import pytest

from proxy.wires.every_wire import WIRES
from proxy.wires.shared.request_bounds import RequestBounds

#: Only conversations have versions whose validators judge a text.
ALL = {wire.name: wire for wire in (make(RequestBounds()) for make in WIRES) if wire.is_conversation}
CHAT, RESPONSES, MESSAGES = (ALL[name] for name in ("openai_chat", "openai_responses", "anthropic_messages"))


def stream(*events: Any, end: str = "\n\n") -> bytes:
    lines = [event if isinstance(event, str) else json.dumps(event) for event in events]
    return "".join(f"data: {line}{end}" for line in lines).encode()


def chunk(text: Any, finish: str | None = None, index: int = 0) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": {"content": text}, "finish_reason": finish}]}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("name", sorted(ALL))
def test_a_reply_of_ours_is_read_back_word_for_word(name: str, streamed: bool) -> None:
    text = 'ä "quoted"\n{"team": "billing"} 🎟'
    reply = ALL[name].text_reply(text, model="m", reply_id="r1", created=0, streamed=streamed)
    assert ALL[name].answer_text(reply) == text
    assert ALL[name].answer_text(reply[: len(reply) // 2]) is None


@pytest.mark.parametrize("name", sorted(ALL))
@pytest.mark.parametrize("answer", [b"", b"<html>", b"[1]", b'{"error": {"type": "x"}}', b"data: {broken\n\n"])
def test_what_is_no_answer_of_the_wire_has_no_text(name: str, answer: bytes) -> None:
    assert not ALL[name].answer_text(answer)
    if name != "anthropic_messages" or not answer.startswith(b"{"):
        assert ALL[name].answer_text(answer) is None


@pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n", "\r\r"])
def test_a_chat_stream_is_its_first_choice_up_to_its_end(end: str) -> None:
    usage = {"choices": [], "usage": {"total_tokens": 3}}
    events = [chunk("a"), chunk("x", index=1), chunk("b"), chunk(None, "stop"), usage]
    assert CHAT.answer_text(stream(*events, "[DONE]", end=end)) == "ab"
    assert CHAT.answer_text(stream(*events, end=end)) == "ab"
    assert CHAT.answer_text(stream(chunk("a"), end=end)) is None
    assert CHAT.answer_text(stream(chunk("a"), {"error": {"type": "overloaded"}}, "[DONE]", end=end)) is None
    assert CHAT.answer_text(stream(chunk("a"), "{broken", chunk("b", "stop"), "[DONE]", end=end)) is None


def test_a_chat_answer_in_parts_is_their_text_and_a_refusal_has_none() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "other"}, {"type": "text", "text": "b"}]
    assert CHAT.answer_text(json.dumps({"choices": [{"index": 0, "message": {"content": parts}}]}).encode()) == "ab"
    refused = {"choices": [{"index": 0, "message": {"content": None, "refusal": "no"}}]}
    assert CHAT.answer_text(json.dumps(refused).encode()) == ""
    assert CHAT.answer_text(b'{"choices": []}') is None


def test_a_response_is_what_its_messages_say_without_reasoning_and_calls() -> None:
    output = [
        {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "hm"}]},
        {"type": "message", "content": [{"type": "output_text", "text": "a"}, {"type": "refusal", "refusal": "no"}]},
        {"type": "function_call", "arguments": "{}"},
        {"type": "message", "content": [{"type": "output_text", "text": "b"}]},
    ]
    whole = {"status": "completed", "output": output}
    assert RESPONSES.answer_text(json.dumps(whole).encode()) == "ab"
    assert RESPONSES.answer_text(stream({"type": "response.completed", "response": whole})) == "ab"
    assert RESPONSES.answer_text(json.dumps({**whole, "status": "in_progress"}).encode()) is None
    deltas = [{"type": "response.output_text.delta", "delta": letter} for letter in "cd"]
    assert RESPONSES.answer_text(stream(*deltas, {"type": "response.completed", "response": {}})) == "cd"
    assert RESPONSES.answer_text(stream(*deltas)) is None


def test_a_message_is_its_text_blocks_without_thinking_and_tools() -> None:
    blocks = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "a"}, {"type": "tool_use", "input": {}}]
    assert MESSAGES.answer_text(json.dumps({"content": [*blocks, {"type": "text", "text": "b"}]}).encode()) == "ab"
    events = [
        {"type": "message_start", "message": {}},
        {"type": "content_block_start", "content_block": {"type": "text", "text": "a"}},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "b"}},
        {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "hm"}},
        {"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": "{}"}},
    ]
    assert MESSAGES.answer_text(stream(*events, {"type": "message_stop"})) == "ab"
    assert MESSAGES.answer_text(stream(*events)) is None

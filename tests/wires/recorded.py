"""Streams as providers send them, and a slow reader that takes a whole stream apart by the letter of the specification.

Shared by the tests of event_stream and of both answer readers.
"""

import itertools
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from proxy.wires.wire import AnswerFacts, AnswerReader


def naive_events(stream: bytes) -> list[bytes]:
    """The data of each complete event, from the whole stream at once."""
    text = stream.removeprefix(b"\xef\xbb\xbf")
    events: list[bytes] = []
    data: list[bytes] = []
    for line in re.split(rb"\r\n|\n|\r", text)[:-1]:
        if not line:
            if any(data) or len(data) > 1:  # an event of no data is none
                events.append(b"\n".join(data))
            data = []
        elif line == b"data" or line.startswith(b"data:"):
            value = line[5:]
            data.append(value[1:] if value.startswith(b" ") else value)
    return events


def cut(stream: bytes, positions: Sequence[int]) -> list[bytes]:
    """The stream in pieces."""
    bounds = [0, *sorted(positions), len(stream)]
    return [stream[start:end] for start, end in itertools.pairwise(bounds)]


def cuttings(stream: bytes) -> Iterator[list[bytes]]:
    """Whole, cut in two at every offset, and byte by byte."""
    for position in range(len(stream) + 1):
        yield cut(stream, [position])
    yield [stream[index : index + 1] for index in range(len(stream))]


def read_all(reader: AnswerReader, pieces: Sequence[bytes]) -> tuple[bytes, AnswerFacts]:
    """Feed every piece and end cleanly: what the client gets, and the facts."""
    passed = b"".join([reader.feed(piece) for piece in pieces])
    return passed + reader.finish(), reader.facts


def chat_chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **members: Any) -> dict[str, Any]:
    choices = [] if delta is None else [{"index": members.pop("index", 0), "delta": delta, "finish_reason": finish}]
    return {"id": "c1", "object": "chat.completion.chunk", "model": "gpt-4o-mini-2024", "choices": choices, **members}


def chat_stream(*chunks: dict[str, Any], end: str = "\n\n", done: bool = True) -> bytes:
    lines = [json.dumps(chunk, ensure_ascii=False, separators=(",", ":")) for chunk in chunks] + ["[DONE]"] * done
    return "".join(f"data: {line}{end}" for line in lines).encode()


def named_stream(*events: dict[str, Any], end: str = "\n") -> bytes:
    return "".join(
        f"event: {event['type']}{end}data: {json.dumps(event, ensure_ascii=False)}{end}{end}" for event in events
    ).encode()


CHAT_USAGE = {
    "prompt_tokens": 20,
    "completion_tokens": 9,
    "total_tokens": 29,
    "prompt_tokens_details": {"cached_tokens": 5, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 2},
}
CHAT_TEXT = (
    chat_chunk({"role": "assistant", "content": ""}, usage=None),
    chat_chunk({"content": "Grüße 🙂"}, usage=None),
    chat_chunk({"content": " there"}, usage=None),
    chat_chunk({}, "stop", usage=None),
    chat_chunk(usage=CHAT_USAGE),
)
CHAT_TOOLS = (
    chat_chunk(prompt_filter_results=[], usage=None),
    chat_chunk({"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "one", "arguments": ""}}]}),
    chat_chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"q":'}}]}),
    chat_chunk({"tool_calls": [{"index": 1, "id": "b", "function": {"name": "two", "arguments": "{}"}}]}),
    chat_chunk({"tool_calls": [{"index": 0, "function": {"arguments": '"é"}'}}]}),
    chat_chunk({}, "tool_calls"),
    chat_chunk(usage=CHAT_USAGE),
)  # fmt: skip

RESPONSES_USAGE = {
    "input_tokens": 20,
    "input_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 0},
    "output_tokens": 9,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 29,
}


def response_of(status: str, *output: dict[str, Any], **members: Any) -> dict[str, Any]:
    """A response as streams and whole answers have it."""
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": "x",
        "model": "gpt-4.1-2025",
        "output": list(output),
        "service_tier": "auto" if status == "in_progress" else "default",
        "tools": [],
        "usage": RESPONSES_USAGE if status in ("completed", "incomplete") else None,
        **members,
    }


def response_message(*parts: dict[str, Any], status: str = "completed") -> dict[str, Any]:
    return {"id": "msg_1", "type": "message", "status": status, "role": "assistant", "content": list(parts)}


_AT = {"item_id": "msg_1", "output_index": 1, "content_index": 0}
_TEXT_PART = {"type": "output_text", "text": "Grüße 🙂 there", "annotations": [], "logprobs": []}
_REASONING = {"id": "rs_1", "type": "reasoning", "summary": []}
_FUNCTION = {"id": "fc_1", "type": "function_call", "status": "completed", "call_id": "c", "name": "one", "arguments": '{"q":"é"}'}  # fmt: skip
_SEARCH = {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}}
RESPONSES_TEXT = (
    {"type": "response.created", "response": response_of("in_progress")},
    {"type": "response.in_progress", "response": response_of("in_progress")},
    {"type": "response.output_item.added", "output_index": 0, "item": _REASONING},
    {"type": "response.output_item.done", "output_index": 0, "item": _REASONING},
    {"type": "response.output_item.added", "output_index": 1, "item": response_message(status="in_progress")},
    {"type": "response.content_part.added", **_AT, "part": {**_TEXT_PART, "text": ""}},
    {"type": "response.output_text.delta", **_AT, "delta": "Grüße 🙂", "logprobs": [], "obfuscation": "a8"},
    {"type": "response.output_text.delta", **_AT, "delta": " there", "logprobs": [], "obfuscation": ""},
    {"type": "response.output_text.done", **_AT, "text": "Grüße 🙂 there", "logprobs": []},
    {"type": "response.content_part.done", **_AT, "part": _TEXT_PART},
    {"type": "response.output_item.done", "output_index": 1, "item": response_message(_TEXT_PART)},
    {"type": "response.completed", "response": response_of("completed", _REASONING, response_message(_TEXT_PART))},
)
RESPONSES_TOOLS = (
    {"type": "response.created", "response": response_of("in_progress")},
    {"type": "response.output_item.added", "output_index": 0, "item": {**_SEARCH, "status": "in_progress"}},
    {"type": "response.web_search_call.searching", "output_index": 0, "item_id": "ws_1"},
    {"type": "response.output_item.done", "output_index": 0, "item": _SEARCH},
    {"type": "response.output_item.added", "output_index": 1, "item": {**_FUNCTION, "arguments": "", "status": "in_progress"}},
    {"type": "response.function_call_arguments.delta", "item_id": "fc_1", "output_index": 1, "delta": '{"q":'},
    {"type": "response.function_call_arguments.delta", "item_id": "fc_1", "output_index": 1, "delta": '"é"}'},
    {"type": "response.function_call_arguments.done", "item_id": "fc_1", "output_index": 1, "arguments": '{"q":"é"}'},
    {"type": "response.output_item.done", "output_index": 1, "item": _FUNCTION},
    {"type": "response.completed", "response": response_of("completed", _SEARCH, _FUNCTION)},
)  # fmt: skip


def responses_stream(*events: dict[str, Any], end: str = "\n") -> bytes:
    """Named events with the numbers that this format gives them."""
    return named_stream(
        *({"type": event["type"], "sequence_number": number, **event} for number, event in enumerate(events)), end=end
    )


ANTHROPIC_TEXT = (
    {
        "type": "message_start",
        "message": {
            "id": "m1",
            "type": "message",
            "role": "assistant",
            "model": "claude-sonnet-4-5-20250929",
            "content": [],
            "stop_reason": None,
            "usage": {
                "input_tokens": 10,
                "cache_creation_input_tokens": 6,
                "cache_read_input_tokens": 4,
                "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 2},
                "output_tokens": 1,
            },
        },
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "ping"},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Grüße 🙂"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "t", "name": "one", "input": {}}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"q":1}'}},
    {"type": "content_block_stop", "index": 1},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {"output_tokens": 15, "output_tokens_details": {"thinking_tokens": 3}},
    },
    {"type": "message_stop"},
)  # fmt: skip

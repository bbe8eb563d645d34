import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.calls.runs import Finish
from proxy.core.spending.usage import Usage
from proxy.wires.openai_chat.wire import OpenAIChat
from proxy.wires.shared.answer_reading import MAX_BODY_BYTES
from proxy.wires.wire import AnswerFacts
from tests.wires.recorded import (
    CHAT_TEXT,
    CHAT_TOOLS,
    CHAT_USAGE,
    chat_chunk,
    chat_stream,
    cut,
    cuttings,
    naive_events,
    read_all,
)

WIRE = OpenAIChat()
USAGE = Usage(input_tokens=20, cached_tokens=5, output_tokens=9, reasoning_tokens=2)


def stream_of(*pieces: bytes, removes: bool = False) -> tuple[bytes, AnswerFacts]:
    return read_all(WIRE.answer_reader(streamed=True, removes_usage_event=removes), pieces)


def facts_of(*pieces: bytes) -> AnswerFacts:
    return stream_of(*pieces)[1]


def body_facts(body: bytes) -> AnswerFacts:
    passed, facts = read_all(WIRE.answer_reader(streamed=False, removes_usage_event=False), [body[:7], body[7:]])
    assert passed == body
    return facts


def naive_facts(stream: bytes) -> AnswerFacts:
    """The same facts the slow way: the standard library's parser over the whole stream."""
    facts = AnswerFacts()
    names: dict[tuple[int, int], str] = {}
    for data in naive_events(stream):
        if facts.is_complete:
            break
        if data == b"[DONE]":
            facts.is_complete = True
            continue
        try:
            chunk = json.loads(data)
        except ValueError:
            facts.unreadable += 1
            continue
        facts.model = facts.model or chunk.get("model")
        for choice in chunk["choices"]:
            delta = choice["delta"]
            facts.output_bytes += len((delta.get("content") or "").encode())
            for call in delta.get("tool_calls", []):
                facts.output_bytes += len(call["function"]["arguments"].encode())
                if call["function"].get("name"):
                    names.setdefault((choice["index"], call["index"]), call["function"]["name"])
            finishes: dict[str, Finish] = {"stop": "stop", "tool_calls": "tool_call"}
            if choice["finish_reason"]:
                facts.finish = finishes[choice["finish_reason"]]
        if chunk.get("usage"):
            facts.usage = USAGE
    facts.tool_calls = list(names.values())
    return facts


STREAMS = [
    chat_stream(*CHAT_TEXT),
    chat_stream(*CHAT_TEXT, end="\r\n\r\n"),
    chat_stream(*CHAT_TEXT, end="\r\r"),
    b"\xef\xbb\xbf: hello\n\n" + chat_stream(*CHAT_TOOLS),
    b"data: {broken\n\n" + chat_stream(*CHAT_TEXT) + chat_stream(*CHAT_TEXT),
]


@pytest.mark.parametrize("stream", STREAMS)
def test_every_cutting_gives_the_facts_a_slow_reader_finds(stream: bytes) -> None:
    expected = naive_facts(stream)
    for pieces in cuttings(stream):
        assert stream_of(*pieces) == (stream, expected), pieces


@pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n", "\r\r"])
@pytest.mark.parametrize("chunks", [CHAT_TEXT, CHAT_TOOLS])
def test_exactly_the_usage_event_is_taken_out_for_every_cutting(chunks: tuple[Any, ...], end: str) -> None:
    stream = chat_stream(*chunks, end=end)
    expected = stream.replace(chat_stream(chunks[-1], end=end, done=False), b"")
    assert len(expected) < len(stream)
    for pieces in cuttings(stream):
        passed, facts = stream_of(*pieces, removes=True)
        assert passed == expected, pieces
        assert (facts.usage, facts.is_complete) == (USAGE, True)


events = st.sampled_from(
    [
        chat_stream(*CHAT_TEXT[:2], done=False),
        chat_stream(chat_chunk(usage=CHAT_USAGE), done=False),
        chat_stream(chat_chunk(usage=None, prompt_filter_results=[]), done=False),
        b": ping\n\n",
        b"\n",
        b"data: {broken\n\n",
        b"data: {}\r\n\r\n",
        b"event: x\n\n",
        b"data: 7\n\n",
    ]
)


@given(st.lists(events, max_size=8), st.sampled_from([b"", b"data: [DONE]\n\n", b'data: {"id"']), st.data())
@settings(max_examples=200)
def test_any_stream_cut_anywhere_loses_the_usage_events_and_no_other_byte(
    parts: list[bytes], tail: bytes, data: st.DataObject
) -> None:
    stream = b"".join(parts) + tail
    usage_event = chat_stream(chat_chunk(usage=CHAT_USAGE), done=False)
    positions = data.draw(st.lists(st.integers(0, len(stream)), max_size=8))
    passed, _ = stream_of(*cut(stream, positions), removes=True)
    assert passed == stream.replace(usage_event, b"")
    assert stream_of(*cut(stream, positions))[0] == stream


def test_a_piece_nothing_is_taken_from_is_passed_on_as_the_same_object() -> None:
    piece = chat_stream(*CHAT_TEXT[:2], done=False)
    torn = piece[:-5]
    for removes, sent in ((True, piece), (False, piece), (False, torn)):
        assert WIRE.answer_reader(streamed=True, removes_usage_event=removes).feed(sent) is sent


def test_only_the_incomplete_event_is_held_back() -> None:
    reader = WIRE.answer_reader(streamed=True, removes_usage_event=True)
    first, second = chat_stream(CHAT_TEXT[0], done=False), chat_stream(CHAT_TEXT[1], done=False)
    assert reader.feed(first + second[:10]) == first
    assert reader.feed(second[10:]) == second
    assert reader.feed(b"data: torn") == b""
    assert reader.finish() == b"data: torn"


def test_a_usage_event_far_larger_than_a_piece_is_still_taken_out() -> None:
    event = chat_stream(chat_chunk(usage={**CHAT_USAGE, "padding": "x" * 200_000}), done=False)
    pieces = [event[start : start + 1000] for start in range(0, len(event), 1000)]
    passed, facts = stream_of(*pieces, b"data: [DONE]\n\n", removes=True)
    assert (passed, facts.usage) == (b"data: [DONE]\n\n", USAGE)


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("tool_calls", "tool_call"),
        ("function_call", "tool_call"),
        ("content_filter", "filtered"),
        ("something_new", "other"),
    ],
)
def test_the_finish_is_read_from_streams_and_bodies(reason: str, finish: str) -> None:
    assert facts_of(chat_stream(chat_chunk({}, reason))).finish == finish
    body = json.dumps({"choices": [{"index": 0, "message": {}, "finish_reason": reason}]}).encode()
    assert body_facts(body).finish == finish


def test_a_refusal_in_words_is_a_refusal() -> None:
    facts = facts_of(
        chat_stream(chat_chunk({"refusal": "I can"}), chat_chunk({"refusal": "not"}), chat_chunk({}, "stop"))
    )
    assert (facts.refusal, facts.finish, facts.output_bytes) == (True, "refused", 8)


def test_of_several_answers_the_first_speaks_for_the_run() -> None:
    facts = facts_of(
        chat_stream(
            chat_chunk({"content": "a"}, index=1),
            chat_chunk({}, "length", index=1),
            chat_chunk({"content": "b"}, "stop", index=0),
            chat_chunk({}, "content_filter", index=2),
        )
    )
    assert (facts.finish, facts.output_bytes) == ("stop", 2)


def test_a_clean_end_without_the_marker_is_not_complete() -> None:
    assert not facts_of(chat_stream(*CHAT_TEXT, done=False)).is_complete


@pytest.mark.parametrize("end", [b"data: [DONE]", b"data: [DONE]\n", b"data:[DONE]\n\n", b"data: [DONE] \r\n\r\n"])
def test_the_marker_counts_however_it_is_ended(end: bytes) -> None:
    assert stream_of(end, removes=True) == (end, AnswerFacts(is_complete=True))


def test_what_comes_after_the_marker_passes_and_does_not_count() -> None:
    stream = chat_stream(*CHAT_TEXT) + chat_stream(*CHAT_TOOLS)
    passed, facts = stream_of(stream)
    assert passed == stream
    assert facts.tool_calls == []


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"message": "x", "type": "server_error", "code": None}, "server_error"),
        ({"message": "x", "code": "rate_limited"}, "rate_limited"),
        ({"code": 500}, "error"),
        ("broken", "error"),
    ],
)
def test_an_error_inside_the_stream_is_named(error: Any, expected: str) -> None:
    assert facts_of(chat_stream({"error": error}, done=False)).error_type == expected
    assert body_facts(json.dumps({"error": error}).encode()).error_type == expected


@pytest.mark.parametrize(
    ("usage", "read", "unreadable"),
    [
        (None, None, 0),
        ("12", None, 1),
        ({}, None, 1),
        ({"prompt_tokens": 5}, None, 1),
        ({"prompt_tokens": -1, "completion_tokens": 5}, None, 1),
        ({"prompt_tokens": "5", "completion_tokens": 5}, None, 1),
        ({"prompt_tokens": 5.5, "completion_tokens": 5}, None, 1),
        ({"prompt_tokens": True, "completion_tokens": 5}, None, 1),
        ({"prompt_tokens": 10**18, "completion_tokens": 5}, None, 1),
        ({"prompt_tokens": 5, "completion_tokens": 6}, Usage(input_tokens=5, output_tokens=6), 0),
        ({"prompt_tokens": 5, "completion_tokens": 6, "prompt_tokens_details": {"cached_tokens": 9, "cache_write_tokens": 9},
          "completion_tokens_details": {"reasoning_tokens": 99}},
         Usage(input_tokens=23, cached_tokens=9, cache_write_tokens=9, output_tokens=105, reasoning_tokens=99), 0),
        ({"prompt_tokens": 5, "completion_tokens": 6, "prompt_tokens_details": {"cached_tokens": -9}},
         Usage(input_tokens=5, output_tokens=6), 1),
        ({"prompt_tokens": 5, "completion_tokens": 6, "prompt_tokens_details": []}, Usage(input_tokens=5, output_tokens=6), 1),
    ],
)  # fmt: skip
def test_nonsense_in_the_usage_is_left_out_and_counted(usage: Any, read: Usage | None, unreadable: int) -> None:
    facts = facts_of(chat_stream(chat_chunk(usage=usage)))
    assert (facts.usage, facts.unreadable) == (read, unreadable)
    facts = body_facts(json.dumps({"choices": [], "usage": usage}).encode())
    assert (facts.usage, facts.unreadable) == (read, unreadable)


def test_of_several_usages_the_largest_counts_hold() -> None:
    later = {"prompt_tokens": 20, "completion_tokens": 30}
    facts = facts_of(chat_stream(chat_chunk(usage=CHAT_USAGE), chat_chunk(usage=later), chat_chunk(usage={})))
    assert facts.usage == Usage(input_tokens=20, cached_tokens=5, output_tokens=30, reasoning_tokens=2)


def test_a_running_usage_is_the_last_where_nothing_was_written_behind_it() -> None:
    told = chat_chunk({"content": "xyz"}, usage={"prompt_tokens": 5, "completion_tokens": 2})
    end = chat_chunk({}, finish="stop")
    assert facts_of(chat_stream(told, end)).usage == Usage(input_tokens=5, output_tokens=2)
    assert facts_of(chat_stream(told, chat_chunk({"content": "more"}), end)).usage is None


@pytest.mark.parametrize("streamed", [True, False])
def test_an_error_of_one_answer_is_an_error(streamed: bool) -> None:
    choice = {"index": 0, "finish_reason": "error", "error": {"code": 502, "message": "x", "type": "bad_gateway"}}
    body = {"model": "m", "usage": {"prompt_tokens": 5, "completion_tokens": 2}}
    if streamed:
        facts = facts_of(chat_stream({**body, "choices": [{**choice, "delta": {"content": ""}}]}))
    else:
        choice["message"] = {"role": "assistant", "content": ""}
        facts = body_facts(json.dumps({**body, "choices": [choice]}).encode())
    assert facts.error_type == "bad_gateway"


def test_a_running_usage_counts_only_once_the_answer_is_through() -> None:
    running = [chat_chunk({"content": "x"}, usage={"prompt_tokens": 5, "completion_tokens": count}) for count in (1, 2)]
    reader = WIRE.answer_reader(streamed=True, removes_usage_event=False)
    reader.feed(chat_stream(*running, done=False))
    assert reader.facts.usage is None
    reader.feed(chat_stream(chat_chunk({}, "stop", usage={"prompt_tokens": 5, "completion_tokens": 3})))
    assert reader.facts.usage == Usage(input_tokens=5, output_tokens=3)


@pytest.mark.parametrize(
    "data", [b"{", b"7", b"null", b"[]", b'{"choices":7}', b'{"choices":[7]}', b"\xff", b'{"model":"\xff"}']
)
def test_an_event_that_cannot_be_read_passes_and_is_counted(data: bytes) -> None:
    stream = b"data: " + data + b"\n\n" + chat_stream(*CHAT_TEXT)
    passed, facts = stream_of(stream, removes=True)
    assert passed.startswith(b"data: " + data + b"\n\n")
    assert (facts.unreadable, facts.usage) == (1, USAGE)


@pytest.mark.parametrize(
    "delta",
    [
        {"content": 7},
        {"content": [{"type": "text", "text": "x"}, 7]},
        {"tool_calls": [{"index": "a", "function": {"name": 7, "arguments": {}}}]},
        {"tool_calls": [{}]},
        {"unheard": {"of": []}},
    ],
)
def test_odd_deltas_do_no_harm(delta: dict[str, Any]) -> None:
    facts = facts_of(chat_stream(chat_chunk(delta), *CHAT_TEXT))
    assert (facts.usage, facts.unreadable, facts.tool_calls) == (USAGE, 0, [])


def test_a_whole_completion_is_read() -> None:
    message = {
        "role": "assistant",
        "content": "é",
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "one", "arguments": "{}"}},
            {"id": "b", "type": "custom", "custom": {"name": "two", "input": "x"}},
            {"id": "c", "type": "function", "function": {"name": "one", "arguments": ""}},
        ],
    }
    body = {
        "model": "gpt-4o",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": CHAT_USAGE,
    }
    assert body_facts(json.dumps(body).encode()) == AnswerFacts(
        model="gpt-4o", usage=USAGE, finish="stop", tool_calls=["one", "two", "one"], output_bytes=5, is_complete=True
    )


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{", b'{"choices":{}}'])
def test_a_body_that_cannot_be_read_passes_and_is_counted(body: bytes) -> None:
    assert body_facts(body) == AnswerFacts(is_complete=True, unreadable=1)


def test_a_body_too_large_to_keep_passes_unread() -> None:
    reader = WIRE.answer_reader(streamed=False, removes_usage_event=False)
    piece = b"x" * (1024 * 1024)
    for _ in range(MAX_BODY_BYTES // len(piece) + 1):
        assert reader.feed(piece) is piece
    assert reader.finish() == b""
    assert (reader.facts.usage, reader.facts.unreadable, reader.facts.is_complete) == (None, 1, True)
    assert reader.facts.output_bytes > MAX_BODY_BYTES

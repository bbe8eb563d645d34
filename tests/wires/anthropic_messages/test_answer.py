import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.spending.usage import Usage
from proxy.wires.anthropic_messages.wire import AnthropicMessages
from proxy.wires.wire import AnswerFacts
from tests.wires.recorded import ANTHROPIC_TEXT, cut, cuttings, named_stream, read_all

WIRE = AnthropicMessages()
USAGE = Usage(
    input_tokens=20,
    cached_tokens=4,
    cache_write_tokens=6,
    cache_write_1h_tokens=2,
    output_tokens=15,
    reasoning_tokens=3,
)
FACTS = AnswerFacts(
    model="claude-sonnet-4-5-20250929",
    usage=USAGE,
    finish="tool_call",
    tool_calls=["one"],
    output_bytes=len("Grüße 🙂".encode()) + len('{"q":1}'),
    is_complete=True,
)


def stream_of(*pieces: bytes) -> tuple[bytes, AnswerFacts]:
    return read_all(WIRE.answer_reader(streamed=True, removes_usage_event=False), pieces)


def facts_of(*events: dict[str, Any]) -> AnswerFacts:
    return stream_of(named_stream(*events))[1]


def body_facts(body: bytes) -> AnswerFacts:
    passed, facts = read_all(WIRE.answer_reader(streamed=False, removes_usage_event=False), [body[:7], body[7:]])
    assert passed == body
    return facts


def started(usage: Any) -> dict[str, Any]:
    return {"type": "message_start", "message": {"model": "claude", "usage": usage}}


def ended(usage: Any, reason: str | None = "end_turn") -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_cutting_gives_the_same_facts_and_every_byte(end: str) -> None:
    stream = named_stream(*ANTHROPIC_TEXT, end=end)
    for pieces in cuttings(stream):
        assert stream_of(*pieces) == (stream, FACTS), pieces


@given(st.data())
@settings(max_examples=100)
def test_pings_comments_and_unknown_events_between_make_no_difference(data: st.DataObject) -> None:
    noise = st.sampled_from(
        [b": hi\n\n", b"event: ping\ndata: {}\n\n", b'event: new\ndata: {"type":"new","usage":7}\n\n', b"\r\n"]
    )
    stream = b"".join(data.draw(st.just(b"") | noise) + named_stream(event) for event in ANTHROPIC_TEXT)
    positions = data.draw(st.lists(st.integers(0, len(stream)), max_size=8))
    assert stream_of(*cut(stream, positions)) == (stream, FACTS)


def test_every_piece_is_passed_on_as_the_same_object() -> None:
    reader = WIRE.answer_reader(streamed=True, removes_usage_event=False)
    for piece in cut(named_stream(*ANTHROPIC_TEXT), [5, 100, 101, 400]):
        assert reader.feed(piece) is piece
    assert reader.finish() == b""


def test_totals_are_laid_over_earlier_ones_and_never_added() -> None:
    facts = facts_of(
        started({"input_tokens": 10, "cache_read_input_tokens": 5, "output_tokens": 1}),
        ended({"output_tokens": 7}, None),
        ended({"input_tokens": 12, "cache_read_input_tokens": None, "output_tokens": 9}),
    )
    assert facts.usage == Usage(input_tokens=17, cached_tokens=5, output_tokens=9)


def test_a_stream_cut_before_its_last_totals_has_reported_no_usage() -> None:
    reader = WIRE.answer_reader(streamed=True, removes_usage_event=False)
    reader.feed(named_stream(*ANTHROPIC_TEXT[:5]))
    assert reader.facts.usage is None
    assert reader.facts.output_bytes == len("Grüße 🙂".encode())


def test_passes_the_totals_leave_out_are_counted_in() -> None:
    passes = [
        {"type": "compaction", "input_tokens": 100, "output_tokens": 20},
        {"type": "message", "input_tokens": 10, "output_tokens": 5},
    ]
    facts = facts_of(
        started({"input_tokens": 10, "output_tokens": 1}), ended({"output_tokens": 5, "iterations": passes})
    )
    assert facts.usage == Usage(input_tokens=110, output_tokens=25)


@pytest.mark.parametrize(
    ("start", "end", "read", "unreadable"),
    [
        (None, {"output_tokens": 5}, None, 0),
        ({"input_tokens": 5}, None, None, 0),
        ({"input_tokens": 5}, "x", None, 1),
        ({"input_tokens": "5"}, {"output_tokens": 5}, None, 1),
        ({"input_tokens": -5}, {"output_tokens": 5}, None, 1),
        ({"input_tokens": 5}, {"output_tokens": 10**15}, None, 1),
        ({"input_tokens": 5, "output_tokens": 1}, {"output_tokens": -1}, Usage(input_tokens=5, output_tokens=1), 1),
        ({"input_tokens": 5, "cache_creation_input_tokens": 2.5}, {"output_tokens": 1}, Usage(input_tokens=5, output_tokens=1), 1),
        ({"input_tokens": 5, "cache_creation_input_tokens": 2, "cache_creation": {"ephemeral_1h_input_tokens": 9}}, {"output_tokens": 1},
         Usage(input_tokens=14, cache_write_tokens=9, cache_write_1h_tokens=9, output_tokens=1), 0),
    ],
)  # fmt: skip
def test_nonsense_in_the_usage_is_left_out_and_counted(
    start: Any, end: Any, read: Usage | None, unreadable: int
) -> None:
    facts = facts_of(started(start), ended(end))
    assert (facts.usage, facts.unreadable) == (read, unreadable)


@pytest.mark.parametrize(
    ("reason", "finish", "refusal"),
    [
        ("end_turn", "stop", False),
        ("stop_sequence", "stop", False),
        ("max_tokens", "length", False),
        ("model_context_window_exceeded", "length", False),
        ("tool_use", "tool_call", False),
        ("refusal", "refused", True),
        ("pause_turn", "paused", False),
        ("something_new", "other", False),
    ],
)
def test_the_finish_is_read_from_streams_and_bodies(reason: str, finish: str, refusal: bool) -> None:
    facts = facts_of(ended({}, reason))
    assert (facts.finish, facts.refusal) == (finish, refusal)
    facts = body_facts(json.dumps({"type": "message", "content": [], "stop_reason": reason}).encode())
    assert (facts.finish, facts.refusal) == (finish, refusal)


def test_an_error_inside_the_stream_is_named() -> None:
    facts = facts_of(*ANTHROPIC_TEXT[:4], {"type": "error", "error": {"type": "overloaded_error", "message": "x"}})
    assert (facts.error_type, facts.is_complete) == ("overloaded_error", False)


def test_a_model_that_takes_over_is_the_one_that_answered() -> None:
    block = {"type": "fallback", "from": {"model": "claude-a"}, "to": {"model": "claude-b"}, "trigger": {}}
    facts = facts_of(started({}), {"type": "content_block_start", "index": 0, "content_block": block})
    assert facts.model == "claude-b"


def test_what_comes_after_the_end_passes_and_does_not_count() -> None:
    stream = named_stream(*ANTHROPIC_TEXT, *ANTHROPIC_TEXT)
    assert stream_of(stream) == (stream, FACTS)


def test_a_stream_that_ends_without_its_marker_is_not_complete() -> None:
    assert not facts_of(*ANTHROPIC_TEXT[:-1]).is_complete


@pytest.mark.parametrize("data", [b"{", b"7", b'{"type":7}', b'{"type":"message_start","message":[]}', b"\xff"])
def test_an_event_that_cannot_be_read_passes_and_is_counted(data: bytes) -> None:
    stream = b"event: x\ndata: " + data + b"\n\n" + named_stream(*ANTHROPIC_TEXT)
    passed, facts = stream_of(stream)
    assert passed == stream
    assert (facts.unreadable, facts.usage) == (1, USAGE)


def test_a_whole_message_is_read() -> None:
    message = copy.deepcopy(ANTHROPIC_TEXT[0]["message"])
    message["content"] = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "text", "text": "é"},
        {"type": "tool_use", "id": "t", "name": "one", "input": {"q": 1}},
        {"type": "unheard_of", "text": 7},
    ]
    message["stop_reason"] = "tool_use"
    message["usage"] |= {"output_tokens": 15, "output_tokens_details": {"thinking_tokens": 3}}
    facts = body_facts(json.dumps(message).encode())
    assert facts == AnswerFacts(
        model="claude-sonnet-4-5-20250929",
        usage=USAGE,
        finish="tool_call",
        tool_calls=["one"],
        output_bytes=2 + 2 + 7,
        is_complete=True,
    )


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"<html>", AnswerFacts(is_complete=True, unreadable=1)),
        (b"", AnswerFacts(is_complete=True, unreadable=1)),
        (b'{"type":"error","error":{"type":"api_error"}}', AnswerFacts(is_complete=True, error_type="api_error")),
    ],
)
def test_a_body_that_is_no_message_passes(body: bytes, expected: AnswerFacts) -> None:
    assert body_facts(body) == expected

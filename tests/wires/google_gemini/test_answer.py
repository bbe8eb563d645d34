"""Gemini answers as they are recorded: whole, as events and as a list, cut anywhere, and every way in which they can be odd."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.spending.usage import Usage, UsageParts
from proxy.wires.google_gemini.lists import ListSplitter
from proxy.wires.google_gemini.wire import GoogleGemini
from proxy.wires.wire import AnswerFacts
from tests.wires.recorded import cut, cuttings, read_all

WIRE = GoogleGemini()
TOLD = {
    "promptTokenCount": 20,
    "cachedContentTokenCount": 4,
    "toolUsePromptTokenCount": 3,
    "candidatesTokenCount": 9,
    "thoughtsTokenCount": 6,
    "totalTokenCount": 38,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 20}],
}
USAGE = Usage(input_tokens=23, cached_tokens=4, output_tokens=15, reasoning_tokens=6)
TEXT = 'Grüße "[{]}\\" 🙂'
ARGUMENTS = {"q": "]}"}


def piece(*parts: Any, reason: str | None = None, usage: Any = None, **members: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}, "index": members.pop("index", 0)}
    if reason is not None:
        candidate["finishReason"] = reason
    document: dict[str, Any] = {"candidates": [candidate], "modelVersion": "gemini-2.5-flash", "responseId": "r"}
    return document | ({} if usage is None else {"usageMetadata": usage}) | members


PIECES = (
    piece({"text": "Thinking", "thought": True}, usage={"promptTokenCount": 20, "totalTokenCount": 20}),
    piece({"text": TEXT}, usage={**TOLD, "candidatesTokenCount": 2, "totalTokenCount": 31}),
    piece({"functionCall": {"name": "one", "args": ARGUMENTS}, "thoughtSignature": "c2ln"}, usage=TOLD),
    piece({"text": ""}, reason="STOP", usage=TOLD),
)
FACTS = AnswerFacts(
    model="gemini-2.5-flash",
    usage=USAGE,
    finish="tool_call",
    tool_calls=["one"],
    output_bytes=len("Thinking" + TEXT.encode().decode("latin-1")) + len(b'{"q":"]}"}'),
    is_complete=True,
)


def events(*pieces: dict[str, Any], end: str = "\r\n") -> bytes:
    return b"".join(f"data: {json.dumps(one, ensure_ascii=False)}{end}{end}".encode() for one in pieces)


def listed(*pieces: dict[str, Any], end: bytes = b"]\n", indent: int | None = 2) -> bytes:
    items = [json.dumps(one, ensure_ascii=False, indent=indent).encode() for one in pieces]
    return b"[" + b"\n,\r\n".join(items) + b"\n" + end


def stream_of(*pieces: bytes) -> tuple[bytes, AnswerFacts]:
    return read_all(WIRE.answer_reader(streamed=True, removes_usage_event=False), pieces)


def facts_of(*pieces: dict[str, Any]) -> AnswerFacts:
    """Of both framings, which say the same."""
    facts = stream_of(events(*pieces))[1]
    assert stream_of(listed(*pieces))[1] == facts
    return facts


def body_facts(body: bytes) -> AnswerFacts:
    passed, facts = read_all(WIRE.answer_reader(streamed=False, removes_usage_event=False), [body[:7], body[7:]])
    assert passed == body
    return facts


@pytest.mark.parametrize(
    "stream", [events(*PIECES), events(*PIECES, end="\n"), listed(*PIECES), listed(*PIECES, indent=None)]
)
def test_every_cutting_gives_the_same_facts_and_every_byte(stream: bytes) -> None:
    for pieces in cuttings(stream):
        assert stream_of(*pieces) == (stream, FACTS), pieces


@given(st.lists(st.integers(0, 4000), max_size=8), st.booleans())
@settings(max_examples=100)
def test_any_pieces_are_passed_on_as_the_same_objects(positions: list[int], is_list: bool) -> None:
    stream = listed(*PIECES) if is_list else events(*PIECES)
    reader = WIRE.answer_reader(streamed=True, removes_usage_event=False)
    for part in cut(stream, [position % len(stream) for position in positions]):
        assert reader.feed(part) is part
    assert reader.finish() == b""
    assert reader.facts == FACTS


def test_a_whole_answer_says_what_its_stream_says() -> None:
    parts = [part for one in PIECES for part in one["candidates"][0]["content"]["parts"]]
    whole = json.dumps(piece(*parts, reason="STOP", usage=TOLD)).encode()
    assert body_facts(whole) == FACTS


@pytest.mark.parametrize("framed", [events, listed])
def test_a_stream_that_is_cut_anywhere_is_not_complete_and_has_no_usage(framed: Any) -> None:
    stream = framed(*PIECES)
    last = stream.rindex(b'"finishReason"') if framed is events else stream.rindex(b"]")
    for end in range(0, last, 7):
        reader = WIRE.answer_reader(streamed=True, removes_usage_event=False)
        reader.feed(stream[:end])
        assert (reader.facts.usage is None or framed is listed, reader.facts.is_complete) == (True, False)
        reader.finish()
        assert (reader.facts.is_complete, reader.facts.finish, reader.facts.usage) == (False, None, None), end


def test_what_a_broken_stream_told_is_kept_for_an_estimate() -> None:
    reader = WIRE.answer_reader(streamed=True, removes_usage_event=False)
    reader.feed(events(*PIECES[:2]))
    assert reader.facts.usage is None
    assert reader.facts.told_usage == Usage(input_tokens=23, cached_tokens=4, output_tokens=8, reasoning_tokens=6)


def test_a_list_is_over_with_its_bracket_and_events_with_their_body() -> None:
    reader = WIRE.answer_reader(streamed=True, removes_usage_event=False)
    stream = listed(*PIECES)
    reader.feed(stream[:-2])
    assert not reader.facts.is_complete
    reader.feed(stream[-2:])
    assert (reader.is_stream, reader.facts.is_complete, reader.takes_event) == (True, True, False)
    reader = WIRE.answer_reader(streamed=True, removes_usage_event=False)
    reader.feed(events(*PIECES))
    assert (reader.is_stream, reader.facts.is_complete, reader.takes_event) == (True, False, True)


def test_a_stream_is_whole_once_each_of_its_answers_has_ended() -> None:
    first = piece({"text": "a"}, reason="STOP", usage=TOLD, index=0)
    second = piece({"text": "b"}, usage=TOLD, index=1)
    reader = WIRE.answer_reader(streamed=True, removes_usage_event=False)
    reader.feed(events(second, first))
    assert reader.facts.usage is None
    reader.finish()
    assert not reader.facts.is_complete
    assert facts_of(second, first, piece(reason="STOP", index=1)).is_complete


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "filtered"),
        ("RECITATION", "filtered"),
        ("PROHIBITED_CONTENT", "filtered"),
        ("SPII", "filtered"),
        ("IMAGE_SAFETY", "filtered"),
        ("CONTINUATION", "paused"),
        ("MALFORMED_FUNCTION_CALL", "other"),
        ("SOMETHING_NEW", "other"),
        ("FINISH_REASON_UNSPECIFIED", None),
    ],
)
def test_why_it_ends_is_told(reason: str, finish: str | None) -> None:
    answer = piece({"text": "x"}, reason=reason, usage=TOLD)
    assert facts_of(answer).finish == finish
    assert body_facts(json.dumps(answer).encode()).finish == finish


def test_a_blocked_prompt_is_an_answer_that_was_filtered() -> None:
    blocked = {
        "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
        "usageMetadata": {"promptTokenCount": 8, "totalTokenCount": 8},
    }
    for facts in (facts_of(blocked), body_facts(json.dumps(blocked).encode())):
        assert (facts.finish, facts.is_complete, facts.error_type) == ("filtered", True, None)
        assert facts.usage == Usage(input_tokens=8)


@pytest.mark.parametrize(
    ("told", "usage", "unreadable"),
    [
        ({"promptTokenCount": 5, "candidatesTokenCount": 2}, Usage(input_tokens=5, output_tokens=2), 0),
        ({"promptTokenCount": 5.0, "candidatesTokenCount": 2}, Usage(input_tokens=5, output_tokens=2), 0),
        ({"promptTokenCount": 5, "totalTokenCount": 25}, Usage(input_tokens=5, output_tokens=20), 0),
        ({"promptTokenCount": 5, "cachedContentTokenCount": 50}, Usage(input_tokens=5, cached_tokens=5), 0),
        ({"candidatesTokenCount": 2}, None, 0),
        ({}, None, 0),
        (None, None, 0),
        ("x", None, 1),
        ({"promptTokenCount": -5, "candidatesTokenCount": 2}, None, 1),
        ({"promptTokenCount": 5, "candidatesTokenCount": "2"}, None, 1),
        ({"promptTokenCount": 5, "candidatesTokenCount": 10**15}, None, 1),
        ({"promptTokenCount": 5, "thoughtsTokenCount": True}, None, 1),
    ],
)  # fmt: skip
def test_nonsense_in_the_usage_is_nobodys_count(told: Any, usage: Usage | None, unreadable: int) -> None:
    facts = facts_of(piece({"text": "x"}, reason="STOP", usageMetadata=told))
    assert (facts.usage, facts.unreadable) == (usage, unreadable)


def test_totals_never_shrink_and_the_larger_of_two_tellings_counts() -> None:
    small = {"promptTokenCount": 1, "candidatesTokenCount": 1}
    facts = facts_of(piece({"text": "x"}, usage=TOLD), piece(reason="STOP", usage=small))
    assert facts.usage == USAGE
    told_twice = b'{"usageMetadata":%b,"candidates":[{"finishReason":"STOP"}],"usageMetadata":%b}' % (
        json.dumps(TOLD).encode(),
        json.dumps(small).encode(),
    )
    assert body_facts(told_twice).usage == USAGE
    inside = b'{"usageMetadata":{"promptTokenCount":9,"promptTokenCount":1,"candidatesTokenCount":1}}'
    assert body_facts(inside).usage == Usage(input_tokens=9, output_tokens=1)


def test_sound_pictures_and_searches_have_their_parts() -> None:
    told = {
        "promptTokenCount": 30,
        "candidatesTokenCount": 20,
        "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 10}, {"modality": "IMAGE", "tokenCount": 5}, 7],
        "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 20}],
    }
    grounded = piece({"text": "x"}, reason="STOP", usage=told)
    grounded["candidates"][0]["groundingMetadata"] = {"webSearchQueries": ["a", "b"]}
    facts = facts_of(grounded)
    assert facts.usage is not None
    assert facts.usage.parts == UsageParts(10, 5, 0, 20, 1)
    later = facts_of(grounded | {"modelVersion": "gemini-3.8-flash"})
    assert later.usage is not None
    assert later.usage.parts == UsageParts(10, 5, 0, 20, 2)


@pytest.mark.parametrize("is_list", [False, True])
def test_an_error_in_the_place_of_an_answer_is_told_by_its_status(is_list: bool) -> None:
    error = {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}
    for framed in (events(error), listed(error), json.dumps(error).encode()):
        facts = stream_of(framed)[1]
        assert (facts.error_type, facts.is_bare_error) == ("UNAVAILABLE", True)
    facts = stream_of(listed(PIECES[1], error) if is_list else events(PIECES[1], error))[1]
    assert (facts.error_type, facts.is_bare_error, facts.usage) == ("UNAVAILABLE", False, None)
    assert body_facts(json.dumps(error).encode()).error_type == "UNAVAILABLE"
    assert body_facts(json.dumps([error]).encode()).error_type == "UNAVAILABLE"


@pytest.mark.parametrize(
    "odd",
    [
        b"[]",
        b"[null]",
        b"[[[",
        b"[1,2",
        b"data: {\r\n\r\n",
        b'data: {"candidates":7}\r\n\r\n',
        b"null",
        b"",
        b"   ",
        b"<html>",
        b'[{"candidates":[{"finishReason":"STOP"}]}',
        b'["\\"]}',
        b"]",
        b"[}",
    ],
)
def test_what_is_no_answer_is_never_complete_with_a_usage(odd: bytes) -> None:
    passed, facts = stream_of(*[odd[index : index + 1] for index in range(len(odd))])
    assert passed == odd
    assert facts.usage is None
    assert facts.finish is None or not facts.is_complete


@given(st.lists(st.binary(max_size=12), max_size=12))
@settings(max_examples=200)
def test_any_bytes_pass_through_a_reader(pieces: list[bytes]) -> None:
    for start in (b"", b"[", b"data: ", b"[{"):
        stream = start + b"".join(pieces)
        assert stream_of(start, *pieces)[0] == stream
        assert body_facts(stream)


def test_an_item_too_large_to_be_read_is_counted_and_let_go() -> None:
    splitter = ListSplitter(max_item_bytes=50)
    large = b'{"a":"' + b"x" * 100 + b'"}'
    assert splitter.feed(b"[" + large[:70]) == []
    assert splitter.lost_bytes == 70
    assert splitter.feed(large[70:] + b',{"b":1}]')[-1] == b'{"b":1}'
    assert splitter.is_closed


def test_the_text_is_that_of_the_first_answer_without_its_thoughts() -> None:
    other = piece({"text": "no"}, reason="STOP", index=1)
    for answer in (
        events(*PIECES, other),
        listed(*PIECES, other),
        json.dumps(piece({"text": TEXT}, reason="STOP")).encode(),
    ):
        assert WIRE.answer_text(answer) == TEXT
    for answer in (
        events(*PIECES[:2]),
        listed(PIECES[1], end=b""),
        listed(*PIECES[:2]),
        b"[7]",
        b"{}",
        listed({"error": {"code": 1}}),
    ):
        assert WIRE.answer_text(answer) is None

"""What is read of an answer: the same however the stream is cut, whole or streamed, and nothing of what makes no sense."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.spending.usage import Usage, UsageParts
from proxy.wires.openai_responses.wire import OpenAIResponses
from proxy.wires.shared.event_stream import MAX_EVENT_BYTES
from proxy.wires.wire import AnswerFacts
from tests.wires.recorded import (
    RESPONSES_TEXT,
    RESPONSES_TOOLS,
    RESPONSES_USAGE,
    cut,
    cuttings,
    naive_events,
    read_all,
    response_message,
    response_of,
    responses_stream,
)

WIRE = OpenAIResponses()
USAGE = Usage(input_tokens=20, cached_tokens=5, output_tokens=9, reasoning_tokens=2)
SEARCHED = Usage(
    input_tokens=20, cached_tokens=5, output_tokens=9, reasoning_tokens=2, parts=UsageParts(web_searches=1)
)
MODEL, TIER = "gpt-4.1-2025", "default"


def stream_of(*pieces: bytes) -> tuple[bytes, AnswerFacts]:
    return read_all(WIRE.answer_reader(streamed=True, removes_usage_event=False), pieces)


def facts_of(*events: dict[str, Any]) -> AnswerFacts:
    stream = responses_stream(*events)
    passed, facts = stream_of(stream)
    assert passed == stream
    return facts


def body_facts(body: Any) -> AnswerFacts:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    passed, facts = read_all(WIRE.answer_reader(streamed=False, removes_usage_event=False), [sent[:7], sent[7:]])
    assert passed == sent
    return facts


def naive_facts(stream: bytes) -> AnswerFacts:
    """The same facts the slow way: the standard library's parser over the whole stream."""
    facts = AnswerFacts()
    for data in naive_events(stream):
        if facts.is_complete:
            break
        try:
            event = json.loads(data)
        except ValueError:
            facts.unreadable += 1
            continue
        kind = event["type"]
        if kind.endswith(".delta"):
            facts.output_bytes += len(event["delta"].encode())
        if kind == "response.output_item.added" and event["item"]["type"].endswith("_call"):
            facts.tool_calls.append(event["item"].get("name", event["item"]["type"].removesuffix("_call")))
        if kind == "response.created":
            facts.model = event["response"]["model"]
            facts.response_id = event["response"]["id"]
        if kind == "response.completed":
            facts.is_complete, facts.service_tier = True, TIER
            facts.usage = SEARCHED if "web_search" in facts.tool_calls else USAGE
            facts.finish = "tool_call" if "one" in facts.tool_calls else "stop"
    return facts


STREAMS = [
    responses_stream(*RESPONSES_TEXT),
    responses_stream(*RESPONSES_TOOLS, end="\r\n"),
    b"\xef\xbb\xbf: hello\n\n" + responses_stream(*RESPONSES_TOOLS),
    b"data: {broken\n\n" + responses_stream(*RESPONSES_TEXT) + responses_stream(*RESPONSES_TOOLS),
]


@pytest.mark.parametrize("stream", STREAMS)
def test_every_cutting_gives_the_facts_a_slow_reader_finds(stream: bytes) -> None:
    expected = naive_facts(stream)
    assert expected.is_complete
    for pieces in cuttings(stream):
        assert stream_of(*pieces) == (stream, expected), pieces


parts = st.sampled_from(
    [
        responses_stream(*RESPONSES_TEXT[:7]),
        responses_stream(RESPONSES_TEXT[-1]),
        responses_stream(*RESPONSES_TOOLS[1:5]),
        b": ping\n\n",
        b"\n",
        b"data: {broken\n\n",
        b"data: {}\r\n\r\n",
        b'data: {"type":"response.completed","response":7}\n\n',
        b'data: {"type":7,"item":[],"response":{"output":{}}}\n\n',
        b"event: x\n\n",
        b"data: 7\n\n",
    ]
)


@given(st.lists(parts, max_size=8), st.sampled_from([b"", b"data: [DONE]\n\n", b'data: {"id"']), st.data())
@settings(max_examples=200)
def test_any_stream_cut_anywhere_passes_whole_and_says_the_same(
    events: list[bytes], tail: bytes, data: st.DataObject
) -> None:
    stream = b"".join(events) + tail
    positions = data.draw(st.lists(st.integers(0, len(stream)), max_size=8))
    passed, facts = stream_of(*cut(stream, positions))
    assert passed == stream
    assert facts == stream_of(stream)[1]


@pytest.mark.parametrize("events", [RESPONSES_TEXT, RESPONSES_TOOLS])
def test_a_whole_response_says_what_its_stream_said(events: tuple[dict[str, Any], ...]) -> None:
    whole = body_facts(events[-1]["response"])
    assert whole == facts_of(*events)
    # A server that tells nothing but the end tells all the same.
    assert facts_of(events[0], events[-1]) == whole


@pytest.mark.parametrize(
    ("status", "members", "finish"),
    [
        ("completed", {}, "stop"),
        ("incomplete", {"incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ("incomplete", {"incomplete_details": {"reason": "content_filter"}}, "filtered"),
        ("incomplete", {"incomplete_details": {"reason": "steered"}}, "other"),
        ("incomplete", {"incomplete_details": "odd"}, "other"),
        ("incomplete", {"incomplete_details": {"reason": ["odd"]}}, "other"),
        ("cancelled", {}, "other"),
        ("something_new", {}, None),
    ],
)
def test_the_finish_is_read_from_streams_and_bodies(status: str, members: dict[str, Any], finish: str | None) -> None:
    response = response_of(status, **members)
    assert body_facts(response).finish == finish
    kind = status if status in ("completed", "incomplete", "cancelled") else "completed"
    facts = facts_of(RESPONSES_TEXT[0], {"type": f"response.{kind}", "response": response})
    assert (facts.finish, facts.is_complete, facts.error_type) == (finish, True, None)


@pytest.mark.parametrize(
    ("kind", "finish", "named"),
    [
        ("function_call", "tool_call", "pay"),
        ("custom_tool_call", "tool_call", "pay"),
        ("local_shell_call", "tool_call", "local_shell"),
        ("computer_call", "tool_call", "computer"),
        ("mcp_call", "stop", "pay"),
        ("web_search_call", "stop", "web_search"),
        ("file_search_call", "stop", "file_search"),
    ],
)
def test_only_a_call_that_the_caller_must_answer_is_its_turn(kind: str, finish: str, named: str) -> None:
    name = {"name": "pay"} if named == "pay" else {}
    facts = body_facts(response_of("completed", {"type": kind, "id": "i", **name}))
    assert (facts.finish, facts.tool_calls) == (finish, [named])


def test_a_shell_that_the_provider_ran_is_not_the_callers_turn_and_has_a_fee() -> None:
    call, output = {"type": "shell_call", "id": "s"}, {"type": "shell_call_output", "id": "o"}
    assert body_facts(response_of("completed", call)).finish == "tool_call"
    facts = body_facts(response_of("completed", call, output))
    assert facts.finish == "stop"
    assert facts.usage is not None
    assert facts.usage.parts == UsageParts(unpriced_calls=1)


@pytest.mark.parametrize(
    ("output", "tool_usage", "parts"),
    [
        ([{"type": "web_search_call"}], None, UsageParts(web_searches=1)),
        ([{"type": "web_search_call"}], {"web_search": {"num_requests": 3}}, UsageParts(web_searches=3)),
        ([{"type": "web_search_call"}], {"web_search": {"num_requests": -3}}, UsageParts(web_searches=1)),
        ([{"type": "web_search_call"}], {"web_search": {"num_requests": 0}}, None),
        ([{"type": "web_search_call"}], "odd", UsageParts(web_searches=1)),
        ([{"type": "file_search_call", "id": "a"}, {"type": "code_interpreter_call", "id": "b"}], None,
         UsageParts(file_searches=1, unpriced_calls=1)),
        ([{"type": "file_search_call", "id": "a"}, {"type": "file_search_call", "id": "b"}], None, UsageParts(file_searches=2)),
        ([], {"image_gen": {"total_tokens": 7}}, UsageParts(unpriced_calls=1)),
        ([], {"image_gen": {"total_tokens": 0}, "web_search": {"num_requests": 0}}, None),
        ([{"type": "mcp_call"}], None, None),
    ],
)  # fmt: skip
def test_the_fees_of_the_providers_own_tools_are_told(
    output: list[dict[str, Any]], tool_usage: Any, parts: UsageParts | None
) -> None:
    usage = body_facts(response_of("completed", *output, tool_usage=tool_usage)).usage
    assert usage is not None
    assert usage.parts == parts


def test_a_refusal_in_words_is_a_refusal() -> None:
    refusal = {"type": "refusal", "refusal": "I cannot"}
    whole = response_of("completed", response_message(refusal))
    at = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    events = [{"type": "response.refusal.delta", **at, "delta": piece} for piece in ("I can", "not")]
    facts = facts_of(RESPONSES_TEXT[0], *events, {"type": "response.completed", "response": whole})
    assert (facts.refusal, facts.finish, facts.output_bytes) == (True, "refused", 8)
    assert body_facts(whole) == facts


def test_a_clean_end_without_the_last_event_is_not_complete() -> None:
    facts = facts_of(*RESPONSES_TEXT[:-1])
    assert (facts.is_complete, facts.finish, facts.usage, facts.service_tier) == (False, None, None, None)


def test_a_marker_that_other_formats_have_ends_a_stream_too() -> None:
    assert stream_of(b"data: [DONE]\n\n")[1] == AnswerFacts(is_complete=True)
    stream = responses_stream(*RESPONSES_TEXT) + b"data: [DONE]\n\n"
    assert stream_of(stream) == (stream, facts_of(*RESPONSES_TEXT))


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"type": "error", "code": "server_error", "message": "x", "param": None}, "server_error"),
        ({"type": "error", "error": {"type": "rate_limit_error", "code": "slow", "message": "x"}}, "rate_limit_error"),
        ({"type": "error", "code": None, "message": "x"}, "error"),
        ({"type": "error"}, "error"),
    ],
)
def test_an_error_inside_the_stream_is_named(event: dict[str, Any], expected: str) -> None:
    facts = facts_of(RESPONSES_TEXT[0], event)
    assert (facts.error_type, facts.is_complete) == (expected, False)
    assert stream_of(b'data: {"error":{"type":"x"}}\n\n')[1].is_bare_error


def test_a_response_that_failed_is_an_error_whatever_it_came_as() -> None:
    failed = response_of("failed", error={"code": "invalid_prompt", "message": "x"}, usage=RESPONSES_USAGE)
    for facts in (body_facts(failed), facts_of(RESPONSES_TEXT[0], {"type": "response.failed", "response": failed})):
        assert (facts.error_type, facts.finish, facts.usage, facts.is_complete) == ("invalid_prompt", None, USAGE, True)
    assert body_facts(response_of("failed")).error_type == "error"
    assert body_facts({"error": {"message": "x", "type": "server_error"}}).is_bare_error


def test_what_is_made_in_the_background_is_told_later() -> None:
    assert body_facts(response_of("queued", background=True)).is_deferred
    begun = response_of("queued", background=True)
    assert facts_of({"type": "response.created", "response": begun}).is_deferred
    ended = {"type": "response.completed", "response": response_of("completed", background=True)}
    facts = facts_of({"type": "response.queued", "response": begun}, ended)
    assert (facts.is_deferred, facts.usage) == (False, USAGE)
    assert not body_facts(response_of("completed", background=True)).is_deferred


@pytest.mark.parametrize(
    ("usage", "read", "unreadable"),
    [
        (None, None, 0),
        ("12", None, 1),
        ({}, None, 1),
        ({"input_tokens": 5}, None, 1),
        ({"input_tokens": -1, "output_tokens": 5}, None, 1),
        ({"input_tokens": "5", "output_tokens": 5}, None, 1),
        ({"input_tokens": True, "output_tokens": 5}, None, 1),
        ({"input_tokens": 10**18, "output_tokens": 5}, None, 1),
        ({"input_tokens": 5.0, "output_tokens": 6.0}, Usage(input_tokens=5, output_tokens=6), 0),
        ({"input_tokens": 5, "output_tokens": 6, "input_tokens_details": {"cached_tokens": 9, "cache_write_tokens": 9},
          "output_tokens_details": {"reasoning_tokens": 99}},
         Usage(input_tokens=23, cached_tokens=9, cache_write_tokens=9, output_tokens=105, reasoning_tokens=99), 0),
        ({"input_tokens": 5, "output_tokens": 6, "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 2}},
         Usage(input_tokens=5, cached_tokens=2, cache_write_tokens=2, output_tokens=6), 0),
        ({"input_tokens": 5, "output_tokens": 6, "input_tokens_details": {"cached_tokens": -9}},
         Usage(input_tokens=5, output_tokens=6), 1),
        ({"input_tokens": 5, "output_tokens": 6, "input_tokens_details": []}, Usage(input_tokens=5, output_tokens=6), 1),
    ],
)  # fmt: skip
def test_nonsense_in_the_usage_is_left_out_and_counted(usage: Any, read: Usage | None, unreadable: int) -> None:
    response = response_of("completed", usage=usage)
    for facts in (body_facts(response), facts_of({"type": "response.completed", "response": response})):
        assert (facts.usage, facts.unreadable) == (read, unreadable)


@pytest.mark.parametrize(
    "data", [b"{", b"7", b"null", b"[]", b'{"type":"response.created","response":7}', b"\xff", b'{"type":"\xff"}']
)
def test_an_event_that_cannot_be_read_passes_and_is_counted(data: bytes) -> None:
    stream = b"data: " + data + b"\n\n" + responses_stream(*RESPONSES_TEXT)
    passed, facts = stream_of(stream)
    assert passed == stream
    assert (facts.unreadable, facts.usage) == (1, USAGE)


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.output_text.delta", "delta": 7},
        {"type": "response.audio.delta", "delta": "AAAA"},
        {"type": "response.output_item.added", "item": 7},
        {"type": "response.output_item.added", "output_index": 7, "item": {"type": ["x"], "name": {}}},
        {"type": "response.unheard_of", "of": []},
    ],
)
def test_odd_events_do_no_harm(event: dict[str, Any]) -> None:
    assert facts_of(event, *RESPONSES_TEXT) == facts_of(*RESPONSES_TEXT)


odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["", "completed", "failed", "web_search_call"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["type", "usage", "id"]), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip
members = st.sampled_from(
    ["status", "model", "usage", "output", "error", "incomplete_details", "tool_usage", "service_tier", "background"]
)
responses = st.dictionaries(members, odd, max_size=5)


@given(responses, st.sampled_from(["created", "completed", "failed", "output_item.added"]), responses)
@settings(max_examples=200)
def test_a_response_of_odd_members_passes_and_breaks_nothing(
    response: dict[str, Any], kind: str, more: dict[str, Any]
) -> None:
    assert body_facts(response).is_complete
    event = {**more, "type": f"response.{kind}", "response": response, "item": response}
    assert facts_of(event, *RESPONSES_TEXT).is_complete


def test_one_odd_item_hides_neither_the_usage_nor_the_others() -> None:
    facts = body_facts(response_of("completed", 7, {"type": "function_call", "id": "f", "name": "one"}))  # type: ignore[arg-type]
    assert (facts.usage, facts.tool_calls, facts.finish, facts.unreadable) == (USAGE, ["one"], "tool_call", 1)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{"])
def test_a_body_that_cannot_be_read_passes_and_is_counted(body: bytes) -> None:
    assert body_facts(body) == AnswerFacts(is_complete=True, unreadable=1)


def test_an_end_of_very_many_parts_is_read_all_the_same() -> None:
    text = "{[,]}" * 120_000
    part = {"type": "output_text", "text": text, "annotations": []}
    last = {"type": "response.completed", "response": response_of("completed", response_message(part))}
    facts = facts_of(RESPONSES_TEXT[0], last)
    assert (facts.usage, facts.is_complete, facts.finish) == (USAGE, True, "stop")


def test_an_end_too_large_to_be_read_is_an_end_and_a_torn_one_is_none() -> None:
    image = {"type": "image_generation_call", "id": "i", "result": "A" * (MAX_EVENT_BYTES + 2**21)}
    last = {"type": "response.completed", "response": response_of("completed", image)}
    begun, large = responses_stream(*RESPONSES_TEXT[:3]), responses_stream(last)
    for end, is_complete in ((large, True), (large[:-2], False)):
        pieces = [begun, *(end[start : start + 2**20] for start in range(0, len(end), 2**20))]
        passed, facts = stream_of(*pieces)
        assert passed == begun + end
        assert (facts.is_complete, facts.usage) == (is_complete, None)
        assert facts.unreadable > 0


def test_the_deltas_of_a_long_text_are_counted_whatever_their_numbers() -> None:
    at = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    texts = ["word ", 'a "quoted" one', "é", "\n", "{}", "x" * 70, ""] * 40
    deltas = [
        {"type": "response.output_text.delta", **at, "delta": text, "logprobs": [], "obfuscation": "k" * (number % 9)}
        for number, text in enumerate(texts)
    ]
    events = (RESPONSES_TEXT[0], *deltas)
    for stream in (responses_stream(*events), responses_stream(*events).replace(b'": ', b'":').replace(b", ", b",")):
        pieces = [event + b"\n\n" for event in stream.split(b"\n\n") if event]
        expected = sum(len(json.loads(event.partition(b"data: ")[2])["delta"].encode()) for event in pieces[1:])
        assert stream_of(*pieces)[1].output_bytes == stream_of(stream)[1].output_bytes == expected

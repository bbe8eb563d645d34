"""What a call used is never counted for less than was told: later zeros, gaps, odd members and large answers take nothing back."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.spending.usage import Usage, UsageParts, larger_usage
from proxy.wires.anthropic_messages.wire import AnthropicMessages
from proxy.wires.openai_chat.wire import OpenAIChat
from proxy.wires.openai_responses.wire import OpenAIResponses
from proxy.wires.shared.answer_reading import MAX_BODY_BYTES
from proxy.wires.wire import AnswerFacts, Wire
from tests.wires.recorded import cut, read_all

CHAT, CLAUDE, RESPONSES = OpenAIChat(), AnthropicMessages(), OpenAIResponses()


def streamed(wire: Wire, *pieces: bytes) -> AnswerFacts:
    return read_all(wire.answer_reader(streamed=True, removes_usage_event=False), pieces)[1]


def whole(wire: Wire, document: dict[str, Any]) -> AnswerFacts:
    return read_all(wire.answer_reader(streamed=False, removes_usage_event=False), [json.dumps(document).encode()])[1]


def events(*documents: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(document).encode() + b"\n\n" for document in documents)


counts = st.one_of(st.none(), st.integers(0, 50), st.integers(0, 50).map(float), st.sampled_from([-1, "7", True, 0.5]))
told = st.dictionaries(
    st.sampled_from(["input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"]), counts
)


def sound(value: Any) -> int:
    is_count = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 and value == int(value)
    return int(value) if is_count else 0


@given(st.lists(told, min_size=1, max_size=5), st.lists(st.integers(0, 2000), max_size=4))
@settings(max_examples=200)
def test_no_later_report_of_a_message_lowers_a_count(reports: list[dict[str, Any]], cuts: list[int]) -> None:
    first = {"input_tokens": 3, "output_tokens": 1}
    stream = events(
        {"type": "message_start", "message": {"model": "m", "usage": first}},
        *({"type": "message_delta", "delta": {}, "usage": report} for report in reports),
        {"type": "message_stop"},
    )
    facts = streamed(CLAUDE, *cut(stream, [min(at, len(stream)) for at in cuts]))
    largest = {
        name: max(sound(report.get(name)) for report in [first, *reports])
        for name in ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    }
    assert facts.usage is not None
    assert facts.usage.output_tokens == largest.pop("output_tokens")
    assert facts.usage.input_tokens == sum(largest.values())


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.booleans()), min_size=1, max_size=6), st.randoms())
@settings(max_examples=200)
def test_running_usages_of_a_completion_in_any_order_come_to_the_largest(
    reports: list[tuple[int, int, bool]], random: Any
) -> None:
    random.shuffle(reports)
    finish = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    chunks = [
        {"choices": [{"index": 0, "delta": {"content": "a"}}]} | ({"usage": _chat(*report[:2])} if report[2] else {})
        for report in reports
    ]
    last = {"choices": [], "usage": _chat(1, 1)}
    facts = streamed(CHAT, events(*chunks, finish, last) + b"data: [DONE]\n\n")
    heard = [report for report in reports if report[2]] + [(1, 1, True)]
    assert facts.usage is not None
    assert facts.usage.input_tokens == max(report[0] for report in heard)
    assert facts.usage.output_tokens == max(report[1] for report in heard)


def _chat(prompt: int, completion: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": completion}


usages = st.builds(
    Usage,
    st.integers(0, 9),
    st.integers(0, 9),
    st.integers(0, 9),
    st.integers(0, 9),
    st.integers(0, 9),
    st.integers(0, 9),
    st.none() | st.builds(UsageParts, *[st.integers(0, 9)] * 5),
)


@given(usages, usages, usages)
def test_the_larger_of_usages_does_not_depend_on_their_order(one: Usage, other: Usage, third: Usage) -> None:
    assert larger_usage(one, other) == larger_usage(other, one)
    assert larger_usage(larger_usage(one, other), third) == larger_usage(one, larger_usage(other, third))
    assert larger_usage(one, one) == larger_usage(None, one) == one


ODD_CHOICES: list[Any] = [
    [{"index": 0, "message": "text"}],
    [{"index": 0, "delta": 5, "message": {"tool_calls": {}}}],
    [None],
    {"0": {}},
    "none",
    7,
]


@pytest.mark.parametrize("choices", ODD_CHOICES)
def test_odd_choices_do_not_lose_the_usage_of_a_completion(choices: Any) -> None:
    document = {"model": "m", "service_tier": "priority", "choices": choices, "usage": _chat(10, 5)}
    for facts in (whole(CHAT, document), streamed(CHAT, events(document) + b"data: [DONE]\n\n")):
        assert (facts.model, facts.service_tier, facts.usage, facts.unreadable) == (
            "m",
            "priority",
            Usage(10, 0, 0, 0, 5),
            1,
        )


@pytest.mark.parametrize("content", ["text", [1], [None], {"type": "text"}, 7])
def test_odd_content_does_not_lose_the_usage_of_a_message(content: Any) -> None:
    usage = {"input_tokens": 10, "output_tokens": 5}
    facts = whole(CLAUDE, {"type": "message", "model": "m", "content": content, "usage": usage})
    assert (facts.model, facts.usage, facts.unreadable) == ("m", Usage(10, 0, 0, 0, 5), 1)
    start = {
        "type": "message_start",
        "message": {"model": "m", "content": content, "usage": usage | {"output_tokens": 1}},
    }
    end = {"type": "message_delta", "delta": content, "usage": {"output_tokens": 5}}
    facts = streamed(CLAUDE, events(start, end, {"type": "message_stop"}))
    assert facts.usage == Usage(10, 0, 0, 0, 5)


def test_counts_may_be_written_as_floats() -> None:
    usage = {"prompt_tokens": 10.0, "completion_tokens": 5.0, "prompt_tokens_details": {"cached_tokens": 2.0}}
    assert whole(CHAT, {"choices": [], "usage": usage}).usage == Usage(10, 2, 0, 0, 5)
    usage = {"input_tokens": 10.0, "output_tokens": 5.0}
    assert whole(CLAUDE, {"content": [], "usage": usage}).usage == Usage(10, 0, 0, 0, 5)


@pytest.mark.parametrize("odd", [{"cached_tokens": "many"}, {"cached_tokens": -1}, {"audio_tokens": 0.5}, [], "none"])
def test_one_odd_detail_does_not_lose_the_totals(odd: Any) -> None:
    facts = whole(CHAT, {"choices": [], "usage": _chat(10, 5) | {"prompt_tokens_details": odd}})
    assert (facts.usage, facts.unreadable) == (Usage(10, 0, 0, 0, 5), 1)


def test_what_has_a_rate_of_its_own_is_read() -> None:
    details = {"audio_tokens": 4, "image_tokens": 3, "cached_tokens": 0}
    usage = _chat(10, 5) | {
        "prompt_tokens_details": details,
        "completion_tokens_details": {"audio_tokens": 2, "image_tokens": 1},
        "server_tool_use": {"web_search_requests": 6},
    }
    expected = Usage(10, 0, 0, 0, 5, 0, UsageParts(4, 3, 2, 1, 6))
    assert whole(CHAT, {"choices": [], "usage": usage}).usage == expected
    assert whole(CHAT, {"choices": [], "usage": usage | {"prompt_tokens": 10.0}}).usage == expected
    usage = {
        "input_tokens": 10,
        "output_tokens": 5,
        "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 3},
        "server_tool_use": {"web_search_requests": 6},
    }
    expected = Usage(15, 0, 5, 3, 5, 0, UsageParts(web_searches=6))
    assert whole(CLAUDE, {"content": [], "usage": usage}).usage == expected
    assert whole(CLAUDE, {"content": [], "usage": usage | {"iterations": []}}).usage == expected
    stream = events(
        {"type": "message_start", "message": {"usage": usage}},
        {"type": "message_delta", "usage": {"output_tokens": 5, "server_tool_use": {"web_search_requests": 0}}},
    )
    assert streamed(CLAUDE, stream).usage == expected


@pytest.mark.parametrize(
    ("usage", "served"),
    [
        ({"service_tier": "standard"}, None),
        ({"service_tier": "priority"}, "priority"),
        ({"service_tier": "standard", "speed": "fast"}, "fast"),
        ({"service_tier": "standard", "speed": "standard"}, "standard"),
        ({"service_tier": 7}, None),
    ],
)
def test_the_tier_that_was_served_is_read(usage: dict[str, Any], served: str | None) -> None:
    totals = {"input_tokens": 10, "output_tokens": 5}
    assert whole(CLAUDE, {"content": [], "usage": totals | usage}).service_tier == served
    start = {"type": "message_start", "message": {"usage": totals | usage}}
    assert streamed(CLAUDE, events(start)).service_tier == served


CHAT_ANSWER = (
    '{"model":"m","choices":[{"index":0,"message":{"content":"TEXT"},"delta":{},"finish_reason":"stop"}],"usage":USAGE}',
    '{"prompt_tokens":10,"completion_tokens":5}',
)
MESSAGE = (
    '{"type":"message_delta","model":"m","content":[{"type":"text","text":"TEXT"}],"stop_reason":"end_turn","usage":USAGE}',
    '{"input_tokens":10,"output_tokens":5}',
)
RESPONSE = (
    '{"model":"m","status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"TEXT"}]}],"usage":USAGE}',
    '{"input_tokens":10,"output_tokens":5}',
)
TELLINGS = [
    "{U},USAGE{L}",
    "{L},USAGE{U}",
    "{U},USAGEnull",
    "null,USAGE{U}",
    "{U},USAGE{}",
    "{U},USAGE7",
    "{U},USAGE{L},USAGE{L}",
]
ANSWERS = [(CHAT, *CHAT_ANSWER), (CLAUDE, *MESSAGE), (RESPONSES, *RESPONSE)]


def written(template: str, usage: str, text: str = "hi") -> bytes:
    return template.replace("USAGE", usage, 1).replace("TEXT", text, 1).encode("utf-8", "surrogatepass")


def body_of(wire: Wire, document: bytes) -> AnswerFacts:
    pieces = [document[at : at + 1_000_000] for at in range(0, len(document), 1_000_000)]
    return read_all(wire.answer_reader(streamed=False, removes_usage_event=False), pieces)[1]


def last_event_of(wire: Wire, document: bytes) -> AnswerFacts:
    ends = {CHAT: b"data: [DONE]\n\n", CLAUDE: b'data: {"type":"message_stop"}\n\n', RESPONSES: b""}
    if wire is RESPONSES:
        document = b'{"type":"response.completed","response":' + document + b"}"
    return streamed(wire, b"data: " + document + b"\n\n" + ends[wire])


@pytest.mark.parametrize(("wire", "template", "usage"), ANSWERS)
@pytest.mark.parametrize("telling", TELLINGS)
@pytest.mark.parametrize("size", [2, MAX_BODY_BYTES])
def test_a_usage_that_is_told_twice_is_the_larger_one(
    wire: Wire, template: str, usage: str, telling: str, size: int
) -> None:
    low = usage.replace("10", "1").replace("5", "1")
    twice = telling.replace("{U}", usage).replace("{L}", low).replace("USAGE", '"usage":')
    document = written(template, twice, "x" * size)
    assert body_of(wire, document).usage == Usage(10, 0, 0, 0, 5)
    if size == 2:
        assert last_event_of(wire, document).usage == Usage(10, 0, 0, 0, 5)


@pytest.mark.parametrize(("wire", "template", "usage"), ANSWERS)
def test_a_count_that_is_told_twice_is_the_larger_one(wire: Wire, template: str, usage: str) -> None:
    name = usage.partition(":")[0].removeprefix("{")
    for twice in (usage[:-1] + f",{name}:1" + "}", "{" + f"{name}:1," + usage[1:]):
        document = written(template, twice)
        assert body_of(wire, document).usage == last_event_of(wire, document).usage == Usage(10, 0, 0, 0, 5)


@pytest.mark.parametrize(("wire", "template", "usage"), ANSWERS)
@pytest.mark.parametrize("text", [r"\ud800", r"a\udc00b", "\ud800", "x\x01", 'x","odd":NaN,"y":"'])
def test_text_that_is_no_text_does_not_lose_the_usage(wire: Wire, template: str, usage: str, text: str) -> None:
    document = written(template, usage, text)
    assert body_of(wire, document).usage == last_event_of(wire, document).usage == Usage(10, 0, 0, 0, 5)


@pytest.mark.parametrize(("wire", "template", "usage"), ANSWERS)
@pytest.mark.parametrize("separator", [":", " : "])
def test_a_usage_that_stands_before_a_large_text_is_read(wire: Wire, template: str, usage: str, separator: str) -> None:
    template = '{"usage"' + separator + "USAGE," + template.replace(',"usage":USAGE', "").removeprefix("{")
    document = written(template, usage, "x" * MAX_BODY_BYTES)
    facts = body_of(wire, document)
    assert (facts.usage, facts.model) == (Usage(10, 0, 0, 0, 5), "m")
    document = written(
        template.replace('{"usage"', '{"a":{"usage"').replace("USAGE", "USAGE}"), usage, "x" * MAX_BODY_BYTES
    )
    assert body_of(wire, document).usage is None


@pytest.mark.parametrize(("wire", "names"), [(CHAT, ("prompt", "completion")), (RESPONSES, ("input", "output"))])
def test_a_part_that_is_larger_than_its_total_was_counted_beside_it(wire: Wire, names: tuple[str, str]) -> None:
    read, output = names
    counts: dict[str, Any] = {f"{read}_tokens": 10, f"{output}_tokens": 5}
    base = {"model": "m", "status": "completed", "choices": [], "output": []}

    def usage(**more: Any) -> Usage | None:
        return whole(wire, base | {"usage": counts | more}).usage

    assert usage(total_tokens=15) == usage(total_tokens=1) == Usage(10, 0, 0, 0, 5)
    assert usage(total_tokens=40) == usage(total_tokens=40.0) == Usage(10, 0, 0, 0, 30)
    assert usage(**{f"{output}_tokens_details": {"reasoning_tokens": 7}}) == Usage(10, 0, 0, 0, 12, 7)
    assert usage(**{f"{read}_tokens_details": {"cached_tokens": 11}}) == Usage(21, 11, 0, 0, 5)
    heard = usage(**{f"{read}_tokens_details": {"audio_tokens": 4}, f"{output}_tokens_details": {"audio_tokens": 2}})
    assert heard == Usage(10, 0, 0, 0, 5, 0, UsageParts(4, 0, 2, 0))


def test_what_was_written_to_the_cache_is_no_less_than_its_parts() -> None:
    usage = {"input_tokens": 1, "output_tokens": 5, "cache_creation_input_tokens": 2}
    parts = {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 3}
    expected = Usage(8, 0, 7, 3, 5)
    assert whole(CLAUDE, {"content": [], "usage": usage | {"cache_creation": parts}}).usage == expected
    assert (
        whole(CLAUDE, {"content": [], "usage": usage | {"cache_creation": parts, "iterations": []}}).usage == expected
    )


@pytest.mark.parametrize("wire", [CHAT, CLAUDE, RESPONSES])
def test_an_error_in_a_list_is_an_error(wire: Wire) -> None:
    document = b'[{"error":{"code":503,"type":"UNAVAILABLE","message":"m"}}]'
    for facts in (body_of(wire, document), streamed(wire, document)):
        assert (facts.error_type, facts.is_bare_error) == ("UNAVAILABLE", True)
    assert body_of(wire, b"[" + document[1:-1] + b"," + document[1:]).error_type is None

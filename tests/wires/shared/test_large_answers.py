"""Of an answer too large, or of too many parts, to be read in full the usage is read at its end, and nothing else is mistaken for it."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.spending.usage import Usage
from proxy.wires.anthropic_messages.wire import AnthropicMessages
from proxy.wires.openai_chat.wire import OpenAIChat
from proxy.wires.openai_responses.wire import OpenAIResponses
from proxy.wires.shared.answer_reading import MAX_BODY_BYTES
from proxy.wires.shared.large_answers import condensed, has_too_many_parts
from proxy.wires.wire import AnswerFacts, Wire
from tests.wires.recorded import read_all

HUGE = "x" * (MAX_BODY_BYTES + 1)
USAGE = {"prompt_tokens": 10, "completion_tokens": 5}
CLAUDE_USAGE = {"input_tokens": 10, "output_tokens": 5}


def facts_of(wire: Wire, body: bytes, piece: int = 65_536) -> AnswerFacts:
    pieces = [body[at : at + piece] for at in range(0, len(body), piece)]
    passed, facts = read_all(wire.answer_reader(streamed=False, removes_usage_event=False), pieces)
    assert passed == body
    return facts


@pytest.mark.parametrize("text", [HUGE, HUGE + '"usage":{"prompt_tokens":1}}', '\\"usage\\"' * 900_000])
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_an_answer_beyond_the_limit_keeps_its_model_and_its_usage(text: str, separators: tuple[str, str]) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    document = {"id": "c", "model": "m", "choices": [choice], "usage": USAGE, "service_tier": "priority"}
    facts = facts_of(OpenAIChat(), json.dumps(document, separators=separators).encode())
    assert (facts.model, facts.usage, facts.service_tier) == ("m", Usage(10, 0, 0, 0, 5), "priority")
    assert (facts.is_complete, facts.unreadable) == (True, 0)
    block = {"type": "tool_use", "name": "t", "input": {"usage": CLAUDE_USAGE, "text": text}}
    document = {"model": "m", "content": [block], "stop_reason": "end_turn", "usage": CLAUDE_USAGE}
    facts = facts_of(AnthropicMessages(), json.dumps(document, separators=separators).encode())
    assert (facts.model, facts.usage, facts.finish) == ("m", Usage(10, 0, 0, 0, 5), "stop")


@pytest.mark.parametrize("dense", ["{}", "[]", "1", '{"index":0}', "null"])
def test_an_answer_of_a_million_parts_is_not_built(dense: str) -> None:
    body = ('{"model":"m","choices":[' + ",".join([dense] * 600_000) + '],"usage":' + json.dumps(USAGE) + "}").encode()
    facts = facts_of(OpenAIChat(), body)
    assert (facts.model, facts.usage, facts.is_complete) == ("m", Usage(10, 0, 0, 0, 5), True)


def test_an_event_of_a_million_parts_passes_unread_and_the_next_is_read() -> None:
    dense = b'data: {"choices":[' + b",".join([b"{}"] * 600_000) + b"]}\n\n"
    stream = dense + b'data: {"choices":[],"usage":' + json.dumps(USAGE).encode() + b"}\n\ndata: [DONE]\n\n"
    facts = read_all(OpenAIChat().answer_reader(streamed=True, removes_usage_event=False), [stream])[1]
    assert (facts.usage, facts.unreadable, facts.is_complete) == (Usage(10, 0, 0, 0, 5), 1, True)


ANSWER = {"id": "r", "model": "m", "status": "completed", "output": [{"result": HUGE}], "usage": CLAUDE_USAGE}
LAST_EVENTS = [
    {"type": "response.completed", "sequence_number": 9, "response": ANSWER},
    {"type": "response.completed", "response": ANSWER, "sequence_number": 9},
    {"type": "response.completed", "response": ANSWER | {"metadata": {"a": {"b": 1}}}, "note": {"a": 1}},
]


@pytest.mark.parametrize("event", LAST_EVENTS)
def test_a_last_event_that_holds_a_huge_answer_keeps_its_model_and_its_usage(event: dict[str, Any]) -> None:
    stream = b"event: response.completed\ndata: " + json.dumps(event).encode() + b"\n\n"
    pieces = [stream[at : at + 65_536] for at in range(0, len(stream), 65_536)]
    facts = read_all(OpenAIResponses().answer_reader(streamed=True, removes_usage_event=False), pieces)[1]
    assert (facts.model, facts.usage, facts.finish) == ("m", Usage(10, 0, 0, 0, 5), "stop")
    assert (facts.is_complete, facts.unreadable) == (True, 0)


@pytest.mark.parametrize(
    "event",
    [
        b'{"type":"response.completed","response":"' + b"x" * len(HUGE) + b'"}',
        b'{"type":"response.output_text.delta","delta":"' + b"x" * len(HUGE) + b'"}',
        b"x" * len(HUGE),
    ],
)
def test_a_huge_event_that_holds_no_answer_is_counted_as_unread(event: bytes) -> None:
    reader = OpenAIResponses().answer_reader(streamed=True, removes_usage_event=False)
    facts = read_all(reader, [b"data: " + event + b"\n\n"])[1]
    assert (facts.usage, facts.unreadable) == (None, 1)
    assert facts.output_bytes >= len(HUGE)


@pytest.mark.parametrize("odd", ["NaN", '{"a":NaN}'])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_large_answer_that_needs_mending_keeps_the_larger_usage(odd: str, streamed: bool) -> None:
    usage, more = json.dumps(USAGE), json.dumps(USAGE | {"completion_tokens": 7})
    text = HUGE[: 2 * 1024 * 1024]
    for body in (
        f'{{"model":"m","x":"{text}","choices":[],"odd":{odd},"usage":{more}}}',
        f'{{"model":"m","usage":{more},"choices":[],"x":"{text}","usage":{usage}}}',
    ):
        said = f"data: {body}\n\ndata: [DONE]\n\n" if streamed else body
        facts = read_all(OpenAIChat().answer_reader(streamed=streamed, removes_usage_event=False), [said.encode()])[1]
        assert (facts.model, facts.usage, facts.is_complete) == ("m", Usage(10, 0, 0, 0, 7), True)


NOT_OUTERMOST = [
    b'{"a":{"usage":{"prompt_tokens":1,"completion_tokens":1}}}',
    b'{"a":[{"usage":{"prompt_tokens":1,"completion_tokens":1}}]}',
    b'{"a":"\\"usage\\":{\\"prompt_tokens\\":1}"}',
    b'{"a\\"usage":{"prompt_tokens":1,"completion_tokens":1}}',
    b'{"usage":{"prompt_tokens":1',
    b'{"a":1}',
    b"",
]


@pytest.mark.parametrize("tail", NOT_OUTERMOST)
def test_what_is_no_member_of_the_outermost_object_is_no_usage(tail: bytes) -> None:
    assert condensed(tail, tail) is None


values = st.recursive(
    st.none() | st.integers(0, 9) | st.sampled_from(["usage", '"usage":{', "}", '\\"model":"x"', "é"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["usage", "model", "a", '"usage"']), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["a", "b", 'x"usage']), values, max_size=3), st.integers(1, 40))
@settings(max_examples=200)
def test_whatever_stands_between_the_outermost_usage_is_found(middle: dict[str, Any], cut: int) -> None:
    document = {"model": "served", **middle, "usage": USAGE, "z": 1}
    body = json.dumps(document).encode()
    ends = condensed(body, body[min(cut, body.rindex(b'"usage"') - 1) :])
    assert ends is not None
    assert json.loads(ends) == {"model": "served", "usage": USAGE, "z": 1}


def test_ordinary_answers_are_read_in_full() -> None:
    text = "Some text, with commas; {braces} and [brackets], as code has. " * 20_000
    assert not has_too_many_parts(json.dumps({"content": text}).encode())

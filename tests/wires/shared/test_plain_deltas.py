"""Events recognised by their bytes must leave the facts that reading each of them would leave."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.wires.anthropic_messages.answer import MessageEvents
from proxy.wires.anthropic_messages.wire import AnthropicMessages
from proxy.wires.openai_chat.answer import ChatEvents
from proxy.wires.openai_chat.wire import OpenAIChat
from proxy.wires.openai_responses.answer import ResponseEvents
from proxy.wires.openai_responses.wire import OpenAIResponses
from proxy.wires.shared.answer_reading import EventReader
from proxy.wires.shared.event_stream import data_of
from proxy.wires.shared.plain_deltas import PlainDelta, plain_delta
from proxy.wires.wire import AnswerFacts
from tests.wires.recorded import CHAT_USAGE, chat_chunk, cut, read_all


def chat_event(delta: dict[str, Any], **members: Any) -> bytes:
    return written(chat_chunk(delta, **members))


def written(content: dict[str, Any], *, spaced: bool = False, escaped: bool = False) -> bytes:
    marks = None if spaced else (",", ":")
    return b"data: " + json.dumps(content, separators=marks, ensure_ascii=escaped).encode() + b"\n\n"


def anthropic_event(delta: dict[str, Any]) -> bytes:
    return b"event: x\n" + written({"type": "content_block_delta", "index": 0, "delta": delta})


def facts_read_in_full(reader: EventReader, events: list[bytes]) -> AnswerFacts:
    for event in events:
        data = data_of(event)
        assert data is not None
        reader.read_event(data)
    reader.settle()
    return reader.facts


TEXTS = ["", "a", " there", "é🙂", "\n", 'say "x"', "\\", '"content":"x"', "\u0000", "x" * 500, "中文", '","text":"']
texts = st.sampled_from(TEXTS)
chat_deltas = (
    texts.map(lambda text: {"content": text})
    | texts.map(lambda text: {"role": "assistant", "content": text})
    | texts.map(lambda text: {"reasoning_content": text})
    | texts.map(lambda text: {"refusal": text})
    | texts.map(lambda text: {"tool_calls": [{"index": 0, "function": {"arguments": text}}]})
    | texts.map(lambda text: {"tool_calls": [{"index": 1, "id": "t", "function": {"name": "f", "arguments": text}}]})
    | st.tuples(texts, texts).map(lambda pair: {"content": pair[0], "reasoning_content": pair[1]})
    | st.just({"content": 7})
)
rest = st.sampled_from(
    [
        {},
        {},
        {"usage": None},
        {"obfuscation": "x"},
        {"obfuscation": "xyz"},
        {"content": "y"},
        {"usage": CHAT_USAGE},
        {"error": {"type": "e"}},
        {"finish": "stop"},
    ]
)
chat_events = st.builds(
    lambda delta, more, spaced, escaped: written(chat_chunk(delta, **more), spaced=spaced, escaped=escaped),
    chat_deltas,
    rest,
    st.sampled_from([False, False, False, True]),
    st.booleans(),
)
anthropic_events = (
    texts.map(lambda text: anthropic_event({"type": "text_delta", "text": text}))
    | texts.map(lambda text: anthropic_event({"type": "thinking_delta", "thinking": text}))
    | texts.map(lambda text: anthropic_event({"type": "input_json_delta", "partial_json": text}))
    | st.tuples(texts, texts).map(lambda pair: anthropic_event({"text": pair[0], "thinking": pair[1]}))
    | st.sampled_from([anthropic_event({"text": 7}), written({"type": "message_stop"}), written({"type": "ping"})])
)


@given(st.lists(chat_events | st.just(b"data: [DONE]\n\n"), max_size=20), st.booleans(), st.data())
@settings(max_examples=250)
def test_chat_streams_leave_the_facts_of_a_full_reading(
    events: list[bytes], removes: bool, data: st.DataObject
) -> None:
    stream = b"".join(events)
    expected = facts_read_in_full(ChatEvents(), events)
    torn = cut(stream, data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    for pieces in (events, [stream], torn):
        _, facts = read_all(OpenAIChat().answer_reader(streamed=True, removes_usage_event=removes), pieces)
        assert facts == expected


numbers = st.integers(0, 12) | st.sampled_from([99, 100, 10**11, 10**13, "7", None, 1.5])
responses_events = st.builds(
    lambda kind, number, text, more, spaced: b"event: x\n" + written({"type": f"response.{kind}.delta", "sequence_number": number, "item_id": "m", "delta": text, **more}, spaced=spaced),
    st.sampled_from(["output_text", "output_text", "function_call_arguments", "refusal", "audio"]),
    numbers,
    texts,
    st.sampled_from([{}, {"logprobs": []}, {"obfuscation": "xy"}, {"logprobs": [], "obfuscation": ""}, {"delta": 7}]),
    st.sampled_from([False, False, True]),
) | st.sampled_from(
    [
        b'event: x\ndata: {"type":"response.output_text.delta","sequence_number":01,"item_id":"m","delta":"a"}\n\n',
        b'event: x\ndata: {"type":"response.output_text.delta","sequence_number":-1,"item_id":"m","delta":"a"}\n\n',
        written({"type": "response.completed", "sequence_number": 3, "response": {"status": "completed"}}),
        written({"type": "error", "sequence_number": 3, "code": "e"}),
    ]
)  # fmt: skip


@given(st.lists(responses_events, max_size=20), st.data())
@settings(max_examples=150)
def test_responses_streams_leave_the_facts_of_a_full_reading(events: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(events)
    expected = facts_read_in_full(ResponseEvents(), events)
    torn = cut(stream, data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    for pieces in (events, [stream], torn):
        passed, facts = read_all(OpenAIResponses().answer_reader(streamed=True, removes_usage_event=False), pieces)
        assert (passed, facts) == (stream, expected)


@given(st.lists(anthropic_events, max_size=20), st.data())
@settings(max_examples=150)
def test_anthropic_streams_leave_the_facts_of_a_full_reading(events: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(events)
    expected = facts_read_in_full(MessageEvents(), events)
    torn = cut(stream, data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    for pieces in (events, [stream], torn):
        passed, facts = read_all(AnthropicMessages().answer_reader(streamed=True, removes_usage_event=False), pieces)
        assert (passed, facts) == (stream, expected)


@pytest.mark.parametrize(
    ("event", "size"),
    [
        (chat_event({"content": "other"}), 5),
        (chat_event({"content": ""}), 0),
        (chat_event({"content": "é"}), 2),
        (written(chat_chunk({"content": "é\n"}), escaped=True), 3),
        (chat_event({"content": 'a"b'}), 3),
        (chat_event({"content": "x"}) * 2, -1),
        (chat_event({"content": "x"})[:-1], -1),
        (chat_event({"content": "x"}) + b"\n", -1),
        (chat_event({"content": "x"}, finish="stop"), -1),
        (chat_event({"content": "x"}, usage=None), -1),
        (chat_event({"content": None}), -1),
        (chat_event({"content": "x" * 50_000}), 50_000),
        (chat_event({"content": "\n" * 50_000}), 50_000),
        (chat_event({"content": "QQ"}).replace(b"QQ", b"\xff"), -1),
        (chat_event({"content": "QQ"}).replace(b"QQ", b"\x00"), -1),
        (chat_event({"content": "QQ"}).replace(b"QQ", b"a\nb"), -1),
        (chat_event({"content": "QQ"}).replace(b"QQ", b"\\ud800"), -1),
        (chat_event({"content": "QQ"}).replace(b"QQ", b"\\x"), -1),
    ],
)
def test_an_event_is_recognised_by_all_its_bytes(event: bytes, size: int) -> None:
    learnt = plain_delta(chat_event({"content": "first"}), b"content", "first")
    assert learnt is not None
    assert learnt.text_bytes(event) == size


def test_padding_of_any_length_is_no_difference() -> None:
    learnt = plain_delta(chat_event({"content": "a"}, obfuscation="xyz"), b"content", "a")
    assert learnt is not None
    assert learnt.text_bytes(chat_event({"content": "bc"}, obfuscation="")) == 2
    assert learnt.text_bytes(chat_event({"content": "bc"}, obfuscation="x" * 100)) == 2
    assert learnt.text_bytes(chat_event({"content": 'b"c\n'}, obfuscation="é")) == 4
    assert learnt.text_bytes(chat_event({"content": "bc"}, obfuscation="QQ").replace(b"QQ", b"\x00")) == -1
    assert learnt.text_bytes(chat_event({"content": "QQ"}, obfuscation="a").replace(b"QQ", b'x","more":"y')) == -1
    assert learnt.text_bytes(chat_event({"content": "bc"}, other="xyz")) == -1


def test_what_stands_before_and_after_a_text_has_to_be_there_in_full() -> None:
    assert PlainDelta(b'x"a"', None, b'"a"').text_bytes(b'x"a"') == -1
    assert PlainDelta(b'x"', b'"y"', b'"').text_bytes(b'x"abc"') == -1


@pytest.mark.parametrize(
    "event",
    [
        chat_event({"content": "a"}, content="a"),
        chat_event({"content": "a"}).replace(b'"content"', b'"\\u0063ontent"'),
        chat_event({"content": "a"}).replace(b'"c1"', b'"c\\\\1"'),
        chat_event({"content": "a"}).replace(b'"content":', b'"content"  :'),
        chat_event({"content": "a"}).replace(b"\n\n", b"\r\n\r\n"),
        chat_event({"content": "b"}, obfuscation="bbb").replace(b'"b"', b'"bb"'),
    ],
)
def test_nothing_is_learnt_where_the_text_cannot_be_told_for_certain(event: bytes) -> None:
    assert plain_delta(event, b"content", "a") is None

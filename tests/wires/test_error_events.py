"""The event with which a stream is broken off: one whole event, read as an error by the same wire, never as an end."""

import pytest

from proxy.core.errors import Forbidden
from proxy.wires.anthropic_messages.wire import AnthropicMessages
from proxy.wires.openai_chat.wire import OpenAIChat
from proxy.wires.shared.event_stream import EventSplitter
from proxy.wires.wire import Wire

WIRES = pytest.mark.parametrize("wire", [OpenAIChat(), AnthropicMessages()], ids=lambda wire: wire.name)
REFUSAL = Forbidden("agent_disabled", 'switched off by "ann":\nwrong refunds')
PING = b"event: ping\ndata: {}\n\n"


@WIRES
def test_an_error_event_is_one_whole_event_that_its_wire_reads_as_an_error(wire: Wire) -> None:
    event = wire.error_event(REFUSAL, "run_1")
    assert EventSplitter().feed(event) == [(event, True)]
    reader = wire.answer_reader(streamed=True, removes_usage_event=False)
    assert reader.feed(PING + event) == PING + event
    assert reader.facts.error_type is not None
    assert not reader.facts.is_complete


@WIRES
@pytest.mark.parametrize("removes", [False, True], ids=["passing all", "taking usage out"])
def test_an_event_may_stand_only_where_the_last_one_that_was_passed_on_has_ended(wire: Wire, removes: bool) -> None:
    reader = wire.answer_reader(streamed=True, removes_usage_event=removes)
    assert reader.takes_event
    for at in range(len(PING) - 1):
        passed = reader.feed(PING[at : at + 1])
        # What is held back was not passed on.
        assert reader.takes_event is (passed == b"")
    reader.feed(PING[-1:])
    assert reader.takes_event


@WIRES
def test_no_event_stands_behind_the_end_of_a_stream_or_in_a_document(wire: Wire) -> None:
    ends = {"openai": b"data: [DONE]\n\n", "anthropic": b'event: message_stop\ndata: {"type":"message_stop"}\n\n'}
    reader = wire.answer_reader(streamed=True, removes_usage_event=False)
    reader.feed(ends[wire.family])
    assert not reader.takes_event
    assert not wire.answer_reader(streamed=False, removes_usage_event=False).takes_event


@WIRES
def test_no_event_stands_in_one_that_was_too_large_to_be_held(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = wire.answer_reader(streamed=True, removes_usage_event=True)
    monkeypatch.setattr(reader, "_splitter", EventSplitter(max_event_bytes=100))
    assert reader.feed(b"data: " + b"x" * 200) != b""
    assert not reader.takes_event
    reader.feed(b"\n\n")
    assert reader.takes_event

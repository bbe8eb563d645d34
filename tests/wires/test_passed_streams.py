"""The last event of a stream that nobody reads, however it arrives."""

import pytest

from proxy.wires.passed_streams import PassedStream

FIRST = b'event: response.created\ndata: {"type":"response.created"}\n\n'


def is_over(*pieces: bytes) -> bool:
    stream = PassedStream()
    assert b"".join(stream.feed(piece) for piece in pieces) == b"".join(pieces)
    assert (stream.finish(), stream.held_back()) == (b"", b"")
    return stream.facts.is_complete


LAST = [
    b"data: [DONE]\n\n",
    b"data:[DONE]\r\n\r\n",
    b"event: done\ndata: [DONE]\n\n",
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
    b'event: response.completed\ndata: {"response":{"id":"r"},"type":"response.completed"}\n\n',
    b'data: {"type":"response.incomplete"}\n\n',
    b'event: response.failed\r\ndata: {"type": "response.failed"}\r\n\r\n',
    b'data: {"type":"speech.audio.done"}\n\n',
    b'data: {"type":"transcript.text.done","text":"hi"}\n\n',
]
NOT_LAST = [
    b'data: {"type":"response.output_text.delta","delta":"response.completed"}\n\n',
    b'data: {"type":["message_stop"]}\n\n',
    b'data: {"type":"x","type_of":"message_stop"}\n\n',
    b"data: message_stop\n\n",
    b'data: "[DONE]"\n\n',
    b": [DONE]\n\n",
    b"event: message_stop\n\n",
    b'data: {"type":"image_generation.completed"}\n\n',
    b"data: [DONE]\n",
    b"\xff\xfe\n\n",
]


@pytest.mark.parametrize("event", LAST)
def test_the_last_event_is_seen_in_one_piece_and_byte_by_byte(event: bytes) -> None:
    assert is_over(FIRST + event)
    assert is_over(*(bytes([byte]) for byte in FIRST + event))
    assert is_over(event, b"trailing bytes change nothing")


@pytest.mark.parametrize("event", NOT_LAST)
def test_what_only_looks_like_it_is_not(event: bytes) -> None:
    assert not is_over(FIRST + event)
    assert not is_over(*(bytes([byte]) for byte in FIRST + event))

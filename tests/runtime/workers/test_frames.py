"""Frames survive any way a stream is cut, and a stream that lost step is noticed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.runtime.workers.frames import LENGTH_BYTES, MAX_FRAME_BYTES, BrokenFrames, FrameReader, framed


@given(st.lists(st.binary(max_size=40), max_size=12), st.lists(st.integers(1, 30), max_size=30))
def test_bodies_come_out_as_they_went_in_however_the_stream_is_cut(bodies: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(framed(body) for body in bodies)
    reader = FrameReader()
    found: list[bytes] = []
    for size in cuts:
        found += reader.feed(stream[:size])
        stream = stream[size:]
    found += reader.feed(stream)
    assert found == bodies


def test_a_large_body_comes_in_pieces() -> None:
    body = bytes(range(256)) * 20_000
    stream = framed(body)
    reader = FrameReader()
    found = [one for start in range(0, len(stream), 65_536) for one in reader.feed(stream[start : start + 65_536])]
    assert found == [body]


def test_an_impossible_length_ends_the_stream() -> None:
    reader = FrameReader()
    with pytest.raises(BrokenFrames):
        list(reader.feed((MAX_FRAME_BYTES + 1).to_bytes(LENGTH_BYTES, "big")))

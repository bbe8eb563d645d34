"""Frames on a byte stream: a length of four bytes, most significant first, then as many bytes. What they hold is messages.py's.

Counterpart of both ends of a link. The far end is a process of ours, so a wrong length is a defect: it ends the link.
"""

from collections.abc import Iterator

LENGTH_BYTES = 4
#: More than any snapshot is; a length above it means that the two ends lost step.
MAX_FRAME_BYTES = 1 << 30


class BrokenFrames(Exception):
    """The stream cannot be read any further."""


def framed(body: bytes) -> bytes:
    """`body` as one frame. Raises BrokenFrames where it is too large."""
    if len(body) > MAX_FRAME_BYTES:
        raise BrokenFrames(f"a frame of {len(body)} bytes is too large")
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


class FrameReader:
    """Cuts a stream, fed in pieces of any size, into the bodies of its frames."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The bodies that are complete now. To be used up before the next piece. Raises BrokenFrames."""
        buffer = self._buffer
        buffer += data
        position = 0
        try:
            while len(buffer) - position >= LENGTH_BYTES:
                start = position + LENGTH_BYTES
                length = int.from_bytes(buffer[position:start], "big")
                if length > MAX_FRAME_BYTES:
                    raise BrokenFrames(f"a frame of {length} bytes is announced")
                if len(buffer) - start < length:
                    break
                position = start + length
                yield bytes(memoryview(buffer)[start:position])
        finally:
            del buffer[:position]

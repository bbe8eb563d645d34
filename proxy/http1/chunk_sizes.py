"""Where a request's body in chunks ends, and how long it says it will be, before the bytes are there.

Belongs here: sizes (RFC 9112 §7.1). Does not belong here: the grammar, which is llhttp's to judge, on the same bytes: where the two could
disagree llhttp refuses. llhttp tells of a chunk's data as it comes, and of its size never.
"""

import re
from typing import Final

from proxy.http1.request_head import RequestRefused

_LF: Final = b"\n"
_SIZE: Final = re.compile(rb"[0-9A-Fa-f]*")
#: More than any limit of a body has, zeros in front of it included.
_DIGITS: Final = 16
#: Behind the data of a chunk.
_LINE_END_BYTES: Final = 2


class ChunkSizes:
    """The walk over one body, from the first byte behind the head."""

    __slots__ = ("_in_trailers", "_left", "_limit_bytes", "_line", "_total_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._total_bytes = 0
        self._left = 0  # of the present chunk's data and the line end behind it
        self._line = b""  # what came of a line that has not ended
        self._in_trailers = False

    def walk(self, data: bytes) -> int:
        """How much of `data` belongs to the body, its trailers included: all of it where that does not end in it.

        Raises RequestRefused: 413 for a chunk that makes the body longer than it may be, however little of it is there; 400 for a size
        that no body has.
        """
        at, size = 0, len(data)
        while at < size:
            if self._left:
                step = min(self._left, size - at)
                self._left -= step
                at += step
                continue
            end = data.find(_LF, at) + 1
            line = self._line + data[at : end or size]
            if not self._in_trailers:
                self._read_size(line, is_whole=end > 0)
            elif line == b"\r\n":
                return end
            if not end:
                self._line = line
                break
            self._line = b""
            at = end
        return size

    def _read_size(self, line: bytes, *, is_whole: bool) -> None:
        match = _SIZE.match(line)
        digits = b"" if match is None else match[0]
        length = int(digits or b"0", 16)
        if self._total_bytes + length > self._limit_bytes:
            raise RequestRefused(413)
        if len(digits) > _DIGITS:
            raise RequestRefused(400)
        if is_whole:
            self._total_bytes += length
            self._in_trailers = not length
            self._left = length + _LINE_END_BYTES if length else 0

"""A large JSON document without the inside of its long texts, worked out in steps: what is left is small enough to be parsed at once.

Belongs here: finding texts of 16 KB and more between two quotes (a file, an image, a transcript), checking what is left out, and where
positions lie in the whole document. Does not belong here: what the rest means (json/members.py).

Decision: a parser goes through 31 MB in one step of 54 ms, during which nobody else has a turn. A search for the next quote takes 0.1 ns
a byte, a check of what lies before it 1 ns, and both can pause; a letter stands for what was left out, which no JSON has outside a text,
so that whatever was no text makes the rest malformed, and the whole is parsed as before.
"""

import re
from bisect import bisect_right
from typing import Final

from proxy.core.steps import Steps

_WINDOW_BYTES: Final = 8 * 1024
#: How much is checked between two turns of others: 1 ns a byte, and 9 where there are escapes.
_STEP_BYTES: Final = 512 * 1024
_ESCAPED_STEP_BYTES: Final = 64 * 1024
_WINDOWS_A_STEP: Final = 1024
_QUOTE: Final = b'"'
_PLACEHOLDER: Final = b"x"
_BACKSLASH: Final = ord("\\")
#: What may stand in a text as it is.
_AS_IS: Final = bytes(byte for byte in range(0x20, 0x100) if byte not in b'"\\')
_WITH_ESCAPES: Final = re.compile(rb'(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*+')
#: The longest escape, less one: so much of it may lie before the end of a step.
_CUT_ESCAPE_BYTES: Final = 5

Range = tuple[int, int]


class Shortened:
    """A document in short, and where its bytes lie in the whole one."""

    __slots__ = ("_gains", "_starts", "left_out", "short")

    def __init__(self, body: bytes, left_out: list[Range], placeholder: bytes = _PLACEHOLDER) -> None:
        """`placeholder`: what stands for each range."""
        #: Where in the whole document something was left out, in order.
        self.left_out = left_out
        self._starts: list[int] = []
        self._gains = [0]
        view, parts = memoryview(body), list[bytes | memoryview]()
        copied = size = 0
        for start, end in left_out:
            parts += (view[copied:start], placeholder)
            size += start - copied
            self._starts.append(size)
            size += len(placeholder)
            self._gains.append(self._gains[-1] + end - start - len(placeholder))
            copied = end
        parts.append(view[copied:])
        self.short = b"".join(parts)

    def whole_position(self, position: int) -> int:
        """Where a position of the short document lies in the whole one; of a placeholder, where what it stands for begins."""
        return position + self._gains[bisect_right(self._starts, position - 1)]


def shorten(body: bytes) -> Steps[Shortened | None]:
    """The document without the inside of its long texts; None where it has none. Only UTF-8 may be given."""
    left_out: list[Range] = []
    position, windows, checked, size = 0, 0, 0, len(body)
    while position < size:
        end = position + _WINDOW_BYTES
        windows += 1
        if windows % _WINDOWS_A_STEP == 0:
            yield
        if body.find(_QUOTE, position, end) >= 0:
            position = end
            continue
        start = body.rfind(_QUOTE, max(0, position - _WINDOW_BYTES), position) + 1
        stop = (yield from _text_end(body, start, end)) if start else 0
        if stop > start:
            left_out.append((start, stop))
            checked += (stop - start) % _STEP_BYTES
            if checked >= _STEP_BYTES:
                checked = 0
                yield
        position = max(stop, end)
    return Shortened(body, left_out) if left_out else None


def _text_end(body: bytes, start: int, from_here: int) -> Steps[int]:
    """How far the text that begins at `start` can be left out: to its quote, or to what is no text."""
    quote = body.find(_QUOTE, from_here)
    if quote < 0:
        return start
    position, step_bytes = start, _STEP_BYTES
    while position < quote:
        end = min(position + step_bytes, quote)
        if body[position:end].translate(None, _AS_IS):
            step_bytes = _ESCAPED_STEP_BYTES
            end = min(position + step_bytes, quote)
            match = _WITH_ESCAPES.match(body, position, end)
            reached = position if match is None else match.end()
            if end - reached > _CUT_ESCAPE_BYTES or reached == position or (end == quote and reached < end):
                return reached if end == quote and end - reached == 1 and body[reached] == _BACKSLASH else start
            end = reached
        position = end
        if end < quote:
            yield
    return quote

"""Events of a stream that bring nothing but a few more letters: recognised by their bytes, without reading them.

Belongs here: when two events differ in nothing but their text. Does not belong here: reading an event for the first time (each
wire's `..._answer` module), cutting a stream into events (event_stream.py).

Decision: most events of a stream are one another's image but for the text. Once one was read in full and brought only text,
the next with the same bytes before and after its text can bring nothing else, and its text is counted where it stands: 0.1 µs
of compiled code an event instead of 1.1 (0.2 instead of 0.9 where many come in one piece). Whatever differs (other members,
another order, other spaces) is read in full. No regular expression takes part: what an event touches has left the processor's
caches since the last one, and the machine of expressions is large.
"""

import re
from typing import Final

import msgspec

#: From larger events nothing is learnt.
MAX_PLAIN_BYTES: Final = 16 * 1024
#: Bytes that stand for themselves in a JSON text, one for one, the most usual ones first.
_USUAL: Final = b" etaoinsrhldcumfpgwybvkxjqz0123456789"
_PLAIN: Final = _USUAL + bytes(byte for byte in range(0x21, 0x7F) if byte not in b'"\\' + _USUAL)
#: Longer texts are counted faster by a decoder.
_SHORT_BYTES: Final = 64
#: A text with escapes and letters beyond ASCII.
_TEXT: Final = re.compile(rb'(?:[^"\\\x00-\x1f]+|\\.)*')
_COLON: Final = re.compile(rb':[ ]?"')
#: Letters of random number that a provider adds to an event so that its length tells nothing.
_PADDING: Final = re.compile(rb'"obfuscation":[ ]?"')
#: A number of its own that a provider gives each event, before its text.
_NUMBER: Final = re.compile(rb'"sequence_number":[ ]?(\d+)')
_DIGITS: Final = b"0123456789"
_MOST_DIGITS: Final = 12
_QUOTE: Final = b'"'
_BACKSLASH: Final = 0x5C
_ZERO: Final = 0x30
_CARRIAGE_RETURN: Final = 0x0D

_decoder: Final[msgspec.json.Decoder[str]] = msgspec.json.Decoder(str)


class PlainDelta:
    """What all events have in common that differ in nothing but one text (and padding)."""

    __slots__ = ("_foot", "_head", "_middle", "_numbered")

    def __init__(self, head: bytes, middle: bytes | None, foot: bytes, numbered: bytes | None = None) -> None:
        #: What stands before the text; where events are numbered, before the number, and `numbered` behind it.
        self._head = head
        self._numbered = numbered
        #: What stands between text and padding; None without padding.
        self._middle = middle
        self._foot = foot

    def looks_like(self, event: bytes) -> bool:
        """Whether an event begins as these do, whatever its text brings."""
        return event.startswith(self._head)

    def text_bytes(self, event: bytes) -> int:
        """How many bytes of UTF-8 the text of such an event is; -1 for any other bytes, several events included."""
        head, foot, middle = self._head, self._foot, self._middle
        start, stop = len(head), len(event) - len(foot)
        if stop < start or not event.startswith(head) or not event.endswith(foot):
            return -1
        if self._numbered is not None:
            start = _behind_number(event, start, self._numbered)
            if not start or stop < start:
                return -1
        if middle is None:
            return _size_of(event, start, stop)
        end = event.find(middle, start, stop)
        if end < 0 or _size_of(event, end + len(middle), stop) < 0:
            return -1
        return _size_of(event, start, end)


def plain_delta(event: bytes, member: bytes, text: str) -> PlainDelta | None:
    """What the events after this one have in common with it, which was read and brought only `text` in `member`.

    None where the text cannot be told from the rest with certainty. `event` is a whole one, its empty line included.
    """
    name = b'"%b"' % member
    if event.count(name) != 1 or _CARRIAGE_RETURN in event:
        return None
    opening = _COLON.match(event, event.index(name) + len(name))
    if opening is None:
        return None
    start = opening.end()
    end = _end_of_text(event, start)
    head, foot, middle = event[:start], event[end:], None
    if _BACKSLASH in head or _BACKSLASH in foot or _size_of(event, start, end) != len(text.encode()):
        return None
    padding = _PADDING.search(foot)
    if padding is not None:
        middle, foot = foot[: padding.end()], foot[_end_of_text(foot, padding.end()) :]
    number = _NUMBER.search(head)
    if number is None:
        return PlainDelta(head, middle, foot)
    return PlainDelta(head[: number.start(1)], middle, foot, head[number.end(1) :])


def _behind_number(event: bytes, start: int, numbered: bytes) -> int:
    """Where the text begins behind a number at `start` and the bytes that follow it in every event; 0: they do not."""
    end = event.find(numbered, start + 1, start + _MOST_DIGITS + len(numbered))
    if end < 0 or event[start:end].strip(_DIGITS):
        return 0
    # As in any JSON: no leading zero but the zero itself.
    return 0 if event[start] == _ZERO and end > start + 1 else end + len(numbered)


def _end_of_text(event: bytes, start: int) -> int:
    match = _TEXT.match(event, start)
    assert match is not None  # it matches nothing at all as well
    return match.end()


def _size_of(event: bytes, start: int, end: int) -> int:
    """The bytes of UTF-8 in a JSON text, which stands between the two quotes around these bytes; -1 where it is none."""
    if end - start <= _SHORT_BYTES and not event[start:end].strip(_PLAIN):
        return end - start
    quote = event.find(_QUOTE, start, end)
    if quote >= 0 and event[quote - 1] != _BACKSLASH:
        return -1  # as in several events at once; the decoder would take longer to say so
    try:
        return len(_decoder.decode(event[start - 1 : end + 1]).encode())
    except (msgspec.DecodeError, ValueError):
        return -1

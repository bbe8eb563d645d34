"""A large JSON document without most items of its long lists, worked out in steps: what is left is small enough to be parsed at once.

Belongs here: runs of items of a list of objects (a long conversation) or texts (what is to be embedded), and checking what is left out.
Counterpart: json/long_texts.py, for single texts. Does not belong here: what the rest means (json/members.py).

Decision: a parser goes through 5 MB of two thousand messages in one step of 3 to 4 ms. Where a comma stands between two braces, or two
quotes, a list may be cut; what lies between two such places is parsed as a list of its own, half a megabyte a step. Where it is valid it
takes a parser from before an item to behind one, and a line feed between braces stands for it: an item to a parser that is there, and
malformed to one that is inside of a text or where a name has to be, so that the whole is parsed as before. Items are taken to begin as the
first of their list does.
"""

import re
from typing import Final

import msgspec

from proxy.core.steps import Steps
from proxy.wires.json.long_texts import Range, Shortened
from proxy.wires.json.values import WHITESPACE, JsonDecoder

#: How much is checked between two turns of others.
_STEP_BYTES: Final = 512 * 1024
#: How many lists may be taken for a long one. A schema of tools has hundreds that are not, and begin alike.
_PATIENCE: Final = 8
_PLACEHOLDER: Final = b"{\n}"
#: The first item of a list: an object as far as its first name, or the quote of a text.
_BEGINNING: Final = re.compile(rb"\[" + WHITESPACE + rb'(\{[ \t\n\r]{0,64}"[^"\\]{1,64}"|")')
_QUOTE: Final = b'"'

_any: Final[JsonDecoder[msgspec.Raw]] = msgspec.json.Decoder(msgspec.Raw)


def shorten_lists(document: bytes) -> Steps[Shortened | None]:
    """The document with a few items in the place of many; None where it has no long list, or none that can be cut."""
    left_out: list[Range] = []
    position, patience, tried = 0, _PATIENCE, dict[bytes, int]()
    while patience and len(document) - position > _STEP_BYTES:
        first = _BEGINNING.search(document, position, position + _STEP_BYTES)
        if first is None:
            position += _STEP_BYTES
            yield
            continue
        position = first.end()
        if first.start() >= tried.get(first[1], 0):
            patience -= 1
            position = max(position, (yield from _leave_out(document, first, left_out)))
            tried[first[1]] = position + _STEP_BYTES
    return Shortened(document, left_out, _PLACEHOLDER) if left_out else None


def _leave_out(document: bytes, first: re.Match[bytes], left_out: list[Range]) -> Steps[int]:
    """Leave out as many items as can be, from the first of their list on; where those begin that are left."""
    closing = _QUOTE if first[1] == _QUOTE else rb"\}"
    between = re.compile(closing + WHITESPACE + b"," + WHITESPACE + rb"(?=" + re.escape(first[1]) + b")")
    view, start = memoryview(document), first.start(1)
    while True:
        cut = between.search(document, start + _STEP_BYTES, start + 2 * _STEP_BYTES)
        yield
        if cut is None or not _is_valid(b"".join((b"[", view[start : cut.start() + 1], b"]"))):
            return start
        left_out.append((start, cut.start() + 1))
        start = cut.end()
        yield


def _is_valid(document: bytes) -> bool:
    try:
        _any.decode(document)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return True

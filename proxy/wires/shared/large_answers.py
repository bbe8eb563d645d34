"""What a whole answer says at its ends, for one that is too large, or of too many parts, to be read in full.

Belongs here: finding the members of the outermost object in the first and last bytes of a document, without the middle. Does not
belong here: what they mean (the wires), what is made of a member that is there twice (odd_answers.py).

Formula: a member of the outermost object is told from one inside of it by what stands on one side. `{` and the end of the document from
that member on are a valid object only where exactly one level closes there; the beginning of the document up to the member and
one more member are a valid object only where exactly one level is open. A quote inside a text has a backslash before it.
"""

import re
from typing import Final

from proxy.wires.json.counting import has_more_than, is_object

#: How much of the beginning and of the end is kept.
HEAD_BYTES: Final = 64 * 1024
TAIL_BYTES: Final = 256 * 1024
#: How often a name is looked for.
_TRIES: Final = 8
_BACKSLASH: Final = ord("\\")
#: What stands behind the content of an answer.
_USAGE: Final = b'"usage"'
_MODEL: Final = b'"model"'
#: As some name it.
_USAGE_METADATA: Final = b'"usageMetadata"'
_LAST_NAMES: Final = (b'"stop_reason"', b'"service_tier"', _USAGE, _USAGE_METADATA)
_USAGE_OBJECT: Final = re.compile(rb'"usage"[ \t\n\r]*:[ \t\n\r]*\{')
#: A usage has no more objects inside of it.
_MOST_LEVELS: Final = 16
#: What stands before the content of an answer.
_SHORT_TEXT: Final = {
    name: re.compile(rb'"%b"[ \t\n\r]*:[ \t\n\r]*("[^"\\\x00-\x1f]{1,256}")' % name) for name in (b"model", b"status")
}
_KIND: Final = re.compile(rb'"type"[ \t\n\r]*:[ \t\n\r]*("[a-z_.]{1,64}")')
#: A decoder takes 5 ms for so many objects, or so many values of any kind, and a smaller document has no more.
READ_AT_ONCE_BYTES: Final = 512 * 1024
_MOST: Final = ((b"{", 50_000), (b"[", 50_000), (b",", 200_000))


def has_too_many_parts(document: bytes) -> bool:
    """Whether making all values of a document may take too long."""
    size = len(document)
    return size > READ_AT_ONCE_BYTES and any(has_more_than(document, byte, most, 0, size) for byte, most in _MOST)


def condensed(head: bytes, tail: bytes) -> bytes | None:
    """A small document of what stands at both ends of a large one: its model, its status and its usage. None where no usage is there."""
    texts = {name: _early(head, name) for name in _SHORT_TEXT}
    found = {name: _outermost(tail, name) for name in _LAST_NAMES}
    if not texts[b"model"]:
        # Of a list of vectors it stands behind them.
        found[_MODEL] = _outermost(tail, _MODEL)
    starts = [at for at in found.values() if at >= 0]
    early = _usage_at_the_beginning(head)
    if not early and found[_USAGE] < 0 and found[_USAGE_METADATA] < 0:
        return None
    members = [member for member in (*texts.values(), early, tail[min(starts) :] if starts else b"") if member]
    return b"{" + b",".join(members) + (b"" if starts else b"}")


def condensed_inside(head: bytes, tail: bytes, name: bytes) -> bytes | None:
    """As `condensed`, of the object that the member `name` (in quotes) of a large one is; what tells the kind of the large one stays."""
    start = head.find(name)
    kind = _KIND.search(head[:start]) if start >= 0 else None
    opening = head.find(b"{", start + len(name))
    if kind is None or opening < 0:
        return None
    end = len(tail)
    for _ in range(_TRIES):
        end = tail.rfind(b"}", 0, end)
        if end < 0:
            break
        inside = condensed(head[opening:], tail[: end + 1])
        if inside is not None:
            return b'{"type":%b,%b:%b}' % (kind[1], name, inside)
    return None


def _outermost(tail: bytes, name: bytes) -> int:
    """Where the first member of that name of the outermost object begins; -1: nowhere in these bytes."""
    found = -1
    at = len(tail)
    for _ in range(_TRIES):
        at = tail.rfind(name, 0, at)
        if at <= 0:
            return found
        if tail[at - 1] != _BACKSLASH and is_object(b"{" + tail[at:]):
            found = at
    return found


def _usage_at_the_beginning(head: bytes) -> bytes:
    """The usage of the outermost object where it stands before what is large; empty where it does not."""
    for match in list(_USAGE_OBJECT.finditer(head))[:_TRIES]:
        if head[match.start() - 1] != _BACKSLASH and is_object(head[: match.start()] + b'"":0}'):
            end = _end_of_object(head, match.end() - 1)
            return b"" if end < 0 else head[match.start() : end]
    return b""


def _end_of_object(text: bytes, start: int) -> int:
    """Where an object ends that begins at `start`; -1: not in these bytes."""
    end = start
    for _ in range(_MOST_LEVELS):
        end = text.find(b"}", end) + 1
        if not end:
            return -1
        if is_object(text[start:end]):
            return end
    return -1


def _early(head: bytes, name: bytes) -> bytes:
    """The first member of that name of the outermost object, a short text; empty where there is none in these bytes."""
    for match in list(_SHORT_TEXT[name].finditer(head))[:_TRIES]:
        if is_object(head[: match.start()] + b'"":0}'):
            return b'"%b":%b' % (name, match[1])
    return b""

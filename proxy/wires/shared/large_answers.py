"""What a whole answer says at its ends, for one that is too large, or of too many parts, to be read in full.

Belongs here: finding the members of the outermost object in the first and last bytes of a document, without the middle. Does not
belong here: what they mean (the wires).

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
_LAST_NAMES: Final = (b'"stop_reason"', b'"service_tier"', b'"usage"')
_MODEL: Final = re.compile(rb'"model"[ \t\n\r]*:[ \t\n\r]*("[^"\\\x00-\x1f]{1,256}")')
#: A decoder takes 5 ms for so many objects, or so many values of any kind, and a smaller document has no more.
READ_AT_ONCE_BYTES: Final = 512 * 1024
_MOST: Final = ((b"{", 50_000), (b"[", 50_000), (b",", 200_000))


def has_too_many_parts(document: bytes) -> bool:
    """Whether making all values of a document may take too long."""
    size = len(document)
    return size > READ_AT_ONCE_BYTES and any(has_more_than(document, byte, most, 0, size) for byte, most in _MOST)


def condensed(head: bytes, tail: bytes) -> bytes | None:
    """A small document of what stands at both ends of a large one: its model and its usage. None where no usage is there."""
    starts = [at for at in [_outermost(tail, name) for name in _LAST_NAMES] if at >= 0]
    if not starts or _outermost(tail, b'"usage"') < 0:
        return None
    return b"{" + _model(head) + tail[min(starts) :]


def _outermost(tail: bytes, name: bytes) -> int:
    """Where the last member of that name of the outermost object begins; -1: nowhere in these bytes."""
    at = len(tail)
    for _ in range(_TRIES):
        at = tail.rfind(name, 0, at)
        if at <= 0:
            return -1
        if tail[at - 1] != _BACKSLASH and is_object(b"{" + tail[at:]):
            return at
    return -1


def _model(head: bytes) -> bytes:
    for match in list(_MODEL.finditer(head))[:_TRIES]:
        if is_object(head[: match.start()] + b'"":0}'):
            return b'"model":' + match[1] + b","
    return b""

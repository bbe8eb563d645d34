"""JSON values as raw bytes: reading one by a typed decoder, writing a text, checking UTF-8, changing a part of one in place.

Belongs here: what members (json/members.py) and lists (json/items.py) have in common. A raw value is `bytes` or a msgspec
`Raw`, a view into the body that costs no copy; a Raw has a length and a buffer and nothing else, so bytes of it are looked at
through a memoryview.
"""

import codecs
import re
from typing import Protocol, TypeAlias, TypeVar

import msgspec
import orjson

from proxy.core.errors import BadInput
from proxy.core.steps import Steps, at_once

T = TypeVar("T")
Kind = TypeVar("Kind", covariant=True)

#: A value as it stands in a body. To its type stub a Raw is a subclass of bytes; it is none, so compiled code must be told.
RawJson: TypeAlias = bytes | msgspec.Raw


class JsonDecoder(Protocol[Kind]):
    """A decoder of msgspec for one kind of value, by a type of our own: where the data path is compiled msgspec's is unknown."""

    def decode(self, buf: bytes, /) -> Kind: ...


NULL = b"null"
#: `null` as it comes out of a decoder: a Raw equals only another Raw.
RAW_NULL = msgspec.Raw(NULL)
#: The default of a raw field: the member is absent.
ABSENT = msgspec.Raw(b"")

#: A change inside a value: its bytes from `start` to `end` make room for `new`.
Splice = tuple[int, int, bytes]

WHITESPACE = rb"[ \t\n\r]*"
COMMA = re.compile(WHITESPACE + b",?" + WHITESPACE)
_OPEN = re.compile(WHITESPACE + rb"[{\[]" + WHITESPACE)
_LOWEST_VISIBLE = 33
#: Large bodies are checked in pieces: a text of the whole would cost more than the check.
_CHECKED_BYTES = 64 * 1024
_PIECES_A_STEP = 16


def decode(raw: bytes, kind: JsonDecoder[T], param: str, wanted: str) -> T:
    """`raw` read by `kind`. Raises BadInput(`wrong_kind`) that names `param` and what is `wanted` there."""
    try:
        return kind.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise wrong_kind(param, wanted) from None


def wrong_kind(param: str, wanted: str) -> BadInput:
    """The refusal for a member of the wrong kind."""
    return BadInput("wrong_kind", f"{param} must be {wanted}", param=param)


def json_text(text: str) -> bytes:
    """`text` as a JSON string. Raises BadInput(`malformed_text`) for lone surrogates, which no JSON text may carry."""
    try:
        return orjson.dumps(text)
    except TypeError:
        raise BadInput("malformed_text", "a text holds half of a surrogate pair, which is not valid Unicode") from None


def first_byte(raw: bytes) -> int:
    """The first byte of a value, which tells its kind."""
    return memoryview(raw)[0]


def after_bracket(raw: bytes) -> int:
    """Where the first member or item of an object or list begins, or its closing bracket stands."""
    # Most are written without space; `raw` has two bytes at least.
    view = memoryview(raw)
    if view[0] >= _LOWEST_VISIBLE and view[1] >= _LOWEST_VISIBLE:
        return 1
    return past(_OPEN, raw, 0)


def past(pattern: re.Pattern[bytes], raw: bytes, position: int) -> int:
    """Where `pattern` ends that begins at `position`; the same position where it does not match."""
    match = pattern.match(raw, position)
    return position if match is None else match.end()


def spliced(raw: bytes, splice: Splice) -> bytes:
    """The value with the change in it."""
    start, end, new = splice
    view = memoryview(raw)
    return b"".join((view[:start], new, view[end:]))


def check_utf8(body: bytes, param: str | None) -> None:
    """Raises BadInput(`malformed_json`) where the body is not UTF-8: decoders do not look inside the texts they skip."""
    if not body.isascii():
        at_once(check_utf8_in_steps(body, param))


def check_utf8_in_steps(body: bytes, param: str | None = None) -> Steps[None]:
    """As `check_utf8`, with pauses."""
    pieces, position, size = 0, 0, len(body)
    try:
        while position < size:
            end = min(position + _CHECKED_BYTES, size)
            piece = body[position:end]
            position += len(piece) if piece.isascii() else codecs.utf_8_decode(piece, "strict", end == size)[1]
            pieces += 1
            if pieces % _PIECES_A_STEP == 0:
                yield
    except UnicodeDecodeError as error:
        where = f"invalid UTF-8 (byte {position + error.start})"
        raise BadInput("malformed_json", f"the body is not valid JSON: {where}", param=param) from None

"""The words both halves share: header pairs, a call, and how a head is written.

Hop-by-hop fields (RFC 9110 §7.6.1) are dropped here, in both directions and in one place, because framing belongs to
this layer alone; callers pass end-to-end fields. Parsing lives in the two connection modules.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from itertools import chain
from operator import itemgetter
from typing import Final

Headers = list[tuple[bytes, bytes]]
"""Names lower-cased, order and duplicates kept."""

NAMES: Final[dict[bytes, bytes]] = {}
"""Header names as they came, to lower case: a client sends the same few again and again, and a name that is looked up
is neither lower-cased nor checked nor hashed again. Filled by `learn_name`."""

_NAMES_KEPT: Final = 2048
_NAME_BYTES_KEPT: Final = 64

HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"content-length",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Fields this layer computes or ends; `content-length` is among them because only the writer knows it."""

HOP_BY_HOP_OR_OURS: Final = HOP_BY_HOP | {b"expect", b"host", b"proxy-authorization"}
"""For requests sent on: these are between the client and this proxy, or made anew."""


@dataclass(init=False, slots=True)
class HttpCall:
    """One complete request. `received_at` is loop time in seconds, when the first byte of the head came."""

    method: str
    target: bytes
    """Exactly as sent: always begins with `/`, not decoded, not normalised, without a fragment."""
    headers: Headers
    body: bytes
    received_at: float

    def __init__(self, method: str, target: bytes, headers: Headers, body: bytes, received_at: float) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.received_at = received_at


def learn_name(name: bytes) -> bytes:
    """Lower-case a header name that is not among NAMES yet, and keep it while there is room."""
    lower = name.lower()
    if len(NAMES) < _NAMES_KEPT and len(name) <= _NAME_BYTES_KEPT:
        NAMES[name] = lower
    return lower


SPACE: Final = 0x20
CR: Final = 0x0D
LF: Final = 0x0A
"""As numbers: looking for one in bytes takes a tenth of the time of looking for bytes of length 1."""

_name_of: Final[Callable[[tuple[bytes, bytes]], bytes]] = itemgetter(0)


def _status_line(status: int) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase.encode()
    except ValueError:
        phrase = b""
    return b"HTTP/1.1 %d %b\r\n" % (status, phrase)


STATUS_LINES: Final = {status: _status_line(status) for status in range(200, 600)}
"""Ready status lines, 200 to 599: a status outside is a mistake of the caller (KeyError)."""


def render_head(
    first_line: bytes,
    headers: Headers,
    last_lines: bytes,
    dropped: frozenset[bytes] = HOP_BY_HOP,
) -> bytes:
    """First line, end-to-end headers, then `last_lines` (complete lines of this layer), and the empty line.

    Raises ValueError when a name or value carries a line break, so that no header can become two.
    """
    if not dropped.isdisjoint(map(_name_of, headers)):
        headers = [pair for pair in headers if pair[0] not in dropped]
    # In C, from here on: this is done twice for each call.
    parts = tuple(chain.from_iterable(headers))
    text = b"".join(parts)
    if CR in text or LF in text:
        raise ValueError("a header contains a line break")
    return first_line + _field_lines(len(headers)) % parts + last_lines + b"\r\n"


@cache
def _field_lines(count: int) -> bytes:
    return b"%b: %b\r\n" * count

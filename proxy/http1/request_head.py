"""What a request head must satisfy beyond llhttp's grammar, and the fixed answers to one that does not.

Pure: raw header pairs in, checked ones out. llhttp (strict mode, as httptools sets it) already refuses bare LF, obs-fold,
space before a colon, control characters, signed, listed or repeated Content-Length, Content-Length beside
Transfer-Encoding, and malformed chunks. What it lets pass is decided here. Known and harmless: several spaces between
method and target are read as one, and the request is written anew upstream.
"""

import re
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from proxy.http1.message import Headers

METHODS: Final = {name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")}

_HASH: Final = ord("#")
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?")


class Refused(Exception):
    """The request is answered with a fixed text of this status, and the connection is closed."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def _refusal(status: int) -> bytes:
    text = b"%d %b\n" % (status, HTTPStatus(status).phrase.encode())
    return b"HTTP/1.1 %d %b\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n%bconnection: close\r\n\r\n%b" % (
        status,
        HTTPStatus(status).phrase.encode(),
        len(text),
        b"retry-after: 1\r\n" if status == 503 else b"",
        text,
    )


REFUSALS: Final = {s: _refusal(s) for s in (400, 405, 408, 413, 414, 417, 431, 500, 501, 503, 505)}
"""Whole answers. Nothing of the request is in them."""


HOST_BYTES: Final = 300
"""A DNS name has at most 253. Also bounds what `is_host` remembers: nothing longer may be asked of it."""


@lru_cache(maxsize=256)
def is_host(value: bytes) -> bool:
    """Whether a Host value is a name or address literal with an optional port (RFC 3986 §3.2.2, without user info)."""
    match = _HOST.fullmatch(value)
    return match is not None and (match[1] is None or int(match[1]) < 65536)


def check_line(method: bytes, target: bytes, version: str) -> str:
    """The method as text. Raises Refused for a version, method or target that is not served.

    OPTIONS over 1.0 is refused because llhttp reads `OPTIONS / RTSP/1.0` as that.
    """
    if version != "1.1" and (version != "1.0" or method == b"OPTIONS"):
        raise Refused(505)
    name = METHODS.get(method)
    if name is None:
        raise Refused(405)
    if target[:1] != b"/" or _HASH in target:
        raise Refused(400)
    return name


def check_headers(headers: Headers, version: str) -> tuple[int | None, bool, bool]:
    """Check the fields of one request, whose names are lower-cased and whose values are stripped.

    Gives the Content-Length, whether the body is chunked, and whether the client waits for `100 Continue`. Raises Refused.
    """
    fields = dict(headers)
    if len(fields) != len(headers):
        _check_repeated(headers, fields)
    host = fields.get(b"host")
    if host is None:
        if version == "1.1":
            raise Refused(400)
    elif len(host) > HOST_BYTES or not is_host(host):
        raise Refused(400)
    length = fields.get(b"content-length")
    coding = fields.get(b"transfer-encoding")
    expectation = fields.get(b"expect")
    return (
        None if length is None else int(length),
        coding is not None and _chunked(coding, version),
        expectation is not None and _continue(expectation, version),
    )


def _check_repeated(headers: Headers, fields: dict[bytes, bytes]) -> None:
    names = [name for name, _ in headers]
    if any(names.count(name) > 1 for name in (b"host", b"content-length", b"expect")):
        raise Refused(400)
    if b"transfer-encoding" in fields:
        codings = [value for name, value in headers if name == b"transfer-encoding"]
        fields[b"transfer-encoding"] = b",".join(codings)


def _chunked(value: bytes, version: str) -> bool:
    codings = [coding.strip(b" \t").lower() for coding in value.split(b",")]
    if version == "1.0" or codings[-1] != b"chunked" or codings.count(b"chunked") > 1 or b"" in codings:
        raise Refused(400)
    if len(codings) > 1:
        raise Refused(501)
    return True


def _continue(value: bytes, version: str) -> bool:
    if version == "1.0":
        return False
    if value.lower() != b"100-continue":
        raise Refused(417)
    return True

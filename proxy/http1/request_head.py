"""What a request head must satisfy beyond llhttp's grammar, and the fixed errors for one that does not.

Pure: raw header pairs in, checked ones out. llhttp (strict mode, as httptools sets it) already refuses bare LF, obs-fold,
space before a colon, control characters, signed, listed or repeated Content-Length, Content-Length beside
Transfer-Encoding, and malformed chunks. What it lets pass is decided here. Known and harmless: several spaces between
method and target are read as one, and the request is written anew upstream.
"""

import re
from functools import lru_cache
from typing import Final

from proxy.http1.message import Headers

METHODS: Final = {name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")}

_HASH: Final = ord("#")
_PROTOCOL: Final = b"HTTP/"
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?")


#: By status, the code that programs read and what people read. Nothing of the request is in it.
_REASONS: Final = {
    400: ("bad_request", "this is not a request that can be read"),
    405: ("method_not_allowed", "this method is not served"),
    408: ("request_timeout", "the request did not come in time; try again"),
    413: ("body_too_large", "the body is longer than this proxy takes"),
    414: ("target_too_long", "the path is longer than this proxy takes"),
    417: ("expectation_failed", "nothing but 100-continue can be expected"),
    431: ("head_too_large", "the header fields are longer or more than this proxy takes"),
    500: ("proxy_error", "the proxy failed on this call; its log says more"),
    501: ("not_implemented", "a body can only be sent as it is, or in chunks"),
    503: ("busy", "no more is taken in now; try again"),
    505: ("http_version_not_supported", "only HTTP/1.1 and HTTP/1.0 are served"),
}


class RequestRefused(Exception):
    """The request is answered with an error of this status, and the connection is closed."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status
        self.code, self.message = _REASONS[status]

    @property
    def retry_after_seconds(self) -> int | None:
        """When the client may try again; None where nothing would be different then."""
        return 1 if self.status == 503 else None


def refusal_body(status: int) -> bytes:
    """An error object as most SDKs read one, for where nobody above knows which of them sent the request."""
    code, message = _REASONS[status]
    kind = b"api_error" if status >= 500 else b"invalid_request_error"
    inner = b'{"type":"%b","message":"%b","code":"%b"}' % (kind, message.encode(), code.encode())
    return b'{"type":"error","error":%b}' % inner


HOST_BYTES: Final = 300
"""A DNS name has at most 253. Also bounds what `is_host` remembers: nothing longer may be asked of it."""


@lru_cache(maxsize=256)
def is_host(value: bytes) -> bool:
    """Whether a Host value is a name or address literal with an optional port (RFC 3986 §3.2.2, without user info)."""
    match = _HOST.fullmatch(value)
    return match is not None and (match[1] is None or int(match[1]) < 65536)


def check_line(line: bytes, method: bytes, target: bytes, version: str) -> str:
    """The method as text. Raises RequestRefused for a protocol, version, method or target that is not served.

    `line` is the whole of it: llhttp takes some methods of other protocols too (`POST / RTSP/1.0`) and does not say so.
    """
    if version not in ("1.1", "1.0") or not line.rpartition(b" ")[2].startswith(_PROTOCOL):
        raise RequestRefused(505)
    name = METHODS.get(method)
    if name is None:
        raise RequestRefused(405)
    if target[:1] != b"/" or _HASH in target:
        raise RequestRefused(400)
    return name


def check_headers(headers: Headers, version: str) -> tuple[int | None, bool, bool]:
    """Check the fields of one request, whose names are lower-cased and whose values are stripped.

    Gives the Content-Length, whether the body is chunked, and whether the client waits for `100 Continue`. Raises RequestRefused.
    """
    fields = dict(headers)
    if len(fields) != len(headers):
        _check_repeated(headers, fields)
    host = fields.get(b"host")
    if host is None:
        if version == "1.1":
            raise RequestRefused(400)
    elif len(host) > HOST_BYTES or not is_host(host):
        raise RequestRefused(400)
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
        raise RequestRefused(400)
    if b"transfer-encoding" in fields:
        codings = [value for name, value in headers if name == b"transfer-encoding"]
        fields[b"transfer-encoding"] = b",".join(codings)


def _chunked(value: bytes, version: str) -> bool:
    codings = [coding.strip(b" \t").lower() for coding in value.split(b",")]
    if version == "1.0" or codings[-1] != b"chunked" or codings.count(b"chunked") > 1 or b"" in codings:
        raise RequestRefused(400)
    if len(codings) > 1:
        raise RequestRefused(501)
    return True


def _continue(value: bytes, version: str) -> bool:
    if version == "1.0":
        return False
    if value.lower() != b"100-continue":
        raise RequestRefused(417)
    return True

"""Whole requests that are plain beyond doubt, read line by line without the parser.

Nearly every request comes in one read, with a Content-Length or without a body, in lines that came before. Such a line is
looked up; another is taken where its name is one llhttp has accepted (`NAMES`) and its value is printable ASCII. Everything
else is left to llhttp, to be read or refused: requests in parts, several in one read, HTTP/1.0, a name that occurs twice,
chunked bodies, whatever Connection, Upgrade and Expect may ask for. What is taken here llhttp takes as well, and reads alike;
the tests hold the two against each other.

Decision: llhttp's wrapper makes an object and a call of each name and each value. With the seven fields of a small request this
takes 1.6 µs less of a call, with more fields more. Credentials are never among the lines that are remembered.
"""

from typing import Any, Final

from proxy.http1.limits import ListenerLimits
from proxy.http1.message import NAMES, Headers, HttpCall
from proxy.http1.request_head import HOST_BYTES, METHODS, is_host

_HEAD_END: Final = b"\r\n\r\n"
_COLON: Final = ord(":")
#: What may stand in a target: no blank, no fragment, nothing that RFC 3986 §2 leaves out.
_TARGET_BYTES: Final = bytes(set(range(0x21, 0x7F)) - set(b'"#<>\\^`{|}'))
#: More digits than any limit has.
_LENGTH_DIGITS: Final = 9
#: Names whose fields are looked at more closely: credentials, which are not remembered; how long the body is; the host;
#: whether the connection stays; and what makes a request none of those that are read here.
_CREDENTIAL: Final = 1
_LENGTH: Final = 2
_HOST: Final = 3
_CONNECTION: Final = 4
_NOT_PLAIN: Final = 5
_KINDS: Final = {
    b"api-key": _CREDENTIAL,
    b"authorization": _CREDENTIAL,
    b"cookie": _CREDENTIAL,
    b"proxy-authorization": _CREDENTIAL,
    b"x-api-key": _CREDENTIAL,
    b"x-goog-api-key": _CREDENTIAL,
    b"content-length": _LENGTH,
    b"host": _HOST,
    b"connection": _CONNECTION,
    b"expect": _NOT_PLAIN,
    b"proxy-connection": _NOT_PLAIN,
    b"transfer-encoding": _NOT_PLAIN,
    b"upgrade": _NOT_PLAIN,
}
_LINES_KEPT: Final = 4096
_LINE_BYTES_KEPT: Final = 256

_first_lines: Final[dict[bytes, tuple[str, bytes]]] = {}
#: Pairs of name and value. Any, because compiled code would take a typed pair apart and build it anew at each use.
_fields: Final[dict[bytes, Any]] = {}


def read_plain(data: bytes, limits: ListenerLimits, received_at: float) -> HttpCall | None:
    """The one request that `data` is, from its first byte to its last; None where llhttp has to say what it is."""
    head_end = data.find(_HEAD_END, 0, limits.header_bytes)
    if head_end < 0:
        return None
    lines = data[:head_end].split(b"\r\n")
    if len(lines) > limits.header_count + 1:
        return None
    line = lines.pop(0)
    first = _first_lines.get(line) or _read_first_line(line)
    if first is None:
        return None
    headers: Headers = []
    for line in lines:
        field = _fields.get(line)
        if field is None:
            field = _read_field(line)
            if field is None:
                return None
        headers.append(field)
    fields = dict(headers)
    if len(fields) != len(headers) or b"host" not in fields:
        return None
    text = fields.get(b"content-length")
    length = 0 if text is None else int(text)
    if length != len(data) - head_end - len(_HEAD_END) or length > limits.body_bytes:
        return None
    return HttpCall(first[0], first[1], headers, data[head_end + len(_HEAD_END) :], received_at)


def _read_first_line(line: bytes) -> tuple[str, bytes] | None:
    words = line.split(b" ")
    if len(words) != 3 or words[2] != b"HTTP/1.1" or len(line) > _LINE_BYTES_KEPT:
        return None
    method, target = METHODS.get(words[0]), words[1]
    if method is None or target[:1] != b"/" or target.translate(None, _TARGET_BYTES):
        return None
    first = method, target
    if len(_first_lines) >= _LINES_KEPT:
        _first_lines.clear()
    _first_lines[line] = first
    return first


def _read_field(line: bytes) -> Any:
    """The pair of name and value; None where it is not plain."""
    colon = line.find(_COLON)
    name = NAMES.get(line[:colon])
    value = line[colon + 2 :]
    if name is None or line[colon + 1 : colon + 2] != b" ":
        return None
    kind = _KINDS.get(name, 0)
    field = name, value
    if kind == _LENGTH:
        return field if value.isdigit() and len(value) <= _LENGTH_DIGITS else None
    if not _is_plain(value):
        return None
    if kind == _CREDENTIAL:
        return field
    if kind == _NOT_PLAIN or (kind == _CONNECTION and value != b"keep-alive"):
        return None
    if kind == _HOST and (len(value) > HOST_BYTES or not is_host(value)):
        return None
    if len(line) <= _LINE_BYTES_KEPT:
        if len(_fields) >= _LINES_KEPT:
            _fields.clear()
        _fields[line] = field
    return field


def _is_plain(value: bytes) -> bool:
    """Whether it is printable ASCII without blanks around it."""
    return value.isascii() and value.decode("ascii").isprintable() and value.strip() == value != b""

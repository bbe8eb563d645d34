"""What a call names in a form (`multipart/form-data`): its model and its user, among the files that transcriptions, edits of images and
videos are asked for with.

Such a body passes untouched, so nothing here is ever refused but a field for the proxy, which must not reach a provider. A form is
known only where no two readers can disagree about it: anything beyond the plain form that clients write is not known, and who asks
must not take that for a no. Pure: bytes in, values out, with pauses, because a file in it may be long.

Sources: RFC 7578 (forms), RFC 2046 §5.1 (multipart bodies), RFC 6266 (the parameters of Content-Disposition).
"""

import re
from typing import Final

from proxy.core.calls.caller import BodyClaims
from proxy.core.errors import BadInput
from proxy.core.steps import Steps
from proxy.wires.wire import RequestFacts

#: A form of more parts, or with a longer head before one, is not known.
_MAX_PARTS: Final = 256
_MAX_HEAD_BYTES: Final = 2048
#: So much is searched between two pauses: less than a millisecond.
_STRIDE_BYTES: Final = 1024 * 1024

_FORM: Final = re.compile(
    rb'multipart/form-data\s*;\s*boundary=(?:"([^"\\\r\n]{1,200})"|([^\s";,\\]{1,200}))\s*\Z', re.IGNORECASE
)
_ANY_MULTIPART: Final = re.compile(rb"\s*multipart/", re.IGNORECASE)
_DISPOSITION: Final = re.compile(
    rb'form-data;\s*name="(?P<name>[^"\\%\r\n]*)"(?P<file>;\s*filename\*?=[^\r\n]*)?\Z', re.IGNORECASE
)
_LINE: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n]*?)[ \t]*\Z")
_PLAIN_TEXT: Final = re.compile(rb"text/plain(?:\s*;\s*charset=\"?(?:utf-8|us-ascii)\"?)?\Z", re.IGNORECASE)
_MODEL: Final = re.compile(rb"[\x21-\x7e]{1,200}\Z")
_MAX_USER_BYTES: Final = 512
_OURS: Final = b"switchback"
#: Fields that name what a switch may be about. Written otherwise than so (`Model`, `model[]`) they may mean it as well.
_NAMING: Final = frozenset({b"model", b"user", b"stream"})
#: What offers tools; no form is known to.
_OFFERING: Final = frozenset({b"functions", b"tool_choice", b"tools"})


def is_form(content_type: bytes) -> bool:
    """Whether a body of this type is read as a form, or not at all."""
    return _ANY_MULTIPART.match(content_type) is not None


def read_form(body: bytes, content_type: bytes) -> Steps[RequestFacts | None]:
    """What a form names; None where it cannot be read beyond doubt: then nothing of it is known. With pauses.

    Raises BadInput(`wrong_kind`) for a field `switchback`: it is for the proxy, which reads it in JSON bodies alone.
    """
    form = _FORM.match(content_type.strip())
    if form is None:
        return None
    fields = yield from _fields(body, b"--" + (form[1] or form[2]))
    if fields is None:
        return None
    model = fields.get(b"model")
    user = fields.get(b"user", b"")[: _MAX_USER_BYTES + 1]
    if (model is not None and not _MODEL.match(model)) or len(user) > _MAX_USER_BYTES:
        return None
    try:
        named = user.decode() or None
    except UnicodeDecodeError:
        return None
    asked = None if model is None else model.decode("ascii")
    return RequestFacts(
        claims=BodyClaims(model=asked, user=named),
        model=asked,
        streamed=fields.get(b"stream", b"").lower() == b"true",
        choices=1,
        max_output_tokens=None,
        tool_names=frozenset(),
        document=None,
    )


def _fields(body: bytes, boundary: bytes) -> Steps[dict[bytes, bytes] | None]:
    """The texts of the fields that name something; None: not a form that everybody reads alike."""
    if not body.startswith(boundary + b"\r\n"):
        return None
    # A line feed alone is a line's end to some readers.
    delimiter, found, start = b"\n" + boundary, dict[bytes, bytes](), len(boundary) + 2
    for _ in range(_MAX_PARTS):
        end = yield from _position(body, delimiter, start)
        if end < 0 or body[end - 1 : end] != b"\r":
            return None
        field = _field(body, start, end - 1)
        if field is None or field[0] in found:
            return None
        if field[0]:
            found[field[0]] = field[1]
        start = end + len(delimiter) + 2
        after = body[start - 2 : start]
        if after == b"--":
            return found if body[start : start + 3] in (b"", b"\r\n") else None
        if after != b"\r\n":
            return None
    return None


def _position(body: bytes, wanted: bytes, start: int) -> Steps[int]:
    """Where it stands next; -1: nowhere."""
    while start < len(body):
        end = start + _STRIDE_BYTES
        position = body.find(wanted, start, end + len(wanted) - 1)
        if position >= 0:
            return position
        start = end
        yield
    return -1


def _field(body: bytes, start: int, end: int) -> tuple[bytes, bytes] | None:
    """Name and text of one part, the name empty where it names nothing; None: it may name anything."""
    length = body.find(b"\r\n\r\n", start, min(end, start + _MAX_HEAD_BYTES))
    if length < 0:
        return None
    lines: dict[bytes, bytes] = {}
    for line in body[start:length].split(b"\r\n"):
        read = _LINE.match(line)
        if read is None or read[1].lower() in lines:
            return None
        lines[read[1].lower()] = read[2]
    disposition = _DISPOSITION.match(lines.get(b"content-disposition", b""))
    if disposition is None:
        return None
    name: bytes = disposition["name"]
    meant = name.strip().lower().partition(b"[")[0].rstrip()
    if meant == _OURS:
        raise BadInput(
            "wrong_kind",
            "a form holds a field `switchback`, which is for the proxy: say it in the headers Switchback-Agent, Switchback-User, "
            "Switchback-Tags, ...",
            param="switchback",
        )
    if meant in _OFFERING:
        return None
    if meant not in _NAMING:
        return b"", b""
    # A file, a text in another coding, or a name that only some take for this one.
    is_plain = disposition["file"] is None and _PLAIN_TEXT.match(lines.get(b"content-type", b"text/plain"))
    if name != meant or not is_plain or b"content-transfer-encoding" in lines:
        return None
    return name, body[length + 4 : end]

"""What the head of an upstream's answer must satisfy beyond llhttp's grammar. Pure.

llhttp already refuses Content-Length beside Transfer-Encoding, repeated or malformed lengths, bad chunks and obs-fold;
`request_head.py` is the counterpart for requests.
"""

from proxy.http1.errors import Reason
from proxy.http1.message import Headers


class BadAnswer(Exception):
    """The answer cannot be trusted, for this reason."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


def check_status(status: int) -> bool:
    """True for a final status, False for an interim one. Raises BadAnswer for 101 and outside 100-599."""
    if 200 <= status < 600:
        return True
    if 100 <= status < 200 and status != 101:
        return False
    raise BadAnswer("bad_status")


def check_answer(headers: Headers, status: int, version: str) -> tuple[Headers, bool]:
    """Check the fields of a final answer, whose names are lower-cased.

    Gives them without those that `connection` names (RFC 9110 §7.6.1), and whether only the end of the connection ends the
    body. Raises BadAnswer.
    """
    if version != "1.1" and version != "1.0":
        raise BadAnswer("bad_framing")
    fields = dict(headers)
    coding = fields.get(b"transfer-encoding")
    # Tabs are not stripped: llhttp takes "chunked<tab>" for another coding and reads until the close.
    if coding is not None and (coding.lower() != b"chunked" or version == "1.0" or _occurs_twice(headers)):
        raise BadAnswer("bad_framing")
    framed = coding is not None or b"content-length" in fields or status in (204, 304)
    connection = fields.get(b"connection")
    if connection is not None and connection.lower() not in (b"keep-alive", b"close"):
        headers = _without_named(headers)
    return headers, not framed


def _occurs_twice(headers: Headers) -> bool:
    return sum(1 for name, _ in headers if name == b"transfer-encoding") > 1


def _without_named(headers: Headers) -> Headers:
    named = {token.strip().lower() for name, value in headers if name == b"connection" for token in value.split(b",")}
    return [pair for pair in headers if pair[0] not in named]

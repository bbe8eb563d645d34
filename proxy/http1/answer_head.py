"""What the head of an upstream's answer must satisfy beyond llhttp's grammar. Pure.

llhttp already refuses Content-Length beside Transfer-Encoding, repeated or malformed lengths, bad chunks and obs-fold;
`request_head.py` is the counterpart for requests.
"""

from typing import NamedTuple

from proxy.http1.errors import Reason
from proxy.http1.message import Headers


class BadAnswer(Exception):
    """The answer cannot be trusted, for this reason."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


class AnswerHead(NamedTuple):
    """A checked head: `until_close` tells that only the end of the connection ends the body."""

    headers: Headers
    until_close: bool


def check_status(status: int) -> bool:
    """True for a final status, False for an interim one. Raises BadAnswer for 101 and outside 100-599."""
    if 200 <= status < 600:
        return True
    if 100 <= status < 200 and status != 101:
        return False
    raise BadAnswer("bad_status")


def check_answer(raw: Headers, status: int, version: str) -> AnswerHead:
    """Lower-case and check the fields of a final answer. Fields that `connection` names are left out (RFC 9110 §7.6.1).
    Raises BadAnswer."""
    if version != "1.1" and version != "1.0":
        raise BadAnswer("bad_framing")
    headers: Headers = []
    framed = status in (204, 304)
    connection = b""
    for name, value in raw:
        name = name.lower()
        headers.append((name, value.rstrip(b" \t")))
        if name == b"content-length":
            framed = True
        elif name == b"transfer-encoding":
            # Not stripped of tabs: llhttp takes "chunked<tab>" for another coding and reads until the close.
            if value.rstrip(b" ").lower() != b"chunked" or version == "1.0":
                raise BadAnswer("bad_framing")
            framed = True
        elif name == b"connection":
            connection += b"," + value.lower()
    if connection not in (b"", b",keep-alive", b",close"):
        named = {token.strip() for token in connection.split(b",")}
        headers = [pair for pair in headers if pair[0] not in named]
    return AnswerHead(headers, not framed)

"""What a row of the hostile table is, and short ways to write one: a call, a refusal, a connection that just ends.

No rows (`raw_cases.py`), and nothing that says them (`account.py`).
"""

import re
from typing import NamedTuple

from tests.hostile.conversation import Script, Step

FORWARDED = b"/v1/conversations/echo"
"""No wire meters this path: the body passes as it is. The provider refuses it for want of a key."""
CHAT = b"/a/support/v1/chat/completions"
KEY = b"Authorization: Bearer sk-caller"
HELLO = b'{"model":"x","messages":[{"role":"user","content":"hi"}]}'
HOST = b"Host: a"
END = b"0\r\n\r\n"


class Case(NamedTuple):
    name: str
    script: Script
    statuses: tuple[int, ...] = (200,)
    """Of the answers, in order; () where the connection is closed without a word."""
    bodies: tuple[bytes, ...] = ()
    """What the provider gets, in order: chat bodies as sent, with what the version injects (`injected`)."""
    stays_open: bool = True
    """Afterwards the connection takes another request, else the server closes it."""
    code: str = ""
    """The error code of the last answer, where the proxy itself refuses."""
    may_vanish: bool = False
    """The client leaves: the provider may also have seen nothing."""


def request(*lines: bytes, method: bytes = b"POST", target: bytes = CHAT, version: bytes = b"1.1") -> bytes:
    """A head."""
    return b"\r\n".join((b"%b %b HTTP/%b" % (method, target, version), HOST, *lines, b"", b""))


def chat(*lines: bytes, target: bytes = CHAT, body: bytes = HELLO) -> bytes:
    """A whole call with a key."""
    return request(KEY, *lines, b"Content-Length: %d" % len(body), target=target) + body


def chunks(*lines: bytes, pieces: bytes, target: bytes = CHAT) -> bytes:
    """A call whose body is written in chunks by the caller."""
    return request(KEY, *lines, b"Transfer-Encoding: chunked", target=target) + pieces


def chunk(data: bytes, extension: bytes = b"") -> bytes:
    return b"%x%b\r\n%b\r\n" % (len(data), extension, data)


def injected(body: bytes) -> bytes:
    """What the provider gets of a chat body, byte for byte."""
    prompt = b'{"role":"system","content":"Be kind."}'
    return re.sub(rb'"model":"[^"]*"', b'"model":"gpt-4o-mini"', body).replace(
        b'"messages":[', b'"messages":[%b,' % prompt
    )


def passes(name: str, said: bytes, body: bytes | None = HELLO) -> Case:
    """A call that is served."""
    return Case(name, (said,), (200,), () if body is None else (injected(body),))


def forwarded(name: str, said: bytes, *, body: bytes = b"", status: int = 404) -> Case:
    """A call that goes on unread and that the provider refuses."""
    return Case(name, (said,), (status,), (body,))


def refused(name: str, said: bytes, status: int, code: str) -> Case:
    """A call that the proxy refuses; the connection stays usable."""
    return Case(name, (said,), (status,), code=code)


def rejected(name: str, *script: bytes | Step, status: int = 400) -> Case:
    """No request at all: fixed text, closed."""
    return Case(name, script, (status,), stays_open=False)


def vanishes(name: str, *script: bytes | Step, bodies: tuple[bytes, ...] = (), may_vanish: bool = False) -> Case:
    """Nothing is answered."""
    return Case(name, script, (), bodies, stays_open=False, may_vanish=may_vanish)

"""Requests on the LLM port that are no calls, and are answered here: is anybody there, and may a page of this origin call (CORS).

No provider is asked, and no run is made. Which origins may call is a setting; none unless set.

Protocol facts (Fetch Standard, HTTP-CORS protocol): before a call with a key or a JSON body a browser asks with OPTIONS, `Origin` and
`Access-Control-Request-Method` whether it may, without a key. It lets the page read an answer whose `Access-Control-Allow-Origin`
names its origin, and of its header fields only those exposed.
"""

import re
from collections.abc import Collection
from typing import Final

from proxy.core.errors import Refusal
from proxy.runtime.calls.refusing import answer_base_url, refusal_body
from proxy.runtime.calls.routing import Routes, is_base_url
from proxy.runtime.transport.exchange import Call, Reply
from proxy.runtime.transport.header_fields import STAMPS
from proxy.wires.wire import Headers, Wire

ANY: Final = "*"
_ASKING: Final = ("GET", "HEAD")
_METHODS: Final = b"GET, POST, PUT, PATCH, DELETE, HEAD"
_EXPOSED: Final = ", ".join((*STAMPS, "x-request-id", "request-id", "retry-after", "x-should-retry")).encode()
#: The longest that browsers keep a permission (Chromium: two hours).
_KEPT_SECONDS: Final = b"7200"
#: A list of field names (RFC 9110 §5.6.2): repeated as it came, so nothing else may be in it.
_NAMES: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z, -]{0,4096}\Z")


class Origins:
    """Those whose pages may call; without any, none may."""

    def __init__(self, origins: Collection[str]) -> None:
        self._origins = frozenset(origin.encode() for origin in origins)
        self._is_any = ANY in origins

    def allows(self, origin: bytes) -> bool:
        """Whether pages of this origin may call."""
        return self._is_any or origin in self._origins

    def lines(self, origin: bytes) -> bytes:
        """The header lines that let a page of this origin read an answer; empty where it may not."""
        if not self.allows(origin):
            return b""
        return self.allowing_lines(origin) + b"access-control-expose-headers: %b\r\n" % _EXPOSED

    def allowing_lines(self, origin: bytes) -> bytes:
        """Those that name an origin that may call."""
        if self._is_any:
            return b"access-control-allow-origin: *\r\n"
        return b"access-control-allow-origin: %b\r\nvary: origin\r\n" % origin


class Asides:
    """Answers what is no call."""

    def __init__(self, origins: Origins, routes: Routes) -> None:
        self._origins = origins
        self._routes = routes

    def answer(self, call: Call, reply: Reply) -> bool:
        """Answer what is no call; False for a call, of which nothing was answered. A WebSocket at a base URL is
        one that is refused."""
        if call.method in _ASKING and is_base_url(call.target) and not _asks_for_websocket(call):
            origin = _field_of(call.headers, b"origin")
            answer_base_url(reply, b"" if origin is None else self._origins.lines(origin))
        elif _is_preflight(call):
            _answer_preflight(call, reply, self._origins, self._routes.known_wire(call.target, None))
        else:
            return False
        return True


def _answer_preflight(call: Call, reply: Reply, origins: Origins, wire: Wire | None) -> None:
    """Answer a request that `_is_preflight`. A refusal says in the wire's own shape what to set."""
    origin = _field_of(call.headers, b"origin") or b""
    if not origins.allows(origin):
        refusal = Refusal(
            "origin_not_allowed",
            f"pages of {origin.decode('latin-1')} may not call this proxy from a browser; to let them, add the origin to "
            "cors.origins in the settings",
            status=403,
        )
        reply.send(refusal.status, [(b"content-type", b"application/json")], refusal_body(refusal, "", wire))
        return
    lines = origins.allowing_lines(origin) + b"access-control-allow-methods: %b\r\naccess-control-max-age: %b\r\n" % (
        _METHODS,
        _KEPT_SECONDS,
    )
    names = _field_of(call.headers, b"access-control-request-headers")
    if names is not None and _NAMES.match(names):
        lines += b"access-control-allow-headers: %b\r\n" % names
    if _field_of(call.headers, b"access-control-request-private-network") == b"true":
        lines += b"access-control-allow-private-network: true\r\n"
    reply.send(204, [], b"", lines=lines)


def _is_preflight(call: Call) -> bool:
    """Whether a browser asks if a page may call."""
    return call.method == "OPTIONS" and _field_of(call.headers, b"access-control-request-method") is not None


def _asks_for_websocket(call: Call) -> bool:
    return b"websocket" in (_field_of(call.headers, b"upgrade") or b"").lower()


def _field_of(headers: Headers, name: bytes) -> bytes | None:
    """The first field of this name."""
    return next((value for given, value in headers if given == name), None)

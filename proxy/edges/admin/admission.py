"""What a request must be before its route is looked at: for this host, with a canonical path, authentic, not cross-site.

The Host allow-list stops DNS rebinding: a name that an attacker's DNS points here is not one of ours. An address in Host is
no name, so on a listener for every interface any address is accepted; probes address pods that way.
"""

import ipaddress
import re
from collections.abc import Awaitable, Callable, Collection
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from proxy.core.errors import BadInput, Forbidden, NotFound
from proxy.core.tokens import AdminCaller
from proxy.edges.admin.admin_connection import connection_of
from proxy.edges.admin.answers.problems import Marker
from proxy.edges.admin.authentication import Authentication

API_ROOT = "/api"
#: What the admin API says of itself to anybody, so that a client can tell it from another server before it sends a token.
MARKER_PATH = "/api/v1"
MARKER: Marker = {"api": "switchback-admin"}
#: Whose token was presented.
CALLER = web.RequestKey("caller", AdminCaller)

_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::[0-9]{1,5})?\Z")
_PATH = re.compile(r"(?:/|(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~-]+)+)\Z")
_WILDCARDS = ("", "0.0.0.0", "::")  # noqa: S104
_READING = frozenset({"GET", "HEAD"})
_CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})


def admission(authentication: Authentication, listen_host: str, hosts: Collection[str] = ()) -> Middleware:
    """The middleware that lets a request in. Everything below /api needs a token, also what does not exist, but the marker."""

    @web.middleware
    async def admit(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        check_host(request.headers.getall(hdrs.HOST, []), listen_host, hosts)
        path = request.raw_path.partition("?")[0]
        if not _PATH.match(path):
            raise NotFound("path_not_found", "paths are taken only as they are written in /api/v1/openapi.json")
        if path == MARKER_PATH and request.method in _READING:
            return await handler(request)
        if path == API_ROOT or path.startswith(API_ROOT + "/"):
            presented = request.headers.getall(hdrs.AUTHORIZATION, [])
            request[CALLER] = authentication.identify(presented, request.remote or "")
            connection = connection_of(request)
            if connection is not None:
                connection.is_authentic = True
        if request.method in _CHANGING:
            _check_same_site(request)
        return await handler(request)

    return admit


def check_host(values: list[str], listen_host: str, hosts: Collection[str] = ()) -> None:
    """Raises BadInput(`wrong_host`, 421) unless the one Host header names this listener."""
    match = _HOST.match(values[0]) if len(values) == 1 else None
    if match is None or not _is_ours(match["v6"] or match["name"], listen_host, hosts):
        raise BadInput(
            "wrong_host",
            "this listener answers only for its own address, localhost, and the names in the setting admin.hosts",
            status=421,
        )


def _is_ours(name: str, listen_host: str, hosts: Collection[str]) -> bool:
    if name.lower() in ("localhost", listen_host.lower(), *hosts):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or listen_host in _WILDCARDS


def _check_same_site(request: web.Request) -> None:
    """Raises Forbidden(`cross_site`) for what a browser sends on behalf of another site's page."""
    origin = request.headers.get(hdrs.ORIGIN)
    is_foreign = origin is not None and urlsplit(origin).netloc.lower() != request.headers[hdrs.HOST].lower()
    if is_foreign or request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        raise Forbidden("cross_site", "changes are not accepted from pages of other sites")

"""From a raw request target to an agent prefix, a wire and an operation, over an exact reading of the path.

Nothing is decoded, joined or normalised: a path with empty, `.` or `..` segments (be they written with percent escapes, once or
several times), or anything unusual is not routed at all, so that no two readers can disagree about it. Percent escapes are
forwarded as they came where a name may stand; a path that spells a known word with them is nobody's.

A path that no family of providers knows is nobody's either: it goes nowhere, unless the provider that would get it takes unknown
paths by its settings.
"""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from proxy.core.calls.identity import admin_token_refused, holds_admin_token
from proxy.core.errors import BadInput, NotFound, Refusal
from proxy.core.tokens import TOKEN_PREFIX
from proxy.runtime.transport.exchange import Call
from proxy.runtime.transport.header_fields import RequestFields
from proxy.wires.deployments import plain_path
from proxy.wires.families import FAMILIES, upstream_path
from proxy.wires.key_owners import carries_key, family_of_query, key_taken_out
from proxy.wires.wire import Operation, OperationKind, Wire, WireFamily

_CANONICAL: Final = re.compile(rb"(?:/(?!\.{1,2}(?:/|\Z))(?:[A-Za-z0-9._~:@+,=-]|%[0-9A-Fa-f]{2})+)+\Z")
#: What must not stand behind percent escapes: control characters, a segment of dots.
_HIDDEN: Final = re.compile(rb"[\x00-\x1f\x7f]|(?:\A|[/\\])\.{1,2}(?:[/\\;]|\Z)")
_ESCAPE: Final = re.compile(rb"%[0-9A-Fa-f]{2}")
#: Nobody decodes a path more often; one that still changes then is not forwarded.
_DECODINGS: Final = 3
_QUERY: Final = re.compile(rb"[\x21-\x22\x24-\x7e]*\Z")
_AGENT_PREFIX: Final = b"/a/"
_BASE: Final = re.compile(rb"(?:/a/[^/?%]+)?(?:/v1(?:alpha|beta)?)?/?(?:\?.*)?\Z")
_ADMIN_API: Final = b"/api/v1"
_TOKEN_START: Final = TOKEN_PREFIX.encode().replace(b"_", b"(?:_|%5F)")
_ADMIN_TOKEN: Final = re.compile(rb"(?:\A|[&;=])(?:Bearer(?:%20|\+))?" + _TOKEN_START, re.IGNORECASE)
#: An app sends the same few targets again and again; a table of them is emptied before it can fill the memory.
_ROUTES_KEPT: Final = 4096
_TARGET_BYTES_KEPT: Final = 256

TakesUnknown = Callable[[WireFamily], bool]


@dataclass(init=False, slots=True)
class Route:
    """Where a call goes. `wire` is the one that renders errors, also for operations it does not meter."""

    agent: str | None
    wire: Wire
    operation: Operation
    #: What is sent to the provider: the operation's path, and the query as it came, without a key.
    target: bytes
    #: Whether the path is one of a provider with deployments, and the one that it names.
    is_deployed: bool
    deployment: str | None
    #: The header field that says the key which the query held.
    key_field: tuple[bytes, bytes] | None

    def __init__(
        self,
        agent: str | None,
        wire: Wire,
        operation: Operation,
        target: bytes,
        key_field: tuple[bytes, bytes] | None = None,
        *,
        is_deployed: bool = False,
        deployment: str | None = None,
    ) -> None:
        self.agent = agent
        self.wire = wire
        self.operation = operation
        self.target = target
        self.key_field = key_field
        self.is_deployed = is_deployed
        self.deployment = deployment


def is_base_url(target: bytes) -> bool:
    """Whether a target is what apps call a base URL: `/`, `/v1`, `/a/AGENT`, `/a/AGENT/v1`."""
    return _BASE.match(target) is not None


def agent_of(target: bytes) -> str | None:
    """The agent that the path of a target names, whatever else is wrong with it."""
    if not target.startswith(_AGENT_PREFIX):
        return None
    name = target[len(_AGENT_PREFIX) :].partition(b"?")[0].partition(b"/")[0]
    return name.decode("ascii", "replace")


class Routes:
    """The routing table over the configured wires. The first wire of a family renders its unmetered paths, and the first of all
    what nobody's client is known to have sent."""

    def __init__(
        self, wires: Sequence[Wire], takes_unknown: TakesUnknown = lambda _: False, *, has_deployments: bool = False
    ) -> None:
        """`takes_unknown`: whether the provider that calls of a family go to takes paths that no family knows; `has_deployments`: whether
        there is one whose paths name deployments."""
        self._wires = wires
        self._has_deployments = has_deployments
        self._takes_unknown = takes_unknown
        self._routes: dict[tuple[str, bytes, WireFamily | None], Route] = {}

    def known_wire(self, target: bytes, family: WireFamily | None) -> Wire | None:
        """The wire whose error shape a call gets that has no route: of the family that knows its path, whatever the method;
        None: none does."""
        path = _own_path(target, agent_of(target))
        if not _is_canonical(path):
            return None
        for method in ("POST", "GET"):
            with suppress(NotFound):
                return (self._metered(method, path) or self._known(method, path.decode("ascii"), family))[0]
        return None

    def of(self, call: Call, fields: RequestFields) -> Route:
        """As `route`, by all that the call says of its family."""
        family = fields.version_family
        if family is None and b"?" in call.target and not fields.has_key:
            family = family_of_query(call.target.partition(b"?")[2])
        route = self.route(call.method, call.target, family)
        if not route.operation.is_metered and fields.version_family is None and (family := fields.family) is not None:
            # Its path may be known to several families: the key says whose it is.
            route = self.route(call.method, call.target, family)
        return route

    def known(self, call: Call, fields: RequestFields) -> Route | None:
        """The route of a call that is refused, whatever is wrong with its query; None: it has none."""
        with suppress(Refusal):
            return self.route(call.method, call.target.partition(b"?")[0], fields.family)
        return None

    def route(self, method: str, target: bytes, family: WireFamily | None) -> Route:
        """Route one call; `family`: whose client this is, None where that is not to be seen. Raises NotFound(`path_not_found`) for
        a path that is not canonical, or nobody's, and (`admin_api_elsewhere`) for the admin API's, BadInput(`foreign_key`) for a
        key in the query, (`duplicate_header`) for two, Unauthorized(`admin_token_refused`) for an admin token there."""
        key = (method, target, family)
        route = self._routes.get(key)
        if route is None:
            route = self._read(method, target, family)
            if len(target) <= _TARGET_BYTES_KEPT and route.key_field is None:
                if len(self._routes) >= _ROUTES_KEPT:
                    self._routes.clear()
                self._routes[key] = route
        return route

    def _wire_of(self, family: WireFamily | None) -> Wire:
        return next((wire for wire in self._wires if wire.family == family), self._wires[0])

    def _read(self, method: str, target: bytes, family: WireFamily | None) -> Route:
        query = target.partition(b"?")[2]
        agent = agent_of(target)
        path = _own_path(target, agent)
        if path == _ADMIN_API or path.startswith(_ADMIN_API + b"/"):
            raise NotFound(
                "admin_api_elsewhere",
                "this port takes LLM calls; the admin API is at another (admin.listen, 8101 unless set)",
            )
        if _ADMIN_TOKEN.search(query) or _holds_token(target):
            raise admin_token_refused()
        if agent == "" or not _is_canonical(path) or not _QUERY.match(query):
            raise NotFound("path_not_found", "this path is not one the proxy forwards; check the base URL")
        deployed = plain_path(path.decode("ascii")) if self._has_deployments else None
        if deployed is not None:
            return self._deployed(agent, method, path, *deployed, query)
        found = self._metered(method, path)
        if found is None:
            found = self._passed_through(method, path.decode("ascii"), family)
        wire, key_field = found[0], None
        if query:
            query, key_field = key_taken_out(query, wire.family)
            if carries_key(query) and not self._takes_unknown(wire.family):
                raise BadInput("foreign_key", "a key in the query is one no provider here takes; check the base URL")
        return _route(agent, *found, query, key_field)

    def _deployed(
        self, agent: str | None, method: str, path: bytes, plain: str, deployment: str | None, query: bytes
    ) -> Route:
        """The route of a path of a provider with deployments, by what it asks for. Raises NotFound(`path_not_found`)."""
        wire, operation = self._metered(method, plain.encode("ascii")) or self._known(method, plain, None)
        if query and carries_key(query):
            raise BadInput("foreign_key", "a key in the query is one no provider here takes; send it as api-key")
        target = path + b"?" + query if query else path
        own = Operation(
            operation.name,
            path.decode("ascii"),
            operation.kind,
            is_metered=operation.is_metered,
            is_in_force=operation.is_in_force,
            has_output=operation.has_output,
            takes_embeddings_model=operation.takes_embeddings_model,
        )
        return Route(agent, wire, own, target, is_deployed=True, deployment=deployment)

    def _metered(self, method: str, path: bytes) -> tuple[Wire, Operation] | None:
        text = path.decode("ascii")
        found = ((wire, wire.operation(method, text)) for wire in self._wires)
        return next(((wire, operation) for wire, operation in found if operation is not None), None)

    def _passed_through(self, method: str, path: str, callers: WireFamily | None) -> tuple[Wire, Operation]:
        """Where a call goes that no wire meters. Raises NotFound(`path_not_found`)."""
        own = callers or self._wires[0].family
        if self._takes_unknown(own):
            with suppress(NotFound):
                return self._known(method, path, callers)
            kind: OperationKind = "free" if method in ("GET", "HEAD", "OPTIONS") else "unknown"
            return self._wire_of(own), _operation(method, path, kind)
        return self._known(method, path, callers)

    def _known(self, method: str, path: str, callers: WireFamily | None) -> tuple[Wire, Operation]:
        """The family that knows the path; where several do the caller's headers decide. Raises NotFound(`path_not_found`)."""
        upstream = upstream_path(path)
        own = callers or self._wires[0].family
        families: list[WireFamily] = [own, *(wire.family for wire in self._wires if wire.family != own)]
        for family in families:
            kind = FAMILIES[family].kind_of(method, upstream)
            if kind is not None and any(wire.family == family for wire in self._wires):
                return self._wire_of(family), _operation(method, upstream, kind)
        raise NotFound(
            "path_not_found",
            "no provider here is known to have this path, so nobody's key is sent there; check the base URL, or set "
            "`unknown_paths: pass` for the provider that is to get it",
        )


def _own_path(target: bytes, agent: str | None) -> bytes:
    path = target.partition(b"?")[0]
    return path if agent is None else path[len(_AGENT_PREFIX) + len(agent) :]


def _holds_token(target: bytes) -> bool:
    """Whether a whole token of the admin API stands in it, however it is escaped."""
    for _ in range(_DECODINGS + 1):
        if holds_admin_token(target):
            return True
        if not _ESCAPE.search(target):
            return False
        target = unquote_to_bytes(target)
    return False


def _is_canonical(path: bytes) -> bool:
    if not _CANONICAL.match(path):
        return False
    decoded = path
    for _ in range(_DECODINGS):
        if not _ESCAPE.search(decoded):
            return True
        decoded = unquote_to_bytes(decoded)
        if _HIDDEN.search(decoded):
            return False
    return not _ESCAPE.search(decoded)


def _route(
    agent: str | None, wire: Wire, operation: Operation, query: bytes, key_field: tuple[bytes, bytes] | None
) -> Route:
    path = operation.path.encode("ascii")
    return Route(agent, wire, operation, path + b"?" + query if query else path, key_field)


def _operation(method: str, upstream: str, kind: OperationKind) -> Operation:
    return Operation(name=f"{method} {upstream}", path=upstream, kind=kind)

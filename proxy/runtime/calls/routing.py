"""From a raw request target to an agent prefix, a wire and an operation, over an exact reading of the path.

Nothing is decoded, joined or normalised: a path with empty, `.` or `..` segments, percent escapes or anything unusual is
not routed at all, so that no two readers can disagree about it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from proxy.core.errors import NotFound
from proxy.wires.wire import Operation, Wire, WireFamily

_CANONICAL: Final = re.compile(rb"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~:@+,=-]+)+\Z")
_QUERY: Final = re.compile(rb"[\x21-\x22\x24-\x7e]*\Z")
_AGENT_PREFIX: Final = b"/a/"
_VERSIONED: Final = re.compile(r"/v\d")
#: Operations that cost nothing at the provider though they are POSTs.
_FREE_PATHS: Final = frozenset({"/v1/messages/count_tokens", "/v1/responses/input_tokens"})
MODELS_PATH: Final = "/v1/models"
#: An app sends the same few targets again and again; a table of them is emptied before it can fill the memory.
_ROUTES_KEPT: Final = 4096
_TARGET_BYTES_KEPT: Final = 256


@dataclass(init=False, slots=True)
class Route:
    """Where a call goes. `wire` is the one that renders errors, also for operations it does not meter."""

    agent: str | None
    wire: Wire
    operation: Operation
    #: What is sent to the provider: the operation's path, and the query as it came.
    target: bytes

    def __init__(
        self,
        agent: str | None,
        wire: Wire,
        operation: Operation,
        target: bytes,
    ) -> None:
        self.agent = agent
        self.wire = wire
        self.operation = operation
        self.target = target


class Routes:
    """The routing table over the configured wires; the first wire of a family renders its unmetered paths."""

    def __init__(self, wires: Sequence[Wire]) -> None:
        self._wires = wires
        self._routes: dict[tuple[str, bytes, bool], Route] = {}

    def default_wire(self, is_anthropic: bool) -> Wire:
        """The wire whose error shape a call gets that names no path of any: by its anthropic-version header."""
        family: WireFamily = "anthropic" if is_anthropic else "openai"
        return next(wire for wire in self._wires if wire.family == family)

    def route(self, method: str, target: bytes, *, is_anthropic: bool) -> Route:
        """Route one call. Raises NotFound(`path_not_found`) for a path that is not canonical."""
        key = (method, target, is_anthropic)
        route = self._routes.get(key)
        if route is None:
            route = self._read(method, target, is_anthropic)
            if len(target) <= _TARGET_BYTES_KEPT:
                if len(self._routes) >= _ROUTES_KEPT:
                    self._routes.clear()
                self._routes[key] = route
        return route

    def _read(self, method: str, target: bytes, is_anthropic: bool) -> Route:
        path, _, query = target.partition(b"?")
        agent: str | None = None
        if path.startswith(_AGENT_PREFIX):
            name, slash, rest = path[len(_AGENT_PREFIX) :].partition(b"/")
            agent, path = name.decode("ascii", "replace"), slash + rest
        if agent == "" or not _CANONICAL.match(path) or not _QUERY.match(query):
            raise NotFound("path_not_found", "this path is not one the proxy forwards; check the base URL")
        found = self._metered(method, path)
        if found is not None:
            return _route(agent, *found, query)
        return _route(agent, self.default_wire(is_anthropic), _passed_through(method, path.decode("ascii")), query)

    def _metered(self, method: str, path: bytes) -> tuple[Wire, Operation] | None:
        if method != "POST":
            return None
        text = path.decode("ascii")
        found = ((wire, wire.operation(method, text)) for wire in self._wires)
        return next(((wire, operation) for wire, operation in found if operation is not None), None)


def _route(agent: str | None, wire: Wire, operation: Operation, query: bytes) -> Route:
    path = operation.path.encode("ascii")
    return Route(agent, wire, operation, path + b"?" + query if query else path)


def _passed_through(method: str, path: str) -> Operation:
    upstream = path if _VERSIONED.match(path) else "/v1" + path
    is_billable = method == "POST" and upstream not in _FREE_PATHS
    return Operation(name=f"{method} {upstream}", path=upstream, is_metered=False, is_billable=is_billable)

"""The identify step: who asks for what, as far as it can be told, also of a call that is refused for its body, its headers or its target.

A wire reads what it meters. Everything else goes on as it came, and so does what nobody here has to understand: a call that names
no agent and meets no cap is between the caller and the provider. Who calls, which model and which tools are looked for on
every path nevertheless, because names, switches and caps hold on every path.
"""

from contextlib import suppress
from typing import Final

from proxy.core.calls.caller import BodyClaims, Caller
from proxy.core.calls.identity import MODEL_PREFIX, named_agent
from proxy.core.calls.resolving import resolve
from proxy.core.errors import BadInput, Refusal, Unavailable
from proxy.core.names import AgentReference
from proxy.core.steps import Steps, at_once
from proxy.runtime.calls.routing import Route, Routes, agent_of
from proxy.runtime.calls.stages import NOBODY, UNRESOLVED, Asked, Glimpse, Unresolved
from proxy.runtime.calls.turns import LARGE_BYTES
from proxy.runtime.state.live_snapshot import LiveSnapshot
from proxy.runtime.transport.exchange import Call
from proxy.runtime.transport.header_fields import RequestFields
from proxy.runtime.transport.inflate import RequestBody
from proxy.wires.deployments import asked_of
from proxy.wires.passed_bodies import claims_of_refused, read_passed, read_passed_in_steps, read_path
from proxy.wires.passed_forms import is_form, read_form
from proxy.wires.wire import RequestFacts, RequestHead

NO_CLAIMS: Final = BodyClaims()


def check_upgrade(method: str, upgrade: bytes) -> None:
    """Raises Refusal(`websocket_not_served`): clients that prefer a WebSocket go on over HTTP at once when told so. Any other
    protocol that is offered is merely not taken up (RFC 9110 §7.8)."""
    if method == "GET" and b"websocket" in upgrade.lower():
        raise Refusal(
            "websocket_not_served", "the proxy serves plain HTTP requests and event streams, no WebSocket", status=426
        )


def read_request(
    call: Call, fields: RequestFields, body: RequestBody, route: Route, limit_bytes: int, *, is_named: bool
) -> Steps[tuple[RequestFacts | None, BadInput | None]]:
    """What the body says, as far as this path's is read at all, and what its wire would refuse in it; in steps.

    `is_named`: a call that names no agent still is somebody's here. Raises BadInput, TooLarge for a body that has to be understood,
    Unavailable (see plain_body).
    """
    if route.deployment is not None:
        return (yield from _read_deployed(call, body, route, limit_bytes, route.deployment)), None
    if not route.operation.is_metered:
        if not call.body:
            return read_path(route.operation.path), None
        return (yield from _read_passed(call, body, route, limit_bytes)), None
    try:
        plain = body.plain
        if plain is None:
            plain = yield from body.read(limit_bytes)
        head = RequestHead(call.method, route.target, call.headers)
        if len(plain) > LARGE_BYTES:
            return (yield from route.wire.read_in_steps(plain, head)), None
        return route.wire.read(plain, head), None
    except Refusal as refusal:
        if is_named or route.agent is not None or not isinstance(refusal, BadInput):
            raise
        if named_agent(None, fields.identity) is not None:
            raise
        # Without its traceback, which leads back to whoever will hold it.
        return (yield from _read_passed(call, body, route, limit_bytes)), refusal.with_traceback(None)


def _read_deployed(
    call: Call, body: RequestBody, route: Route, limit_bytes: int, deployment: str
) -> Steps[RequestFacts | None]:
    """What a call asks whose path names the deployment: its model is that one's. Raises as `read_request`."""
    if route.operation.is_metered:
        plain = yield from body.read(limit_bytes)
        # In steps it is read without what is remembered of alike requests, whose model stands in their bodies.
        facts = yield from route.wire.read_in_steps(plain, RequestHead(call.method, route.target, call.headers))
        return asked_of(facts, deployment)
    passed = (yield from _read_passed(call, body, route, limit_bytes)) if call.body else None
    return None if passed is None else asked_of(passed, deployment)


def check_providers_to_judge(body: RequestBody, request: RequestFacts | None, problem: BadInput) -> None:
    """Raises what a wire would refuse in a body, unless the body says nothing to the proxy."""
    if not _is_providers_to_judge(body, request, problem):
        raise anew(problem)


def anew(problem: BadInput) -> BadInput:
    """To be raised in the place of one that somebody holds: its traceback would lead back to them, and such circles stay until
    the collector looks."""
    return BadInput(problem.code, problem.message, status=problem.status, param=problem.param)


def _is_providers_to_judge(body: RequestBody, request: RequestFacts | None, problem: BadInput) -> bool:
    """Whether it is a value of the provider's, or a coding we do not know. A body that holds a member for the proxy which cannot be
    read was refused before."""
    if request is None and problem.code != "wrong_kind":
        return problem.code == "bad_content_encoding" and problem.status == 415
    if request is None and len(body.sent) > LARGE_BYTES:
        return False
    claims = _claims_of_refused(body, request)
    return claims.switchback is None and (claims.model is None or not claims.model.startswith(MODEL_PREFIX))


class Glimpses:
    """Finds out what it can of a call that is refused before it is known who asks for what."""

    def __init__(self, routes: Routes, live: LiveSnapshot, default_agent: str | None) -> None:
        self._routes = routes
        self._live = live
        self._default_agent = default_agent

    def of(
        self,
        call: Call,
        fields: RequestFields,
        body: RequestBody,
        route: Route | None = None,
        request: RequestFacts | None = None,
    ) -> tuple[Glimpse, Unresolved]:
        """Who asked for what, and what it would have got, without waiting; `route` and `request`, where that is known."""
        if route is None:
            route = self._routes.known(call, fields)
        reference = self._reference(call, fields, body, request)
        if reference is None:
            return Glimpse(route, NOBODY, request), UNRESOLVED
        caller = Caller(agent=reference.name, pin=reference.pin, label=reference.label)
        return Glimpse(route, caller, request), self._unresolved(reference.name, caller, route)

    async def pinned(self, asked: Asked | Glimpse, unresolved: Unresolved) -> Unresolved:
        """As before, also where only the pin of the call reaches its version, which may have to be waited for."""
        caller, route, agent = asked.caller, asked.route, unresolved.agent
        if caller.pin is None or agent is None or unresolved.resolution is not None:
            return unresolved
        state = self._live.agent(agent)
        if state is not None and route is not None and route.operation.is_in_force:
            with suppress(Refusal):
                version = await self._live.version(state, caller.pin)
                return Unresolved(agent, None, resolve(state, caller, pinned=version))
        return unresolved

    def _reference(
        self, call: Call, fields: RequestFields, body: RequestBody, request: RequestFacts | None
    ) -> AgentReference | None:
        with suppress(Refusal):
            claims = _claims_of_refused(body, request)
            named = named_agent(agent_of(call.target), fields.identity, claims)
            return named or named_agent(self._default_agent, ())
        return None

    def _unresolved(self, agent: str, caller: Caller, route: Route | None) -> Unresolved:
        state = self._live.agent(agent)
        if state is None:
            return UNRESOLVED
        if route is None or not route.operation.is_in_force:
            return Unresolved(agent, None, None)
        label = caller.label or state.agent.default_label
        if caller.pin is None and label in state.rollouts:
            return Unresolved(agent, label, None)
        with suppress(Refusal):
            pinned = None if caller.pin is None else state.versions.get(caller.pin)
            return Unresolved(agent, None, resolve(state, caller, pinned=pinned))
        return Unresolved(agent, None, None)


def _claims_of_refused(body: RequestBody, request: RequestFacts | None) -> BodyClaims:
    if request is not None:
        return request.claims
    if not body.sent or len(body.sent) > LARGE_BYTES or body.is_unreadable:
        return NO_CLAIMS
    with suppress(Refusal):
        plain = at_once(body.read(LARGE_BYTES))
        return claims_of_refused(plain) if len(plain) <= LARGE_BYTES else NO_CLAIMS
    return NO_CLAIMS


def _read_passed(call: Call, body: RequestBody, route: Route, limit_bytes: int) -> Steps[RequestFacts | None]:
    if body.is_unreadable:
        return None
    try:
        plain = yield from body.read(limit_bytes)
    except Unavailable:
        raise
    except Refusal:
        return None
    types = [value for name, value in call.headers if name == b"content-type"]
    if any(map(is_form, types)):
        return (yield from read_form(plain, types[0])) if len(types) == 1 else None
    if len(plain) > LARGE_BYTES:
        return (yield from read_passed_in_steps(plain, route.wire.family))
    return read_passed(plain, route.wire.family)

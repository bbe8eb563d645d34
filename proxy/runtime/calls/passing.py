"""The steps of a call that is not, or not wholly, read by a wire: what is known of it all the same, and what may be sent.

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
from proxy.core.steps import Steps, at_once
from proxy.runtime.calls.flight import Flight
from proxy.runtime.calls.routing import Route, Routes, agent_of
from proxy.runtime.calls.turns import LARGE_BYTES
from proxy.runtime.state.live_snapshot import LiveSnapshot
from proxy.runtime.transport.inflate import plain_body
from proxy.wires.families import FAMILIES
from proxy.wires.passed_bodies import claims_of_refused, read_passed, read_passed_in_steps, read_path, without_ours
from proxy.wires.wire import Injection, RequestFacts, RequestHead

_NO_CLAIMS: Final = BodyClaims()


def check_upgrade(method: str, upgrade: bytes) -> None:
    """Raises Refusal(`websocket_not_served`): clients that prefer a WebSocket go on over HTTP at once when told so. Any other
    protocol that is offered is merely not taken up (RFC 9110 §7.8)."""
    if method == "GET" and b"websocket" in upgrade.lower():
        raise Refusal(
            "websocket_not_served", "the proxy serves plain HTTP requests and event streams, no WebSocket", status=426
        )


def read_request(flight: Flight, route: Route, limit_bytes: int, *, is_named: bool) -> Steps[BodyClaims]:
    """Read what the body says, as far as this path's is read at all; what it claims about the caller; in steps.

    `is_named`: a call that names no agent still is somebody's here. Raises BadInput, TooLarge for a body that has to be understood.
    """
    call, coding = flight.call, flight.fields.content_encoding
    if not route.operation.is_metered:
        if call.body:
            flight.request = yield from _read_passed(flight, route, limit_bytes)
        else:
            flight.request = read_path(route.operation.path)
        return _NO_CLAIMS if flight.request is None else flight.request.claims
    try:
        plain = call.body
        if coding is not None:
            plain = yield from plain_body(plain, coding, limit_bytes, flight.reply.hold)
        head = RequestHead(call.method, route.target, call.headers)
        if len(plain) > LARGE_BYTES:
            flight.request = yield from route.wire.read_in_steps(plain, head)
        else:
            flight.request = route.wire.read(plain, head)
    except Refusal as refusal:
        if is_named or route.agent is not None or not isinstance(refusal, BadInput):
            raise
        if named_agent(None, flight.fields.identity) is not None:
            raise
        flight.request = yield from _read_passed(flight, route, limit_bytes)
        if not _is_providers_to_judge(flight, refusal):
            raise
        flight.problem = refusal
    return _NO_CLAIMS if flight.request is None else flight.request.claims


def pass_body(flight: Flight, live: LiveSnapshot) -> None:
    """What is sent of a call that no wire meters: what came, without what is ours.

    Raises BadInput(`version_not_applicable`) where a version would have had a say and cannot have it.
    """
    _check_applicable(flight, live)
    request = flight.request
    if request is not None and request.claims.switchback is not None:
        flight.injection = Injection(
            body=without_ours(request), model=request.model, max_output_tokens=None, tool_names=request.tool_names
        )


def pass_unjudged(flight: Flight) -> None:
    """Have a call sent as it came whose values the wire would refuse: the provider judges them."""
    request = flight.request
    flight.injection = Injection(
        body=flight.call.body,
        model=None if request is None else request.model,
        max_output_tokens=None,
        tool_names=frozenset() if request is None else request.tool_names,
    )


def know_caller(flight: Flight, routes: Routes, live: LiveSnapshot, default_agent: str | None) -> None:
    """Find out whose call it was that is refused for its body, its headers or its target, as far as can be told without them."""
    if flight.route is None:
        flight.route = routes.known(flight.call, flight.fields)
    with suppress(Refusal):
        target, fields = flight.call.target, flight.fields
        reference = named_agent(agent_of(target), fields.identity, _claims(flight)) or named_agent(default_agent, ())
        if reference is None:
            return
        flight.caller = caller = Caller(agent=reference.name, pin=reference.pin, label=reference.label)
        state = live.agent(reference.name)
        if state is None:
            return
        flight.known_agent = reference.name
        if flight.route is None or not flight.route.operation.is_in_force:
            return
        label = caller.label or state.agent.default_label
        if caller.pin is None and label in state.rollouts:
            flight.known_label = label
            return
        pinned = None if caller.pin is None else state.versions.get(caller.pin)
        flight.resolution = resolve(state, caller, pinned=pinned)


async def know_pinned(flight: Flight, live: LiveSnapshot) -> None:
    """Find out which version it was whose call is refused, where only a pin reaches it."""
    caller, route = flight.caller, flight.route
    if flight.resolution is not None or caller is None or caller.pin is None or flight.known_agent is None:
        return
    state = live.agent(flight.known_agent)
    if state is not None and route is not None and route.operation.is_in_force:
        with suppress(Refusal):
            flight.resolution = resolve(state, caller, pinned=await live.version(state, caller.pin))


def _claims(flight: Flight) -> BodyClaims:
    if flight.request is not None:
        return flight.request.claims
    body = flight.call.body
    if not body or len(body) > LARGE_BYTES:
        return _NO_CLAIMS
    with suppress(Refusal):
        coding = flight.fields.content_encoding
        return claims_of_refused(at_once(plain_body(body, coding, LARGE_BYTES, flight.reply.hold)))
    return _NO_CLAIMS


def _read_passed(flight: Flight, route: Route, limit_bytes: int) -> Steps[RequestFacts | None]:
    coding = flight.fields.content_encoding
    try:
        plain = yield from plain_body(flight.call.body, coding, limit_bytes, flight.reply.hold)
    except Unavailable:
        raise
    except Refusal:
        return None
    if len(plain) > LARGE_BYTES:
        return (yield from read_passed_in_steps(plain, route.wire.family))
    return read_passed(plain, route.wire.family)


def _is_providers_to_judge(flight: Flight, refusal: BadInput) -> bool:
    """Whether a refused body is one that says nothing to the proxy: a value of the provider's, or a coding we do not know.

    One that holds a member for the proxy which cannot be read was refused before.
    """
    if flight.request is None and refusal.code != "wrong_kind":
        return refusal.code == "bad_content_encoding" and refusal.status == 415
    if len(flight.call.body) > LARGE_BYTES and flight.request is None:
        return False
    claims = _claims(flight)
    return claims.switchback is None and (claims.model is None or not claims.model.startswith(MODEL_PREFIX))


def _check_applicable(flight: Flight, live: LiveSnapshot) -> None:
    resolution, route, request = flight.unapplied, flight.route, flight.request
    if resolution is None or route is None:
        return
    operation = route.operation
    version = resolution.version
    if request is not None and request.model is not None and request.model.startswith(MODEL_PREFIX):
        raise BadInput(
            "version_not_applicable",
            f"the model name {request.model!r} stands for a version, and none is in force on {operation.name}: name one of the "
            f"provider's models, and the agent in the base URL (/a/{version.agent}) or the header Switchback-Agent",
            param="model",
        )
    state = live.agent(version.agent)
    lets_pass = state is None or state.agent.unapplied == "pass"
    if operation.could_apply and not lets_pass and (version.bundle.prompt.is_set or version.bundle.model.name):
        elsewhere = " or ".join(path for family in FAMILIES.values() for path in family.versioned_paths)
        raise BadInput(
            "version_not_applicable",
            f"no version is in force on {operation.name}, so it would go on without the prompt and model of {version.stamp}: use "
            f"{elsewhere}, or let such calls of the agent pass with "
            f"`switchback agents update {version.agent} --unapplied pass`",
        )

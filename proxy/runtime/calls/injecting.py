"""The inject step: what goes to the provider of a call, and what it may cost at most.

A wire puts the version into what it reads. Everything else goes as it came, without what is ours: the provider judges it.
"""

from proxy.core.calls.identity import MODEL_PREFIX
from proxy.core.errors import BadInput
from proxy.core.snapshot import AgentState
from proxy.runtime.calls.identifying import anew
from proxy.runtime.calls.lanes import TouchingCaps
from proxy.runtime.calls.metering import UNMETERED, hold_bound
from proxy.runtime.calls.routing import Route
from proxy.runtime.calls.stages import Asked, Resolved, Sendable
from proxy.runtime.providers import Provider
from proxy.runtime.spending.prices import PriceBook
from proxy.runtime.transport.exchange import Call
from proxy.runtime.transport.header_fields import RequestFields, with_changes
from proxy.wires.deployments import at_deployment
from proxy.wires.dialects import in_dialect
from proxy.wires.families import FAMILIES
from proxy.wires.passed_bodies import without_ours
from proxy.wires.wire import Headers, Injection, InjectionPlan, RequestFacts


def sendable_read(
    asked: Asked, resolved: Resolved, call: Call, fields: RequestFields, prices: PriceBook, output_ceiling: int
) -> Sendable:
    """Of a call that its wire reads: the version in it, its price, its bound under caps. Raises BadInput."""
    lane = resolved.lane
    provider, touching = lane.provider, lane.caps_of(resolved.facts)
    injection = _injected(asked, resolved, call, fields, touching, output_ceiling)
    if provider.is_peculiar:
        is_ours = resolved.resolution is not None or touching.needs_ceiling
        injection = _as_taken(injection, asked.route, provider, is_ours=is_ours)
    price = prices.price(provider, injection.model, injection.service_tier)
    bound = UNMETERED
    if asked.request is not None and touching.needs_bound:
        bound = hold_bound(asked.route.wire, asked.request, injection, price)
    return Sendable(provider, injection, price, touching.caps, bound)


def _as_taken(injection: Injection, route: Route, provider: Provider, *, is_ours: bool) -> Injection:
    """A request as a provider with ways of its own takes it. `is_ours`: a version or a hard cap has a say in it."""
    if is_ours and provider.dialect.changes_requests:
        injection = in_dialect(injection, provider.dialect)
    if provider.dialect.has_deployments:
        injection = at_deployment(injection, route.target, route.deployment, provider.deployments)
    return injection


def sendable_passed(asked: Asked, resolved: Resolved, state: AgentState | None) -> Sendable:
    """Of a call that no wire meters: what came, without what is ours. `state` is its agent's, where it has one.

    Raises BadInput(`version_not_applicable`) where a version would have had a say and cannot have it.
    """
    request, injection = asked.request, None
    check_applicable(asked, resolved, state)
    if request is not None and request.claims.switchback is not None:
        body = without_ours(request)
        injection = Injection(body=body, model=request.model, max_output_tokens=None)
    lane = resolved.lane
    return Sendable(lane.provider, injection, None, lane.caps_of(resolved.facts).caps, UNMETERED)


def outgoing(call: Call, fields: RequestFields, asked: Asked, sendable: Sendable) -> tuple[bytes, Headers, bytes]:
    """Target, header fields and body, for the provider it is sent to. Raises BadInput(`foreign_key`)."""
    provider, injection, target, body = sendable.provider, sendable.injection, asked.route.target, call.body
    if injection is not None:
        body = injection.body
        if injection.target is not None:
            target = injection.target
    # A body that is the caller's goes on in its content coding.
    is_metered, keeps_coding = asked.route.operation.is_metered, body is call.body
    headers = fields.for_provider(provider, is_metered=is_metered, keeps_coding=keeps_coding)
    if injection is not None and injection.headers:
        headers = with_changes(headers, injection.headers)
    return (provider.target(target) if provider.base_path else target), headers, body


def _injected(
    asked: Asked,
    resolved: Resolved,
    call: Call,
    fields: RequestFields,
    touching: TouchingCaps,
    output_ceiling: int,
) -> Injection:
    request = asked.request
    if request is None or asked.problem is not None:
        if touching.needs_ceiling and asked.problem is not None:
            raise anew(asked.problem)
        return _unjudged(call, request)
    resolution, version = resolved.resolution, fields.api_version
    is_counted = resolution is not None or resolved.unapplied is not None or touching.needs_bound
    plan = InjectionPlan(
        bundle=None if resolution is None else resolution.version.bundle,
        variables=asked.caller.variables,
        output_ceiling=output_ceiling if touching.needs_ceiling else None,
        wire_version=None if version is None else version.decode("latin-1"),
        asks_usage=is_counted and resolved.lane.provider.dialect.takes_stream_options,
        is_continued=resolution is not None and resolution.began is not None,
    )
    try:
        return asked.route.wire.inject(request, plan)
    except BadInput:
        if asked.caller.agent is not None or is_counted or request.claims.switchback is not None:
            raise
        return _unjudged(call, request)


def _unjudged(call: Call, request: RequestFacts | None) -> Injection:
    """A call as it came whose values the wire would refuse: the provider judges them."""
    return Injection(
        body=call.body,
        model=None if request is None else request.model,
        max_output_tokens=None,
    )


def check_applicable(asked: Asked, resolved: Resolved, state: AgentState | None) -> None:
    """Raises BadInput(`version_not_applicable`) where a version would have had a say and cannot have it. `state` is the agent's."""
    if resolved.unapplied is None:
        return
    operation, request, version = asked.route.operation, asked.request, resolved.unapplied.version
    if request is not None and request.model is not None and request.model.startswith(MODEL_PREFIX):
        raise BadInput(
            "version_not_applicable",
            f"the model name {request.model!r} stands for a version, and none is in force on {operation.name}: name one of the "
            f"provider's models, and the agent in the base URL (/a/{version.agent}) or the header Switchback-Agent",
            param="model",
        )
    lets_pass = state is None or state.agent.unapplied == "pass"
    if operation.could_apply and not lets_pass and (version.bundle.prompt.is_set or version.bundle.model.name):
        elsewhere = " or ".join(path for family in FAMILIES.values() for path in family.versioned_paths)
        raise BadInput(
            "version_not_applicable",
            f"no version is in force on {operation.name}, so it would go on without the prompt and model of {version.stamp}: use "
            f"{elsewhere}, or let such calls of the agent pass with "
            f"`switchback agents update {version.agent} --unapplied pass`",
        )

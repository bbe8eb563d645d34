"""The guard step: kill switches over resolved facts. Caps come with the hold (spend_ledger), after injection.

A fallback is resolved and guarded once more, not again; a pinned call is blocked rather than swapped.
"""

from msgspec.structs import replace

from proxy.core.errors import Forbidden
from proxy.core.scopes import CallFacts
from proxy.core.switches import Switch, switch_in_force
from proxy.runtime.flight import Flight
from proxy.runtime.live_snapshot import LiveSnapshot
from proxy.runtime.providers import Providers


def know_provider(flight: Flight, providers: Providers) -> None:
    """Decide where the call goes: the version's provider, else the default one of the wire. Raises BadInput."""
    route = flight.route
    assert route is not None
    version = None if flight.resolution is None else flight.resolution.version
    named = version.bundle.model.provider if version is not None and route.operation.is_metered else None
    flight.provider = providers.choose(named, route.wire.family)


def facts_of(flight: Flight) -> CallFacts:
    """What scopes are matched against."""
    resolution, request, caller = flight.resolution, flight.request, flight.caller
    bundle = None if resolution is None else resolution.version.bundle
    named_model = None if bundle is None else bundle.model.name
    tools = frozenset[str]() if request is None else request.tool_names
    return CallFacts(
        agent=flight.agent,
        provider="" if flight.provider is None else flight.provider.name,
        model=named_model or (request.model if request is not None else None) or "",
        version=None if resolution is None else resolution.version.number,
        label=None if resolution is None else resolution.label,
        rollout=None if resolution is None else resolution.rollout,
        arm=None if resolution is None else resolution.arm,
        user=None if caller is None else caller.user,
        tags={} if caller is None else caller.tags,
        tools=tools if bundle is None else tools | bundle.tools.names,
    )


def guard(flight: Flight, live: LiveSnapshot, providers: Providers) -> Switch | None:
    """The switch in force that does not block: `reply` and `observe` are the conductor's to carry out.

    Raises Forbidden(`agent_disabled`) for `block`; carries out `fallback` by changing the flight's resolution.
    """
    know_provider(flight, providers)
    flight.facts = facts_of(flight)
    switches = live.switches_for(flight.agent)
    if not switches:
        return None
    switch = switch_in_force(switches, flight.facts, flight.started_at)
    if switch is not None and switch.mode == "fallback":
        _fall_back(flight, switch, live)
        know_provider(flight, providers)
        flight.facts = facts_of(flight)
        switch = switch_in_force(switches, flight.facts, flight.started_at)
        if switch is not None and switch.mode == "fallback":
            if switch.fallback_version != flight.facts.version:
                raise switched_off(switch)
            return None
    if switch is not None and switch.mode == "block":
        raise switched_off(switch)
    return switch


def switched_off(switch: Switch) -> Forbidden:
    """The refusal of a call that a switch blocks."""
    scope = ", ".join(f"{name} {value}" for name, value in switch.scope.content().items()) or "everything"
    return Forbidden("agent_disabled", f"{scope} is switched off by {switch.created_by}: {switch.why}")


def _fall_back(flight: Flight, switch: Switch, live: LiveSnapshot) -> None:
    resolution = flight.resolution
    state = live.agent(flight.agent)
    number = switch.fallback_version
    version = None if state is None or number is None else state.versions.get(number)
    if resolution is None or resolution.reason == "pinned" or version is None:
        raise switched_off(switch)
    flight.resolution = replace(
        resolution,
        version=version,
        reason="fallback",
        rollout=None,
        step=None,
        arm=None,
        bucket=None,
        in_analysis=False,
    )

"""The guard step: kill switches over resolved facts. Caps come with the hold (spending/ledger.py), after injection.

A fallback is resolved and guarded once more, not again; a pinned call is blocked rather than swapped. So is one for which nobody
can put another version or a fixed text in the place of what it asked for: a switch that is on lets no such call through.
"""

from dataclasses import replace

from proxy.core.errors import Forbidden
from proxy.core.scopes import CallFacts
from proxy.core.spending.caps import Cap
from proxy.core.switches import Switch, switch_in_force
from proxy.runtime.calls.flight import Flight
from proxy.runtime.calls.lanes import Lanes
from proxy.runtime.state.live_snapshot import LiveSnapshot


def enter_lane(flight: Flight, lanes: Lanes) -> CallFacts:
    """Decide where the call goes, and what scopes are matched against. Raises BadInput (see Providers.choose)."""
    assert flight.route is not None
    assert flight.caller is not None
    lane = flight.lane = lanes.of(flight.resolution, flight.route, flight.passed)
    facts = flight.facts = lane.facts_of(flight.caller, flight.request)
    return facts


def guard(flight: Flight, live: LiveSnapshot, lanes: Lanes) -> Switch | None:
    """The switch in force that does not block: `reply` and `observe` are the conductor's to carry out.

    Raises Forbidden(`agent_disabled`) for `block`; carries out `fallback` by changing the flight's resolution.
    """
    facts = enter_lane(flight, lanes)
    switches = live.switches_for(facts.agent)
    if not switches:
        return None
    switch = switch_in_force(switches, facts, flight.started_at)
    if switch is not None and switch.mode in ("fallback", "reply") and not _can_be_replaced(flight, switch):
        if flight.route is not None and not flight.route.operation.is_billable:
            return None
        raise switched_off(switch)
    if switch is not None and switch.mode == "fallback":
        _fall_back(flight, switch, live)
        facts = enter_lane(flight, lanes)
        switch = switch_in_force(switches, facts, flight.started_at)
        if switch is not None and switch.mode == "fallback":
            if switch.fallback_version != facts.version:
                raise switched_off(switch)
            return None
    if switch is not None and switch.mode == "block":
        raise switched_off(switch)
    return switch


def _can_be_replaced(flight: Flight, switch: Switch) -> bool:
    """Whether the call can get a fixed text, or another version: a wire has read it, and a version is in force."""
    is_read = flight.route is not None and flight.route.operation.is_metered and flight.request is not None
    return is_read and (switch.mode == "reply" or (flight.route is not None and flight.route.operation.is_in_force))


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


def caps_of(flight: Flight) -> tuple[Cap, ...]:
    """The caps that touch the call."""
    lane, facts = flight.lane, flight.facts
    return lane.caps_of(facts) if lane is not None and facts is not None and lane.caps else ()

"""The guard step: kill switches over resolved facts. Caps come with the hold (spending/ledger.py), after injection.

A fallback is resolved and guarded once more, not again; a pinned call is blocked rather than swapped. So is one for which nobody
can put another version or a fixed text in the place of what it asked for: a switch that is on lets no such call through.
"""

from collections.abc import Sequence
from dataclasses import replace

from proxy.core.calls.resolution import Resolution
from proxy.core.errors import Forbidden
from proxy.core.scopes import CallFacts
from proxy.core.snapshot import AgentState
from proxy.core.switches import Switch, switch_in_force
from proxy.runtime.calls.stages import Asked, Resolved, Unresolved


def guard(asked: Asked, facts: CallFacts, switches: Sequence[Switch], now_microseconds: int) -> Switch | None:
    """The switch in force that does not block, which is the conductor's to carry out. Raises Forbidden(`agent_disabled`)."""
    switch = switch_in_force(switches, facts, now_microseconds)
    if switch is not None and switch.mode in ("fallback", "reply") and not _can_be_replaced(asked, switch):
        if not asked.route.operation.is_billable:
            return None
        raise switched_off(switch)
    return _unless_it_blocks(switch)


def guard_fallback(facts: CallFacts, switches: Sequence[Switch], now_microseconds: int) -> Switch | None:
    """As `guard`, of a call that fell back already: it does not again. Raises Forbidden(`agent_disabled`)."""
    switch = switch_in_force(switches, facts, now_microseconds)
    if switch is not None and switch.mode == "fallback":
        if switch.fallback_version != facts.version:
            raise switched_off(switch)
        return None
    return _unless_it_blocks(switch)


def fallback_of(resolution: Resolution | None, state: AgentState | None, switch: Switch) -> Resolution:
    """What a call gets whose version a switch replaces. Raises Forbidden(`agent_disabled`) where nothing can take its place."""
    number = switch.fallback_version
    version = None if state is None or number is None else state.versions.get(number)
    if resolution is None or resolution.reason == "pinned" or version is None:
        raise switched_off(switch)
    return replace(
        resolution,
        version=version,
        reason="fallback",
        rollout=None,
        step=None,
        arm=None,
        bucket=None,
        in_analysis=False,
    )


def cuts(switch: Switch, resolved: Resolved | Unresolved) -> bool:
    """Whether a switch that cuts calls means this one."""
    return isinstance(resolved, Resolved) and switch.scope.may_match(resolved.facts)


def switched_off(switch: Switch) -> Forbidden:
    """The refusal of a call that a switch blocks."""
    scope = ", ".join(f"{name} {value}" for name, value in switch.scope.content().items()) or "everything"
    return Forbidden("agent_disabled", f"{scope} is switched off by {switch.created_by}: {switch.why}")


def _can_be_replaced(asked: Asked, switch: Switch) -> bool:
    """Whether the call can get a fixed text, or another version: a wire has read it, and a version is in force."""
    operation = asked.route.operation
    is_read = operation.is_metered and operation.has_output and asked.request is not None
    return is_read and (switch.mode == "reply" or operation.is_in_force)


def _unless_it_blocks(switch: Switch | None) -> Switch | None:
    if switch is not None and switch.mode == "block":
        raise switched_off(switch)
    return switch

"""Which traffic each version of an agent gets now: by its labels and their rollouts, by switches that fall back to it.

From the snapshot alone, for people who look at a list of versions. What one call gets is resolving's matter (core/calls).
"""

from collections.abc import Iterable
from typing import Any

from proxy.core.bucketing import BUCKETS
from proxy.core.snapshot import AgentState
from proxy.core.switches import Switch


def serving(state: AgentState, switches: Iterable[Switch], now_microseconds: int) -> dict[int, list[dict[str, Any]]]:
    """By version number what it serves, in the order of labels, then of switches; versions that serve nothing are left out.

    A label: `{"label", "rollout", "arm", "percentage"}`, where `rollout` and `arm` are None for one without a rollout. A switch
    in mode fallback: `{"switch", "scope"}`. An archived agent serves nothing.
    """
    found: dict[int, list[dict[str, Any]]] = {}
    if state.agent.archived:
        return found
    for name, label in sorted(state.labels.items()):
        rollout = state.rollouts.get(name)
        if rollout is None:
            served = {"label": name, "rollout": None, "arm": None, "percentage": 100.0}
            found.setdefault(label.version, []).append(served)
            continue
        for arm in rollout.arms:
            share = arm.share_buckets * 100 / BUCKETS
            served = {"label": name, "rollout": rollout.id, "arm": arm.name, "percentage": share}
            found.setdefault(arm.version, []).append(served)
    for switch in switches:
        is_ours = switch.scope.content().get("agent") == state.agent.name and switch.is_active(now_microseconds)
        if is_ours and switch.fallback_version is not None:
            held = {"switch": switch.id, "scope": switch.scope.content()}
            found.setdefault(switch.fallback_version, []).append(held)
    return found

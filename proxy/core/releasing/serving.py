"""Which traffic each version of an agent gets now: by its labels and their rollouts, by switches that fall back to it.

From the snapshot alone, for people who look at a list of versions. What one call gets is resolving's matter (core/calls).
"""

from collections.abc import Iterable
from typing import TypedDict

from proxy.core.bucketing import BUCKETS
from proxy.core.scopes import ScopeDocument
from proxy.core.shapes import LabelName, Share
from proxy.core.snapshot import AgentState
from proxy.core.switches import Switch


class ServesDocument(TypedDict, total=False):
    """What of an agent's traffic a version gets: by a label (`rollout` and `arm` are null for one without a rollout), or by a
    switch in mode fallback that meets the calls of its scope."""

    label: LabelName
    rollout: str | None
    arm: str | None
    percentage: Share
    switch: str
    scope: ScopeDocument


def serving(state: AgentState, switches: Iterable[Switch], now_microseconds: int) -> dict[int, list[ServesDocument]]:
    """By version number what it serves, in the order of labels, then of switches; versions that serve nothing are left out, as
    is what an archived agent has."""
    found: dict[int, list[ServesDocument]] = {}
    if state.agent.archived:
        return found
    for name, label in sorted(state.labels.items()):
        rollout = state.rollouts.get(name)
        if rollout is None:
            found.setdefault(label.version, []).append(
                {"label": name, "rollout": None, "arm": None, "percentage": 100.0}
            )
            continue
        for arm in rollout.arms:
            share = arm.share_buckets * 100 / BUCKETS
            found.setdefault(arm.version, []).append(
                {"label": name, "rollout": rollout.id, "arm": arm.name, "percentage": share}
            )
    for switch in switches:
        is_ours = switch.scope.content().get("agent") == state.agent.name and switch.is_active(now_microseconds)
        if is_ours and switch.fallback_version is not None:
            found.setdefault(switch.fallback_version, []).append({"switch": switch.id, "scope": switch.scope.content()})
    return found

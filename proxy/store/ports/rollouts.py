"""Rollouts, the evidence they are judged on, and plans that have names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from proxy.core.pages import DEFAULT_PAGE, Page
from proxy.core.rollouts.named_plans import NamedPlan
from proxy.core.snapshot import Rollout


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptEvidence:
    """One rollout's evidence as documents; `progress` and `tallies` are core/rollouts' formats."""

    agent: str
    rollout: str
    progress: Mapping[str, Any]
    tallies: Mapping[str, Any]
    updated_at_microseconds: int


class RolloutStore(Protocol):
    """Rollouts in any state; those that run are in the snapshot."""

    async def rollouts(self, agent: str, cursor: str | None = None, limit: int = DEFAULT_PAGE) -> Page[Rollout]: ...
    async def rollout(self, agent: str, rollout_id: str) -> Rollout | None: ...


class RolloutEvidenceStore(Protocol):
    """Evidence is kept apart from changes: it is no act of anybody, and replaced tick by tick."""

    async def keep_evidence(self, kept: Sequence[KeptEvidence]) -> None:
        """Replace what is kept of these rollouts, all of it or nothing. Raises Unavailable(`store_unavailable`)."""
        ...

    async def evidence(self, agent: str, rollout_id: str) -> KeptEvidence | None: ...

    async def open_watches(self) -> Sequence[tuple[Rollout, KeptEvidence]]:
        """Ended rollouts whose label is still watched."""
        ...


class PlanStore(Protocol):
    """Plans that any agent's rollout can be started with."""

    async def plans(self, cursor: str | None = None, limit: int = DEFAULT_PAGE) -> Page[NamedPlan]:
        """By name."""
        ...

    async def plan(self, name: str) -> NamedPlan | None: ...

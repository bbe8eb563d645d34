"""Asks for a preflight before a version gets a label's traffic, or that of a switch that falls back.

What is found, and by what facts, is core/releasing/preflight.py's and runtime/preflight's matter. The recent calls are read before
the change is opened, which would keep their writes waiting.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from proxy.core.errors import BadInput
from proxy.core.releasing.preflight import (
    Finding,
    PreflightFacts,
    PreflightFailed,
    RecentCalls,
    findings_of,
    forced,
    not_forced_yet,
    notices_of,
)
from proxy.core.rollouts.reading import read_plan
from proxy.core.rollouts.shadow import shadow_notices
from proxy.core.snapshot import AgentState
from proxy.core.versions.versions import Version
from proxy.runtime.releasing.release_rows import Cause
from proxy.runtime.state.work import Work


class Preflight(Protocol):
    """Who gathers the facts."""

    async def recent_calls(self, agent: str) -> RecentCalls: ...
    async def calls_known_now(self, agent: str) -> RecentCalls: ...
    async def version_now(self, agent: str, number: int) -> Version | None: ...
    def facts(
        self,
        state: AgentState,
        label: str | None,
        version: Version,
        recent: RecentCalls,
        awaited_metrics: frozenset[str] = frozenset(),
        used_metrics: frozenset[str] = frozenset(),
    ) -> PreflightFacts: ...


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a look ahead gave: what would go wrong, and what could not be looked at."""

    findings: Sequence[Finding] = ()
    notices: Sequence[str] = ()


class Ahead:
    """One look ahead, about one agent."""

    def __init__(self, preflight: Preflight | None, recent: RecentCalls) -> None:
        self._preflight = preflight
        self._recent = recent

    def look(
        self, state: AgentState, label: str | None, version: Version | None, plan: Mapping[str, Any] | None = None
    ) -> Foreseen:
        """What is to be expected of a version; nothing where there is none, or nobody gathers facts."""
        if self._preflight is None or version is None:
            return Foreseen()
        facts = self._preflight.facts(state, label, version, self._recent, *_metrics_of(plan))
        copied = shadow_notices(
            plan,
            offers_tools=bool(version.bundle.tools.items),
            has_own_key=all(place.has_own_key for place in facts.places),
        )
        return Foreseen(findings_of(version.bundle, facts), [*notices_of(version.bundle, facts), *copied])

    async def check(
        self,
        work: Work,
        state: AgentState,
        label: str,
        version: int,
        cause: Cause,
        *,
        force: bool,
        notices: list[str] | None = None,
        plan: Mapping[str, Any] | None = None,
        earlier: Sequence[Mapping[str, Any]] = (),
    ) -> Cause:
        """The cause, with the findings as evidence where the release was forced; what `earlier` evidence tells of was decided
        then. What could not be looked at is added to `notices`. Raises PreflightFailed."""
        foreseen = self.look(state, label, await work.change.version(state.agent.name, version), plan)
        # A label that serves nothing yet can have had no calls: that is known, and nobody has to be told.
        if notices is not None and label in state.labels:
            notices += foreseen.notices
        found = not_forced_yet(foreseen.findings, earlier)
        if not found:
            return cause
        if not force:
            raise PreflightFailed(version, found)
        return replace(cause, evidence=(*cause.evidence, forced(found)))


async def look_ahead(preflight: Preflight | None, agent: str) -> Ahead:
    """Read what the agent's calls were like. Raises Unavailable."""
    return Ahead(preflight, RecentCalls() if preflight is None else await preflight.recent_calls(agent))


async def check_fallback(
    preflight: Preflight | None,
    state: AgentState | None,
    label: str | None,
    number: int,
    *,
    force: bool,
    notices: list[str],
) -> tuple[Mapping[str, Any], ...]:
    """The evidence of a switch that falls back to a version in spite of what is found; nothing is waited for, so that what the
    store does not tell at once is not looked at. Raises PreflightFailed unless forced."""
    if preflight is None or state is None:
        return ()
    agent = state.agent.name
    version = await preflight.version_now(agent, number)
    if version is None:
        notices.append(f"version {number} of {agent!r} is not known while the store is away: it was not looked at")
        return ()
    ahead = Ahead(preflight, await preflight.calls_known_now(agent))
    foreseen = ahead.look(state, label or state.agent.default_label, version)
    notices += foreseen.notices
    if not foreseen.findings:
        return ()
    if not force:
        raise PreflightFailed(number, foreseen.findings)
    return (forced(foreseen.findings),)


def _metrics_of(document: Mapping[str, Any] | None) -> tuple[frozenset[str], frozenset[str]]:
    """What must have been told before a plan goes on: of its guards; and what it looks at in any way. One that waits for people at
    its only step awaits nothing, and of one that nobody here can read nothing is known."""
    try:
        plan = None if document is None else read_plan(document)
    except BadInput:
        plan = None
    if plan is None:
        return frozenset(), frozenset()
    used = frozenset(guard.metric for guard in plan.metrics)
    if len(plan.steps) == 1 and plan.at_end == "wait":
        return frozenset(), used
    return frozenset(guard.metric for guard in plan.guards), used

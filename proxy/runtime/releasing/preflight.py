"""Asks for a preflight before a version gets a label's traffic.

What is found, and by what facts, is core/releasing/preflight.py's and runtime/preflight's matter. The recent calls are read before
the change is opened, which would keep their writes waiting.
"""

from dataclasses import replace
from typing import Protocol

from proxy.core.releasing.preflight import (
    Finding,
    PreflightFacts,
    PreflightFailed,
    RecentCalls,
    findings_of,
    forced,
)
from proxy.core.snapshot import AgentState
from proxy.core.versions.versions import Version
from proxy.runtime.releasing.release_rows import Cause
from proxy.runtime.state.work import Work


class Preflight(Protocol):
    """Who gathers the facts."""

    async def recent_calls(self, agent: str) -> RecentCalls: ...
    def facts(self, state: AgentState, label: str | None, version: Version, recent: RecentCalls) -> PreflightFacts: ...


class Ahead:
    """One look ahead, about one agent."""

    def __init__(self, preflight: Preflight | None, recent: RecentCalls) -> None:
        self._preflight = preflight
        self._recent = recent

    async def findings(self, work: Work, state: AgentState, label: str | None, version: int) -> list[Finding]:
        """What would go wrong with a version that exists; nothing where nobody gathers facts."""
        found = await work.change.version(state.agent.name, version)
        if self._preflight is None or found is None:
            return []
        return findings_of(found.bundle, self._preflight.facts(state, label, found, self._recent))

    async def check(
        self, work: Work, state: AgentState, label: str, version: int, cause: Cause, *, force: bool
    ) -> Cause:
        """The cause, with the findings as evidence where the release was forced. Raises PreflightFailed."""
        found = await self.findings(work, state, label, version)
        if not found:
            return cause
        if not force:
            raise PreflightFailed(version, found)
        return replace(cause, evidence=(*cause.evidence, forced(found)))


async def look_ahead(preflight: Preflight | None, agent: str) -> Ahead:
    """Read what the agent's calls were like. Raises Unavailable."""
    return Ahead(preflight, RecentCalls() if preflight is None else await preflight.recent_calls(agent))

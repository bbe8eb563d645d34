"""Drills that nobody has to order: each agent once a week, by the process that has the store, where the settings say so.

Looks once a minute and holds one drill at most, so that many agents that are due are spread. An agent whose label is in a rollout,
or whose traffic a switch holds, is left for later; when it was drilled last is known over restarts (drill_book.py).
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from proxy.core.errors import Conflict, NotFound, Refusal
from proxy.core.rollouts.drills import check_drillable, drilled_versions, is_due
from proxy.core.snapshot import AgentState
from proxy.core.times import parse_rfc3339
from proxy.runtime.process.clock import Clock
from proxy.runtime.rollouts.drills import Drills
from proxy.runtime.state.live_snapshot import LiveSnapshot

#: Who it is in ledger and audit.
WEEKLY: Final = "weekly-drill"
LOOK_SECONDS: Final = 60.0
#: An agent whose drill could not be held is left alone for so long.
_AGAIN_MICROSECONDS: Final = 3_600_000_000


class WeeklyDrills:
    """Holds what is due."""

    def __init__(
        self,
        live: LiveSnapshot,
        drills: Drills,
        clock: Clock,
        tell: Callable[..., Any],
        *,
        is_wanted: bool,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        """`tell(event, **members)` hears of drills that failed or could not be held. Not `is_wanted`: nothing is held, what is known
        of drills is read all the same."""
        self._live = live
        self._drills = drills
        self._clock = clock
        self._tell = tell
        self._is_wanted = is_wanted
        self._look_seconds = look_seconds
        self._is_cleared = False
        #: When it could not be held, by agent.
        self._refused_at: dict[str, int] = {}

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(self._look_seconds)

    async def look(self) -> None:
        """Clear away what was left behind, read what is not known yet, hold one drill that is due."""
        try:
            if not self._is_cleared:
                await self._drills.clear_left_behind()
                self._is_cleared = True
            await self._drills.book.read(list(self._live.current.agents))
        except Refusal:
            # A store that is away has it the next time.
            return
        due = self._due() if self._is_wanted else None
        if due is not None:
            await self._hold(due)

    async def _hold(self, state: AgentState) -> None:
        agent = state.agent.name
        try:
            drill = await self._drills.hold(WEEKLY, agent, None, "a week since the last one")
        except Refusal as refusal:
            self._refused_at[agent] = self._clock.now_microseconds()
            self._tell("drill_refused", agent=agent, code=refusal.code, reason=refusal.message)
            return
        if not drill["passed"]:
            self._tell("drill_failed", agent=agent, drill=drill["id"], processes=drill["processes"])

    def _due(self) -> AgentState | None:
        """The first agent, by name, that is due and can be drilled now."""
        snapshot, now = self._live.current, self._clock.now_microseconds()
        for name in sorted(snapshot.agents):
            state, last = snapshot.agents[name], self._drills.book.last(name)
            drilled_at = None if last is None else parse_rfc3339(last["drilled_at"], "drilled_at")
            if not is_due(drilled_at, now) or now - self._refused_at.get(name, 0) < _AGAIN_MICROSECONDS:
                continue
            try:
                drilled_versions(state, state.agent.default_label)
                check_drillable(state, snapshot.switches, now)
            except (Conflict, NotFound):
                continue
            return state
        return None

"""Runs as they were recorded, with what was told of them later."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass

from proxy.core.calls.outcomes import Outcome, OutcomesOfRun, ServedOutcome
from proxy.core.calls.run_filter import OutcomeFilter, RunFilter
from proxy.core.calls.runs import Attempt, Run
from proxy.core.errors import NotFound
from proxy.core.pages import MAX_PAGE, Page
from proxy.store.ports.outcomes import StoredRuns


@dataclass(frozen=True, slots=True)
class WholeRun:
    """A run with its attempts, in the order they were made, and all that was told of it, in the order it was told."""

    run: Run
    attempts: Sequence[Attempt]
    outcomes: Sequence[Outcome]


class RunReader:
    """Recorded runs, the newest first."""

    def __init__(self, store: StoredRuns) -> None:
        self._store = store

    async def run(self, run_id: str) -> WholeRun:
        """Raises NotFound(`run_not_found`), Unavailable."""
        run = await self._store.run(run_id)
        if run is None:
            raise NotFound("run_not_found", f"there is no run {run_id!r}", param="run")
        return WholeRun(run, await self._store.attempts(run_id), await self._store.outcomes(run_id))

    async def page(
        self, wanted: RunFilter, cursor: str | None, limit: int
    ) -> tuple[Page[Run], Mapping[str, OutcomesOfRun]]:
        """A page, and what was told of its runs, by run. Raises BadInput(`bad_cursor`), Unavailable."""
        page = await self._store.runs(wanted, cursor, limit)
        return page, await self._store.outcomes_of([run.id for run in page.items]) if page.items else {}

    async def count(self, wanted: RunFilter) -> int:
        """Raises Unavailable."""
        return await self._store.count_runs(wanted)

    async def batches(self, wanted: RunFilter) -> AsyncGenerator[tuple[Sequence[Run], Mapping[str, OutcomesOfRun]]]:
        """All of them, page by page; at least one, which may be empty. The next is read when it is asked for."""
        cursor: str | None = None
        while True:
            page, outcomes = await self.page(wanted, cursor, MAX_PAGE)
            yield page.items, outcomes
            cursor = page.next_cursor
            if cursor is None:
                return

    async def outcomes(self, wanted: OutcomeFilter, cursor: str | None, limit: int) -> Page[ServedOutcome]:
        """Facts about runs, each beside what served its run; a page may be short and the list go on. Raises
        BadInput(`bad_cursor`), Unavailable."""
        return await self._store.served_outcomes(wanted, cursor, limit)

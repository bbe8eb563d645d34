"""Later facts about runs."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from proxy.core.calls.outcomes import Outcome, OutcomesOfRun, ServedOutcome
from proxy.core.calls.run_filter import OutcomeFilter
from proxy.core.pages import DEFAULT_PAGE, Page
from proxy.store.ports.runs import RunStore


class OutcomeStore(Protocol):
    """Outcomes, which are appended and never changed."""

    async def record_outcomes(self, outcomes: Sequence[Outcome]) -> Sequence[str]:
        """Append those whose run is recorded, in one transaction; the ids of runs that are not, in order."""
        ...

    async def outcomes(self, run_id: str) -> Sequence[Outcome]:
        """In the order they were recorded."""
        ...

    async def outcomes_of(self, run_ids: Sequence[str]) -> Mapping[str, OutcomesOfRun]:
        """By run, of a page of them; those without any are left out."""
        ...

    async def served_outcomes(
        self, wanted: OutcomeFilter, cursor: str | None = None, limit: int = DEFAULT_PAGE
    ) -> Page[ServedOutcome]:
        """The newest first. So many are looked at for a page that it may be short, or empty, and the list go on."""
        ...


class StoredRuns(RunStore, OutcomeStore, Protocol):
    """Runs, and what was told of them later."""

"""Runs and their attempts."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from proxy.core.calls.run_filter import RunFilter, RunName
from proxy.core.calls.runs import Attempt, Run
from proxy.core.pages import DEFAULT_PAGE, Page


class RunRecords(Protocol):
    """Where finished runs go, in batches."""

    async def record_runs(self, runs: Sequence[Run], attempts: Sequence[Attempt]) -> None:
        """Write a batch in one transaction; a run id already there is left as it is. Also adds the duration of each new
        live run that reached a provider to the latency histogram of its agent, version and hour."""
        ...


class RunStore(Protocol):
    """Runs that are kept."""

    async def runs(self, wanted: RunFilter, cursor: str | None = None, limit: int = DEFAULT_PAGE) -> Page[Run]: ...
    async def run_ids(self, wanted: RunFilter, cursor: str | None = None, limit: int = DEFAULT_PAGE) -> Page[str]: ...
    async def count_runs(self, wanted: RunFilter) -> int: ...
    async def run(self, run_id: str) -> Run | None: ...
    async def runs_by_id(self, run_ids: Sequence[str]) -> Mapping[str, Run]:
        """Those that are there, looked up at once."""
        ...

    async def newest_runs(self, names: Collection[RunName]) -> Mapping[RunName, str]:
        """The id of the newest run of each request, trace or conversation; those of none are left out."""
        ...

    async def attempts(self, run_id: str) -> Sequence[Attempt]:
        """Those recorded apart, in the order they were made; where there are none, `only_attempt` of the run."""
        ...

    async def answered_names(self, limit: int) -> Sequence[tuple[str, str, str]]:
        """Provider, model asked for and model that answered of runs that are kept, where the two differ: the newest answer of each
        model, the oldest of these first, at most `limit` of them."""
        ...

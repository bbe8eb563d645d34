"""What an agent's runs come to: reports by version, of a rollout, of a label, and two versions beside each other.

Reading and counting go to other threads: calls in flight do not wait for a report.

Decision: a report takes less than half a second of CPU at three million runs (benchmarks/report_scale.py, 2026-11-29, on a busy machine: 0.45 s
for sixty days by version, the most of all). Two versions hour by hour over thirty days took three times that, as 720 blocks of 64
clusters, so that windows beyond a week are compared day by day. Not taken: hours for all windows, with fewer clusters in each, by which
users who call often would count for more than they are.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from proxy.core.errors import BadInput
from proxy.core.reports.reporting import (
    ComparisonDocument,
    ReportDocument,
    WindowDocument,
    difference_of,
    rows_of,
    side_of,
    span_of,
    window_document,
)
from proxy.core.reports.sums import DAY_MICROSECONDS
from proxy.core.rollouts.drills import DrillDocument
from proxy.core.times import rfc3339
from proxy.runtime.process.clock import Clock
from proxy.store.ports.reports import SummedRuns, SumsFilter, SumsStore

_DEFAULT_DAYS: Final = 7
#: Versions are compared hour by hour in windows up to this long, in longer ones day by day.
_MOST_HOURLY: Final = 7 * DAY_MICROSECONDS


class RunReports:
    """Reads. Times are UTC microseconds; left out, the last seven days until now."""

    def __init__(self, store: SumsStore, clock: Clock, last_drill: Callable[[str], DrillDocument | None]) -> None:
        """`last_drill`: of an agent by its name; None where it had none."""
        self._store = store
        self._clock = clock
        self.last_drill = last_drill

    def window(self, since: int | None, until: int | None) -> tuple[int, int]:
        """The window asked for; before 1970 is nothing. Raises BadInput(`bad_filter`) for one that ends before it begins."""
        end = self._clock.now_microseconds() if until is None else until
        start = max(0, end - _DEFAULT_DAYS * DAY_MICROSECONDS) if since is None else max(0, since)
        if start > end:
            named = "now" if until is None else "`until`"
            raise BadInput(
                "bad_filter", f"{named} ({rfc3339(end)}) is before `since` ({rfc3339(start)})", param="since"
            )
        return start, end

    async def report(
        self, agent: str, window: tuple[int, int], *, label: str | None = None, rollout: str | None = None
    ) -> ReportDocument:
        """By version and arm, narrowed by label or rollout. Raises Unavailable."""
        start, end = window
        by = span_of(start, end)
        found = await self._store.summed_runs(
            SumsFilter(
                agent=agent,
                from_microseconds=start,
                to_microseconds=end,
                label=label,
                rollout=rollout,
                by_hour=by == "hour",
            )
        )
        return {
            "agent": agent,
            "label": label,
            "rollout": rollout,
            "window": _window(found),
            "by": by,
            "rows": await asyncio.to_thread(rows_of, found.cells, by),
        }

    async def comparison(self, agent: str, window: tuple[int, int], candidate: int, stable: int) -> ComparisonDocument:
        """Version `candidate` against version `stable`. Raises Unavailable."""
        start, end = window
        wanted = SumsFilter(
            agent=agent, from_microseconds=start, to_microseconds=end, versions=(candidate, stable), by_hour=True
        )
        if end - start > _MOST_HOURLY:
            wanted = replace(wanted, by_hour=False)
        found = await self._store.summed_runs(wanted)
        return await asyncio.to_thread(_compared, agent, found, candidate, stable)


def _compared(agent: str, found: SummedRuns, candidate: int, stable: int) -> ComparisonDocument:
    sides = [[(cell, sums) for cell, sums in found.cells if cell.version == version] for version in (candidate, stable)]
    return {
        "agent": agent,
        "window": _window(found),
        "candidate": side_of(candidate, sides[0]),
        "stable": side_of(stable, sides[1]),
        "difference": difference_of(sides[0], sides[1]),
    }


def _window(found: SummedRuns) -> WindowDocument:
    return window_document(found.from_microseconds, found.to_microseconds, found.unfilled_before_microseconds)

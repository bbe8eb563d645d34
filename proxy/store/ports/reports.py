"""What reports need of a store: the sums of runs, kept by hour and day and cell (core/reports).

Promises: sums come to what counting the recorded runs again would come to, at any moment, whoever was killed when; they stay when
runs are pruned. A run counts in the hour in which it began, its outcomes with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from proxy.core.reports.sums import Cell, RunSums


@dataclass(frozen=True, slots=True, kw_only=True)
class SumsFilter:
    """Of which runs sums are wanted; unset members do not narrow. Times are UTC microseconds, `to` exclusive."""

    agent: str
    from_microseconds: int
    to_microseconds: int
    versions: Sequence[int] | None = None
    label: str | None = None
    rollout: str | None = None
    #: Cells of hours only; else whole days come as one.
    by_hour: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SummedRuns:
    """The sums, and of which time they are: whole hours where what they are made of is gone, or too much to be counted anew."""

    cells: Sequence[tuple[Cell, RunSums]]
    from_microseconds: int
    to_microseconds: int
    #: Runs that began before this are not in the sums yet, but for what is told of single hours; None: all are.
    unfilled_before_microseconds: int | None = None


class SumsStore(Protocol):
    """All raise Unavailable(`store_unavailable`)."""

    async def sum_up_runs(self) -> int:
        """Add some of the recorded runs to the sums, the newest first where older ones were recorded before there were sums; how
        many, 0 where it is not worth while yet."""
        ...

    async def summed_runs(self, wanted: SumsFilter) -> SummedRuns: ...

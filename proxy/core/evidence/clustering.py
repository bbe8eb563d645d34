"""Runs of one user are alike, so a hundred of them say less than a hundred of strangers: the design effect of a rate.

Users fall into 64 clusters by a hash that has nothing to do with their arm. Per step and cluster only runs and bad runs are
kept; their spread around the step's rate, beside what independent runs would give, is the design effect by which log evidence
is divided. The larger of the two arms' counts: a design effect of the difference found little more and rolled back falsely
with few users.
"""

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from operator import add, mul
from typing import Final, Generic, NamedTuple, Protocol, Self, TypeVar, overload

CLUSTERS: Final = 64


class ClusterCount(NamedTuple):
    """Runs, and bad runs, of the users of one cluster."""

    runs: int
    bad: int

    def plus(self, more: "ClusterCount") -> "ClusterCount":
        return ClusterCount(self.runs + more.runs, self.bad + more.bad)


class ClusteredCell(Protocol):
    """What is counted of something, and adds."""

    def plus(self, more: Self, /) -> Self: ...


_Owner = TypeVar("_Owner")
_Value = TypeVar("_Value")
_Key = TypeVar("_Key")
_AnyCell = TypeVar("_AnyCell", bound=ClusteredCell)


def add_cells(cells: MutableMapping[_Key, _AnyCell], more: Mapping[_Key, _AnyCell]) -> None:
    """Add to each cell what came for it."""
    for key, cell in more.items():
        before = cells.get(key)
        cells[key] = cell if before is None else before.plus(cell)


class ComputedOnce(Generic[_Owner, _Value]):
    """A property of a value that does not change: computed when it is asked for first. Unlike `functools.cached_property` it takes no
    lock, which on Python 3.11 costs more than most of what is computed here."""

    def __init__(self, compute: Callable[[_Owner], _Value]) -> None:
        self._compute = compute
        self._name = compute.__name__

    @overload
    def __get__(self, owner: None, kind: type[_Owner]) -> Self: ...
    @overload
    def __get__(self, owner: _Owner, kind: type[_Owner]) -> _Value: ...
    def __get__(self, owner: _Owner | None, kind: type[_Owner]) -> Self | _Value:
        if owner is None:
            return self
        # Found in the instance itself from now on.
        value = owner.__dict__[self._name] = self._compute(owner)
        return value


class _Moments(NamedTuple):
    """Over the clusters of one arm and step: sums of runs, of bad runs, of their squares and of their product; a bit for each cluster
    that has runs."""

    runs: int = 0
    bad: int = 0
    runs_squared: int = 0
    runs_by_bad: int = 0
    bad_squared: int = 0
    occupied: int = 0


@dataclass(frozen=True)
class StepClusters:
    """One arm's counts in one step: by cluster 0..63, clusters without a run left out. What follows from them is computed once: a step
    that is over does not change any more, and one that goes on is changed by the clusters that had runs."""

    counts: Mapping[int, ClusterCount] = field(default_factory=dict[int, ClusterCount])

    def plus(self, more: Mapping[int, ClusterCount]) -> "StepClusters":
        """With what was counted later in the same step."""
        counts = dict(self.counts)
        moments = _with_more(counts, self._moments, more)
        step = StepClusters(counts)
        step.__dict__["_moments"] = moments
        return step

    @ComputedOnce
    def _moments(self) -> _Moments:
        return _with_more({}, _Moments(), self.counts)

    @property
    def runs(self) -> int:
        return self._moments.runs

    @property
    def bad(self) -> int:
        return self._moments.bad

    @property
    def occupied(self) -> int:
        """The clusters that have runs, a bit for each."""
        return self._moments.occupied

    @property
    def tells(self) -> bool:
        """Whether some runs differ from others."""
        moments = self._moments
        return 0 < moments.bad < moments.runs

    @property
    def expected(self) -> float:
        """The spread of bad runs that independent runs would give; 0 where no run differs from the others."""
        moments = self._moments
        return moments.bad * (moments.runs - moments.bad) / moments.runs if moments.runs else 0.0

    @property
    def spread(self) -> float:
        """The sum of squares of `residuals`, from whole numbers."""
        runs, bad, runs_squared, runs_by_bad, bad_squared, _ = self._moments
        return (runs * (bad_squared * runs - 2 * bad * runs_by_bad) + bad * bad * runs_squared) / (runs * runs)

    @ComputedOnce
    def residuals(self) -> list[float]:
        """Bad runs of each cluster beyond those of the step's rate."""
        rate, residuals = self.bad / self.runs, [0.0] * CLUSTERS
        for cluster, (runs, bad) in self.counts.items():
            residuals[cluster] = bad - runs * rate
        return residuals


def _with_more(
    counts: MutableMapping[int, ClusterCount], moments: _Moments, more: Mapping[int, ClusterCount]
) -> _Moments:
    """The moments once `more` is added to the counts, which it is."""
    runs, bad, runs_squared, runs_by_bad, bad_squared, occupied = moments
    for cluster, (more_runs, more_bad) in more.items():
        had_runs, had_bad = counts.get(cluster, _NOTHING)
        counts[cluster] = ClusterCount(had_runs + more_runs, had_bad + more_bad)
        runs += more_runs
        bad += more_bad
        runs_squared += more_runs * (2 * had_runs + more_runs)
        runs_by_bad += had_runs * more_bad + had_bad * more_runs + more_runs * more_bad
        bad_squared += more_bad * (2 * had_bad + more_bad)
        if more_runs:
            occupied |= 1 << cluster
    return _Moments(runs, bad, runs_squared, runs_by_bad, bad_squared, occupied)


_NOTHING: Final = ClusterCount(0, 0)


def design_effect(candidate: Iterable[StepClusters], stable: Iterable[StepClusters]) -> float:
    """By how much to divide log evidence; at least 1. Each argument is one arm's steps, in any order."""
    return max(1.0, _of_arm(candidate), _of_arm(stable))


def non_empty(steps: Iterable[StepClusters]) -> int:
    """How many clusters have at least one run, over all steps of one arm."""
    occupied = 0
    for step in steps:
        occupied |= step.occupied
    return occupied.bit_count()


def _of_arm(steps: Iterable[StepClusters]) -> float:
    telling = [step for step in steps if step.tells]
    if not telling:
        return 1.0
    if len(telling) == 1:
        spread = telling[0].spread
    else:
        total = telling[0].residuals
        for step in telling[1:]:
            total = list(map(add, total, step.residuals))
        spread = sum(map(mul, total, total))
    return CLUSTERS / (CLUSTERS - 1) * spread / sum([step.expected for step in telling])

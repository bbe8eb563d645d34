"""Runs of one user are alike, so a hundred of them say less than a hundred of strangers: the design effect of a rate.

Users fall into 64 clusters by a hash that has nothing to do with their arm. Per step and cluster only runs and bad runs are
kept; their spread around the step's rate, beside what independent runs would give, is the design effect by which log evidence
is divided. The larger of the two arms' counts: a design effect of the difference found little more and rolled back falsely
with few users.
"""

from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, NamedTuple, Protocol, Self, TypeVar

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


_Key = TypeVar("_Key")
_AnyCell = TypeVar("_AnyCell", bound=ClusteredCell)


def add_cells(cells: MutableMapping[_Key, _AnyCell], more: Mapping[_Key, _AnyCell]) -> None:
    """Add to each cell what came for it."""
    for key, cell in more.items():
        before = cells.get(key)
        cells[key] = cell if before is None else before.plus(cell)


@dataclass(frozen=True)
class StepClusters:
    """One arm's counts in one step: by cluster 0..63, clusters without a run left out. What follows from them is computed once:
    a step that is over does not change any more."""

    counts: Mapping[int, ClusterCount] = field(default_factory=dict[int, ClusterCount])

    def plus(self, more: Mapping[int, ClusterCount]) -> "StepClusters":
        """With what was counted later in the same step."""
        counts = dict(self.counts)
        add_cells(counts, more)
        return StepClusters(counts)

    @cached_property
    def runs(self) -> int:
        return sum([count.runs for count in self.counts.values()])

    @cached_property
    def bad(self) -> int:
        return sum([count.bad for count in self.counts.values()])

    @cached_property
    def occupied(self) -> frozenset[int]:
        """The clusters that have runs."""
        return frozenset([cluster for cluster, count in self.counts.items() if count.runs])

    @cached_property
    def expected(self) -> float:
        """The spread of bad runs that independent runs would give; 0 where no run differs from the others."""
        rate = self.bad / self.runs if self.runs else 0.0
        return self.runs * rate * (1 - rate)

    @cached_property
    def residuals(self) -> list[float]:
        """Bad runs of each cluster beyond those of the step's rate."""
        rate, residuals = self.bad / self.runs, [0.0] * CLUSTERS
        for cluster, count in self.counts.items():
            residuals[cluster] = count.bad - count.runs * rate
        return residuals


def design_effect(candidate: Iterable[StepClusters], stable: Iterable[StepClusters]) -> float:
    """By how much to divide log evidence; at least 1. Each argument is one arm's steps, in any order."""
    return max(1.0, _of_arm(candidate), _of_arm(stable))


def non_empty(steps: Iterable[StepClusters]) -> int:
    """How many clusters have at least one run, over all steps of one arm."""
    return len(frozenset[int]().union(*(step.occupied for step in steps)))


def _of_arm(steps: Iterable[StepClusters]) -> float:
    telling = [step for step in steps if step.expected > 0.0]
    if not telling:
        return 1.0
    if len(telling) == 1:
        spread = sum([residual * residual for residual in telling[0].residuals])
    else:
        spread = sum([sum(residuals) ** 2 for residuals in zip(*(step.residuals for step in telling), strict=True)])
    return CLUSTERS / (CLUSTERS - 1) * spread / sum([step.expected for step in telling])

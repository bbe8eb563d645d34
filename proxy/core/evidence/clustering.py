"""Runs of one user are alike, so a hundred of them say less than a hundred of strangers: the design effect of a rate.

Users fall into 64 clusters by a hash that has nothing to do with their arm. Per step and cluster only runs and bad runs are
kept; their spread around the step's rate, beside what independent runs would give, is the design effect by which log evidence
is divided. The larger of the two arms' counts: a design effect of the difference found little more and rolled back falsely
with few users.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

CLUSTERS: Final = 64


@dataclass(frozen=True, slots=True)
class ClusterCount:
    """Runs, and bad runs, of the users of one cluster."""

    runs: int
    bad: int


#: One arm's counts in one step: by cluster 0..63, clusters without a run left out.
StepClusters = Mapping[int, ClusterCount]


def design_effect(candidate: Sequence[StepClusters], stable: Sequence[StepClusters]) -> float:
    """By how much to divide log evidence; at least 1. Each argument is one arm's steps, in any order."""
    return max(1.0, _of_arm(candidate), _of_arm(stable))


def non_empty(steps: Iterable[StepClusters]) -> int:
    """How many clusters have at least one run, over all steps of one arm."""
    return len({cluster for step in steps for cluster, count in step.items() if count.runs})


def _of_arm(steps: Sequence[StepClusters]) -> float:
    residuals = dict.fromkeys(range(CLUSTERS), 0.0)
    expected = 0.0
    for step in steps:
        runs = sum(count.runs for count in step.values())
        if runs == 0:
            continue
        rate = sum(count.bad for count in step.values()) / runs
        if not 0 < rate < 1:
            # No run differs from the others.
            continue
        expected += runs * rate * (1 - rate)
        for cluster, count in step.items():
            residuals[cluster] += count.bad - count.runs * rate
    if expected <= 0.0:
        return 1.0
    spread = sum(residual * residual for residual in residuals.values())
    return CLUSTERS / (CLUSTERS - 1) * spread / expected

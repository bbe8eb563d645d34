"""What runs of a rollout are held against, frozen from stable's runs before it or, where there are none, from its first ones."""

import math
from collections.abc import Sequence
from typing import Final

from proxy.core.calls.latency import bucket_edge, latency_bucket
from proxy.core.calls.runs import Run
from proxy.core.rollouts.measuring import Thresholds

#: So few runs tell no 95th percentile.
LEAST_RUNS: Final = 100


def frozen(runs: Sequence[Run]) -> Thresholds | None:
    """Thresholds by stable's good runs: its median and p95 of latency and time to first byte, each on the edge of a bucket, and
    its p99 of cost. None where they are too few."""
    good = [run for run in runs if run.result == "ok" and run.kind == "live"]
    if len(good) < LEAST_RUNS:
        return None
    first = [run.time_to_first_byte_microseconds for run in good if run.time_to_first_byte_microseconds is not None]
    costs = [run.cost_nanodollars for run in good if run.cost_nanodollars is not None]
    return Thresholds(
        latency_microseconds=_median_and_p95([run.duration_microseconds for run in good]),
        first_byte_microseconds=_median_and_p95(first) if len(first) >= LEAST_RUNS else (),
        cost_nanodollars=_quantile(costs, 0.99) if len(costs) >= LEAST_RUNS else None,
    )


def _median_and_p95(values: Sequence[int]) -> tuple[float, ...]:
    return tuple(bucket_edge(latency_bucket(_quantile(values, share))) for share in (0.5, 0.95))


def _quantile(values: Sequence[int], share: float) -> int:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]

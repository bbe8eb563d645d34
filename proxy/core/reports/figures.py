"""A cell's sums as the figures people read: rates with their counts and intervals, quantiles, money, outcomes.

What nobody told is null and never 0: a rate of no runs, a cost without a price, users that were too many to tell apart. Intervals are
at 95 %: of a rate Wilson's (JASA 22, 1927), with as many runs as independent users would have needed to be as sure (the design effect
of core/evidence/clustering); of a mean the normal one, as if the values were independent.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Final, TypedDict

from msgspec import Meta

from proxy.core.calls.latency import bucket_edge, quantile_bucket
from proxy.core.evidence.clustering import StepClusters, design_effect
from proxy.core.reports.counting import CLUSTERED_RATES, EMPTY_ANSWERS, LANE_RATES
from proxy.core.reports.sums import MILLIONTHS, RunSums
from proxy.core.shapes import Count, Milliseconds, Usd

RATES: Final = (*LANE_RATES, EMPTY_ANSWERS)
_Z: Final = 1.959963984540054

Interval = Annotated[list[float], Meta(description="lower and upper end at 95 %", min_length=2, max_length=2)]


class RateDocument(TypedDict):
    """How many of how many; `rate` and `interval` are null where there were none to tell it."""

    count: Count
    of: Count
    rate: float | None
    interval: Interval | None


class QuantilesDocument(TypedDict):
    """Of successful runs; at most 2 % too high."""

    runs: Count
    p50_ms: Milliseconds | None
    p95_ms: Milliseconds | None


class CostDocument(TypedDict):
    """Over the runs whose cost is known; `unpriced_runs` are the others."""

    priced_runs: Count
    unpriced_runs: Count
    total_usd: Usd | None
    per_run_usd: Usd | None
    per_success_usd: Usd | None


class TokensPerRunDocument(TypedDict):
    """Over the successful runs that told it."""

    runs: Count
    total: Count
    mean: float | None


class OutcomeFigures(TypedDict):
    """What was told of runs under one name: true or false as a rate of true, numbers with their mean; `other` are texts and
    incidents."""

    flags: RateDocument | None
    numbers: Count
    mean: float | None
    interval: Interval | None
    other: Count


class RunFigures(TypedDict):
    """What runs come to. `blocked_runs` were refused by switch, cap or key and are no part of anything else."""

    runs: Count
    blocked_runs: Count
    anonymous_runs: Count
    users: Count | None
    rates: dict[str, RateDocument]
    latency: QuantilesDocument
    first_byte: QuantilesDocument
    cost: CostDocument
    input_tokens: TokensPerRunDocument
    output_tokens: TokensPerRunDocument
    outcomes: dict[str, OutcomeFigures]


def figures(sums: RunSums) -> RunFigures:
    """All of them. `users` is null where they were too many to be told apart (about 60,000)."""
    runs, ok = sums.get("counts", "runs"), sums.get("counts", "ok")
    return {
        "runs": runs,
        "blocked_runs": sums.get("counts", "blocked"),
        "anonymous_runs": sums.get("counts", "anonymous"),
        "users": sums.users.count(),
        "rates": {
            name: rate_of(sums.get("bad", name), ok if name == EMPTY_ANSWERS else runs, _deff(sums, name))
            for name in RATES
        },
        "latency": quantiles_of(sums.of("latency")),
        "first_byte": quantiles_of(sums.of("first_byte")),
        "cost": costs_of(sums.of("counts")),
        "input_tokens": _tokens(sums, "input"),
        "output_tokens": _tokens(sums, "output"),
        "outcomes": {name: _outcome(sums, name) for name in sorted(_outcome_names(sums))},
    }


def rate_of(count: int, of: int, deff: float = 1.0) -> RateDocument:
    """A rate with Wilson's interval of `of / deff` independent runs."""
    if of <= 0:
        return {"count": count, "of": 0, "rate": None, "interval": None}
    share, n = count / of, max(1.0, of / deff)
    middle = (share + _Z * _Z / (2 * n)) / (1 + _Z * _Z / n)
    half = _Z * math.sqrt(share * (1 - share) / n + _Z * _Z / (4 * n * n)) / (1 + _Z * _Z / n)
    return {"count": count, "of": of, "rate": share, "interval": [max(0.0, middle - half), min(1.0, middle + half)]}


def clusters_of(sums: RunSums, metric: str) -> StepClusters:
    """Runs, and bad ones by a rate of CLUSTERED_RATES, of each cluster of users."""
    return step_clusters(sums.of("cluster_runs"), sums.of(f"cluster_{metric}"))


def step_clusters(runs: Mapping[str, int], bad: Mapping[str, int]) -> StepClusters:
    """Of runs, and bad ones, by cluster as sums have them; what is bad of a cluster without runs counts nowhere."""
    return StepClusters().plus(
        {int(cluster): count for cluster, count in runs.items()},
        {int(cluster): count for cluster, count in bad.items() if cluster in runs},
    )


def quantiles_of(histogram: Mapping[str, int]) -> QuantilesDocument:
    """The median and the 95th percentile of a histogram of latency buckets (core/calls/latency)."""
    counts = {int(bucket): count for bucket, count in histogram.items()}
    p50, p95 = (_milliseconds(quantile_bucket(counts, share)) for share in (0.5, 0.95))
    return {"runs": sum(counts.values()), "p50_ms": p50, "p95_ms": p95}


def _milliseconds(bucket: int | None) -> float | None:
    return None if bucket is None else round(bucket_edge(bucket)) / 1000


def costs_of(counts: Mapping[str, int]) -> CostDocument:
    """Of the counts of one or several cells."""
    priced, ok = counts.get("priced", 0), counts.get("priced_ok", 0)
    total = counts.get("cost_nanodollars", 0) / 1e9
    return {
        "priced_runs": priced,
        "unpriced_runs": counts.get("runs", 0) - priced,
        "total_usd": total if priced else None,
        "per_run_usd": total / priced if priced else None,
        "per_success_usd": total / ok if ok else None,
    }


def _deff(sums: RunSums, metric: str) -> float:
    return design_effect([clusters_of(sums, metric)], []) if metric in CLUSTERED_RATES else 1.0


def _tokens(sums: RunSums, kind: str) -> TokensPerRunDocument:
    runs, total = sums.get("counts", f"{kind}_told"), sums.get("counts", f"{kind}_tokens")
    return {"runs": runs, "total": total, "mean": total / runs if runs else None}


def _outcome_names(sums: RunSums) -> Iterable[str]:
    groups = ("outcome_true", "outcome_false", "outcome_numbers", "outcome_other")
    return {name for group in groups for name in sums.of(group)}


def _outcome(sums: RunSums, name: str) -> OutcomeFigures:
    good, flags = sums.get("outcome_true", name), sums.get("outcome_true", name) + sums.get("outcome_false", name)
    numbers = sums.get("outcome_numbers", name)
    mean = sums.get("outcome_sum", name) / MILLIONTHS / numbers if numbers else None
    return {
        "flags": rate_of(good, flags) if flags else None,
        "numbers": numbers,
        "mean": mean,
        "interval": _interval_of_mean(sums, name, numbers),
        "other": sums.get("outcome_other", name),
    }


def _interval_of_mean(sums: RunSums, name: str, numbers: int) -> list[float] | None:
    """Null for a single value, which tells no spread."""
    if numbers < 2:
        return None
    total, squares = sums.get("outcome_sum", name), sums.get("outcome_squares", name)
    # Whole numbers until the last moment: squares of large values differ by little.
    variance = (squares * numbers - total * total) / (numbers * (numbers - 1)) / MILLIONTHS**2
    mean, half = total / numbers / MILLIONTHS, _Z * math.sqrt(max(0.0, variance) / numbers)
    return [mean - half, mean + half]

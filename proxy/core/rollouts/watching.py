"""After a candidate was taken away: is what was wrong over, or is its cause elsewhere?

What the label's traffic was like before the rollout, while it ran (each arm), and since. Not cured is what has errors, refusals,
slow answers or bad outcomes since then more often than before, at evidence of 20 to 1; it is for people to read and moves nothing,
so that it does without the correction for users who are alike. Of outcomes those count that the rollout's plan asks for. Where stable had no runs before, its runs during the rollout
stand for them.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypedDict, get_args

from proxy.core.calls.latency import bucket_edge, latency_bucket, quantile_bucket
from proxy.core.calls.runs import Run
from proxy.core.evidence.bernoulli import Arms, OddsEvidence
from proxy.core.releasing.releases import CANDIDATE
from proxy.core.rollouts.measuring import counts_for_anybody, is_bad
from proxy.core.shapes import Count

WatchState = Literal["watching", "cured", "not_cured", "not_enough_traffic"]
WATCH_STATES: tuple[WatchState, ...] = get_args(WatchState)
LEAST_RUNS: Final = 50
_LOG_EVIDENCE: Final = math.log(20)
_SLOWER_TOLERATED: Final = 1.25
_COUNTED: Final = ("errors", "refusals")
#: Of every watch; between the first and the others stand the arms that were tried.
_PERIODS: Final = ("before", "stable", "after")


@dataclass(slots=True)
class Period:
    """Sums over the runs of one stretch of time, or of one arm in it. `latencies`: good runs by bucket (core/calls/latency)."""

    runs: int = 0
    bad: Counter[str] = field(default_factory=Counter[str])
    latencies: Counter[int] = field(default_factory=Counter[int])
    priced_runs: int = 0
    cost_nanodollars: int = 0
    #: By metric (`outcome.NAME`): how often it was told as yes or no, and what numbers were told, with their sum. The bad of those
    #: that are yes or no are in `bad`.
    told: Counter[str] = field(default_factory=Counter[str])
    numbers: Counter[str] = field(default_factory=Counter[str])
    totals: dict[str, float] = field(default_factory=dict[str, float])

    def count_outcome(self, run: Run, metric: str, value: bool | float) -> None:
        """Count what was told of one of its runs: whether it was bad, or a number."""
        if not counts_for_anybody(run):
            return
        if isinstance(value, bool):
            self.told[metric] += 1
            self.bad[metric] += value
        else:
            self.numbers[metric] += 1
            self.totals[metric] = self.totals.get(metric, 0.0) + value

    def count(self, run: Run) -> None:
        """Count one finished run; what says nothing about a version is left out."""
        if not counts_for_anybody(run):
            return
        self.runs += 1
        for metric in _COUNTED:
            self.bad[metric] += is_bad(metric, run)
        if run.result == "ok":
            self.latencies[latency_bucket(run.duration_microseconds)] += 1
        if run.cost_nanodollars is not None:
            self.priced_runs += 1
            self.cost_nanodollars += run.cost_nanodollars

    def latency_bucket_at(self, share: float) -> int | None:
        """The bucket in which the quantile of latency lies; None without a good run."""
        return quantile_bucket(self.latencies, share)


def periods_of(arms: Iterable[str]) -> dict[str, Period]:
    """What is watched of a label whose rollout tries these arms: before, each of them, stable beside them, and after."""
    before, *others = _PERIODS
    return {name: Period() for name in (before, *arms, *others)}


@dataclass(slots=True)
class Watch:
    """A label's traffic around a rollout, and what came of it. `seconds`: how long it was watched since."""

    periods: dict[str, Period] = field(default_factory=lambda: periods_of([CANDIDATE]))
    seconds: float = 0.0
    state: WatchState | None = None
    metric: str | None = None

    def conclude(self) -> None:
        """Set what came of it."""
        self.state, self.metric = self._judged()

    def _judged(self) -> tuple[WatchState, str | None]:
        after, base = self.periods["after"], self._base()
        if min(after.runs, base.runs) < LEAST_RUNS:
            return "not_enough_traffic", None
        for metric in _COUNTED:
            if _is_worse(Arms(after.runs, after.bad[metric], base.runs, base.bad[metric]), 1.0):
                return "not_cured", metric
        slow_from = base.latency_bucket_at(0.95)
        if slow_from is not None and _is_worse(_slow(after, base, slow_from), _SLOWER_TOLERATED):
            return "not_cured", "latency"
        for metric in sorted(after.told):
            told = after.told[metric], base.told[metric]
            if min(told) >= LEAST_RUNS and _is_worse(Arms(told[0], after.bad[metric], told[1], base.bad[metric]), 1.0):
                return "not_cured", metric
        return "cured", None

    def _base(self) -> Period:
        before = self.periods["before"]
        return before if before.runs >= LEAST_RUNS else self.periods["stable"]


def _is_worse(block: Arms, tolerance: float) -> bool:
    return OddsEvidence(tolerance).after(block).log_e() >= _LOG_EVIDENCE


def _slow(after: Period, base: Period, bucket: int) -> Arms:
    above = [sum(n for at, n in period.latencies.items() if at > bucket) for period in (after, base)]
    return Arms(after.latencies.total(), above[0], base.latencies.total(), above[1])


def watch_sentence(watch: Watch) -> str:
    """`not cured, the cause is elsewhere: errors 9 of 90 since, 31 of 412 of the candidate, 12 of 500 before`."""
    periods = watch.periods
    is_outcome = watch.metric is not None and watch.metric in periods["after"].told
    metric = watch.metric if watch.metric is not None and (watch.metric in _COUNTED or is_outcome) else "errors"
    tried = [(name, f"of {'the candidate' if name == CANDIDATE else name}") for name in periods if name not in _PERIODS]
    told = [
        f"{periods[name].bad[metric]:,} of {periods[name].told[metric] if is_outcome else periods[name].runs:,} {when}"
        for name, when in (("after", "since"), *tried, ("before", "before"))
    ]
    numbers = f"{metric} {', '.join(told)}"
    match watch.state:
        case "cured":
            return f"cured: {numbers}"
        case "not_cured":
            return f"not cured by {watch.metric}, the cause is elsewhere: {numbers}"
        case "not_enough_traffic":
            return f"not enough traffic to say whether it is cured: {numbers}"
        case _:
            return f"watched for {watch.seconds / 60:.0f} min so far: {numbers}"


class ToldDocument(TypedDict):
    """What was told under one name: `bad` of `told` yes or no, and the mean of numbers; null where there were none."""

    told: Count
    bad: Count
    numbers: Count
    mean: float | None


class PeriodDocument(TypedDict):
    """What a stretch of time, or one arm in it, was like. Cost is over the runs whose cost is known."""

    runs: Count
    errors: Count
    refusals: Count
    latency_p50_microseconds: Count | None
    latency_p95_microseconds: Count | None
    cost_per_run_nanodollars: Count | None
    outcomes: dict[str, ToldDocument]


class WatchDocument(TypedDict):
    """What was seen of a label since its candidate was taken away, by period: before, candidate or each of the arms by name, stable,
    after."""

    state: WatchState | None
    metric: str | None
    sentence: str
    seconds: Count
    periods: dict[str, PeriodDocument]


def watch_document(watch: Watch) -> WatchDocument:
    """As it is shown. Latency in microseconds, money in nano-dollars, cost over the runs whose cost is known."""
    periods = {name: _shown_period(period) for name, period in watch.periods.items()}
    return {
        "state": watch.state,
        "metric": watch.metric,
        "sentence": watch_sentence(watch),
        "seconds": round(watch.seconds),
        "periods": periods,
    }


def _shown_period(period: Period) -> PeriodDocument:
    p50, p95 = (period.latency_bucket_at(share) for share in (0.5, 0.95))
    return {
        "runs": period.runs,
        "errors": period.bad["errors"],
        "refusals": period.bad["refusals"],
        "latency_p50_microseconds": None if p50 is None else round(bucket_edge(p50)),
        "latency_p95_microseconds": None if p95 is None else round(bucket_edge(p95)),
        "cost_per_run_nanodollars": round(period.cost_nanodollars / period.priced_runs) if period.priced_runs else None,
        "outcomes": {metric: _shown_outcome(period, metric) for metric in sorted(period.told | period.numbers)},
    }


def _shown_outcome(period: Period, metric: str) -> ToldDocument:
    numbers = period.numbers[metric]
    return {
        "told": period.told[metric],
        "bad": period.bad[metric] if period.told[metric] else 0,
        "numbers": numbers,
        "mean": period.totals[metric] / numbers if numbers else None,
    }


def kept_watch(watch: Watch) -> dict[str, Any]:
    """As it is kept over a restart; counterpart `read_watch`."""
    periods = {
        name: {
            "runs": period.runs,
            "bad": dict(period.bad),
            "latencies": {str(bucket): count for bucket, count in period.latencies.items()},
            "priced_runs": period.priced_runs,
            "cost_nanodollars": period.cost_nanodollars,
            "told": dict(period.told),
            "numbers": dict(period.numbers),
            "totals": dict(period.totals),
        }
        for name, period in watch.periods.items()
    }
    return {"state": watch.state, "metric": watch.metric, "seconds": watch.seconds, "periods": periods}


def read_watch(document: Mapping[str, Any]) -> Watch:
    """As it was kept. Raises ValueError, LookupError or TypeError for anything else."""
    if document["state"] is not None and document["state"] not in WATCH_STATES:
        raise ValueError(f"a watch that is {document['state']!r}")
    found = document["periods"]
    periods = {name: _read_period(found[name]) for name in periods_of(name for name in found if name not in _PERIODS)}
    return Watch(periods, float(document["seconds"]), document["state"], document["metric"])


def _read_period(document: Mapping[str, Any]) -> Period:
    return Period(
        runs=int(document["runs"]),
        bad=Counter({str(metric): int(count) for metric, count in document["bad"].items()}),
        latencies=Counter({int(bucket): int(count) for bucket, count in document["latencies"].items()}),
        priced_runs=int(document["priced_runs"]),
        cost_nanodollars=int(document["cost_nanodollars"]),
        # What was kept before outcomes were watched has none.
        told=Counter({str(metric): int(count) for metric, count in document.get("told", {}).items()}),
        numbers=Counter({str(metric): int(count) for metric, count in document.get("numbers", {}).items()}),
        totals={str(metric): float(total) for metric, total in document.get("totals", {}).items()},
    )

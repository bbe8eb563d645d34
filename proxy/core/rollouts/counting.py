"""A rollout's runs on their way into its evidence: counted one by one into the open tick, closed tick by tick.

One counter a rollout, in the process that records runs. What it keeps does not grow with traffic: sums by step, side and
cluster, two bitmaps of users, and, within a tick only, how often each user was counted.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from proxy.core.bucketing import cluster_of
from proxy.core.calls.runs import Run
from proxy.core.evidence.bernoulli import MarginEvidence, OddsEvidence
from proxy.core.evidence.distinct import DistinctCount
from proxy.core.evidence.tallies import RUNS_COUNTED_PER_USER, RateTally, RatioTally, Side, Tick
from proxy.core.releasing.releases import CANDIDATE, STABLE
from proxy.core.rollouts.evidence import Evidence, MetricEvidence, StepEvidence
from proxy.core.rollouts.measuring import Thresholds, counts, told_rate, told_ratio
from proxy.core.rollouts.plan import MEASURED, Guard, Plan

#: Users remembered within one tick; beyond it new ones are not counted, whatever their runs were like.
_USERS_A_TICK: Final = 50_000


@dataclass(slots=True)
class Tallies:
    """What is kept of a rollout between ticks, and over restarts."""

    thresholds: Thresholds = field(default_factory=Thresholds)
    rates: dict[str, tuple[RateTally, ...]] = field(default_factory=dict[str, tuple[RateTally, ...]])
    ratios: dict[str, RatioTally] = field(default_factory=dict[str, RatioTally])
    #: Of the running step only.
    step: int = 0
    candidate_runs: int = 0
    stable_runs: int = 0
    candidate_users: DistinctCount = field(default_factory=DistinctCount)
    stable_users: DistinctCount = field(default_factory=DistinctCount)


class RolloutCounter:
    """Counts one rollout's runs: those of one of its arms, and of stable."""

    def __init__(self, salt: str, plan: Plan, tallies: Tallies, arm: str = CANDIDATE) -> None:
        self.tallies = tallies
        self._sides: Mapping[str, Side] = {arm: "candidate", STABLE: "stable"}
        self._salt = salt
        self._plan = plan
        # A guard's or signal's own tolerance goes before that of a trigger, which has none.
        self._guards: dict[str, Guard] = {guard.metric: guard for guard in reversed(plan.metrics)}
        self._rates = [metric for metric in self._guards if MEASURED.get(metric) == "rate"]
        self._ratios = [metric for metric in self._guards if MEASURED.get(metric) == "ratio"]
        self._rate_ticks: dict[str, tuple[Tick, ...]] = {}
        self._ratio_ticks: dict[str, tuple[Tick, Counter[Side]]] = {}
        #: How often each user was counted in this tick, for runs as such and for each outcome.
        self._seen: dict[tuple[str, str], int] = {}

    def count(self, run: Run) -> None:
        """Count one finished run that this rollout decided."""
        side = self._sides.get(run.arm or "")
        unit = run.user or run.conversation
        if side is None or unit is None or run.step is None or not counts(run):
            return
        if run.step == self.tallies.step:
            self._count_step(side, unit, is_new=run.reason != "conversation")
        if not self._is_witness("", unit):
            return
        cluster, thresholds = cluster_of(self._salt, unit), self.tallies.thresholds
        for metric in self._rates:
            if (bad := told_rate(metric, run, thresholds)) is not None:
                self._count_rate(metric, run.step, side, cluster, bad)
        for metric in self._ratios:
            if (pair := told_ratio(metric, run, thresholds)) is not None:
                self._add_ratio(metric, run.step, side, cluster, pair)

    def count_outcome(self, run: Run, metric: str, value: bool | float) -> None:
        """Count what people reported about a run: true or false as bad or not, a number as a score; a number tells a rate
        nothing. It belongs to the step in which the run began, and to the tick in which it came."""
        guard, side, unit = self._guards.get(metric), self._sides.get(run.arm or ""), run.user or run.conversation
        if guard is None or side is None or unit is None or run.step is None or not counts(run):
            return
        if guard.kind == "rate" and not isinstance(value, bool):
            return
        if not self._is_witness(metric, unit):
            return
        cluster = cluster_of(self._salt, unit)
        if guard.kind == "rate":
            self._count_rate(metric, run.step, side, cluster, (bool(value),))
        else:
            self._add_ratio(metric, run.step, side, cluster, (float(value), 1.0))

    def begin_step(self, step: int) -> None:
        """Count runs and users of another step from now on."""
        if step != self.tallies.step:
            self.tallies.step = step
            self.tallies.candidate_runs = self.tallies.stable_runs = 0
            self.tallies.candidate_users, self.tallies.stable_users = DistinctCount(), DistinctCount()

    def close(self) -> Evidence:
        """Close the tick: everything known until now."""
        tallies = self.tallies
        for metric, ticks in self._rate_ticks.items():
            before = tallies.rates.get(metric) or tuple(self._new_rate(metric) for _ in ticks)
            tallies.rates[metric] = tuple(tally.close(tick) for tally, tick in zip(before, ticks, strict=True))
        for metric, (tick, runs) in self._ratio_ticks.items():
            tally = tallies.ratios.get(metric) or self._new_ratio(metric)
            tallies.ratios[metric] = tally.close(tick, runs["candidate"])
        self._rate_ticks, self._ratio_ticks, self._seen = {}, {}, {}
        return self.evidence()

    def evidence(self) -> Evidence:
        """What the closed ticks say."""
        tallies = self.tallies
        metrics = {metric: MetricEvidence(rates=rates) for metric, rates in tallies.rates.items()}
        metrics |= {metric: MetricEvidence(ratio=ratio) for metric, ratio in tallies.ratios.items()}
        users = (tallies.candidate_users, tallies.stable_users)
        is_full = any(count.is_full for count in users)
        candidate, stable = (0, 0) if is_full else (users[0].estimate(), users[1].estimate())
        step = StepEvidence(tallies.candidate_runs, tallies.stable_runs, candidate, stable, users_are_uncounted=is_full)
        return Evidence(step, metrics)

    def _count_step(self, side: Side, unit: str, *, is_new: bool) -> None:
        """A conversation keeps the arm it began on, under another share perhaps: its user says nothing about this one's."""
        tallies = self.tallies
        if side == "candidate":
            tallies.candidate_runs += 1
            users = tallies.candidate_users
        else:
            tallies.stable_runs += 1
            users = tallies.stable_users
        if is_new:
            users.add(unit)

    def _is_witness(self, about: str, unit: str) -> bool:
        """Only the first runs of a user within a tick count, however they went."""
        before = self._seen.get((about, unit), 0)
        if before >= RUNS_COUNTED_PER_USER or (before == 0 and len(self._seen) >= _USERS_A_TICK):
            return False
        self._seen[about, unit] = before + 1
        return True

    def _count_rate(self, metric: str, step: int, side: Side, cluster: int, bad: tuple[bool, ...]) -> None:
        ticks = self._rate_ticks.get(metric)
        if ticks is None:
            ticks = self._rate_ticks[metric] = tuple(Tick() for _ in bad)
        for tick, is_bad in zip(ticks, bad, strict=True):
            tick.count(step, side, cluster, is_bad=is_bad)

    def _add_ratio(self, metric: str, step: int, side: Side, cluster: int, pair: tuple[float, float]) -> None:
        found = self._ratio_ticks.get(metric)
        if found is None:
            found = self._ratio_ticks[metric] = (Tick(), Counter())
        tick, runs = found
        tick.add(step, side, cluster, *pair)
        runs[side] += 1

    def _new_rate(self, metric: str) -> RateTally:
        odds, guard = self._plan.promotion_odds_ratio, self._guards[metric]
        return RateTally(OddsEvidence(guard.tolerance), None if odds is None else MarginEvidence(odds))

    def _new_ratio(self, metric: str) -> RatioTally:
        is_score = self._guards[metric].kind == "score"
        return RatioTally(deviation=self.tallies.thresholds.score_deviations.get(metric, 1.0) if is_score else None)

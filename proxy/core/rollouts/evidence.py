"""What is known of a rollout at one moment: plain values, taken over all processes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from proxy.core.evidence.tallies import RateTally, RatioTally, mean_log_e
from proxy.core.rollouts.plan import Guard


@dataclass(frozen=True, slots=True)
class StepEvidence:
    """The running step: runs and first-seen users of each side that reached the analysis."""

    candidate_runs: int = 0
    stable_runs: int = 0
    candidate_users: int = 0
    stable_users: int = 0
    #: There were too many to tell them apart: enough for any step, and too many to judge their split.
    users_are_uncounted: bool = False


@dataclass(frozen=True, slots=True)
class MetricEvidence:
    """One metric. A rate may be seen from several sides (latency above stable's median, and above its p95): all count alike."""

    rates: Sequence[RateTally] = ()
    ratio: RatioTally | None = None

    @property
    def candidate_runs(self) -> int:
        """Runs of the candidate that have told this metric."""
        if self.ratio is not None:
            return self.ratio.candidate_runs
        return max([rate.runs("candidate") for rate in self.rates], default=0)

    @property
    def foremost(self) -> RateTally | RatioTally | None:
        """What tells most: of the sides of a rate, the one with most evidence."""
        if self.ratio is not None or len(self.rates) == 1:
            return self.ratio or self.rates[0]
        return max(self.rates, key=lambda rate: rate.log_e(), default=None)

    def log_e(self, tolerated_effect: float) -> float:
        """ln of the evidence that the candidate is worse than tolerated."""
        if self.ratio is not None:
            return self.ratio.log_e(tolerated_effect)
        return mean_log_e([rate.log_e() for rate in self.rates]) if self.rates else 0.0

    def log_e_within_margin(self) -> float:
        """ln of the evidence that a rate is within the promotion's margin; the weakest side counts."""
        return min((rate.log_e_within_margin() for rate in self.rates), default=0.0)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything `decide` looks at besides the plan."""

    step: StepEvidence = field(default_factory=StepEvidence)
    metrics: Mapping[str, MetricEvidence] = field(default_factory=dict[str, MetricEvidence])

    def metric(self, guard: Guard) -> MetricEvidence:
        return self.metrics.get(guard.metric, _NOTHING)


_NOTHING = MetricEvidence()

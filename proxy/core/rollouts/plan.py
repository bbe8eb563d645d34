"""A rollout's plan: steps of growing share, what guards them, and how it ends. Frozen with the rollout when it starts."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal, get_args

from proxy.core.releasing.releases import CANDIDATE
from proxy.core.rollouts.schedule import Schedule

OnInconclusive = Literal["hold", "advance", "rollback"]
ON_INCONCLUSIVE: tuple[OnInconclusive, ...] = get_args(OnInconclusive)
AtEnd = Literal["promote", "wait"]
AT_END: tuple[AtEnd, ...] = get_args(AtEnd)
MetricKind = Literal["rate", "ratio", "score"]

#: Metrics that the proxy measures itself. A rate counts bad runs, a ratio divides two sums; more of either is worse.
MEASURED: Final[Mapping[str, MetricKind]] = {
    "errors": "rate",
    "errors.provider": "rate",
    "errors.rate_limited": "rate",
    "errors.rejected": "rate",
    "errors.broken": "rate",
    "errors.timeout": "rate",
    "refusals": "rate",
    "empty_answers": "rate",
    "truncated_answers": "rate",
    "latency": "rate",
    "time_to_first_byte": "rate",
    "tool_call_rate": "rate",
    "cost": "ratio",
    "cost_per_success": "ratio",
    "output_tokens": "ratio",
    "uncached_input": "ratio",
}
#: What people report later, by name: `outcome.escalated`, `outcome.score`.
OUTCOME_PREFIX: Final = "outcome."
#: Incidents of any severity; those of at least one are `outcome.incident.high`. Told of bad runs alone, they have no rate to compare.
INCIDENT: Final = "outcome.incident"


@dataclass(frozen=True, slots=True)
class Guard:
    """A metric that can take the candidate back. `tolerance`: an odds ratio for a rate (1.0: any increase), else the relative
    increase that is ignored (0.1: ten per cent; for a score, standard deviations)."""

    metric: str
    kind: MetricKind
    weight: float = 1.0
    tolerance: float = 1.0


@dataclass(frozen=True, slots=True)
class HardTrigger:
    """An absolute limit of the candidate's rate that acts at once: `rate` of at least `least_runs` runs, `least_bad` of them bad."""

    metric: str
    rate: float
    least_runs: int
    least_bad: int


@dataclass(frozen=True, slots=True)
class Step:
    """One share of the ramp and what must be there before the next: time, and runs and users of the candidate."""

    percentage: float
    least_seconds: float
    least_runs: int
    least_users: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """A step before the first share, in which the candidate answers copies of stable's calls that nobody gets. `percentage` of them are
    copied; all copies together cost at most `cap_nanodollars`."""

    percentage: float
    cap_nanodollars: int
    #: Also calls that offer tools are copied: whoever runs them runs nothing of a copy, but a provider's own tools may act.
    tools_are_safe: bool = False
    #: Also calls whose only key is their caller's are copied, at the caller's expense.
    takes_callers_keys: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All of it. With a `shadow`, the first of `steps` is that one, at a share of nothing. `alpha`: the probability, over the whole ramp, of taking back a candidate that is no worse."""

    steps: tuple[Step, ...]
    guards: tuple[Guard, ...]
    signals: tuple[Guard, ...] = ()
    hard_triggers: tuple[HardTrigger, ...] = ()
    alpha: float = 0.05
    #: A step that is still short of runs or users after so long is inconclusive.
    most_step_seconds: float = 7 * 86_400.0
    on_inconclusive: OnInconclusive = "hold"
    at_end: AtEnd = "promote"
    #: Promotion asks for proof that the odds of each guarded rate are below this multiple of stable's; None: it does not.
    promotion_odds_ratio: float | None = None
    watch_seconds: float = 2_700.0
    eligible: Mapping[str, str] = field(default_factory=dict[str, str])
    #: Users who have an arm whatever their bucket and tags, NFC-normalised, and who are no evidence.
    pinned: Mapping[str, str] = field(default_factory=dict[str, str])
    #: Arms beside stable by name, with fixed shares in per cent; then `steps` is one without an end. Empty: one candidate, which the
    #: steps ramp.
    arms: Mapping[str, float] = field(default_factory=dict[str, float])
    schedule: Schedule = field(default_factory=Schedule)
    shadow: Shadow | None = None
    #: The named plan it came from; None: it was written for one rollout, or is the default plan.
    name: str | None = None

    @property
    def metrics(self) -> tuple[Guard, ...]:
        """Everything it looks at: guards, signals, and hard triggers as rates."""
        return (*self.guards, *self.signals, *(Guard(trigger.metric, "rate") for trigger in self.hard_triggers))

    @property
    def arm_names(self) -> tuple[str, ...]:
        """The arms beside stable."""
        return tuple(self.arms) or (CANDIDATE,)

    @property
    def alpha_of_arm(self) -> float:
        """What of `alpha` each arm has, so that it holds for all of them together, however alike they are."""
        return self.alpha / len(self.arm_names)

    @property
    def ramp(self) -> tuple[Step, ...]:
        """The steps in which the candidate has a share."""
        return self.steps if self.shadow is None else self.steps[1:]

    def without_shadow(self) -> "Plan":
        """The same, beginning with the first share."""
        return replace(self, steps=self.ramp, shadow=None)

    @property
    def weights(self) -> dict[str, float]:
        return {guard.metric: guard.weight for guard in self.guards}


_QUARTER_HOUR: Final = 900.0
DEFAULT_PLAN: Final = Plan(
    steps=tuple(Step(percentage, _QUARTER_HOUR, 200, 20) for percentage in (5, 10, 25, 50, 100)),
    guards=(
        Guard("errors", "rate", 4.0),
        Guard("refusals", "rate", 2.0),
        Guard("latency", "rate", 2.0, 1.25),
        Guard("cost_per_success", "ratio", 2.0, 0.1),
    ),
    hard_triggers=(HardTrigger("errors", 0.5, 20, 10),),
)

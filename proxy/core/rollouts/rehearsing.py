"""A rollout lived through before it begins: traffic as it was, or as it is assumed to be, through the counting and deciding of real ones.

Who gets the candidate follows from the hash, the share of the step and the plan's tags, as on the data path; what a run of either arm is
like is the run that was given, changed by what is assumed of the arm. The clock is the runs' own; the plan's schedule is held against the
moment they are moved to. Chance is passed in, so that a seed says it all.

Decision: what a candidate served of recorded runs is left out, and not replayed as the candidate's: it was another candidate, and its
users are others than the hash of this rollout would choose.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from msgspec.structs import replace

from proxy.core.bucketing import bucket_of, buckets_for
from proxy.core.calls.runs import Run
from proxy.core.errors import BadInput
from proxy.core.releasing.releases import CANDIDATE, STABLE
from proxy.core.rollouts.counting import RolloutCounter, Tallies
from proxy.core.rollouts.deciding import Decision, Standing, State, Wait, decide
from proxy.core.rollouts.measuring import Thresholds, counts_for_anybody
from proxy.core.rollouts.plan import Plan
from proxy.core.rollouts.schedule import closed
from proxy.core.rollouts.telling import sentence
from proxy.core.rollouts.thresholds import LEAST_RUNS, frozen

#: Of a rollout that is rehearsed: real ones look every few seconds, and how often makes next to no difference.
TICK_SECONDS: Final = 60.0
ASSUMABLE: Final = ("errors", "refusals", "latency", "cost", "output_tokens")
_RATES: Final = ("errors", "refusals")
#: As many as a real rollout freezes its thresholds by, where there are runs before it, and where there are none.
RUNS_BEFORE: Final = 5 * LEAST_RUNS
FIRST_RUNS: Final = 2 * LEAST_RUNS
_WEEK_MICROSECONDS: Final = 7 * 86_400_000_000
#: Why a recorded run is not replayed: a candidate served it (or another arm than stable), it asked for another label or for none, or
#: it says nothing about what served it.
LeftOut = Literal["other_arm", "other_label", "says_nothing"]
RehearsalEnd = Literal["rolled_back", "promoted", "waiting", "traffic_over"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmAssumptions:
    """What runs of an arm are assumed to be like: rates of errors and refusals in the place of the given runs' own, factors for
    latency, cost and output tokens. What is not named stays as it is."""

    rates: Mapping[str, float] = field(default_factory=dict[str, float])
    factors: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """How it went. `seconds` and `runs` until its end, both arms; `candidate_users`: who saw the candidate; `waits`: what it was short
    of when its traffic ended."""

    end: RehearsalEnd
    told: str
    metric: str | None
    percentage: float
    seconds: float
    runs: int
    candidate_runs: int
    candidate_users: int
    #: (seconds since the start, percentage) of each step that was begun.
    steps: Sequence[tuple[float, float]]
    waits: Sequence[Wait] = ()
    #: Whether stable's runs were enough to judge latency by.
    knows_thresholds: bool = True


def replayable(runs: Iterable[Run], label: str) -> tuple[list[Run], dict[LeftOut, int]]:
    """The recorded runs that stand for what the label's stable version does, in their order, and how many others there were."""
    kept, left_out = list[Run](), Counter[LeftOut]()
    for run in runs:
        if run.arm not in (None, STABLE):
            left_out["other_arm"] += 1
        elif run.version is None or run.label != label:
            left_out["other_label"] += 1
        elif not counts_for_anybody(run):
            left_out["says_nothing"] += 1
        else:
            kept.append(run)
    return kept, dict(left_out)


def runs_before(count: int) -> int:
    """How many of so many recorded runs are before the rollout, and no part of it: so many that thresholds can be frozen by them, where
    that leaves at least as many again."""
    most = min(RUNS_BEFORE, count // 2)
    return most if most >= LEAST_RUNS else 0


def moved_to(start_microseconds: int, earliest_microseconds: int) -> int:
    """The first moment not before `earliest` that is whole weeks after `start`: runs that are moved there keep their hours and days."""
    weeks = -((start_microseconds - earliest_microseconds) // _WEEK_MICROSECONDS)
    return start_microseconds + max(0, weeks) * _WEEK_MICROSECONDS


def read_assumptions(pairs: Iterable[str]) -> dict[str, ArmAssumptions]:
    """By arm, from texts such as `candidate.errors=0.05`. Raises BadInput(`bad_assumption`)."""
    rates: dict[str, dict[str, float]] = {STABLE: {}, CANDIDATE: {}}
    factors: dict[str, dict[str, float]] = {STABLE: {}, CANDIDATE: {}}
    for pair in pairs:
        name, _, text = pair.partition("=")
        arm, _, metric = name.partition(".")
        if arm not in rates or metric not in ASSUMABLE:
            known = ", ".join(ASSUMABLE)
            raise BadInput(
                "bad_assumption", f"{pair!r} is not written as stable|candidate.METRIC=NUMBER, METRIC one of {known}"
            )
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not (0 <= value <= 1 if metric in _RATES else 0 < value <= 1000):
            what = "a rate from 0 to 1" if metric in _RATES else "a factor above 0 and up to 1000, such as 1.3"
            raise BadInput("bad_assumption", f"{pair!r} must have {what}")
        (rates if metric in _RATES else factors)[arm][metric] = value
    return {arm: ArmAssumptions(rates=rates[arm], factors=factors[arm]) for arm in rates}


def rehearse(
    plan: Plan,
    runs: Iterable[Run],
    assumed: Mapping[str, ArmAssumptions],
    salt: str,
    draw: Callable[[], float],
    *,
    before: Iterable[Run] = (),
    begins_at_microseconds: int | None = None,
    goes_on: Callable[[], bool] = lambda: True,
) -> Rehearsal:
    """Live `plan` through `runs`, which are those of stable in the order they began; `draw()` is uniform in [0, 1). Thresholds are
    frozen by the runs `before` it, else by stable's first ones. It begins with the first run, at `begins_at_microseconds` by the
    plan's schedule (None: at its own time). `goes_on()` is asked once a tick: False ends it early."""
    rehearsing = _Rehearsing(plan, assumed, salt, draw, [_as_assumed(run, assumed[STABLE], draw) for run in before])
    return rehearsing.live(iter(runs), begins_at_microseconds, goes_on)


class _Rehearsing:
    """One rollout under way."""

    def __init__(
        self,
        plan: Plan,
        assumed: Mapping[str, ArmAssumptions],
        salt: str,
        draw: Callable[[], float],
        before: Sequence[Run],
    ) -> None:
        # What happens in the shadow no user sees.
        self._plan = plan = plan.without_shadow()
        self._assumed = assumed
        self._salt = salt
        self._draw = draw
        self._counter = RolloutCounter(salt, plan, Tallies(thresholds=frozen(before) or Thresholds()))
        #: Stable's, until thresholds are frozen by them.
        self._first_runs: list[Run] = []
        self._state: State = "running"
        #: The plan's step; whether its first one has begun; and how often the share has changed, which runs carry.
        self._step = 0
        self._has_begun = False
        self._changes = 0
        self._since = 0.0
        self._begins_at = 0
        self._steps: list[tuple[float, float]] = []
        self._buckets: dict[str, int] = {}
        self._users: set[str] = set()
        self._runs = self._candidate_runs = 0

    def live(self, runs: Iterator[Run], begins_at: int | None, goes_on: Callable[[], bool]) -> Rehearsal:
        """To its end, or that of its traffic."""
        start: int | None = None
        tick = seconds = 0.0
        for run in runs:
            if start is None:
                start = run.started_at_microseconds
                self._begins_at = start if begins_at is None else begins_at
                self._begin()
            seconds = (run.started_at_microseconds - start) / 1e6
            while seconds >= tick + TICK_SECONDS:
                tick += TICK_SECONDS
                decision, told = self._decided(tick)
                end = self._applied(decision, tick)
                if end is not None:
                    return self._told(end, decision, told, tick)
                if not goes_on():
                    return self._told("traffic_over", decision, told, tick)
            self._count(run)
        # What came since the last tick counts too.
        decision, told = self._decided(seconds)
        end = self._applied(decision, seconds) if self._runs else None
        return self._told(end or "traffic_over", decision, told, seconds)

    def _begin(self) -> None:
        """With the first share, where the schedule lets it."""
        self._has_begun = closed(self._plan.schedule, self._begins_at) is None
        self._steps.append((0.0, self._percentage))

    @property
    def _percentage(self) -> float:
        return self._plan.steps[self._step].percentage if self._has_begun else 0.0

    def _decided(self, now: float) -> tuple[Decision, str]:
        standing = Standing(
            plan=self._plan,
            state=self._state,
            step=self._step,
            seconds_in_step=now - self._since,
            candidate_share=self._percentage / 100,
            not_now=closed(self._plan.schedule, self._begins_at + round(now * 1e6)),
            has_begun=self._has_begun,
        )
        decision = decide(standing, self._counter.close())
        return decision, sentence(decision, standing)

    def _applied(self, decision: Decision, now: float) -> RehearsalEnd | None:
        match decision.action:
            case "roll_back":
                return "rolled_back"
            case "promote":
                return "promoted"
            case "wait_for_approval":
                return "waiting"
            case "advance":
                self._step += 1 if self._has_begun else 0
                self._has_begun = True
                self._changes += 1
                self._since = now
                self._steps.append((now, self._percentage))
                self._counter.begin_step(self._changes)
            case action:
                self._state = "holding" if action == "hold" else "running"
        return None

    def _count(self, run: Run) -> None:
        unit = run.user or run.conversation
        self._runs += 1
        if unit is None:
            return
        by_name = self._plan.pinned.get(unit)
        if by_name is not None:
            # No evidence, as in a rollout; and nobody's candidate before anybody has it.
            if by_name == CANDIDATE and self._has_begun:
                self._candidate_runs += 1
                self._users.add(unit)
            return
        is_eligible = all(run.tags.get(tag) == value for tag, value in self._plan.eligible.items())
        arm = CANDIDATE if is_eligible and self._bucket(unit) < buckets_for(self._percentage) else STABLE
        if arm == CANDIDATE:
            self._candidate_runs += 1
            self._users.add(unit)
        changed = replace(
            _as_assumed(run, self._assumed[arm], self._draw),
            arm=arm,
            step=self._changes,
            in_analysis=is_eligible,
            kind="live",
            quarantined=False,
            reason="rollout",
        )
        self._learn(changed)
        self._counter.count(changed)

    def _bucket(self, unit: str) -> int:
        found = self._buckets.get(unit)
        if found is None:
            found = self._buckets[unit] = bucket_of(self._salt, unit)
        return found

    def _learn(self, run: Run) -> None:
        """Freeze thresholds by stable's first runs, as a rollout does that had none before it."""
        tallies = self._counter.tallies
        if tallies.thresholds.latency_microseconds or run.arm != STABLE or run.result != "ok":
            return
        self._first_runs.append(run)
        if len(self._first_runs) == FIRST_RUNS:
            tallies.thresholds = frozen(self._first_runs) or tallies.thresholds

    def _told(self, end: RehearsalEnd, decision: Decision, told: str, seconds: float) -> Rehearsal:
        return Rehearsal(
            end=end,
            told=told,
            metric=decision.metric,
            percentage=self._percentage,
            seconds=seconds,
            runs=self._runs,
            candidate_runs=self._candidate_runs,
            candidate_users=len(self._users),
            steps=tuple(self._steps),
            waits=[wait for wait in decision.waits if wait.have < wait.need] if end == "traffic_over" else (),
            knows_thresholds=bool(self._counter.tallies.thresholds.latency_microseconds),
        )


def _as_assumed(run: Run, assumed: ArmAssumptions, draw: Callable[[], float]) -> Run:
    """The run as it would have been."""
    changes: dict[str, object] = {}
    errors, refusals = assumed.rates.get("errors"), assumed.rates.get("refusals")
    if errors is not None:
        is_bad = draw() < errors
        changes |= {"result": "error" if is_bad else "ok", "status": 500 if is_bad else 200}
        changes["error_class"] = "provider_error" if is_bad else None
    if refusals is not None:
        is_refused = draw() < refusals
        changes |= {"refusal": is_refused, "finish": "refused" if is_refused else "stop"}
    for metric, members in _MEMBERS.items():
        factor = assumed.factors.get(metric)
        for member in members if factor is not None else ():
            value = getattr(run, member)
            if value is not None:
                changes[member] = round(value * factor)
    return replace(run, **changes) if changes else run


_MEMBERS: Final = {
    "latency": ("duration_microseconds", "time_to_first_byte_microseconds"),
    "cost": ("cost_nanodollars",),
    "output_tokens": ("output_tokens",),
}

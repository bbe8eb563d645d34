"""A rollout lived through before it begins: traffic as it was, or as it is assumed to be, through the counting and deciding of real ones.

Who gets the candidate follows from the hash and the share of the step, as on the data path; what a run of either arm is like is the run
that was given, changed by what is assumed of the arm. The clock is the runs' own. Chance is passed in, so that a seed says it all.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from msgspec.structs import replace

from proxy.core.bucketing import bucket_of, buckets_for
from proxy.core.calls.runs import Run
from proxy.core.errors import BadInput
from proxy.core.releasing.releases import CANDIDATE, STABLE
from proxy.core.rollouts.counting import RolloutCounter, Tallies
from proxy.core.rollouts.deciding import Action, Decision, Standing, State, decide
from proxy.core.rollouts.plan import Plan
from proxy.core.rollouts.telling import sentence
from proxy.core.rollouts.thresholds import LEAST_RUNS, frozen

#: Of a rollout that is rehearsed: real ones look every few seconds, and how often makes next to no difference.
TICK_SECONDS: Final = 60.0
ASSUMABLE: Final = ("errors", "refusals", "latency", "cost", "output_tokens")
_RATES: Final = ("errors", "refusals")
_STABLE_RUNS_BEFORE: Final = 5 * LEAST_RUNS
RehearsalEnd = Literal["rolled_back", "promoted", "waiting", "traffic_over"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmAssumptions:
    """What runs of an arm are assumed to be like: rates of errors and refusals in the place of the given runs' own, factors for
    latency, cost and output tokens. What is not named stays as it is."""

    rates: Mapping[str, float] = field(default_factory=dict[str, float])
    factors: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """How it went. `seconds` and `runs` until its end, both arms; `candidate_users`: who saw the candidate."""

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
    goes_on: Callable[[], bool] = lambda: True,
) -> Rehearsal:
    """Live `plan` through `runs`, which are those of stable in the order they began; `draw()` is uniform in [0, 1). Thresholds are
    frozen by the first of them, which are before the rollout. `goes_on()` is asked once a tick: False ends it early."""
    traffic = iter(runs)
    before = [_as_assumed(run, assumed[STABLE], draw) for run in itertools.islice(traffic, _STABLE_RUNS_BEFORE)]
    return _Rehearsing(plan, assumed, salt, draw, before).live(traffic, goes_on)


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
        thresholds = frozen(before)
        tallies = Tallies() if thresholds is None else Tallies(thresholds=thresholds)
        self._counter = RolloutCounter(salt, plan, tallies)
        self._state: State = "running"
        self._step = 0
        self._since = 0.0
        self._steps: list[tuple[float, float]] = [(0.0, plan.steps[0].percentage)]
        self._buckets: dict[str, int] = {}
        self._users: set[str] = set()
        self._runs = self._candidate_runs = 0

    def live(self, runs: Iterator[Run], goes_on: Callable[[], bool]) -> Rehearsal:
        """To its end, or that of its traffic."""
        start: int | None = None
        tick = seconds = 0.0
        decision, told = self._decided(0.0)
        for run in runs:
            start = run.started_at_microseconds if start is None else start
            seconds = (run.started_at_microseconds - start) / 1e6
            while seconds >= tick + TICK_SECONDS:
                tick += TICK_SECONDS
                decision, told = self._decided(tick)
                end = self._applied(decision.action, tick)
                if end is not None:
                    return self._told(end, decision, told, tick)
                if not goes_on():
                    return self._told("traffic_over", decision, told, tick)
            self._count(run)
        return self._told("traffic_over", decision, told, seconds)

    def _decided(self, now: float) -> tuple[Decision, str]:
        standing = Standing(plan=self._plan, state=self._state, step=self._step, seconds_in_step=now - self._since)
        decision = decide(standing, self._counter.close())
        return decision, sentence(decision, standing)

    def _applied(self, action: Action, now: float) -> RehearsalEnd | None:
        match action:
            case "roll_back":
                return "rolled_back"
            case "promote":
                return "promoted"
            case "wait_for_approval":
                return "waiting"
            case "advance":
                self._step += 1
                self._since = now
                self._steps.append((now, self._plan.steps[self._step].percentage))
                self._counter.begin_step(self._step)
            case _:
                self._state = "holding" if action == "hold" else "running"
        return None

    def _count(self, run: Run) -> None:
        unit = run.user or run.conversation
        self._runs += 1
        if unit is None:
            return
        bucket = self._buckets.get(unit)
        if bucket is None:
            bucket = self._buckets[unit] = bucket_of(self._salt, unit)
        by_name = self._plan.pinned.get(unit)
        if by_name is not None:
            # No evidence, as in a rollout.
            if by_name == CANDIDATE:
                self._candidate_runs += 1
                self._users.add(unit)
            return
        arm = CANDIDATE if bucket < buckets_for(self._plan.steps[self._step].percentage) else STABLE
        if arm == CANDIDATE:
            self._candidate_runs += 1
            self._users.add(unit)
        changed = _as_assumed(run, self._assumed[arm], self._draw)
        self._counter.count(
            replace(
                changed, arm=arm, step=self._step, in_analysis=True, kind="live", quarantined=False, reason="rollout"
            )
        )

    def _told(self, end: RehearsalEnd, decision: Decision, told: str, seconds: float) -> Rehearsal:
        return Rehearsal(
            end=end,
            told=told,
            metric=decision.metric,
            percentage=self._plan.steps[self._step].percentage,
            seconds=seconds,
            runs=self._runs,
            candidate_runs=self._candidate_runs,
            candidate_users=len(self._users),
            steps=tuple(self._steps),
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

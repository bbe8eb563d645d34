"""One rollout under judgement: what it is counted by, how long its step has run, what was decided last."""

from collections import deque
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any, Final

from proxy.core.bucketing import BUCKETS, buckets_for
from proxy.core.calls.outcomes import Outcome
from proxy.core.calls.runs import Run
from proxy.core.releasing.arms import meant_arm, tried_arms
from proxy.core.releasing.releases import CANDIDATE, STABLE
from proxy.core.rollouts.counting import RolloutCounter, Tallies
from proxy.core.rollouts.deciding import Action, Decision, Standing, State, decide
from proxy.core.rollouts.evidence import Evidence
from proxy.core.rollouts.keeping import arms_document, read_arms
from proxy.core.rollouts.measuring import outcome_metrics
from proxy.core.rollouts.plan import Plan
from proxy.core.rollouts.progress import (
    ArmProgressDocument,
    ArmState,
    Phase,
    Progress,
    decision_document,
    progress_document,
    read_progress,
)
from proxy.core.rollouts.schedule import closed
from proxy.core.rollouts.shadow import is_in_shadow, judged_by_copies
from proxy.core.rollouts.telling import sentence
from proxy.core.rollouts.thresholds import LEAST_RUNS, frozen
from proxy.core.rollouts.watching import Watch, kept_watch, periods_of, read_watch
from proxy.core.snapshot import Rollout
from proxy.core.times import rfc3339
from proxy.runtime.rollouts.copied_pairs import CopiedPairs
from proxy.store.ports.rollouts import KeptEvidence

_PHASES: Final[Mapping[Action, Phase]] = {"hold": "holding", "wait_for_approval": "waiting"}
#: Outcomes whose `true` is good; of every other one it is bad.
_GOOD_WHEN_TRUE: Final = frozenset({"validation"})


@dataclass(frozen=True, slots=True)
class ArmDecision:
    """What happens to one arm next, and what it was decided on."""

    arm: str
    decision: Decision
    standing: Standing

    @property
    def told(self) -> str:
        """The sentence that says so."""
        return sentence(self.decision, self.standing)

    @property
    def has_others(self) -> bool:
        """Whether other arms go on where this one is taken out."""
        return self.standing.has_others


@dataclass(frozen=True, slots=True)
class _Latest:
    """What was decided of an arm at the last tick, as it is shown once somebody looks; `told`: what is said in the place of the
    decision's own sentence."""

    of: ArmDecision
    state: ArmState
    at_microseconds: int
    told: str | None

    @property
    def sentence(self) -> str:
        return self.of.told if self.told is None else self.told


class JudgedRollout:
    """Counts and decides for one rollout, each of its arms against stable by itself. `at_microseconds` is of a monotonic clock."""

    def __init__(self, rollout: Rollout, plan: Plan, at_microseconds: int, kept: KeptEvidence | None) -> None:
        self.rollout = rollout
        self.plan = plan
        self.metrics = frozenset(guard.metric for guard in plan.metrics)
        #: As it was when it was last kept, or shares last changed; `shown` is as it is.
        self._progress = Progress(step=rollout.step) if kept is None else read_progress(kept.progress)
        self._seconds_in_step = self._progress.seconds_in_step
        self._phase: Phase = self._progress.phase
        tallies = {} if kept is None else read_arms(kept.tallies)
        self._counters = {
            arm.name: RolloutCounter(rollout.salt, plan, tallies.get(arm.name) or Tallies(step=rollout.step), arm.name)
            for arm in tried_arms(rollout)
        }
        self._plan_of_arm = replace(plan, alpha=plan.alpha_of_arm)
        self._looked_at = at_microseconds
        self._waited = False
        #: By arm, since the start; before it, what was kept of the one before is in `_progress`.
        self._latest: dict[str, _Latest] = {}
        watched = self._progress.watch
        self.watch = Watch(periods_of(plan.arm_names)) if watched is None else read_watch(watched)
        self._pairs = CopiedPairs()
        #: What was last said of each arm in the log, and under no name what went wrong; what stays as it is is said once.
        self.said: dict[str, object] = {}
        #: Stable's first runs, where it had none before that thresholds could be frozen by.
        self._first_runs: deque[Run] = deque(maxlen=2 * LEAST_RUNS)

    @property
    def knows_thresholds(self) -> bool:
        return all(counter.tallies.thresholds.latency_microseconds for counter in self._counters.values())

    def freeze(self, runs: list[Run]) -> None:
        """Freeze the thresholds by stable's runs, if they are enough."""
        thresholds = frozen(runs)
        if thresholds is not None:
            for counter in self._counters.values():
                counter.tallies.thresholds = thresholds

    def count(self, run: Run) -> None:
        """Count one finished run that the rollout decided; in the shadow each copy with the run it is a copy of."""
        if run.kind == "live":
            self._learn(run)
        if not is_in_shadow(self.rollout):
            if run.kind == "live":
                self._count(run)
        elif (pair := self._pairs.paired(run)) is not None:
            self._count(pair.stable)
            self._count(pair.candidate)
            for outcome in pair.told:
                self._count_outcome(pair.stable, outcome)

    def _learn(self, run: Run) -> None:
        if not self.knows_thresholds and run.arm == STABLE and run.result == "ok":
            self._first_runs.append(run)
            if len(self._first_runs) == self._first_runs.maxlen:
                self.freeze(list(self._first_runs))

    def _count(self, run: Run) -> None:
        for counter in self._counters.values():
            counter.count(run)
        if run.arm in self.watch.periods:
            self.watch.periods[run.arm].count(run)

    def count_outcome(self, run: Run, outcome: Outcome) -> None:
        """Count what was reported about one of its runs; a value that is neither yes or no nor a number tells nothing."""
        if not is_in_shadow(self.rollout):
            if run.kind == "live":
                self._count_outcome(run, outcome)
        elif (about := self._pairs.told_of(run, outcome)) is not None:
            self._count_outcome(about, outcome)

    def _count_outcome(self, run: Run, outcome: Outcome) -> None:
        value = told_value(outcome)
        if value is None:
            return
        for metric in outcome_metrics(outcome.name, outcome.severity):
            for counter in self._counters.values():
                counter.count_outcome(run, metric, value)
            if run.arm in self.watch.periods and metric in self.metrics:
                self.watch.periods[run.arm].count_outcome(run, metric, value)

    def count_before(self, run: Run, outcomes: Sequence[Outcome]) -> None:
        """Count a run of stable before the rollout, for what is watched once it is over."""
        before = self.watch.periods["before"]
        before.count(run)
        for outcome in outcomes:
            value = told_value(outcome)
            for metric in outcome_metrics(outcome.name, outcome.severity):
                if value is not None and metric in self.metrics:
                    before.count_outcome(run, metric, value)

    def follow(self, rollout: Rollout) -> None:
        """Take over what became of it: another share begins another step, whoever set it, and an arm that is gone is judged no
        more."""
        names = {arm.name for arm in rollout.arms}
        for gone in self._counters.keys() - names:
            del self._counters[gone]
        if self.plan.arms:
            self._take_out(names)
        if rollout.step != self.step:
            for counter in self._counters.values():
                counter.begin_step(rollout.step)
            self._progress = replace(self._progress, plan_step=self._plan_step_of(rollout), step=rollout.step)
            self._seconds_in_step, self._phase = 0.0, "running"
        self.rollout = rollout

    def _take_out(self, arms_left: Set[str]) -> None:
        """Show the other arms, which somebody took out, as they were last."""
        out = self._latest.keys() - arms_left
        out |= {name for name in self._progress.arms.keys() - arms_left if self._state_of(name) != "taken_out"}
        if out:
            self._progress, self._latest = self.shown, {}
            arms: dict[str, Mapping[str, Any]] = dict(self._progress.arms)
            arms |= {name: {**arms[name], "state": "taken_out"} for name in out}
            self._progress = replace(self._progress, arms=arms)

    @property
    def step(self) -> int:
        """How often its share has changed."""
        return self._progress.step

    def measure(self, at_microseconds: int, now_microseconds: int) -> dict[str, Evidence]:
        """Close the tick: what is known of each arm. The step's clock runs while the rollout is not paused, and in the shadow while
        copies may be made."""
        passed = max(0, at_microseconds - self._looked_at) / 1e6
        self._looked_at = at_microseconds
        waited, self._waited = self._waited, self._waits_in_shadow(now_microseconds)
        if self.rollout.state == "running" and not waited and not self._waited:
            self._seconds_in_step += passed
        return {arm: counter.close() for arm, counter in self._counters.items()}

    def standing(self, arm: str, now_microseconds: int) -> Standing:
        """One arm as `decide` wants it; `now_microseconds` is what the clock on the wall says."""
        state: State = self._phase
        if self.rollout.state == "paused":
            state = "paused"
        return Standing(
            plan=judged_by_copies(self.plan) if is_in_shadow(self.rollout) else self._plan_of_arm,
            state=state,
            step=self._progress.plan_step,
            seconds_in_step=self._seconds_in_step,
            candidate_share=_share_beside_stable(self.rollout, arm),
            not_now=closed(self.plan.schedule, now_microseconds),
            has_begun=self._has_begun and not self._waits_in_shadow(now_microseconds),
            arm=arm,
            has_others=len(self._counters) > 1,
        )

    def decide(self, evidence: Mapping[str, Evidence], now_microseconds: int) -> list[ArmDecision]:
        """What happens next to each arm."""
        decided: list[ArmDecision] = []
        for arm, known in evidence.items():
            standing = self.standing(arm, now_microseconds)
            decided.append(ArmDecision(arm, decide(standing, known), standing))
        return decided

    @property
    def next_percentage(self) -> float:
        """The share that follows: the next step's, or, of a rollout that waited for its schedule, the first one's."""
        return self.plan.steps[self._progress.plan_step + (1 if self._has_begun else 0)].percentage

    @property
    def _has_begun(self) -> bool:
        """Whoever sets a share by hand begins it, also with none. Fixed shares wait for nothing."""
        return (
            bool(self.plan.arms)
            or self.rollout.step > 0
            or _share_of(self.rollout) > 0
            or self.plan.steps[0].percentage == 0
        )

    def _waits_in_shadow(self, now_microseconds: int) -> bool:
        return is_in_shadow(self.rollout) and closed(self.plan.schedule, now_microseconds) is not None

    def phase_of(self, arm: str) -> Phase:
        """What the controller makes of one arm; of one candidate, of the rollout."""
        if not self.plan.arms:
            return self._phase
        return "holding" if self._state_of(arm) == "holding" else "running"

    def decided(
        self, of: ArmDecision, now_microseconds: int, *, phase: Phase | None = None, told: str | None = None
    ) -> None:
        """Keep what was decided, and `told` in the place of its sentence. A rollout that waits for approval goes on waiting."""
        action = of.decision.action
        is_holding = phase == "holding" or action == "hold"
        is_out = phase is None and action == "roll_back"
        state: ArmState = "holding" if is_holding else "taken_out" if is_out else "running"
        self._latest[of.arm] = _Latest(of, state, now_microseconds, told)
        if self.plan.arms:
            states = map(self._state_of, {**self._progress.arms, **self._latest})
            self._phase = "holding" if "holding" in states else "running"
        else:
            was_waiting = self._phase == "waiting" and action == "stay"
            self._phase = phase or ("waiting" if was_waiting else _PHASES.get(action, "running"))

    @property
    def shown(self) -> Progress:
        """The progress with every number of the last decision, which are written down only for somebody who looks."""
        progress = replace(self._progress, seconds_in_step=self._seconds_in_step, phase=self._phase)
        if self.plan.arms and self._latest:
            arms = dict(progress.arms) | {name: self._arm_document(latest) for name, latest in self._latest.items()}
            return replace(
                progress,
                code="arms",
                sentence="; ".join(f"{name}: {one['sentence']}" for name, one in arms.items()),
                decided_at_microseconds=max(latest.at_microseconds for latest in self._latest.values()),
                arms=arms,
            )
        for latest in self._latest.values():
            progress = replace(
                progress,
                code=latest.of.decision.code,
                sentence=latest.sentence,
                decided_at_microseconds=latest.at_microseconds,
                decision=decision_document(latest.of.decision),
            )
        return progress

    def _state_of(self, arm: str) -> ArmState | None:
        latest = self._latest.get(arm)
        return self._progress.arms.get(arm, {}).get("state") if latest is None else latest.state

    def _arm_document(self, latest: _Latest) -> Mapping[str, Any]:
        shown: ArmProgressDocument = {
            "version": meant_arm(self.rollout, latest.of.arm).version,
            "state": latest.state,
            "code": latest.of.decision.code,
            "sentence": latest.sentence,
            "decided_at": rfc3339(latest.at_microseconds),
            "decision": decision_document(latest.of.decision),
        }
        return dict(shown)

    def kept(self, now_microseconds: int) -> KeptEvidence:
        """To keep over a restart."""
        return KeptEvidence(
            agent=self.rollout.agent,
            rollout=self.rollout.id,
            progress=progress_document(replace(self.shown, watch=kept_watch(self.watch))),
            tallies=arms_document({arm: counter.tallies for arm, counter in self._counters.items()}),
            updated_at_microseconds=now_microseconds,
        )

    def _plan_step_of(self, rollout: Rollout) -> int:
        """The first step of the plan with at least the candidate's share, in buckets: 7 % is no exact float."""
        candidate = rollout.arm(CANDIDATE)
        share = 0 if candidate is None else candidate.share_buckets
        enough = (index for index, step in enumerate(self.plan.steps) if buckets_for(step.percentage) >= share)
        return next(enough, len(self.plan.steps) - 1)


def told_value(outcome: Outcome) -> bool | float | None:
    """Whether what was told is bad, or the number that was told; None for what is neither."""
    value = True if outcome.name == "incident" else outcome.value
    if isinstance(value, bool):
        return value is not (outcome.name in _GOOD_WHEN_TRUE)
    return float(value) if isinstance(value, int | float) else None


def evidence_reference(judged: JudgedRollout, of: ArmDecision) -> dict[str, Any]:
    """What ledger and audit keep of the evidence a decision rests on."""
    which = {"arm": of.arm} if judged.plan.arms else {}
    told = {"kind": "rollout", "id": judged.rollout.id, **which, "sentence": of.told}
    return {**told, **decision_document(of.decision)}


def _share_of(rollout: Rollout) -> float:
    candidate = rollout.arm(CANDIDATE)
    return 0.0 if candidate is None else candidate.share_buckets / BUCKETS


def _share_beside_stable(rollout: Rollout, name: str) -> float:
    """An arm's share of the buckets that it and stable have: how their users must be split."""
    arm, stable = (0 if found is None else found.share_buckets for found in (rollout.arm(name), rollout.arm(STABLE)))
    return arm / (arm + stable) if arm + stable else 0.0

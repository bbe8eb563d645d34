"""How far a rollout has come, as it is kept over restarts and shown: the plan's step, its clock, and the last decision."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NotRequired, TypedDict, get_args

from proxy.core.rollouts.assessing import Assessment, Role, Verdict
from proxy.core.rollouts.deciding import Action, Awaited, Decision, Wait
from proxy.core.rollouts.schedule import Closed, ClosedBy
from proxy.core.shapes import Count, Moment, VersionNumber
from proxy.core.times import rfc3339

#: What the controller makes of a rollout that runs. Whether it is paused is the rollout's own state.
Phase = Literal["running", "holding", "waiting"]
PHASES: tuple[Phase, ...] = get_args(Phase)
#: What the controller makes of one arm of a fixed share.
ArmState = Literal["running", "holding", "taken_out"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """`plan_step` counts the plan's steps, `step` the changes of share (also those people made): runs carry the latter."""

    plan_step: int = 0
    step: int = 0
    seconds_in_step: float = 0.0
    phase: Phase = "running"
    code: str = "begun"
    sentence: str = "begun; nothing is counted yet"
    decided_at_microseconds: int | None = None
    #: The last decision with every number, as it is shown.
    decision: Mapping[str, Any] | None = None
    #: Of a rollout with arms of fixed shares what was decided of each, as it is shown; those that were taken out stay. It has no
    #: `decision` of its own then.
    arms: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, "Mapping[str, Any]"])
    #: The label's traffic before, during and after, as core/rollouts/watching.py keeps it.
    watch: Mapping[str, Any] | None = None


class CountedDocument(TypedDict):
    """Runs of one arm, and how many of them were bad; null where the metric is not counted."""

    runs: Count | None
    bad: Count | None


class AssessmentDocument(TypedDict):
    """What one metric says of the candidate. `evidence` is an e-value."""

    metric: str
    role: Role
    verdict: Verdict
    candidate: CountedDocument
    stable: CountedDocument
    effect: float | None
    interval: list[float | None] | None
    evidence: float
    log_evidence: float


class WaitDocument(TypedDict):
    """What a step waits for; `need` null: for a person."""

    what: Awaited
    have: Count
    need: Count | None
    remaining_seconds: Count | None


class ClosedDocument(TypedDict):
    """Why a schedule lets nothing grow, and until when; null: nobody can tell."""

    by: ClosedBy
    why: str
    until: Moment | None


class DecisionDocument(TypedDict):
    """What the controller decided, with every number it decided on. `evidence` is an e-value."""

    action: Action
    verdict: Verdict
    code: str
    metric: str | None
    evidence: float
    log_evidence: float
    metrics: list[AssessmentDocument]
    waits: list[WaitDocument]
    #: Null: the schedule lets it grow. Decisions of earlier releases do not speak of it.
    schedule: NotRequired[ClosedDocument | None]


class ArmProgressDocument(TypedDict):
    """What was decided last of one arm of a fixed share."""

    version: VersionNumber
    state: ArmState
    code: str
    sentence: str
    decided_at: Moment
    decision: DecisionDocument


class ProgressDocument(TypedDict):
    """How far a rollout has come. `plan_step` counts the plan's steps, `step` the changes of share."""

    plan_step: Count
    step: Count
    seconds_in_step: float
    phase: Phase
    code: str
    sentence: str
    decided_at_microseconds: int | None
    #: Null where nothing was decided yet, and where `arms` have one each.
    decision: DecisionDocument | None
    #: Of arms of fixed shares by name; absent of one candidate.
    arms: NotRequired[dict[str, ArmProgressDocument]]


def progress_document(progress: Progress) -> dict[str, Any]:
    """As it is kept."""
    return {
        "plan_step": progress.plan_step,
        "step": progress.step,
        "seconds_in_step": progress.seconds_in_step,
        "phase": progress.phase,
        "code": progress.code,
        "sentence": progress.sentence,
        "decided_at_microseconds": progress.decided_at_microseconds,
        "decision": None if progress.decision is None else dict(progress.decision),
        "watch": None if progress.watch is None else dict(progress.watch),
        **({"arms": dict(progress.arms)} if progress.arms else {}),
    }


def read_progress(document: Mapping[str, Any]) -> Progress:
    """As it was kept. Raises ValueError, LookupError or TypeError for anything else."""
    if document["phase"] not in PHASES:
        raise ValueError(f"a phase named {document['phase']!r}")
    return Progress(**document)


def decision_document(decision: Decision) -> DecisionDocument:
    """Every number of a decision. `evidence` is an e-value: how many to one the counts speak against the candidate."""
    return {
        "action": decision.action,
        "verdict": decision.verdict,
        "code": decision.code,
        "metric": decision.metric,
        "evidence": _e_value(decision.log_e),
        "log_evidence": round(decision.log_e, 6),
        "metrics": [_assessment_document(assessment) for assessment in decision.assessments],
        "waits": [_wait_document(wait) for wait in decision.waits if wait.have < wait.need],
        "schedule": None if decision.not_now is None else _closed_document(decision.not_now),
    }


def _assessment_document(told: Assessment) -> AssessmentDocument:
    return {
        "metric": told.metric,
        "role": told.role,
        "verdict": told.verdict,
        "candidate": {"runs": told.candidate_runs, "bad": told.candidate_bad},
        "stable": {"runs": told.stable_runs, "bad": told.stable_bad},
        "effect": _rounded(told.effect),
        "interval": None if told.interval is None else [_rounded(edge) for edge in told.interval],
        "evidence": _e_value(told.log_e),
        "log_evidence": round(told.log_e, 6),
    }


def _wait_document(wait: Wait) -> WaitDocument:
    return {
        "what": wait.what,
        "have": round(wait.have),
        "need": None if math.isinf(wait.need) else round(wait.need),
        "remaining_seconds": None
        if wait.remaining_seconds is None or math.isinf(wait.remaining_seconds)
        else round(wait.remaining_seconds),
    }


def _closed_document(closed: Closed) -> ClosedDocument:
    until = closed.until_microseconds
    return {"by": closed.by, "why": closed.why, "until": None if until is None else rfc3339(until)}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _e_value(log_e: float) -> float:
    return round(math.exp(min(log_e, 300.0)), 3)

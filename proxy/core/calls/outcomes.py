"""Outcomes: facts about a run that are known only later, such as a validation, an escalation, a score, an incident.

Any name may be used; those that reports and rollouts read have a fixed kind of value. Appended, never changed: a fact that
turned out wrong is followed by another one. Which run it was, and who says so, stands in each.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, get_args

from proxy.core.errors import BadInput
from proxy.core.nearest import nearest_of
from proxy.core.shapes import Moment, VersionNumber, Who, Why
from proxy.core.times import rfc3339
from proxy.core.wrong_values import in_words

Severity = Literal["low", "medium", "high", "critical"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
OutcomeValue = bool | int | float | str | None

_NAME = re.compile(r"[a-z][a-z0-9._-]{0,63}\Z")
_FLAGS = ("validation", "escalated", "operator_edited")
_SCORE = "score"
_INCIDENT = "incident"
#: Names whose value is of a fixed kind; beside them any may be used.
FIXED_NAMES = (*_FLAGS, _SCORE, _INCIDENT)
_MAX_TEXT = 2000
_MAX_INTEGER = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One fact about one run. `recorded_at_microseconds` is when it was told, not when it happened."""

    id: str
    run: str
    name: str
    value: OutcomeValue
    severity: Severity | None
    why: str
    recorded_by: str
    recorded_at_microseconds: int


@dataclass(frozen=True, slots=True)
class ServedOutcome:
    """An outcome beside what had served its run."""

    outcome: Outcome
    agent: str
    version: int | None
    label: str | None
    arm: str | None


@dataclass(frozen=True, slots=True)
class OutcomesOfRun:
    """The newest outcomes of a run, in the order they were recorded, and how many it has in all."""

    newest: Sequence[Outcome]
    count: int


def check_outcome(name: str, value: Any, severity: str | None) -> tuple[OutcomeValue, Severity | None]:
    """Value and severity of an outcome, as they are kept.

    `validation`, `escalated` and `operator_edited` are true or false, `score` is a number, an `incident` has a severity and
    nothing else has one. Raises BadInput (`bad_outcome`).
    """
    if not _NAME.match(name):
        raise _bad("name", "must begin with a letter and hold only a-z, 0-9, '.', '_' and '-', at most 64")
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if name in _FLAGS and not isinstance(value, bool):
        raise _bad("value", f"of {name} must be true or false")
    if name == _SCORE and not is_number:
        raise _bad("value", "of a score must be a number")
    if is_number and not (math.isfinite(value) and abs(value) <= _MAX_INTEGER):
        raise _bad("value", "is a number that JSON programs do not carry exactly")
    if not isinstance(value, bool | int | float | str | None) or (isinstance(value, str) and len(value) > _MAX_TEXT):
        raise _bad("value", f"must be true, false, a number, null or a text of at most {_MAX_TEXT} characters")
    if (name == _INCIDENT) != (severity is not None):
        raise _bad("severity", f"belongs to an incident, and an incident has one: {', '.join(SEVERITIES)}")
    if severity is not None and severity not in SEVERITIES:
        raise _bad("severity", f"must be {in_words(SEVERITIES)}{nearest_of(severity, SEVERITIES)}")
    return value, severity


def _bad(member: str, problem: str) -> BadInput:
    return BadInput("bad_outcome", f"{member} {problem}", param=member)


class OutcomeDocument(TypedDict):
    """A later fact about a run."""

    id: str
    run: str
    name: str
    value: OutcomeValue
    severity: Severity | None
    why: Why
    recorded_by: Who
    recorded_at: Moment


def outcome_document(outcome: Outcome) -> OutcomeDocument:
    return {
        "id": outcome.id,
        "run": outcome.run,
        "name": outcome.name,
        "value": outcome.value,
        "severity": outcome.severity,
        "why": outcome.why,
        "recorded_by": outcome.recorded_by,
        "recorded_at": rfc3339(outcome.recorded_at_microseconds),
    }


class ServedOutcomeDocument(OutcomeDocument):
    """An outcome with whose run it was."""

    agent: str
    version: VersionNumber | None
    label: str | None
    arm: str | None


def served_outcome_document(served: ServedOutcome) -> ServedOutcomeDocument:
    return {
        **outcome_document(served.outcome),
        "agent": served.agent,
        "version": served.version,
        "label": served.label,
        "arm": served.arm,
    }

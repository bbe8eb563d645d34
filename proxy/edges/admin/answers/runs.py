"""Answers: runs, and what is said of them afterwards."""

from typing import NotRequired, TypedDict

from proxy.core.calls.outcomes import OutcomeDocument
from proxy.core.calls.run_filter import RunFilterDocument
from proxy.core.calls.runs import AttemptDocument, RunDocument
from proxy.core.shapes import Count


class JudgedRun(RunDocument):
    """A run with what was told of it: the newest outcomes, and how many there are."""

    outcome_count: Count
    outcomes: list[OutcomeDocument]


class RunShown(JudgedRun):
    """A run with its attempts and all its outcomes."""

    attempts: list[AttemptDocument]


class Quarantined(TypedDict):
    """How many runs changed, and which were meant: those that were named, or all that fit the filter."""

    changed: Count
    quarantined: bool
    runs: NotRequired[list[str]]
    filter: NotRequired[RunFilterDocument]


class OutcomesRecorded(TypedDict):
    """The outcomes that were kept, and the runs that nobody knows."""

    items: list[OutcomeDocument]
    unknown_runs: list[str]

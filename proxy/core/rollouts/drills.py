"""Drills: rollbacks that are rehearsed before one is needed, what they must not come between, and what they came to.

A drill puts a label of its own on an agent, rolls a candidate out on it and takes it back by the order that people and the
controller give, while synthetic calls ask for that label all the time. What is decided of one is here; who makes the calls, and in
which order things happen, is runtime's matter.

Decision: a label of its own and not the rehearsed one. Real users follow theirs throughout, and what the drill does is what a
rollback does: a change in the store with its audit entry, a snapshot swapped in every process, calls resolved by it. A lane that only
memory knew would have left out the two that take the time.

Decision: no provider is called. Taking back does not depend on one, a provider's second or two would hide the milliseconds that are
measured, and a rehearsal that is repeated each week for each agent should cost nothing. The synthetic calls are answered in the
process, in the format of the wire they speak.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NotRequired, TypedDict, cast

from proxy.core.errors import Conflict, NotFound
from proxy.core.names import DRILL_LABEL
from proxy.core.releasing.releases import Release
from proxy.core.shapes import AgentName, Count, LabelName, Milliseconds, Moment, VersionNumber, Who, Why
from proxy.core.snapshot import AgentState
from proxy.core.switches import Switch

#: The kind of the evidence that every row and entry of a drill carries.
DRILL_EVIDENCE: Final = "drill"
#: Of the synthetic users.
CANDIDATE_PERCENTAGE: Final = 50.0
WEEK_MICROSECONDS: Final = 7 * 86_400_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillOrder:
    """What every process that takes calls is told: to call `agent` by the drill's label until the candidate has answered and answers no
    more, for so many seconds at most."""

    id: str
    agent: str
    #: For prompts that ask for some.
    variables: Mapping[str, str]
    limit_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillCalls:
    """What the synthetic calls of one process came to."""

    calls: int
    candidate_calls: int
    failed_calls: int
    #: The code of the first that failed.
    failure: str | None
    #: When the candidate answered last, microseconds of the machine's monotonic clock, which its processes share.
    last_candidate_at: int | None
    #: Whether the candidate answered, and then, asked again by all users, did not.
    is_taken_back: bool


class DrillProcessDocument(TypedDict):
    """One process that takes calls. `passed`: it had the candidate, and then had it no more (drills of earlier releases do not say it).
    `time_ms` null: it did not pass, or none of its calls was answered by the candidate after the order."""

    process: str
    passed: NotRequired[bool]
    time_ms: Milliseconds | None
    calls: Count
    candidate_calls: Count
    failed_calls: Count
    failure: str | None


class DrillDocument(TypedDict):
    """A rehearsed rollback. `time_ms`: from the order to the last answer of the candidate in any process, null where one still had it
    (`passed` false), or where no answer came after the order; `command_ms`: until the order was answered."""

    id: str
    agent: AgentName
    label: LabelName
    stable: VersionNumber
    candidate: VersionNumber
    who: Who
    why: Why
    drilled_at: Moment
    passed: bool
    time_ms: Milliseconds | None
    command_ms: Milliseconds
    calls: Count
    failed_calls: Count
    processes: list[DrillProcessDocument]


def drilled_versions(state: AgentState, label: str) -> tuple[int, int]:
    """What stays and what is taken back: the version that `label` serves, and the newest other one. Raises
    NotFound(`label_not_set`), Conflict(`nothing_to_rehearse`)."""
    serving = state.labels.get(label)
    if serving is None:
        raise NotFound("label_not_set", f"the label {label!r} of agent {state.agent.name!r} is not set", param="label")
    newest = state.agent.newest
    candidate = newest if newest != serving.version else newest - 1
    if candidate < 1:
        raise Conflict(
            "nothing_to_rehearse",
            f"agent {state.agent.name!r} has one version, and nothing to go back from: create another",
        )
    return serving.version, candidate


def check_drillable(state: AgentState, switches: Sequence[Switch], now_microseconds: int) -> None:
    """Raises Conflict: `rollout_running` where a label of the agent is in a rollout, `switch_holds` where a switch stops or diverts
    calls of the agent, or some of them."""
    for label, rollout in state.rollouts.items():
        if label != DRILL_LABEL:
            raise Conflict(
                "rollout_running", f"rollout {rollout.id} of label {label!r} is {rollout.state}; drill when it is over"
            )
    for switch in switches:
        is_about_it = switch.scope.agent in (None, state.agent.name)
        if is_about_it and switch.mode != "observe" and switch.is_active(now_microseconds):
            raise Conflict(
                "switch_holds", f"switch {switch.id} is on; drill when `switchback restore {switch.id}` is done"
            )


def is_due(drilled_at_microseconds: int | None, now_microseconds: int) -> bool:
    """Whether an agent is to be drilled again, which was drilled last at that moment, or never."""
    return drilled_at_microseconds is None or now_microseconds - drilled_at_microseconds >= WEEK_MICROSECONDS


def process_document(process: str, calls: DrillCalls | None, ordered_at: int) -> DrillProcessDocument:
    """What a process tells; `calls` None: it ended before it did. `ordered_at`: when the rollback was ordered, on the same clock."""
    if calls is None:
        return {
            "process": process,
            "passed": False,
            "time_ms": None,
            "calls": 0,
            "candidate_calls": 0,
            "failed_calls": 0,
            "failure": "process_ended",
        }
    last = calls.last_candidate_at
    return {
        "process": process,
        "passed": calls.is_taken_back,
        # Of a candidate that answered last before the order nobody knows how long it would have gone on.
        "time_ms": (last - ordered_at) / 1000
        if calls.is_taken_back and last is not None and last > ordered_at
        else None,
        "calls": calls.calls,
        "candidate_calls": calls.candidate_calls,
        "failed_calls": calls.failed_calls,
        "failure": calls.failure,
    }


def has_passed(processes: Sequence[DrillProcessDocument]) -> bool:
    """Whether each of them had nothing of the candidate any more; without any nobody knows."""
    return bool(processes) and all(process.get("passed") for process in processes)


def time_of(processes: Sequence[DrillProcessDocument]) -> float | None:
    """Until the last of them had nothing of the candidate any more, milliseconds; None where one still had, or where the candidate
    answered nothing after the order."""
    known = [process["time_ms"] for process in processes if process["time_ms"] is not None]
    return max(known) if known and has_passed(processes) else None


def drill_evidence(document: DrillDocument) -> Mapping[str, Any]:
    """As the ledger keeps it, with the row that ends the drill."""
    return {"kind": DRILL_EVIDENCE, **document}


def is_of_drill(release: Release) -> bool:
    """Whether a row was written by a drill."""
    return any(item.get("kind") == DRILL_EVIDENCE for item in release.evidence)


def drill_of(release: Release) -> DrillDocument | None:
    """The drill that a row of the ledger ended; None for any other row."""
    for item in release.evidence:
        if item.get("kind") == DRILL_EVIDENCE and "processes" in item:
            return cast("DrillDocument", {name: value for name, value in item.items() if name != "kind"})
    return None

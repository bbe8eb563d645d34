"""Conductor of a drill: set a label of its own up -> call it -> take it back -> measure -> clear it away.

The rollback is the one that people and the controller order (release_commands.py), on the same path: journal, store, audit entry,
snapshots of every process. What the calls are is runtime/own_calls' matter; what must not be drilled, and what the figures say,
core's (core/rollouts/drills.py). One drill is held at a time. What one that broke off left behind is cleared away at the next start,
or by the next drill.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from proxy.core.errors import Conflict, Refusal
from proxy.core.names import DRILL_LABEL
from proxy.core.proof.emergency import RollbackOrder
from proxy.core.releasing.arms import RolloutDraft, candidate_arm
from proxy.core.releasing.releases import release_document, whole
from proxy.core.rollouts.drills import (
    CANDIDATE_PERCENTAGE,
    DRILL_EVIDENCE,
    DrillCalls,
    DrillDocument,
    DrillOrder,
    check_drillable,
    drill_evidence,
    drilled_versions,
    has_passed,
    is_of_drill,
    process_document,
    time_of,
)
from proxy.core.snapshot import AgentState, label_document
from proxy.core.times import rfc3339
from proxy.core.versions.versions import Version
from proxy.runtime.process.clock import Clock, Identifiers
from proxy.runtime.releasing import release_rows
from proxy.runtime.releasing.release_commands import roll_back_now
from proxy.runtime.releasing.release_rows import Cause
from proxy.runtime.rollouts.drill_book import DrillBook
from proxy.runtime.state.changes import Changes
from proxy.runtime.state.drill_crew import DrillCrew, DrillMember
from proxy.runtime.state.work import Work

#: How long the calls go on at most, and how long the candidate may take to answer the first of them.
_LIMIT_SECONDS: Final = 10.0
_BEGIN_SECONDS: Final = 5.0
#: How long a process may take beyond that to say what its calls came to.
_TELL_SECONDS: Final = 2.0
#: For a variable that a prompt asks for.
_VARIABLE: Final = "drill"


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillParts:
    """What drills work with; put together by the composition root."""

    changes: Changes
    crew: DrillCrew
    book: DrillBook
    #: The names of processes that have not confirmed what is in force here.
    confirm: Callable[[], Awaitable[Sequence[str]]]
    clock: Clock
    identifiers: Identifiers


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    """What a drill is about."""

    id: str
    agent: str
    #: The one that is rehearsed, which nothing happens to.
    label: str
    stable: int
    candidate: int
    variables: dict[str, str]
    cause: Cause


class Drills:
    """Holds them."""

    def __init__(self, parts: DrillParts) -> None:
        self._parts = parts
        self._turn = asyncio.Lock()

    @property
    def book(self) -> DrillBook:
        """What they came to."""
        return self._parts.book

    async def hold(self, who: str, agent: str, label: str | None, why: str) -> DrillDocument:
        """Rehearse the rollback of a label (the agent's default one), and keep what it came to.

        Raises NotFound (`agent_not_found`, `label_not_set`), Conflict (`drill_running`, `rollout_running`, `switch_holds`,
        `nothing_to_rehearse`), Unavailable.
        """
        if self._turn.locked():
            raise Conflict("drill_running", "a drill is held already; one takes some seconds at most")
        async with self._turn:
            drill_id = self._parts.identifiers.new("drill")
            stage = await self._set_up(drill_id, Cause(who=who, why=why, evidence=[_mark(drill_id)]), agent, label)
            try:
                drill = await self._rehearse(stage)
            except BaseException:
                with suppress(Refusal):
                    await self._clear(agent, stage.cause)
                raise
            await self._clear(agent, stage.cause, drill)
        self.book.note(drill)
        return drill

    async def clear_left_behind(self) -> None:
        """Take away what drills left that broke off with their process. Raises Unavailable."""
        async with self._turn:
            for name, state in self._parts.changes.snapshot.agents.items():
                if DRILL_LABEL in state.labels:
                    # A label that is no drill's stays.
                    with suppress(Conflict):
                        await self._clear(name, Cause(who="drill", why="left by a drill that broke off"))

    async def _set_up(self, drill_id: str, cause: Cause, agent: str, label: str | None) -> _Stage:
        changes = self._parts.changes
        async with changes.begin(agent) as work:
            state = await work.state(agent)
            rehearsed = label or state.agent.default_label
            stable, candidate = drilled_versions(state, rehearsed)
            check_drillable(state, changes.snapshot.switches, changes.now)
            state = await _without_label(work, state, cause)
            await release_rows.move(work, state, DRILL_LABEL, stable, cause)
            draft = RolloutDraft(label=DRILL_LABEL, arms=candidate_arm(candidate, CANDIDATE_PERCENTAGE))
            await release_rows.start_rollout(work, await work.state(agent), draft, cause)
            versions = [await work.change.version(agent, number) for number in (stable, candidate)]
        return _Stage(
            id=drill_id,
            agent=agent,
            label=rehearsed,
            stable=stable,
            candidate=candidate,
            variables=_variables_of(versions),
            cause=cause,
        )

    async def _rehearse(self, stage: _Stage) -> DrillDocument:
        parts = self._parts
        await parts.confirm()
        order = DrillOrder(id=stage.id, agent=stage.agent, variables=stage.variables, limit_seconds=_LIMIT_SECONDS)
        members = parts.crew.drill(order)
        await _settled([member.begun for member in members], _BEGIN_SECONDS)
        drilled_at, ordered_at = parts.clock.now_microseconds(), parts.clock.monotonic_microseconds()
        rollback = RollbackOrder(
            who=stage.cause.who,
            agent=stage.agent,
            label=DRILL_LABEL,
            why=stage.cause.why,
            evidence=tuple(stage.cause.evidence),
        )
        await parts.changes.emergency(rollback, roll_back_now)
        await parts.confirm()
        answered_at = parts.clock.monotonic_microseconds()
        await _settled([member.done for member in members], _LIMIT_SECONDS + _TELL_SECONDS)
        processes = [process_document(member.process, _calls_of(member), ordered_at) for member in members]
        return {
            "id": stage.id,
            "agent": stage.agent,
            "label": stage.label,
            "stable": stage.stable,
            "candidate": stage.candidate,
            "who": stage.cause.who,
            "why": stage.cause.why,
            "drilled_at": rfc3339(drilled_at),
            "passed": has_passed(processes),
            "time_ms": time_of(processes),
            "command_ms": (answered_at - ordered_at) / 1000,
            "calls": sum(process["calls"] for process in processes),
            "failed_calls": sum(process["failed_calls"] for process in processes),
            "processes": processes,
        }

    async def _clear(self, agent: str, cause: Cause, drill: DrillDocument | None = None) -> None:
        """Take the drill's label away, and keep what the drill came to."""
        async with self._parts.changes.begin(agent) as work:
            state = await work.state(agent)
            if DRILL_LABEL not in state.labels:
                work.nothing_changed()
                return
            evidence = cause.evidence if drill is None else [drill_evidence(drill)]
            await _without_label(work, state, Cause(who=cause.who, why=cause.why, evidence=evidence))
            if drill is not None:
                subject = f"agents/{agent}/drills/{drill['id']}"
                await work.audit(cause.who, "drill.finished", subject, cause.why, after=drill)


async def _without_label(work: Work, state: AgentState, cause: Cause) -> AgentState:
    """The agent without the drill's label. One that was somebody else's before the name was reserved stays: Conflict
    (`drill_label_taken`)."""
    agent, label = state.agent.name, state.labels.get(DRILL_LABEL)
    if label is None:
        return state
    history = await work.change.label_history(agent, DRILL_LABEL)
    if not is_of_drill(history[-1]):
        raise Conflict(
            "drill_label_taken", f"the label {DRILL_LABEL!r} of agent {agent!r} is no drill's; delete it to hold drills"
        )
    rollout = state.rollouts.get(DRILL_LABEL)
    if rollout is not None:
        await release_rows.abort(work, rollout, cause)
    row = await release_rows.append_release(work, "label_deleted", cause, agent, DRILL_LABEL, whole(label.version))
    await work.change.delete_label(agent, DRILL_LABEL)
    documents = label_document(label), release_document(row)
    await work.audit(
        cause.who, "label.deleted", f"agents/{agent}/labels/{DRILL_LABEL}", cause.why, *documents, cause.evidence
    )
    return await work.state(agent)


def _mark(drill_id: str) -> dict[str, str]:
    return {"kind": DRILL_EVIDENCE, "id": drill_id}


def _variables_of(versions: Sequence[Version | None]) -> dict[str, str]:
    """A value for every variable that one of them asks for."""
    names = {name for version in versions if version is not None for name in version.bundle.prompt.variables}
    return dict.fromkeys(sorted(names), _VARIABLE)


def _calls_of(member: DrillMember) -> DrillCalls | None:
    return member.done.result() if member.done.done() else None


async def _settled(
    awaited: Sequence["asyncio.Future[None]"] | Sequence["asyncio.Future[DrillCalls | None]"], seconds: float
) -> None:
    if awaited:
        await asyncio.wait(awaited, timeout=seconds)

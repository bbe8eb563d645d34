"""What people and programs say about runs afterwards: quarantine, which is audited, and outcomes, which come in numbers.

A quarantine goes through its runs in stretches, each an atomic change with an audit entry of its own, so that a million runs
never hold up the writes of traffic. What it found once it does not find again: repeating it is safe.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from proxy.core.calls.outcomes import Outcome, check_outcome
from proxy.core.calls.run_filter import RunFilter, RunName, filter_document
from proxy.core.errors import BadInput, NotFound, Unavailable
from proxy.core.pages import MAX_PAGE
from proxy.runtime.process.clock import Clock, Identifiers, first_id
from proxy.runtime.state.changes import Changes
from proxy.runtime.telemetry.recorder import Flushes
from proxy.store.ports.outcomes import StoredRuns

_RUNS_A_CHANGE = 5000
_PREFIX = "out"
_CLOCK_SET_MICROSECONDS = 60_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeDraft:
    """A fact somebody tells about a run. `run` is its id, or what else it is named by."""

    run: str | RunName
    name: str
    value: Any = None
    severity: str | None = None
    why: str = ""
    #: Neither yes nor no: the proxy looked and could not tell.
    is_unknown: bool = False
    #: Of one that may be told again because nobody knows whether it was recorded; None: it gets one.
    id: str | None = None


@dataclass(frozen=True, slots=True)
class RecordedOutcomes:
    """What was appended, and the runs that nobody knows, by the ids they were named by."""

    outcomes: Sequence[Outcome]
    unknown_runs: Sequence[str]


class RunCommands:
    """Quarantine and outcomes."""

    def __init__(
        self,
        changes: Changes,
        store: StoredRuns,
        recorder: Flushes,
        clock: Clock,
        identifiers: Identifiers,
        reported: Callable[[Sequence[Outcome]], Awaitable[None]],
    ) -> None:
        """`reported` gets the outcomes that were appended, and must not raise Unavailable: they are."""
        self._changes = changes
        self._store = store
        self._recorder = recorder
        self._clock = clock
        self._identifiers = identifiers
        self._reported = reported

    async def quarantine_matching(
        self, who: str, wanted: RunFilter, why: str, *, undo: bool = False
    ) -> tuple[int, RunFilter]:
        """Tag the runs that `wanted` narrows to, or take the tag off; how many changed, and the filter as it was applied.

        Runs that start later are not meant: without an end the filter ends now. Raises BadInput(`no_filter`) where nothing
        narrows it, Unavailable.
        """
        if wanted == RunFilter():
            raise BadInput(
                "no_filter", "say which runs: by agent, version, release, user or the other filters of GET /runs"
            )
        await self._recorder.flush()
        end = self._clock.now_microseconds() + 1 if wanted.to_microseconds is None else wanted.to_microseconds
        wanted = replace(wanted, to_microseconds=end, quarantined=undo)
        changed, cursor = 0, None
        while True:
            run_ids: list[str] = []
            while len(run_ids) < _RUNS_A_CHANGE:
                page = await self._store.run_ids(wanted, cursor, MAX_PAGE)
                run_ids += page.items
                cursor = page.next_cursor
                if cursor is None:
                    break
            changed += await self._tag(who, run_ids, {"filter": filter_document(wanted)}, why, undo=undo)
            if cursor is None:
                return changed, wanted

    async def quarantine_runs(self, who: str, run_ids: Sequence[str], why: str, *, undo: bool = False) -> int:
        """Tag these runs, or take the tag off; how many changed. Raises NotFound(`run_not_found`): then none is."""
        await self._recorder.flush()
        known = await self._store.runs_by_id(run_ids)
        for run_id in run_ids:
            if run_id not in known:
                raise _run_not_found(run_id)
        return await self._tag(who, run_ids, {"runs": list(run_ids)}, why, undo=undo)

    async def _tag(self, who: str, run_ids: Sequence[str], named: dict[str, Any], why: str, *, undo: bool) -> int:
        async with self._changes.begin() as work:
            changed = await work.change.quarantine_runs(run_ids, not undo)
            if not changed:
                work.nothing_changed()
                return 0
            what = "runs.unquarantined" if undo else "runs.quarantined"
            await work.audit(who, what, "runs", why, after={**named, "count": changed})
        return changed

    def outcome_id(self) -> str:
        """A new one, for an outcome that may be told twice."""
        return self._identifiers.new(_PREFIX)

    async def record_outcomes(self, who: str, drafts: Sequence[OutcomeDraft]) -> RecordedOutcomes:
        """Append facts about runs that are recorded; the others are named. Raises BadInput(`bad_outcome`), Unavailable."""
        now = self._clock.now_microseconds()
        made = [(draft.run, self._outcome(who, draft, now)) for draft in drafts]
        # An app may be quicker than the recorder: it knows a run's id from the head of the answer.
        if not await self._recorder.flush():
            raise Unavailable("store_unavailable", "the store cannot be used now")
        meant = await self._store.newest_runs({run for run, _ in made if isinstance(run, RunName)})
        outcomes = [
            outcome if isinstance(run, str) else replace(outcome, run=meant[run])
            for run, outcome in made
            if isinstance(run, str) or run in meant
        ]
        nobodys = dict.fromkeys(run.id for run, _ in made if isinstance(run, RunName) and run not in meant)
        unknown = await self._store.record_outcomes(outcomes)
        recorded = [outcome for outcome in outcomes if outcome.run not in unknown]
        await self._reported(recorded)
        return RecordedOutcomes(recorded, [*unknown, *nobodys])

    async def record_outcome(self, who: str, draft: OutcomeDraft) -> Outcome:
        """Append one fact about a run. Raises NotFound(`run_not_found`) too."""
        recorded = await self.record_outcomes(who, [draft])
        if recorded.unknown_runs:
            raise _run_not_found(recorded.unknown_runs[0])
        return recorded.outcomes[0]

    def _outcome(self, who: str, draft: OutcomeDraft, now: int) -> Outcome:
        if draft.is_unknown:
            value, severity = None, None
        else:
            value, severity = check_outcome(draft.name, draft.value, draft.severity)
        return Outcome(
            id=self.outcome_id() if draft.id is None else draft.id,
            run=draft.run if isinstance(draft.run, str) else draft.run.id,
            name=draft.name,
            value=value,
            severity=severity,
            why=draft.why,
            recorded_by=who,
            recorded_at_microseconds=now,
        )


def outcome_ids_around(from_microseconds: int | None, to_microseconds: int | None) -> tuple[str, str | None]:
    """The first id and the end of ids of outcomes told between these times. An id is made a moment after the time is read, and
    the clock may be set in between."""
    first = "" if from_microseconds is None else first_id(_PREFIX, from_microseconds - _CLOCK_SET_MICROSECONDS)
    end = None if to_microseconds is None else first_id(_PREFIX, to_microseconds + _CLOCK_SET_MICROSECONDS)
    return first, end


def _run_not_found(run_id: str) -> NotFound:
    return NotFound("run_not_found", f"there is no run {run_id!r}", param="run")

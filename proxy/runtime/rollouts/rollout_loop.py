"""Conductor of rollouts: measure -> assess -> decide -> apply, once a tick for each rollout that runs or is paused.

Runs come from the recorder's batches, outcomes from the commands that record them; a tick closes what was counted, decides by
core's one function, carries that out by the commands that people order too, and keeps everything for a restart. It takes a
rollout back in every state, also while the store is away. Whatever goes wrong with one rollout is told and touches no other.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, cast

from proxy.core.calls.outcomes import Outcome
from proxy.core.calls.run_filter import RunFilter
from proxy.core.calls.runs import Run
from proxy.core.errors import Refusal, Unavailable
from proxy.core.rollouts.measuring import outcome_metrics
from proxy.core.rollouts.progress import ProgressDocument, progress_document
from proxy.core.rollouts.reading import read_plan
from proxy.core.rollouts.shadow import caps_left_behind
from proxy.core.rollouts.watching import WatchDocument, read_watch, watch_document, watch_sentence
from proxy.core.snapshot import Rollout, Snapshot
from proxy.runtime.process.clock import Clock
from proxy.runtime.process.event_line import event_line
from proxy.runtime.rollouts.applying import Applying
from proxy.runtime.rollouts.early_runs import EarlyRuns
from proxy.runtime.rollouts.judged import ArmDecision, JudgedRollout
from proxy.runtime.rollouts.watched import WatchedLabel, serves_stable
from proxy.runtime.state.live_snapshot import LiveSnapshot
from proxy.store.ports.outcomes import StoredRuns
from proxy.store.ports.rollouts import KeptEvidence, RolloutEvidenceStore

TICK_SECONDS: Final = 5.0
#: Stable's latest runs, by which thresholds are frozen at the start.
_RUNS_BEFORE: Final = 500
#: What stays as it is is written so seldom; what a crash loses of it is evidence that has to be gathered again.
_TICKS_BETWEEN_KEEPING: Final = 6
#: What becomes of a rollout by somebody who was quicker than a decision.
_OVERTAKEN: Final = frozenset({"rollout_moved", "rollout_ended"})
#: Decisions that change nothing, and that the audit log has no entry of.
_WAITS: Final = frozenset({"hold", "wait_for_approval"})
_Key = tuple[str, str]


class JudgingStore(RolloutEvidenceStore, StoredRuns, Protocol):
    """Kept evidence, and the runs it is begun from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopParts:
    """What the loop works with; put together by the composition root."""

    live: LiveSnapshot
    store: JudgingStore
    applying: Applying
    clock: Clock
    log: Callable[[bytes], object]
    #: Gets what the audit log does not tell of: a kind, a subject, a sentence, and members.
    told: Callable[..., None]
    on_error: Callable[[BaseException], None]


class RolloutLoop:
    """Judges every active rollout that has a plan."""

    def __init__(self, parts: LoopParts, tick_seconds: float = TICK_SECONDS) -> None:
        self._parts = parts
        self._tick_seconds = tick_seconds
        self._judged: dict[_Key, JudgedRollout] = {}
        self._ticks = 0
        self._early = EarlyRuns()
        #: Those whose plan or evidence cannot be read, told once.
        self._unjudged: set[_Key] = set()
        #: Labels whose candidate was taken away, by agent and label.
        self._watched: dict[_Key, WatchedLabel] = {}
        self._knows_open_watches = False

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            try:
                await self.tick()
            except Exception as error:
                # Nobody would judge any rollout any more.
                self._parts.on_error(error)
            await asyncio.sleep(self._tick_seconds)

    def finished(self, runs: Sequence[Run]) -> None:
        """Count runs as they are recorded. Without a rollout it costs a look at each."""
        for run in runs:
            if self._watched and run.label is not None and (run.agent, run.label) in self._watched:
                self._watched[run.agent, run.label].count(run)
            if run.rollout is None:
                continue
            if (judged := self._judged.get(key := (run.agent, run.rollout))) is not None:
                judged.count(run)
            elif self._will_judge(key):
                self._early.add(key, run)

    def reported(self, told: Sequence[tuple[Run, Outcome]]) -> None:
        """Count facts that came later, with the runs they are about."""
        wanted = {guard.metric for judged in self._judged.values() for guard in judged.plan.metrics}
        wanted |= {metric for watched in self._watched.values() for metric in watched.metrics}
        for run, outcome in told:
            key = (run.agent, run.rollout or "")
            judged = self._judged.get(key)
            if judged is None and self._will_judge(key):
                self._early.add(key, run, outcome)
            if wanted.isdisjoint(outcome_metrics(outcome.name, outcome.severity)):
                continue
            if judged is not None:
                judged.count_outcome(run, outcome)
            if run.label is not None and (watched := self._watched.get((run.agent, run.label))) is not None:
                watched.count_outcome(run, outcome)

    def _will_judge(self, key: _Key) -> bool:
        """Whether a tick is to meet this rollout: it is active, and has a plan."""
        agent, rollout_id = key
        state = self._parts.live.current.agents.get(agent)
        rollouts = () if state is None else state.rollouts.values()
        return any(rollout.id == rollout_id and rollout.plan is not None for rollout in rollouts)

    async def tick(self) -> None:
        """One pass over all rollouts."""
        self._ticks += 1
        await self._follow(self._parts.live.current)
        await self._watch(self._parts.live.current)
        with suppress(Refusal):
            for cap in caps_left_behind(self._parts.live.current):
                await self._parts.applying.end_cap(cap)
        for judged in list(self._judged.values()):
            try:
                await self._judge(judged)
            except Exception as error:
                if judged.said != {"": (said := repr(error))}:
                    judged.said = {"": said}
                    self._parts.on_error(error)
            # Calls go before: between two rollouts the loop is free.
            await asyncio.sleep(0)
        if self._ticks % _TICKS_BETWEEN_KEEPING == 0:
            await self.keep()

    async def keep(self) -> None:
        """Write what is known of every rollout; while the store is away it stays in memory."""
        clock = self._parts.clock
        for judged in list(self._judged.values()):
            # What was counted since the last tick is kept with the rest.
            judged.measure(clock.monotonic_microseconds(), clock.now_microseconds())
            await self._keep([judged.kept(clock.now_microseconds())])
            # It takes some milliseconds to write one down, in which no call is served.
            await asyncio.sleep(0)
        await self._keep([watched.kept(clock.now_microseconds()) for watched in self._watched.values()])

    async def standing(self, agent: str, rollout_id: str) -> ProgressDocument | None:
        """How far a rollout has come and what was decided last, for people; of one that ended, as it was kept."""
        judged = self._judged.get((agent, rollout_id))
        if judged is not None:
            document = progress_document(judged.shown)
        else:
            kept = await self._parts.store.evidence(agent, rollout_id)
            if kept is None:
                return None
            document = dict(kept.progress)
        # What is kept of the watch is shown by `watch`.
        document.pop("watch", None)
        return cast("ProgressDocument", document)

    async def watch(self, agent: str, rollout_id: str) -> WatchDocument | None:
        """What was seen of the label since its candidate was taken away; None where it was not, or is not watched."""
        for watched in self._watched.values():
            if (watched.rollout.agent, watched.rollout.id) == (agent, rollout_id):
                return watch_document(watched.watch)
        kept = await self._parts.store.evidence(agent, rollout_id)
        found = None if kept is None else kept.progress.get("watch")
        return None if found is None or found["state"] is None else watch_document(read_watch(found))

    async def _follow(self, snapshot: Snapshot) -> None:
        """Begin to judge what is new, let go what has ended."""
        active = {(r.agent, r.id): r for state in snapshot.agents.values() for r in state.rollouts.values()}
        self._early.keep_only(active.keys())
        ended = [self._judged.pop(key) for key in self._judged.keys() - active.keys()]
        now = self._parts.clock.now_microseconds()
        # What is shown of a rollout that ended is what was known at its end.
        await self._keep([judged.kept(now) for judged in ended])
        for judged in ended:
            await self._begin_watch(judged.rollout, judged.kept(now), judged.plan.watch_seconds)
        self._unjudged &= active.keys()
        for key, rollout in active.items():
            if key in self._judged:
                self._judged[key].follow(rollout)
            elif rollout.plan is not None:
                try:
                    self._judged[key] = await self._begun(rollout, rollout.plan)
                except Unavailable:
                    continue
                except (Refusal, ValueError, LookupError, TypeError) as error:
                    self._tell_unjudged(key, rollout, error)
                else:
                    self._unjudged.discard(key)
                    self._early.count(key, self._judged[key])

    async def _begin_watch(self, rollout: Rollout, kept: KeptEvidence, watch_seconds: float) -> None:
        """Watch the label of a rollout that ended with stable serving everyone, whoever ended it."""
        parts = self._parts
        if watch_seconds <= 0 or not serves_stable(rollout, parts.live.current):
            return
        watched = WatchedLabel(rollout, kept, parts.clock.monotonic_microseconds())
        self._watched[rollout.agent, rollout.label] = watched
        await self._keep([watched.kept(parts.clock.now_microseconds())])

    async def _watch(self, snapshot: Snapshot) -> None:
        """Go on with what was watched before a restart; conclude what has been watched long enough."""
        parts = self._parts
        if not self._knows_open_watches:
            try:
                found = await parts.store.open_watches()
            except Unavailable:
                found = None
            self._knows_open_watches = found is not None
            for rollout, kept in found or ():
                self._resume_watch(rollout, kept)
        for key, watched in list(self._watched.items()):
            if not watched.is_over(snapshot, parts.clock.monotonic_microseconds()):
                continue
            del self._watched[key]
            watched.watch.conclude()
            now, rollout = parts.clock.now_microseconds(), watched.rollout
            named = {"agent": rollout.agent, "label": rollout.label, "rollout": rollout.id}
            level = "warning" if watched.watch.state == "not_cured" else "info"
            told = watch_sentence(watched.watch)
            parts.log(event_line(now, level, "rollout_watched", **named, state=watched.watch.state, told=told))
            self._happened("rollout.watched", rollout, told, state=watched.watch.state)
            await self._keep([watched.kept(now)])

    def _resume_watch(self, rollout: Rollout, kept: KeptEvidence) -> None:
        try:
            watched = WatchedLabel(rollout, kept, self._parts.clock.monotonic_microseconds())
        except (Refusal, ValueError, LookupError, TypeError) as error:
            self._tell_unjudged((rollout.agent, rollout.id), rollout, error)
        else:
            self._watched.setdefault((rollout.agent, rollout.label), watched)

    async def _begun(self, rollout: Rollout, plan: Mapping[str, Any]) -> JudgedRollout:
        """A rollout to be judged by this plan. Raises Unavailable, and what cannot be read as ValueError, LookupError, TypeError or
        Refusal."""
        kept = await self._parts.store.evidence(rollout.agent, rollout.id)
        now = self._parts.clock.monotonic_microseconds()
        judged = JudgedRollout(rollout, read_plan(plan), now, kept)
        judged.follow(rollout)
        if not judged.knows_thresholds:
            wanted = RunFilter(agent=rollout.agent, version=rollout.arms[0].version, result="ok")
            page = await self._parts.store.runs(replace(wanted, quarantined=False), None, _RUNS_BEFORE)
            judged.freeze(list(page.items))
        if kept is None:
            # Newest first: with those of the rollout itself left out, what is left is what was before it.
            wanted = RunFilter(agent=rollout.agent, version=rollout.arms[0].version, quarantined=False)
            page = await self._parts.store.runs(
                replace(wanted, to_microseconds=rollout.created_at_microseconds), None, _RUNS_BEFORE
            )
            told = await self._parts.store.outcomes_of([run.id for run in page.items])
            for run in page.items:
                judged.count_before(run, () if run.id not in told else told[run.id].newest)
        return judged

    async def _judge(self, judged: JudgedRollout) -> None:
        parts = self._parts
        evidence = judged.measure(parts.clock.monotonic_microseconds(), parts.clock.now_microseconds())
        for of in judged.decide(evidence, parts.clock.now_microseconds()):
            if await self._carry_out(judged, of):
                # What is known of the other arms is of shares as they were; the next tick decides by those that are.
                return

    async def _carry_out(self, judged: JudgedRollout, of: ArmDecision) -> bool:
        """Do what was decided of an arm; whether it is out."""
        parts, decision = self._parts, of.decision
        refused = told = None
        phase_before = judged.phase_of(of.arm)
        # Shown before it is done: whoever sees the rollout taken back sees why, also while the disk takes its time.
        judged.decided(of, parts.clock.now_microseconds())
        try:
            phase = await parts.applying.apply(judged, of)
        except Refusal as refusal:
            # Tried again at the next tick: by then people may have made way for it, or decided themselves.
            told = f"{of.told} — not done yet: {refusal.message}"
            refused = refusal.code
            phase = phase_before if refused in _OVERTAKEN else "holding"
        now = parts.clock.now_microseconds()
        if phase is not None:
            judged.decided(of, now, phase=phase, told=told)
        said = (judged.phase_of(of.arm), decision.action, decision.code, decision.metric, refused, judged.step)
        if judged.said.get(of.arm) != said:
            judged.said.pop("", None)
            judged.said[of.arm] = said
            self._tell(judged, of, told or of.told, now)
            await self._keep([judged.kept(now)])
        return refused is None and decision.action == "roll_back"

    def _tell(self, judged: JudgedRollout, of: ArmDecision, told: str, now: int) -> None:
        decision, which = of.decision, {"arm": of.arm} if judged.plan.arms else {}
        level = "warning" if decision.action in ("roll_back", "hold") else "info"
        rollout = judged.rollout
        named = {"agent": rollout.agent, "label": rollout.label, "rollout": rollout.id, **which}
        line = event_line(now, level, "rollout_decided", **named, action=decision.action, code=decision.code, told=told)
        self._parts.log(line)
        if decision.action in _WAITS:
            self._happened("rollout.waits", rollout, told, action=decision.action, code=decision.code, **which)

    def _happened(self, kind: str, rollout: Rollout, sentence: str, **members: object) -> None:
        subject = f"agents/{rollout.agent}/rollouts/{rollout.id}"
        self._parts.told(kind, subject, sentence, label=rollout.label, **members)

    def _tell_unjudged(self, key: _Key, rollout: Rollout, error: Exception) -> None:
        if key in self._unjudged:
            return
        self._unjudged.add(key)
        named = {"agent": rollout.agent, "label": rollout.label, "rollout": rollout.id}
        reason = error.message if isinstance(error, Refusal) else f"{type(error).__name__} in what was kept of it"
        now = self._parts.clock.now_microseconds()
        self._parts.log(event_line(now, "error", "rollout_unjudged", **named, reason=reason))

    async def _keep(self, kept: Sequence[KeptEvidence]) -> None:
        if not kept:
            return
        try:
            await self._parts.store.keep_evidence(kept)
        except Unavailable:
            return

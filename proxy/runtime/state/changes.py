"""One command at a time: the store's atomic change, then the live snapshot, then the answer.

`begin` opens a Work; when its block ends the change is committed with its audit entry and the snapshot is swapped, in this
order and before the command returns, so that an acknowledged change is in force in this process.

Decision: what the snapshot becomes is what the store says was changed, read as the last of the change itself (2026-11-28), in
place of the commands saying it a second time. Not read after the commit: from there on nothing is awaited that could fail or take
long, so that no committed change is answered as failed. Only what was changed is read: a kill switch never waits for a store of
a thousand agents.

`emergency` is for the few commands that must work in any case: in force in memory at once, whatever the store is doing, by
the same rules, then entered into the store, and into the journal where that takes long. What memory cannot decide the store
does. While something is on its way to the store, ordinary changes wait; one about the same agent that was open already is
refused, and one that was being committed already has the emergency action in force, and then entered, over it.

Decision: memory first (2026-11-28), in place of the store's commit first and memory when that failed. With 2 s a disk write a
kill switch took 6 s to be in force, behind a long batch of runs or a change that hung as long as those did.
"""

import asyncio
from asyncio import FIRST_COMPLETED
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TypeVar

from proxy.core.errors import Conflict, NotFound, Refusal, Unavailable
from proxy.core.proof.emergency import AbortOrder, JournalEntry, RollbackOrder, SwitchOrder, explicit
from proxy.core.proof.known_good import AgentPast, KnownGood, snapshot_with_all
from proxy.core.snapshot import Snapshot, SnapshotChanges, with_changes
from proxy.runtime.process.clock import Clock
from proxy.runtime.process.tasks import TaskSet
from proxy.runtime.state.change_log import ChangeLog
from proxy.runtime.state.live_snapshot import LiveSnapshot
from proxy.runtime.state.memory_change import MemoryChange, beyond_memory
from proxy.runtime.state.ordered_changes import note_effect
from proxy.runtime.state.slow_store import ANSWER_SECONDS
from proxy.runtime.state.standby import STORE_SLOW, STORE_UNAVAILABLE, Standby
from proxy.runtime.state.transactions import PATIENCE_SECONDS, Transactions
from proxy.runtime.state.work import EmergencyWork, Work, note_not_applied
from proxy.store.ports.changes import ChangeStore

#: So long an emergency action, in force already, waits for the store before it is written into the journal too.
_STORE_SECONDS = 0.4

Order = TypeVar("Order", RollbackOrder, AbortOrder, SwitchOrder)
Result = TypeVar("Result")


def _nothing() -> None:
    """Nobody is told."""


CarryOut = Callable[[EmergencyWork, Order], Awaitable[Result]]


class Changes:
    """Serialises commands over the store and keeps the live snapshot in step."""

    def __init__(
        self,
        store: ChangeStore,
        live: LiveSnapshot,
        clock: Clock,
        standby: Standby | None = None,
        log: ChangeLog | None = None,
    ) -> None:
        """Without `standby` emergency commands are ordinary ones; without `log` nothing is said of changes."""
        self._live = live
        self._clock = clock
        self._standby = standby
        self._log = log or ChangeLog(bytes.__len__, clock)
        self._tasks = TaskSet(_told_to_the_waiting)
        self._transactions = Transactions(store, self._tasks, standby, self._log, lambda: self._in_store.revision)
        #: What the store holds, while something in force is on its way to it; None: what is in force.
        self._stored: Snapshot | None = None

    @property
    def now(self) -> int:
        """The present moment, UTC microseconds."""
        return self._clock.now_microseconds()

    @property
    def snapshot(self) -> Snapshot:
        """What is in force. Inside a change it is what the store holds too."""
        return self._live.current

    @property
    def _in_store(self) -> Snapshot:
        return self._stored or self._live.current

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Nobody else changes anything in the store meanwhile."""
        return self._transactions.turn()

    async def close(self) -> None:
        """Give up what is still waiting for the store."""
        await self._tasks.close()

    @asynccontextmanager
    async def begin(self, agent: str | None = None, patience_seconds: float | None = None) -> AsyncGenerator[Work]:
        """A change about one agent, or (None) about switches, caps and tokens. Raises what the store raises, and Unavailable where
        changes before this one take longer than `patience_seconds`."""
        self.check_present()
        until = asyncio.get_running_loop().time() + ANSWER_SECONDS
        async with self._transactions.ordinary_turn(patience_seconds):
            self.check_present()
            now = self._clock.now_microseconds()
            async with self._transactions.transaction(now, then=partial(self._committed, agent), until=until) as work:
                yield work
                if work.has_effect:
                    self._check_nothing_came_between(agent)

    async def emergency(
        self, order: Order, carry_out: CarryOut[Order, Result], in_force: Callable[[], object] = _nothing
    ) -> Result:
        """Carry out an order in memory, or over the store where memory cannot decide it; then enter it into the store, or keep it
        in the journal until that can be done.

        `in_force` is called as soon as it is in force; when this returns it is in the store, or the journal's note about it
        tells how it is kept. `carry_out` may be called twice, and again when the store is back: what it does beside its Work, it
        must not do. Raises what `carry_out` raises.
        """
        standby = self._standby
        if standby is None:
            async with self.begin(order.agent) as work:
                result = await carry_out(work, order)
            in_force()
            return result
        try:
            result, entry = await self._in_memory(standby, order, carry_out)
        except Refusal as refusal:
            result = await self._over_the_store(standby, order, carry_out, refusal)
            in_force()
            return result
        in_force()
        if entry is None:
            return result
        note_effect()
        result = await self._kept(standby, entry, order, carry_out, result)
        if any(other.id == entry.id for other in standby.journal.entries):
            self._log.waiting(entry, is_written=standby.journal.is_in_file(entry))
        return result

    @asynccontextmanager
    async def repeating(self, entry: JournalEntry) -> AsyncGenerator[Work]:
        """A change that takes a journalled action over into the store, with its own time and evidence. The caller has the
        turn and calls `reloaded` when everything is taken over."""
        evidence = entry.evidence_again()
        async with self._transactions.transaction(entry.at_microseconds, evidence=evidence) as work:
            yield work

    def reloaded(self, snapshot: Snapshot) -> None:
        """The whole store was read: it is in force, with what was ordered meanwhile over it."""
        self._show(snapshot)

    # Emergencies

    async def _in_memory(
        self, standby: Standby, order: Order, carry_out: CarryOut[Order, Result]
    ) -> tuple[Result, JournalEntry | None]:
        """The result, and what is to be entered; None where nothing moved. Nothing is waited for. Raises Refusal."""
        if not self._live.is_loaded:
            raise Unavailable(STORE_UNAVAILABLE, "the store is away and nothing is loaded; every call is refused")
        before = self._live.current
        memory = MemoryChange(before, standby.known_good.pasts)
        work = EmergencyWork(memory, self._clock.now_microseconds())
        work.has_whole_ledger = False
        try:
            result = await carry_out(work, order)
        except (Conflict, NotFound) as refusal:
            raise await beyond_memory(refusal, order, memory) from refusal
        if not work.has_effect:
            return result, None
        row = work.rows[-1] if work.rows else None
        entry = standby.journal.add(explicit(order, row), row, work.now)
        if self._stored is None:
            self._stored = before
        self._live.start_from(with_changes(before, await memory.changes_since(before.revision)))
        standby.known_good.follow(before, self._live.current, order.agent, work.rows)
        return result, entry

    async def _over_the_store(
        self, standby: Standby, order: Order, carry_out: CarryOut[Order, Result], refusal: Refusal
    ) -> Result:
        """Raises `refusal`, that of memory, where the store cannot be asked."""
        if standby.presence.is_away:
            raise refusal
        try:
            async with self.begin(order.agent, PATIENCE_SECONDS) as work:
                return await carry_out(work, order)
        except Unavailable as unavailable:
            if unavailable.code not in (STORE_UNAVAILABLE, STORE_SLOW):
                raise
            standby.presence.lost(unavailable)
            raise refusal from unavailable

    async def _kept(
        self, standby: Standby, entry: JournalEntry, order: Order, carry_out: CarryOut[Order, Result], result: Result
    ) -> Result:
        """Returns when it is in the store or the journal, or neither in time."""
        journal = standby.journal
        if standby.presence.is_away:
            await journal.keep()
            return result
        enter = self._enter(standby, entry, type(order), carry_out)
        entering = self._tasks.spawn(enter, "entering an emergency action")
        await asyncio.wait({entering}, timeout=_STORE_SECONDS)
        if not entering.done() or any(other.id == entry.id for other in journal.entries):
            keeping = self._tasks.spawn(journal.keep(), "journal")
            await asyncio.wait({keeping} if entering.done() else {keeping, entering}, return_when=FIRST_COMPLETED)
        if not entering.done():
            return result
        error = entering.exception()
        if isinstance(error, Refusal):
            raise error
        # Anything else of a failed attempt is told when it is tried again.
        stored = None if error is not None else entering.result()
        return result if stored is None else stored

    async def _enter(
        self, standby: Standby, entry: JournalEntry, kind: type[Order], carry_out: CarryOut[Order, Result]
    ) -> Result | None:
        """The result as the store has it; None where entering it is left to takeover.py. Raises what the store's rules say."""
        async with self._transactions.turn():
            oldest = next(iter(standby.journal.entries), None)
            if oldest is None or oldest.id != entry.id or standby.presence.is_away:
                return None
            order = oldest.order
            assert isinstance(order, kind)
            evidence = [oldest.evidence()] if standby.journal.is_in_file(oldest) else []
            then = partial(self._entered, standby, oldest)
            try:
                async with self._transactions.transaction(oldest.at_microseconds, evidence=evidence, then=then) as work:
                    result = await carry_out(work, order)
                    if not work.has_effect:
                        raise Conflict("nothing_moved", "the store had moved on; nothing was changed in it")
            except Unavailable as refusal:
                # Refused from now on is what the store would no longer get in the order it happened.
                standby.presence.lost(refusal)
                return None
            except Refusal as refusal:
                await self._withdraw(standby, oldest, refusal)
                raise
            return result

    async def _withdraw(self, standby: Standby, entry: JournalEntry, refusal: Refusal) -> None:
        """The store's rules refuse it: it is in force no longer, and the audit log says so."""
        then = partial(self._entered, standby, entry)
        try:
            async with self._transactions.transaction(entry.at_microseconds, then=then) as work:
                await note_not_applied(work, entry, refusal.message)
        except Unavailable:
            # Takeover finds it in the journal, and does the same.
            return
        except Refusal:
            standby.journal.forget({entry.id})
            self._show(self._in_store)

    def _entered(self, standby: Standby, entry: JournalEntry, work: Work, changes: SnapshotChanges) -> None:
        """The store has it."""
        standby.journal.forget({entry.id})
        told = None if entry.release is None else entry.release.number
        # With the number it was given in memory the row is in the history already.
        is_known = bool(work.rows) and work.rows[-1].number == told
        before = self._live.current if is_known else self._in_store
        after = with_changes(self._in_store, changes)
        standby.known_good.committed(before, after, entry.order.agent, [] if is_known else work.rows)
        self._show(after)

    def _committed(self, agent: str | None, work: Work, changes: SnapshotChanges) -> None:
        """An ordinary change is in the store."""
        before = self._in_store
        after = with_changes(before, changes)
        if self._standby is not None:
            self._standby.known_good.committed(before, after, agent, work.rows)
        self._show(after)

    def _show(self, stored: Snapshot) -> None:
        """Put in force what the store holds, with what is on its way to it over it."""
        entries = () if self._standby is None else self._standby.journal.entries
        self._stored = stored if entries else None
        if self._standby is None or not entries:
            self._live.start_from(stored)
            return
        # What an action needs was at hand when it was ordered, and is still.
        pasts = dict(self._standby.known_good.pasts)
        for name, state in self._live.current.agents.items():
            if any(entry.order.agent == name or entry.release is None for entry in entries):
                past = pasts.get(name, AgentPast())
                pasts[name] = replace(past, versions={**past.versions, **state.versions})
        known, restated = snapshot_with_all(KnownGood(installation="", snapshot=stored, pasts=pasts), entries)
        self._standby.journal.restate(restated)
        self._live.start_from(known.snapshot)

    def _check_nothing_came_between(self, agent: str | None) -> None:
        """Raises Conflict(`emergency_meanwhile`) where an emergency action changed the agent since this change began."""
        entries = () if self._standby is None else self._standby.journal.entries
        if agent is not None and any(entry.order.agent == agent for entry in entries):
            raise Conflict("emergency_meanwhile", f"agent {agent!r} was taken back meanwhile; look at it again")

    def check_present(self) -> None:
        """Raises Unavailable(`store_unavailable`) while the store is away: what is only read before a change asks first."""
        if self._standby is not None:
            self._standby.presence.check()


def _told_to_the_waiting(error: BaseException) -> None:
    """What a step dies of is raised where it is waited for."""

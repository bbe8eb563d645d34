"""One command at a time: the store's atomic change, then the live snapshot, then the answer.

`begin` opens a Work; when its block ends the change is committed with its audit entry and the snapshot is swapped, in this
order and before the command returns, so that an acknowledged change is in force in this process. Everything the new
snapshot needs is read inside the change: after the commit nothing is awaited that could fail or take long, so that no
committed change is answered as failed, and a kill switch never waits for a store of a thousand agents to be read.

`emergency` is for the few commands that must work in any case. It decides between store and journal, here and nowhere else:
the same command is carried out over the store or, while that is away, over memory.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar, cast

from proxy.core.calls.identity import check_agent_known
from proxy.core.errors import BadInput, Conflict, NotFound, Refusal, Unavailable
from proxy.core.proof.audit import AuditDraft
from proxy.core.proof.emergency import AbortOrder, EmergencyOrder, JournalEntry, RollbackOrder, SwitchOrder, explicit
from proxy.core.releasing.releases import Release
from proxy.core.snapshot import Agent, AgentState, Snapshot
from proxy.runtime.process.clock import Clock
from proxy.runtime.process.tasks import TaskSet
from proxy.runtime.state.live_snapshot import LiveSnapshot
from proxy.runtime.state.memory_change import MemoryChange
from proxy.runtime.state.standby import STORE_UNAVAILABLE, Standby
from proxy.store.ports.store import Change, Store

_MAX_WHY_CHARACTERS = 2000
#: A store that has not begun a change by then is not waited for: a kill switch cannot wait for another program's lock.
_PATIENCE_SECONDS = 1.0

Order = TypeVar("Order", RollbackOrder, AbortOrder, SwitchOrder)
Result = TypeVar("Result")


class NothingChanged(Exception):
    """Ends a change that found nothing to do; the transaction is undone, nobody outside sees it."""


class StoreTooSlow(Unavailable):
    """The store did not begin a change in time. It may only be busy, so for ordinary changes that does not make it away."""

    def __init__(self) -> None:
        super().__init__(STORE_UNAVAILABLE, "the store cannot be used now: it is locked or very slow; try again")


class Work:
    """What one command works with: the open change, its moment, and the evidence all of its rows carry."""

    def __init__(self, change: Change, now_microseconds: int, evidence: Sequence[Mapping[str, Any]] = ()) -> None:
        self.change = change
        self.now = now_microseconds
        self.evidence = tuple(evidence)
        self.has_effect = True
        #: False where only the newest releases are at hand.
        self.has_whole_ledger = True
        #: The ledger rows this change appended.
        self.rows: list[Release] = []
        #: What the change does to the snapshot, beside its agent's own state.
        self.snapshot_edit: Callable[[Snapshot], Snapshot] = _unchanged

    async def agent(self, name: str) -> Agent:
        """The agent, in service. Raises NotFound(`agent_not_found`)."""
        agent = await self.change.agent(name)
        check_agent_known(agent is not None and not agent.archived, name)
        assert agent is not None
        return agent

    async def state(self, name: str) -> AgentState:
        """The agent with its labels and rollouts. Raises NotFound(`agent_not_found`)."""
        await self.agent(name)
        state = await self.change.agent_state(name)
        assert state is not None
        return state

    async def append_release(self, release: Release) -> Release:
        """Append a row to the ledger; the row as it is kept."""
        release = replace(release, evidence=(*release.evidence, *self.evidence))
        await self.change.append_release(release)
        self.rows.append(release)
        return release

    async def audit(
        self,
        who: str,
        what: str,
        subject: str,
        why: str,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
        evidence: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Append the audit entry of this change. Raises BadInput(`bad_why`)."""
        if len(why) > _MAX_WHY_CHARACTERS:
            raise BadInput("bad_why", f"`why` is longer than {_MAX_WHY_CHARACTERS} characters", param="why")
        draft = AuditDraft(
            who=who,
            what=what,
            subject=subject,
            why=why,
            at_microseconds=self.now,
            before=before,
            after=after,
            evidence=(*evidence, *self.evidence),
        )
        await self.change.append_audit(draft)

    def nothing_changed(self) -> None:
        """Say that this command found nothing to do: nothing is written."""
        self.has_effect = False


class Changes:
    """Serialises commands over the store and keeps the live snapshot in step."""

    def __init__(self, store: Store, live: LiveSnapshot, clock: Clock, standby: Standby | None = None) -> None:
        """Without `standby` emergency commands are ordinary ones."""
        self._store = store
        self._live = live
        self._clock = clock
        self._standby = standby
        self._turn = asyncio.Lock()
        self._tasks = TaskSet(_told_to_the_waiting)

    @property
    def now(self) -> int:
        """The present moment, UTC microseconds."""
        return self._clock.now_microseconds()

    @property
    def snapshot(self) -> Snapshot:
        """What is in force. Inside a change it is what the store holds too."""
        return self._live.current

    async def close(self) -> None:
        """Give up what is still waiting for the store."""
        await self._tasks.close()

    @asynccontextmanager
    async def begin(self, agent: str | None = None) -> AsyncGenerator[Work]:
        """A change about one agent, or (None) about switches, caps and tokens. Raises what the store raises."""
        self._check_present()
        async with self._turn:
            self._check_present()
            async with self._transaction(agent, self._clock.now_microseconds()) as work:
                yield work

    async def emergency(self, order: Order, carry_out: Callable[[Work, Order], Awaitable[Result]]) -> Result:
        """Carry out an order over the store or, where that cannot take it, in memory and the journal.

        It is in force when this returns. `carry_out` may be called twice, the first time in vain, and again when the store
        is back: what it does beside its Work, it must not do. Raises what `carry_out` raises.
        """
        standby = self._standby
        if standby is None or not standby.presence.is_away:
            try:
                async with self.begin(order.agent) as work:
                    return await carry_out(work, order)
            except Unavailable as refusal:
                if standby is None or refusal.code != STORE_UNAVAILABLE:
                    raise
                standby.presence.lost(refusal)
        return await self._in_memory(standby, order, carry_out)

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None]:
        """Nobody else changes anything meanwhile."""
        async with self._turn:
            yield

    @asynccontextmanager
    async def repeating(self, entry: JournalEntry) -> AsyncGenerator[Work]:
        """A change that takes a journalled action over into the store, with its own time and evidence. The caller has the
        turn and swaps the snapshot when everything is taken over."""
        async with self._transaction(
            entry.order.agent, entry.at_microseconds, evidence=[entry.evidence()], in_force=True
        ) as work:
            yield work

    async def _in_memory(
        self, standby: Standby, order: Order, carry_out: Callable[[Work, Order], Awaitable[Result]]
    ) -> Result:
        async with self._turn:
            if not self._live.is_loaded:
                raise Unavailable(STORE_UNAVAILABLE, "the store is away and nothing is loaded; every call is refused")
            before = self._live.current
            memory = MemoryChange(before, standby.known_good.pasts)
            work = Work(cast("Change", memory), self._clock.now_microseconds())
            work.has_whole_ledger = False
            try:
                result = await carry_out(work, order)
            except (Conflict, NotFound) as refusal:
                raise await _beyond_memory(refusal, order, memory) from refusal
            if not work.has_effect:
                return result
            row = work.rows[-1] if work.rows else None
            # Refused from now on is what the store would no longer get in the order it happened.
            standby.presence.lost(standby.presence.problem or _only_journalled())
            standby.journal.add(explicit(order, row), row, work.now)
            self._swap(work, None if order.agent is None else await memory.agent_state(order.agent), memory.revision)
            standby.known_good.follow(before, self._live.current, order.agent, work.rows)
        await standby.journal.keep()
        return result

    @asynccontextmanager
    async def _transaction(
        self, agent: str | None, now: int, *, evidence: Sequence[Mapping[str, Any]] = (), in_force: bool = False
    ) -> AsyncGenerator[Work]:
        stack = AsyncExitStack()
        try:
            change = await self._opened(stack)
            async with stack:
                work = Work(change, now, evidence)
                yield work
                if not work.has_effect:
                    raise NothingChanged
                await self._to_the_end(self._commit(stack.pop_all(), work, agent, in_force))
        except NothingChanged:
            return
        except Unavailable as refusal:
            is_away = refusal.code == STORE_UNAVAILABLE and not isinstance(refusal, StoreTooSlow)
            if self._standby is not None and is_away:
                self._standby.presence.lost(refusal)
            raise

    async def _opened(self, stack: AsyncExitStack) -> Change:
        """The store's change, begun; `stack` ends it. Raises Unavailable(`store_unavailable`) when it takes too long."""
        opening = self._tasks.spawn(stack.enter_async_context(self._store.change()), "beginning a change")
        try:
            await asyncio.wait({opening}, timeout=_PATIENCE_SECONDS)
        except asyncio.CancelledError:
            opening.cancel()
            await asyncio.wait({opening})
            await stack.aclose()
            raise
        if not opening.done():
            opening.cancel()
            raise StoreTooSlow
        return opening.result()

    async def _commit(self, stack: AsyncExitStack, work: Work, agent: str | None, in_force: bool) -> None:
        async with stack:
            # After the work's own writes, so that it sees them.
            state = None if agent is None else await work.change.agent_state(agent)
            revision = work.change.revision
        if in_force:
            return
        before = self._live.current
        self._swap(work, state, revision)
        if self._standby is not None:
            self._standby.known_good.committed(before, self._live.current, agent, work.rows)

    async def _to_the_end(self, commit: Coroutine[Any, Any, None]) -> None:
        """Wait for the commit and the swap behind it, also when cancelled meanwhile: one without the other would leave traffic
        on something else than the store says."""
        committing = self._tasks.spawn(commit, "committing a change")
        was_cancelled = False
        while not committing.done():
            try:
                await asyncio.wait({committing})
            except asyncio.CancelledError:
                was_cancelled = True
        committing.result()
        if was_cancelled:
            raise asyncio.CancelledError

    def _swap(self, work: Work, state: AgentState | None, revision: int) -> None:
        if state is not None:
            self._live.replace_agent(state, revision)
        else:
            self._live.replace(replace(work.snapshot_edit(self._live.current), revision=revision))

    def _check_present(self) -> None:
        if self._standby is not None:
            self._standby.presence.check()


def _unchanged(snapshot: Snapshot) -> Snapshot:
    return snapshot


def _told_to_the_waiting(error: BaseException) -> None:
    """What a step dies of is raised where it is waited for."""


def _only_journalled() -> Unavailable:
    return Unavailable(STORE_UNAVAILABLE, "an emergency action is on its way to the store")


async def _beyond_memory(refusal: Refusal, order: EmergencyOrder, memory: MemoryChange) -> Refusal:
    """A short history that leads no further says nothing about the ledger itself: what to name instead."""
    state = await memory.agent_state(order.agent) if isinstance(order, RollbackOrder) else None
    if not isinstance(order, RollbackOrder) or state is None:
        return refusal
    name = order.label or state.agent.default_label
    if refusal.code == "release_not_found":
        problem = (
            f"{name!r} is at release {state.labels[name].release}, and of release {order.undoes} nothing is in memory"
        )
        return Unavailable(
            STORE_UNAVAILABLE, f"the store is away and {problem}; name the first in `undoes`, or none", param="undoes"
        )
    if refusal.code != "nothing_to_roll_back":
        return refusal
    serving = state.labels[name].version
    possible = [str(number) for number in await memory.ways_back(order.agent, name) if number != serving]
    problem = f"the store is away, and which version {name!r} served before {serving} is not in memory"
    if not possible:
        return Unavailable(
            STORE_UNAVAILABLE, f"{problem}, nor is another; put the store back, or stop its calls by a switch"
        )
    return Unavailable(
        STORE_UNAVAILABLE, f"{problem}; name one in `to`; possible are {', '.join(possible)}", param="to"
    )

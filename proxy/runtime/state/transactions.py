"""The store's side of a change: whose turn it is, its atomic change, and its commit, which is waited for no longer than told.

What becomes of a change once it is committed is changes.py's matter. While something in force is on its way to the store, an
ordinary change does not get its turn.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

from proxy.core.errors import Unavailable
from proxy.core.snapshot import SnapshotChanges
from proxy.runtime.process.tasks import TaskSet
from proxy.runtime.state.change_log import ChangeLog
from proxy.runtime.state.ordered_changes import note_effect
from proxy.runtime.state.slow_store import (
    BEGIN_SECONDS,
    LONGEST_COMMIT_SECONDS,
    ChangeTurn,
    StoreTooSlow,
    begun,
    to_the_end,
)
from proxy.runtime.state.standby import STORE_UNAVAILABLE, Standby
from proxy.runtime.state.work import NothingChanged, Work
from proxy.store.ports.changes import ChangeStore

#: A store that has not begun a change by then is not waited for: a kill switch cannot wait for another program's lock.
PATIENCE_SECONDS = 1.0

#: What becomes of a change once it is committed.
Committed = Callable[[Work, SnapshotChanges], None]


class Transactions:
    """One change of the store at a time."""

    def __init__(
        self, store: ChangeStore, tasks: TaskSet, standby: Standby | None, log: ChangeLog, revision: Callable[[], int]
    ) -> None:
        """`revision`: of what the store is known to hold."""
        self._store = store
        self._tasks = tasks
        self._standby = standby
        self._log = log
        self._revision = revision
        self._turn = ChangeTurn()

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None]:
        """Nobody else changes anything in the store meanwhile."""
        await self._turn.acquire_in_any_case()
        try:
            yield
        finally:
            self._turn.release()

    @asynccontextmanager
    async def ordinary_turn(self, patience_seconds: float | None) -> AsyncGenerator[None]:
        """The turn, with nothing on its way to the store. Raises Unavailable where that takes too long."""
        while True:
            await self._turn.acquire(patience_seconds)
            if self._standby is None or not self._standby.journal.entries or self._standby.presence.is_away:
                break
            self._turn.release()
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await self._standby.journal.emptied()
            except TimeoutError:
                raise StoreTooSlow from None
        try:
            yield
        finally:
            self._turn.release()

    @asynccontextmanager
    async def transaction(
        self,
        now: int,
        *,
        evidence: Sequence[Mapping[str, Any]] = (),
        then: Committed | None = None,
        until: float | None = None,
    ) -> AsyncGenerator[Work]:
        """`until`: the moment by which the caller is answered, and told the truth."""
        stack = AsyncExitStack()
        try:
            longest, patience = (None, PATIENCE_SECONDS) if until is None else (LONGEST_COMMIT_SECONDS, BEGIN_SECONDS)
            change = await begun(self._store.change(longest), stack, self._tasks, patience)
            async with stack:
                work = Work(change, now, evidence)
                yield work
                if not work.has_effect:
                    raise NothingChanged
                await self._to_the_end(self._commit(stack.pop_all(), work, then), until)
        except NothingChanged:
            return
        except Unavailable as refusal:
            is_away = refusal.code == STORE_UNAVAILABLE and not isinstance(refusal, StoreTooSlow)
            if self._standby is not None and is_away:
                self._standby.presence.lost(refusal)
            raise

    async def _commit(self, stack: AsyncExitStack, work: Work, then: Committed | None) -> None:
        told: Callable[[], object] | None = None
        async with stack:
            if then is not None:
                # After the work's own writes, so that it sees them.
                told = partial(then, work, await work.change.changes_since(self._revision()))
        if told is not None:
            told()
        note_effect()
        self._log.committed(work.entries)

    async def _to_the_end(self, commit: Coroutine[Any, Any, None], until: float | None) -> None:
        committing = self._tasks.spawn(commit, "committing a change")
        try:
            await to_the_end(committing, until)
        finally:
            if not committing.done():
                self._turn.left_to(committing)
                committing.add_done_callback(self._ended_late)

    def _ended_late(self, committing: asyncio.Task[None]) -> None:
        error = None if committing.cancelled() else committing.exception()
        if isinstance(error, Unavailable) and error.code == STORE_UNAVAILABLE and self._standby is not None:
            self._standby.presence.lost(error)

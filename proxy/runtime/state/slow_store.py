"""How long an ordinary change keeps its caller waiting, whatever the disk does: 5 s, and the answer says what is true by then.

Before its commit is begun a change can be refused, and then never applies: where changes before it hold the turn, where the store does
not begin it, where the store expects that the commit would take too long (`store_slow`). A commit that has begun cannot be
taken back: one that is not through in time is answered with `store_outcome_unknown`, keeps its turn, and is in force as soon as it
is through, as if its caller had gone away.
"""

import asyncio
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, Final

from proxy.core.errors import Unavailable
from proxy.runtime.process.tasks import TaskSet
from proxy.runtime.state.standby import STORE_UNAVAILABLE
from proxy.store.ports.changes import Change

#: From the beginning of a change to its answer.
ANSWER_SECONDS: Final = 4.8
#: A store that has not begun a change by then is not waited for.
BEGIN_SECONDS: Final = 2.5
#: A commit that is expected to take longer is not begun.
LONGEST_COMMIT_SECONDS: Final = 3.5
#: Whoever has had the turn for less is not what holds up the others: those are many, and get theirs.
_MOVING_SECONDS: Final = 1.0
_TURN_SECONDS: Final = 2.0


class StoreTooSlow(Unavailable):
    """The store did not begin a change in time. It may only be busy, so for ordinary changes that does not make it away."""

    def __init__(self) -> None:
        super().__init__(
            STORE_UNAVAILABLE, "the store cannot be used now: it is locked or very slow; nothing was changed, try again"
        )


class OutcomeUnknown(Unavailable):
    """A commit has begun and takes long."""

    def __init__(self) -> None:
        super().__init__(
            "store_outcome_unknown",
            "the store's disk is very slow: this change is on its way to it and cannot be taken back, whether it will be kept is not "
            "known yet; look whether it is there before you try again",
            retry_after_seconds=30,
        )


class ChangeTurn:
    """One change at a time, for as long as it takes; who waits is told when that is too long."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._taken_at = 0.0
        #: A commit that nobody waits for any more.
        self._unfinished: asyncio.Task[Any] | None = None

    async def acquire(self, patience_seconds: float | None = None) -> None:
        """Raises StoreTooSlow where that takes longer than the patience, of which None is for a queue that moves."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout(_TURN_SECONDS if patience_seconds is None else patience_seconds):
                    await self._lock.acquire()
            except TimeoutError:
                if patience_seconds is not None or loop.time() - self._taken_at > _MOVING_SECONDS:
                    raise StoreTooSlow from None
            else:
                self._taken_at = loop.time()
                return

    async def acquire_in_any_case(self) -> None:
        """Waits as long as it takes."""
        await self._lock.acquire()
        self._taken_at = asyncio.get_running_loop().time()

    def left_to(self, committing: asyncio.Task[Any]) -> None:
        """The turn ends with this commit, however long that takes."""
        self._unfinished = committing

    def release(self) -> None:
        unfinished, self._unfinished = self._unfinished, None
        if unfinished is None or unfinished.done():
            self._lock.release()
        else:
            unfinished.add_done_callback(lambda _: self._lock.release())


async def begun(
    change: AbstractAsyncContextManager[Change], stack: AsyncExitStack, tasks: TaskSet, patience_seconds: float
) -> Change:
    """The store's change, begun; `stack` ends it. Raises StoreTooSlow."""
    opening = tasks.spawn(stack.enter_async_context(change), "beginning a change")
    try:
        await asyncio.wait({opening}, timeout=patience_seconds)
    except asyncio.CancelledError:
        opening.cancel()
        await asyncio.wait({opening})
        await stack.aclose()
        raise
    if not opening.done():
        opening.cancel()
        raise StoreTooSlow
    return opening.result()


async def to_the_end(committing: asyncio.Task[None], until: float | None) -> None:
    """Wait for a commit and the swap behind it, also when cancelled meanwhile: one without the other would leave traffic on something
    else than the store says. `until`: a moment of the loop's clock. Raises OutcomeUnknown then, and what the commit raises."""
    loop = asyncio.get_running_loop()
    was_cancelled = False
    while not committing.done():
        left = None if until is None else max(until - loop.time(), 0)
        try:
            await asyncio.wait({committing}, timeout=left)
        except asyncio.CancelledError:
            was_cancelled = True
        if not committing.done() and until is not None and loop.time() >= until:
            raise asyncio.CancelledError if was_cancelled else OutcomeUnknown
    committing.result()
    if was_cancelled:
        raise asyncio.CancelledError

"""Whether the store is there, and what stands in for it while it is away: the journal and the last known good state.

Whoever finds the store unusable says so here; until takeover.py has taken it back, ordinary changes are refused at once
instead of each waiting for it, and the data plane's writes too. How the store comes back is takeover.py's matter.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypedDict

from proxy.core.calls.runs import Attempt, Run
from proxy.core.errors import Refusal, Unavailable
from proxy.core.spending.ledger import LedgerWrites
from proxy.runtime.state.journal import Journal, JournalStatus
from proxy.runtime.state.last_known_good import KnownGoodStatus, LastKnownGood
from proxy.store.ports.runs import RunRecords
from proxy.store.ports.spending import LedgerRecords

STORE_UNAVAILABLE = "store_unavailable"
#: It is there, and did not do it in time.
STORE_SLOW = "store_slow"
_RETRY_AFTER_SECONDS = 5


class StorePresence:
    """Whether the store can be used, as last seen. It begins present: a store nobody complained of."""

    def __init__(self) -> None:
        self._problem: Refusal | None = None
        self._listeners: list[Callable[[Refusal | None], None]] = []

    @property
    def is_away(self) -> bool:
        return self._problem is not None

    @property
    def problem(self) -> Refusal | None:
        """Why it is away."""
        return self._problem

    def on_change(self, listener: Callable[[Refusal | None], None]) -> None:
        """Call `listener` whenever the store goes away, for another reason too, and (with None) when it is back."""
        self._listeners.append(listener)

    def lost(self, problem: Refusal) -> None:
        """The store could not be used."""
        is_news = self._problem is None or self._problem.message != problem.message
        self._problem = problem
        if is_news:
            self._tell()

    def found(self) -> None:
        """The store is taken over and up to date."""
        if self._problem is not None:
            self._problem = None
            self._tell()

    def check(self) -> None:
        """Raises Unavailable(`store_unavailable`) while the store is away."""
        if self._problem is not None:
            raise Unavailable(
                STORE_UNAVAILABLE,
                f"{self._problem.message}; until the store is back only kill switches, rollbacks and aborts take effect",
                retry_after_seconds=_RETRY_AFTER_SECONDS,
            )

    def _tell(self) -> None:
        for listener in self._listeners:
            listener(self._problem)


class StandbyStatus(TypedDict):
    """What stands by for the time in which the store is away."""

    journal: JournalStatus
    last_known_good: KnownGoodStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Standby:
    """Put together by the composition root."""

    presence: StorePresence
    journal: Journal
    known_good: LastKnownGood

    def status(self) -> StandbyStatus:
        """For `GET /status`."""
        return {"journal": self.journal.status(), "last_known_good": self.known_good.status()}


class DataPlaneStore(LedgerRecords, RunRecords, Protocol):
    """The data plane's writes, in batches."""


class WhilePresent:
    """A store that refuses the data plane's writes at once while it is away, so that no call waits for a lock to time out."""

    def __init__(self, store: DataPlaneStore, presence: StorePresence) -> None:
        self._store = store
        self._presence = presence

    async def write_ledger(self, writes: LedgerWrites) -> None:
        with self._watching():
            await self._store.write_ledger(writes)

    async def record_runs(self, runs: Sequence[Run], attempts: Sequence[Attempt]) -> None:
        with self._watching():
            await self._store.record_runs(runs, attempts)

    @contextmanager
    def _watching(self) -> Generator[None]:
        self._presence.check()
        try:
            yield
        except Unavailable as refusal:
            if refusal.code != STORE_SLOW:
                self._presence.lost(refusal)
            raise

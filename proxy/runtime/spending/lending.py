"""What the owner of the ledger lends to workers, in its counters: held, and covered by the counter's lease like any hold.

A loan leaves in one of three ways: a worker's call takes of it and is a hold like any other from then on; what is left is given
back; or it is charged, where nobody can know what a dead worker had still done with it. So spent plus held of a counter are
at every moment at least what workers did, and never more than the limit.

Who is lent how much, and when it is asked back, is workers/worker_leases.py's matter, the arithmetic core/spending/leases.py's.
"""

from collections.abc import Iterable, Sequence

from proxy.core.scopes import CallFacts
from proxy.core.spending.caps import Cap, CounterKey
from proxy.core.spending.leases import bounded_loan, wanted_loan
from proxy.runtime.process.clock import Clock
from proxy.runtime.spending.counters import Counter, Counters
from proxy.runtime.spending.held_amount import HeldAmount
from proxy.runtime.spending.writer import LedgerWriter


class Lending:
    """The loans of one ledger."""

    def __init__(self, counters: Counters, writer: LedgerWriter, clock: Clock) -> None:
        self._counters = counters
        self._writer = writer
        self._clock = clock
        #: Tells rows of one microsecond apart.
        self._charged = 0

    def lent_to_workers(self, caps: Iterable[Cap], facts: CallFacts) -> list[CounterKey]:
        """The counters a call would be held in now of which something is lent."""
        now = self._clock.now_microseconds()
        counters = [self._counters.of(cap, facts, now) for cap in caps]
        return [counter.key for counter in counters if counter.lent]

    def lend(self, key: CounterKey, left: int, needed: int, workers: int) -> int:
        """Lend a worker more; how much. It has `left`, and `needed` so much at once lately.

        Where the counter's lease is too small for that, the lease is made larger first: it is lent when asked for again."""
        counter = self._counters.find(key)
        if counter is None or counter.is_over or self._writer.is_full:
            return 0
        limit = counter.cap.limit_amount
        wanted = wanted_loan(left, needed, limit, workers)
        if left + wanted < counter.one_hold or not wanted:
            return 0
        given = bounded_loan(wanted, counter.lease, counter.drawn, limit, limit - counter.spent - counter.held)
        if given < wanted and counter.peak < counter.drawn + wanted:
            counter.peak = counter.drawn + wanted
            self._writer.see_lease(counter)
        if left + given < counter.one_hold:
            return 0
        counter.held += given
        counter.standing.held += given
        counter.standing.offer(counter)
        counter.drawn += given
        counter.lent += given
        return given

    def is_over(self, key: CounterKey) -> bool:
        """Whether nothing more is held in a counter: its window has ended, or its cap."""
        counter = self._counters.find(key)
        return counter is None or counter.is_over

    def take(
        self, attempt: str, amounts: Sequence[tuple[CounterKey, int]], placed_at_microseconds: int
    ) -> list[HeldAmount]:
        """A worker's call holds this of what was lent."""
        holds = [HeldAmount(attempt, self._lent(key), amount, placed_at_microseconds) for key, amount in amounts]
        for hold in holds:
            counter = hold.counter
            counter.one_hold = hold.amount
            counter.lent -= hold.amount
            counter.drawn -= hold.amount
            self._writer.draw(hold)
        return holds

    def give_back(self, key: CounterKey, amount: int) -> None:
        """Nobody holds so much of what was lent, nor will."""
        counter = self._lent(key)
        counter.lent -= amount
        counter.drawn -= amount
        counter.held -= amount
        counter.standing.held -= amount

    def charge(self, key: CounterKey, amount: int) -> None:
        """Nobody knows what became of so much of what was lent: it is spent."""
        now = self._clock.now_microseconds()
        self._charged += 1
        (hold,) = self.take(f"loan_{now}_{self._charged}", [(key, amount)], now)
        counter = hold.counter
        counter.held -= amount
        counter.spent += amount
        counter.standing.held -= amount
        counter.standing.spent += amount
        counter.charged += amount
        counter.standing.charged += amount
        hold.spent = amount
        hold.settled_by = "lease"
        # By itself, not among others of its batch: the next life reads from rows what crashes charged.
        hold.has_row = True
        hold.settled_at_microseconds = now
        self._writer.end((hold,))

    def _lent(self, key: CounterKey) -> Counter:
        counter = self._counters.find(key)
        assert counter is not None  # kept for as long as anything is held in it
        return counter

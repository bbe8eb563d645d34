"""What the owner has lent to one worker, counter by counter, so that the worker's calls are held without asking.

The counterpart in the worker is remote_ledger.py. A worker tells in batches what its calls took of its leases, and gets more as
it uses them up. What it has left is known exactly once it has answered a Ping that follows LeasesEnded, because messages
arrive in order; until then it counts as held (lending.py).

Leases end when they were not used for one to two seconds, when their cap is changed or gone or its window over, and when a call
that asks the owner would not fit for them; the call then waits for the workers' answers, and is decided by the same
check-and-add as with one process.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence

from proxy.core.spending.caps import Cap, CounterKey
from proxy.core.spending.leases import is_loan_too_large, is_too_small_to_lend
from proxy.runtime.spending.ledger import HoldTicket, SpendLedger
from proxy.runtime.workers.messages import LeaseGiven, LeasesEnded, OwnHold

#: How long a call waits for workers to give back what it needs; what is not back then counts as held.
RECLAIM_SECONDS = 0.25


class _Lease:
    """One counter's. `left`: lent and, as far as heard, not used."""

    __slots__ = ("cap", "is_ending", "last_peak", "left", "peak", "used")

    def __init__(self) -> None:
        #: As the worker knows it, once anything was lent.
        self.cap: Cap | None = None
        self.left = 0
        #: What calls needed since the worker last told, and the most that ever was in this tick and the last.
        self.used = 0
        self.peak = 0
        self.last_peak = 0
        self.is_ending = False

    @property
    def needed(self) -> int:
        return max(self.used, self.peak, self.last_peak)

    def begin_round(self) -> None:
        self.peak = max(self.peak, self.used)
        self.used = 0

    def begin_tick(self) -> None:
        self.begin_round()
        self.last_peak = self.peak
        self.peak = 0


class WorkerLeases:
    """The leases of one worker. `all_workers` holds those of all; `ping` tells when the worker has acted on what was sent."""

    def __init__(
        self,
        ledger: SpendLedger,
        all_workers: list["WorkerLeases"],
        send: Callable[[LeaseGiven | LeasesEnded], None],
        ping: Callable[[], "asyncio.Future[None]"],
    ) -> None:
        self._ledger = ledger
        self._lending = ledger.lending
        self._all = all_workers
        self._send = send
        self._ping = ping
        self._leases: dict[CounterKey, _Lease] = {}
        self._takes_part = False

    def join(self) -> None:
        """The worker may be lent something from now on."""
        self._takes_part = True
        self._all.append(self)

    def asked(self, caps: Sequence[Cap], ticket: HoldTicket) -> None:
        """A call had to ask the owner: the next ones may not have to. A call that must ask for one cap gains nothing from a
        lease for another."""
        amounts = ticket.amounts
        if not self._takes_part or any(map(self._must_ask, caps, amounts)):
            return
        for cap, (key, amount) in zip(caps, amounts, strict=True):
            lease = self._leases.get(key)
            if lease is None:
                lease = self._leases[key] = _Lease()
            lease.used += amount
            self._lend(key, lease, cap)

    def take(self, holds: Iterable[OwnHold]) -> list[tuple[str, HoldTicket]]:
        """What calls of the worker took of its leases, by attempt. Raises KeyError for what was not lent."""
        found: list[tuple[str, HoldTicket]] = []
        used: dict[CounterKey, _Lease] = {}
        for hold in holds:
            for key, amount in hold.amounts:
                lease = used[key] = self._leases[key]
                lease.left -= amount
                lease.used += amount
            found.append(
                (hold.attempt, self._ledger.take_lent(hold.attempt, hold.amounts, hold.placed_at_microseconds))
            )
        for key, lease in used.items():
            lease.begin_round()
            if lease.cap is not None:
                self._lend(key, lease, lease.cap)
        return found

    def caps_are(self, caps: Iterable[Cap]) -> None:
        """End the leases of caps that are not as they were when something was lent."""
        known = {cap.id: cap for cap in caps}
        self.end(
            [key for key, lease in self._leases.items() if lease.cap is not None and known.get(key.cap) != lease.cap]
        )

    def tick(self) -> None:
        """Once a second: end the leases nobody needs."""
        unneeded: list[CounterKey] = []
        for key, lease in list(self._leases.items()):
            lease.begin_tick()
            is_over = self._lending.is_over(key)
            if lease.left > 0:
                if is_over or is_loan_too_large(lease.left, lease.needed):
                    unneeded.append(key)
            elif not lease.is_ending and (is_over or not lease.needed):
                del self._leases[key]
        self.end(unneeded)

    async def reclaim(self, keys: Sequence[CounterKey]) -> None:
        """End every worker's leases of these counters; returns when they have given them back, or not in time."""
        answers = [answer for worker in self._all if (answer := worker.end(keys)) is not None]
        if answers:
            await asyncio.wait(answers, timeout=RECLAIM_SECONDS)

    def leave(self) -> None:
        """The worker uses its leases no more, not even those that are still on their way to it."""
        self._stop()
        for key, lease in self._leases.items():
            self._lending.give_back(key, lease.left)
        self._leases = {}

    def charge_all(self) -> None:
        """The worker is gone. What it had left is charged: calls it had not told of yet may have used it."""
        self._stop()
        for key, lease in self._leases.items():
            if lease.left > 0:
                self._lending.charge(key, lease.left)
        self._leases = {}

    def _must_ask(self, cap: Cap, held: tuple[CounterKey, int]) -> bool:
        """Calls in flight are not counted in leases, and a cap may be too small to share."""
        return cap.unit == "in_flight" or is_too_small_to_lend(cap.limit_amount, held[1], len(self._all))

    def _stop(self) -> None:
        if self._takes_part:
            self._takes_part = False
            self._all.remove(self)

    def _lend(self, key: CounterKey, lease: _Lease, cap: Cap) -> None:
        if not self._takes_part or lease.is_ending:
            return
        amount = self._lending.lend(key, lease.left, lease.needed, len(self._all))
        if amount > 0:
            lease.left += amount
            lease.cap = cap
            self._send(LeaseGiven(key, amount))

    def end(self, keys: Sequence[CounterKey]) -> "asyncio.Future[None] | None":
        """Ask the worker for these leases; done when they are back. None where there is nothing to wait for."""
        asked = [key for key in keys if (lease := self._leases.get(key)) is not None and lease.cap is not None]
        if not asked or not self._takes_part:
            return None
        new = [key for key in asked if not self._leases[key].is_ending]
        if new:
            for key in new:
                self._leases[key].is_ending = True
            self._send(LeasesEnded(tuple(new)))
        answer = self._ping()
        if not answer.done():  # else the link is closing, and the worker will not have heard of it
            answer.add_done_callback(lambda _: self._ended(new))
        return answer

    def _ended(self, keys: Sequence[CounterKey]) -> None:
        for key in keys:
            lease = self._leases.pop(key, None)
            if lease is not None:
                self._lending.give_back(key, lease.left)

"""The spend ledger as a worker sees it: holds in what the owner has lent it, else the owner is asked.

Counterparts: ledger.py, which the owner has, and worker_leases.py, which lends. A call whose caps all have a lease that
covers it waits for nobody; a call that no cap touches sends nothing.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from proxy.core.errors import Refusal
from proxy.core.scopes import CallFacts
from proxy.core.spending.caps import Cap
from proxy.runtime.process.clock import Clock
from proxy.runtime.spending.counters import Counter, Counters
from proxy.runtime.spending.holding import HoldBound, Spent
from proxy.runtime.spending.ledger import other_amount
from proxy.runtime.workers.messages import LeaseGiven, LeasesEnded, Leaving, Message, OwnHold


class HoldKeeper(Protocol):
    """Who decides on holds, and is told of those that were placed without asking."""

    async def hold(self, attempt: str, facts: CallFacts, bound: HoldBound) -> int | None: ...
    def settle(self, attempt: str, spent: Spent) -> None: ...
    def placed_own(self, hold: OwnHold) -> None: ...
    def settled_own(self, attempt: str, spent: Spent) -> None: ...
    def tell_own(self) -> None: ...
    def send(self, message: Message) -> None: ...


class _ToldOnce:
    """A hold whose settlement the owner is told, once. Left unsettled it is charged in full once `sent`, else released."""

    __slots__ = ("_attempt", "_is_settled", "_tell", "nanodollars", "sent")

    def __init__(self, attempt: str, tell: Callable[[str, Spent], None], nanodollars: int | None = None) -> None:
        self._attempt = attempt
        self._tell = tell
        self._is_settled = False
        self.nanodollars = nanodollars
        self.sent = False

    def close(self) -> None:
        """The attempt is over."""
        self.settle(Spent(settled_by="held" if self.sent else "released"))

    def settle(self, spent: Spent) -> None:
        """Settle every hold of this attempt, once; later calls change nothing."""
        if not self._is_settled:
            self._is_settled = True
            self._tell(self._attempt, spent)


class RemoteTicket(_ToldOnce):
    """The hold of one attempt that the owner decides on."""

    __slots__ = ("_bound", "_facts", "_owner")

    is_durable = False

    def __init__(self, owner: HoldKeeper, attempt: str, facts: CallFacts, bound: HoldBound) -> None:
        super().__init__(attempt, owner.settle)
        self._owner = owner
        self._facts = facts
        self._bound = bound

    async def place(self) -> None:
        """Returns when the owner has placed the holds. Raises Refusal (a cap's, or Unavailable); nothing is held then."""
        try:
            self.nanodollars = await self._owner.hold(self._attempt, self._facts, self._bound)
        except Refusal:
            # Nothing was placed.
            self._is_settled = True
            raise
        except BaseException:
            self.settle(Spent(settled_by="released"))
            raise


class OwnTicket(_ToldOnce):
    """The hold of one attempt in this worker's leases."""

    __slots__ = ()

    is_durable = True

    async def place(self) -> None:
        """The owner's lease covers what it lent."""


class FreeTicket:
    """Of a call that no cap touches."""

    nanodollars: int | None = None
    is_durable = True

    def __init__(self) -> None:
        self.sent = False

    async def place(self) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """Nothing is held."""

    def settle(self, spent: Spent) -> None:
        """Nothing is held."""


class RemoteLedger:
    """Hands out tickets. `caps` are those of the worker's present snapshot."""

    def __init__(self, owner: HoldKeeper, clock: Clock, caps: Callable[[], Iterable[Cap]]) -> None:
        self._owner = owner
        self._clock = clock
        self._caps = caps
        #: Those with a lease. What is drawn of it is used up: there is more when the owner gives more.
        self._counters = Counters()
        self._has_left = False

    def hold(
        self, attempt: str, caps: Sequence[Cap], facts: CallFacts, bound: HoldBound
    ) -> RemoteTicket | OwnTicket | FreeTicket:
        """A ticket. Where leases do not cover the call, placing it asks the owner, and raises what the owner refuses it with;
        which caps count, the owner then decides by its own snapshot."""
        if not caps:
            return FreeTicket()
        now = self._clock.now_microseconds()
        holds: list[tuple[Counter, int]] = []
        nanodollars: int | None = None
        for cap in caps:
            amount = bound.nanodollars if cap.unit == "usd" else other_amount(cap, bound)
            counter = self._counters.of(cap, facts, now)
            left = counter.lease - counter.drawn
            # A call that holds nothing needs a lease, too: the cap may allow nothing.
            if amount is None or left <= 0 or amount > left:
                return RemoteTicket(self._owner, attempt, facts, bound)
            if cap.unit == "usd" and (nanodollars is None or amount > nanodollars):
                nanodollars = amount
            holds.append((counter, amount))
        self._owner.placed_own(OwnHold(attempt, now, tuple([(counter.key, amount) for counter, amount in holds])))
        for counter, amount in holds:
            was_scarce = counter.drawn * 2 > counter.lease
            counter.drawn += amount
            if not was_scarce and counter.drawn * 2 > counter.lease:
                # Told now, so that there is more before the rest is used up.
                self._owner.tell_own()
        return OwnTicket(attempt, self._owner.settled_own, nanodollars)

    def told(self, change: LeaseGiven | LeasesEnded) -> None:
        """The owner lends more, or wants back what is left."""
        if isinstance(change, LeaseGiven):
            self._given(change)
        else:
            self._ended(change)

    def _given(self, given: LeaseGiven) -> None:
        counter = self._counters.find(given.key)
        if counter is None:
            cap = next((cap for cap in self._caps() if cap.id == given.key.cap), None)
            if cap is None or self._has_left:
                # Not used: the owner takes it back with the cap, or has it back already.
                return
            counter = Counter(cap, given.key)
            self._counters.keep(counter)
        counter.lease += given.amount - counter.drawn
        counter.drawn = 0

    def _ended(self, ended: LeasesEnded) -> None:
        for key in ended.keys:
            counter = self._counters.find(key)
            if counter is not None:
                counter.lease = counter.drawn = 0
                self._counters.forget(counter)

    def leave(self) -> None:
        """Use no lease any more, and say so: what is left goes back to the owner."""
        self._has_left = True
        self._counters = Counters()
        self._owner.send(Leaving())

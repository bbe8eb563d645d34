"""Hold, send, settle: spending that cannot pass a hard cap however many calls run at once, nor be lost by a crash.

Deciding is synchronous on the event loop (check and add without a wait between), so concurrent calls cannot race. Before
an attempt is sent its holds are durable in the store, written in groups by one flusher; after a crash what was held is
charged in full. The store's rows are the truth; the counters here equal their sum.

Decision: a group commit instead of a commit per call: calls that wait for the same write share it, and a call that no cap
touches waits for nothing.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

import msgspec

from proxy.core.caps import Cap, CounterKey, counter_key, fits, shown_amount, window_start
from proxy.core.errors import CapReached, Limited, Unavailable
from proxy.core.ledger import Hold, SettledBy, Settlement
from proxy.core.scopes import CallFacts
from proxy.runtime.clock import Clock

_RETRY_SECONDS = 0.5


class LedgerStore(Protocol):
    """What the ledger needs of the store."""

    async def place_holds(self, holds: Sequence[Hold]) -> None: ...
    async def settle_holds(self, settlements: Sequence[Settlement]) -> None: ...


@dataclass(slots=True)
class Counter:
    """What one counter of a cap has spent and holds, in the cap's unit."""

    spent: int = 0
    held: int = 0


class HoldBound(msgspec.Struct, frozen=True, kw_only=True):
    """Upper bounds of one attempt. None: cannot be bounded or priced, so a hard cap of that unit refuses it."""

    nanodollars: int | None
    tokens: int | None
    #: Why there is no bound, for the caller.
    unbounded_because: str = ""


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt really used. `settled_by` held: usage is unknown, so the whole hold is charged."""

    nanodollars: int = 0
    tokens: int = 0
    settled_by: SettledBy = "reported"


class Ticket(Protocol):
    """The holds of one attempt, wherever they are kept: an `async with` whose entering places them."""

    sent: bool

    @property
    def nanodollars(self) -> int | None: ...
    def settle(self, spent: Spent) -> None: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Ledger(Protocol):
    """What the data path needs of a ledger."""

    def hold(self, attempt: str, caps: Sequence[Cap], facts: CallFacts, bound: HoldBound) -> Ticket: ...


class _Placed(msgspec.Struct):
    hold: Hold
    counter: Counter


class HoldTicket:
    """The holds of one attempt. Used as `async with`: left unsettled it is charged in full once `sent`, else released."""

    def __init__(self, ledger: "SpendLedger", placed: list[_Placed]) -> None:
        self._ledger = ledger
        self._placed = placed
        self._is_settled = False
        self.sent = False

    @property
    def nanodollars(self) -> int | None:
        """The largest usd hold of this attempt; None where no usd cap touches it."""
        amounts = [placed.hold.amount for placed in self._placed if placed.hold.unit == "usd"]
        return max(amounts) if amounts else None

    async def __aenter__(self) -> Self:
        await self.place()
        return self

    async def place(self) -> None:
        """Returns when the holds are durable. Raises Unavailable(`spend_ledger_unavailable`); nothing is held then."""
        if self._placed:
            try:
                await self._ledger.wait_until_durable([placed.hold for placed in self._placed])
            except BaseException:
                self.settle(Spent(settled_by="released"))
                raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.settle(Spent(settled_by="held" if self.sent else "released"))

    def settle(self, spent: Spent) -> None:
        """Settle every hold of this attempt, once; later calls change nothing."""
        if self._is_settled:
            return
        self._is_settled = True
        for placed in self._placed:
            self._ledger.settle(placed.hold, placed.counter, spent)
        self._placed = []


@dataclass(slots=True)
class _Waiting:
    holds: list[Hold] = field(default_factory=list[Hold])
    durable: list[asyncio.Future[None]] = field(default_factory=list[asyncio.Future[None]])


class SpendLedger:
    """All counters of all caps, and the one flusher that writes their rows."""

    def __init__(self, store: LedgerStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._counters: dict[CounterKey, Counter] = {}
        self._waiting = _Waiting()
        self._settlements: list[Settlement] = []
        self._wake = asyncio.Event()
        self.holds_outstanding = 0
        #: Warnings of soft caps: called with the cap when a call passes its limit.
        self.on_warning: Callable[[Cap], None] = _ignore

    def load(self, key: CounterKey, spent: int) -> None:
        """Take over a sum from the store at start."""
        self._counters[key] = Counter(spent=spent)

    def counter(self, key: CounterKey) -> Counter:
        """A copy of one counter."""
        found = self._counters.get(key)
        return Counter() if found is None else Counter(found.spent, found.held)

    def counters_of(self, cap: Cap) -> dict[CounterKey, Counter]:
        """Copies of every counter of a cap."""
        return {key: Counter(value.spent, value.held) for key, value in self._counters.items() if key.cap == cap.id}

    def prune(self, caps: Sequence[Cap], now_microseconds: int) -> None:
        """Forget counters of windows that are over and of caps that are gone; the store keeps their rows."""
        starts = {cap.id: window_start(cap.window, now_microseconds) for cap in caps}
        for key, counter in list(self._counters.items()):
            start = starts.get(key.cap)
            if counter.held == 0 and (start is None or key.window_start_microseconds < start):
                del self._counters[key]

    def hold(self, attempt: str, caps: Sequence[Cap], facts: CallFacts, bound: HoldBound) -> HoldTicket:
        """Reserve in every cap, or in none. Raises CapReached (`spend_cap_exceeded`, `unpriceable`), Limited."""
        if not caps:
            return HoldTicket(self, [])
        now = self._clock.now_microseconds()
        wanted: list[tuple[Cap, CounterKey, int]] = []
        for cap in caps:
            amount = _amount(cap, bound)
            key = counter_key(cap, facts, now)
            counter = self._counters.get(key) or Counter()
            if not fits(cap, counter.spent, counter.held, amount):
                if cap.is_hard:
                    raise _refusal(cap, counter, amount)
                self.on_warning(cap)
            wanted.append((cap, key, amount))
        placed: list[_Placed] = []
        for cap, key, amount in wanted:
            counter = self._counters.setdefault(key, Counter())
            counter.held += amount
            placed.append(_Placed(Hold(attempt, key, cap.unit, amount, now), counter))
        self.holds_outstanding += len(placed)
        return HoldTicket(self, placed)

    async def wait_until_durable(self, holds: Sequence[Hold]) -> None:
        """Returns when the holds are written. Raises Unavailable(`spend_ledger_unavailable`) when they cannot be."""
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.holds.extend(holds)
        self._waiting.durable.append(durable)
        self._wake.set()
        await durable

    def settle(self, hold: Hold, counter: Counter, spent: Spent) -> None:
        """Move one hold to spent. The row follows with the next flush."""
        amount = _spent_amount(hold, spent)
        counter.held -= hold.amount
        counter.spent += amount
        self.holds_outstanding -= 1
        now = self._clock.now_microseconds()
        self._settlements.append(Settlement(hold.attempt, hold.key, amount, spent.settled_by, now))
        self._wake.set()

    async def run(self) -> None:
        """The flusher: write what waits, again and again, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if not await self.flush():
                await asyncio.sleep(_RETRY_SECONDS)
                self._wake.set()

    async def flush(self) -> bool:
        """Write everything that waits now, holds before settlements; False where settlements are to be tried again."""
        waiting, self._waiting = self._waiting, _Waiting()
        if waiting.holds:
            await self._write_holds(waiting)
        settlements, self._settlements = self._settlements, []
        if settlements:
            try:
                await self._store.settle_holds(settlements)
            except BaseException as error:
                # Unsettled rows over-count, never under-count; they are tried again, and settling twice is harmless.
                self._settlements = settlements + self._settlements
                if isinstance(error, Unavailable):
                    return False
                raise
        return True

    async def _write_holds(self, waiting: _Waiting) -> None:
        try:
            await self._store.place_holds(waiting.holds)
        except Unavailable as error:
            refusal = Unavailable(
                "spend_ledger_unavailable",
                "a hard spend cap applies and its ledger cannot be written now; try again",
                retry_after_seconds=5,
            )
            refusal.__cause__ = error
            for durable in waiting.durable:
                if not durable.done():
                    durable.set_exception(refusal)
            return
        for durable in waiting.durable:
            if not durable.done():
                durable.set_result(None)


def _ignore(cap: Cap) -> None:
    """Nobody listens to soft caps yet."""


def _amount(cap: Cap, bound: HoldBound) -> int:
    match cap.unit:
        case "usd":
            amount = bound.nanodollars
        case "tokens":
            amount = bound.tokens
        case "calls" | "in_flight":
            return 1
    if amount is not None:
        return amount
    if cap.is_hard:
        raise CapReached("unpriceable", f"a hard cap on {cap.unit} applies and {bound.unbounded_because}")
    return 0


def _spent_amount(hold: Hold, spent: Spent) -> int:
    if hold.unit == "in_flight" or spent.settled_by == "released":
        return 0
    if hold.unit == "calls" or spent.settled_by == "held":
        return hold.amount
    return spent.nanodollars if hold.unit == "usd" else spent.tokens


def _refusal(cap: Cap, counter: Counter, amount: int) -> CapReached | Limited:
    scope = ", ".join(f"{name} {value}" for name, value in cap.scope.content().items()) or "everything"
    shown = [shown_amount(cap.unit, value) for value in (cap.limit_amount, counter.spent, counter.held, amount)]
    message = (
        f"the {cap.window} cap of {shown[0]} {cap.unit} on {scope} is reached: {shown[1]} spent, {shown[2]} held, "
        f"this call could need {shown[3]}"
    )
    if cap.passes_soon:
        return Limited("rate_limit_exceeded", message, retry_after_seconds=1 if cap.unit == "in_flight" else 30)
    return CapReached("spend_cap_exceeded", message)

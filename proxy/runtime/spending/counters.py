"""The counters of all caps in memory: what each has spent and holds, and what of that its lease stands for.

Of a counter's spent and held amounts, `drawn` is the part that is not in the ledger's rows yet. It is never let past
`lease`, which is durable, so rows + lease >= spent + held at every moment (but for an answer that cost more than it could).
Who may hold is ledger.py's to decide, writing is writer.py's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from proxy.core.scopes import EACH, CallFacts
from proxy.core.spending.caps import Cap, CounterKey, counter_key, window_end, window_start
from proxy.core.spending.leases import bounded_lease, wanted_lease

#: A lease follows what was needed in this and the last stretch of this length.
_STRETCH_MICROSECONDS: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class Tally:
    """What one counter of a cap has spent and holds, in the cap's unit."""

    spent: int = 0
    held: int = 0


class Counter:
    """One counter. Changed by the ledger and its writer only."""

    __slots__ = (
        "_last_peak",
        "cap",
        "drawn",
        "held",
        "is_kept",
        "is_over",
        "key",
        "lease",
        "lease_row",
        "lent",
        "one_hold",
        "peak",
        "spent",
    )

    def __init__(self, cap: Cap, key: CounterKey) -> None:
        self.cap = cap
        self.key = key
        self.spent = 0
        self.held = 0
        #: What of both is in no row yet.
        self.drawn = 0
        #: What of held, and of drawn, workers may hold by themselves.
        self.lent = 0
        #: What may be drawn: durable.
        self.lease = 0
        #: What the lease's row says; None after a write that may or may not have happened.
        self.lease_row: int | None = 0
        #: The most that was, or should have been, drawn at once lately.
        self.peak = 0
        self._last_peak = 0
        #: What the last call held.
        self.one_hold = 0
        self.is_kept = False
        #: Its window is over, or its cap gone: nothing more is held here.
        self.is_over = False

    @property
    def tally(self) -> Tally:
        return Tally(self.spent, self.held)

    @property
    def is_near_limit(self) -> bool:
        """Whether spent, held and the lease together could pass a hard cap's limit."""
        return self.cap.is_hard and self.cap.limit_amount - self.spent - self.held < self.lease

    @property
    def is_idle(self) -> bool:
        return self.held == 0 and self.drawn == 0 and self.lease_row == 0

    def next_lease(self, written: int) -> int:
        """The lease that is right once `written` of what is drawn is in the rows."""
        drawn = self.drawn - written
        cap = self.cap
        if self.is_over:
            return max(drawn, 0)
        room = cap.limit_amount - self.spent - self.held + drawn if cap.is_hard else None
        wanted = wanted_lease(self.lease, max(self.peak, self._last_peak))
        return max(bounded_lease(wanted, cap.limit_amount, self.one_hold, room), drawn)

    def begin_stretch(self) -> None:
        """Forget what was needed before the last stretch."""
        self._last_peak = self.peak
        self.peak = self.drawn


@dataclass(slots=True)
class _Current:
    """The one counter of a cap that counts nobody apart, and when its window begins and ends."""

    start_microseconds: int
    end_microseconds: int
    counter: Counter


class Counters:
    """All counters, by cap, window and part."""

    def __init__(self) -> None:
        self._counters: dict[CounterKey, Counter] = {}
        self._current: dict[str, _Current] = {}
        self._stretch_began = 0

    def __iter__(self) -> Iterator[Counter]:
        return iter(self._counters.values())

    def find(self, key: CounterKey) -> Counter | None:
        return self._counters.get(key)

    def of(self, cap: Cap, facts: CallFacts, now_microseconds: int) -> Counter:
        """The counter a call adds to now. A new one is not kept before something is held in it."""
        current = self._current.get(cap.id)
        if (
            current is not None
            and current.start_microseconds <= now_microseconds < current.end_microseconds
            and current.counter.cap is cap
        ):
            return current.counter
        key = counter_key(cap, facts, now_microseconds)
        counter = self._counters.get(key)
        if counter is None:
            counter = Counter(cap, key)
        # Its limit may be another by now.
        counter.cap = cap
        return counter

    def keep(self, counter: Counter) -> None:
        """Something is held in it."""
        counter.is_kept = True
        self._counters[counter.key] = counter
        cap, start = counter.cap, counter.key.window_start_microseconds
        if cap.scope.user != EACH and cap.window != "rollout":
            self._current[cap.id] = _Current(start, window_end(cap.window, start), counter)

    def load(self, cap: Cap, key: CounterKey, spent: int) -> None:
        """Add a sum of the store's to what was counted without it."""
        counter = self._counters.get(key) or Counter(cap, key)
        counter.spent += spent
        self.keep(counter)

    def prune(self, caps: Sequence[Cap], now_microseconds: int) -> list[Counter]:
        """Forget counters of windows that are over and of caps that are gone; those whose lease is to be looked at."""
        starts = {cap.id: (cap, window_start(cap.window, now_microseconds)) for cap in caps}
        is_new_stretch = now_microseconds - self._stretch_began >= _STRETCH_MICROSECONDS
        if is_new_stretch:
            self._stretch_began = now_microseconds
        changed: list[Counter] = []
        for key, counter in list(self._counters.items()):
            cap, start = starts.get(key.cap, (counter.cap, 2**63))
            counter.cap = cap
            counter.is_over = key.window_start_microseconds < start
            if counter.is_over and counter.is_idle:
                self.forget(counter)
            elif counter.lease_row != 0:
                if is_new_stretch:
                    counter.begin_stretch()
                if is_new_stretch or counter.is_over:
                    changed.append(counter)
        return changed

    def forget(self, counter: Counter) -> None:
        """Nothing is held in it."""
        del self._counters[counter.key]
        current = self._current.get(counter.key.cap)
        if current is not None and current.counter is counter:
            del self._current[counter.key.cap]

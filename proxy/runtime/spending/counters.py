"""The counters of all caps in memory: what each has spent and holds, and what of that its lease stands for.

Of a counter's spent and held amounts, `drawn` is the part that is not in the ledger's rows yet. It is never let past
`lease`, which is durable, so rows + lease >= spent + held at every moment (but for an answer that cost more than it could).
Who may hold is ledger.py's to decide, writing is writer.py's.

A cap may count each of 100,000 users apart, and neither who asks how it stands nor the look at all counters holds up calls: sums
are running, the fullest are looked for at the front (`CapStanding`), and the look goes on second after second where it ended.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from proxy.core.errors import Unavailable
from proxy.core.scopes import EACH, CallFacts
from proxy.core.spending.caps import (
    Cap,
    CounterKey,
    counter_key,
    steady_moment,
    step_back_held,
    window_end,
    window_start,
)
from proxy.core.spending.leases import bounded_lease, largest_lease, wanted_lease

#: A lease follows what was needed in this and the last stretch of this length.
_STRETCH_MICROSECONDS: Final = 10_000_000
#: Counters that one look takes on, 1 to 2 ms. Not Final, which compiled code would take for granted: a test makes it small.
_LOOK = 4_000
#: Twice this many counters of one standing are sorted at most; not Final for the same reason.
_FRONT = 500
#: Of how many it is certain that they are the fullest; not Final either.
FULLEST = 100
#: A store that is away for ten minutes is lived through on the lease at the rate seen, where the cap is large enough for that. Twice
#: as many stretches, because a process that is seconds old has seen that rate for half of one.
_STRETCHES_AWAY: Final = 120


@dataclass(frozen=True, slots=True)
class Tally:
    """What one counter of a cap has spent and holds, in the cap's unit. `charged`: what of spent crashes left, without a call
    that is known to have spent it."""

    spent: int = 0
    held: int = 0
    charged: int = 0


class CapStanding:
    """What all counters of one cap come to in one window: their sums, and the fullest of them.

    Whoever is not at the front has no more than `threshold`. A counter that rises above it comes to the front; a front that is
    too long keeps its fuller half, and the threshold rises to what the rest has. Counters fall too, when a call costs less
    than it held: where the front falls below the threshold, that is lowered, and until the look at all counters has been at
    each of them, some that should be at the front may be missing.
    """

    __slots__ = ("_front", "charged", "counters", "held", "spent", "threshold", "unmetered")

    def __init__(self) -> None:
        #: By part, in the order they came.
        self.counters: dict[str, Counter] = {}
        self.spent = 0
        self.held = 0
        self.charged = 0
        self.unmetered = 0
        self.threshold = -1
        self._front: dict[Counter, None] = {}

    def add(self, counter: "Counter") -> None:
        """It is kept from now on."""
        self.counters[counter.key.part] = counter
        self.spent += counter.spent
        self.held += counter.held
        self.charged += counter.charged
        self.unmetered += counter.unmetered
        counter.standing = self
        self.offer(counter)

    def remove(self, counter: "Counter") -> None:
        del self.counters[counter.key.part]
        self.spent -= counter.spent
        self.held -= counter.held
        self.charged -= counter.charged
        self.unmetered -= counter.unmetered
        self._front.pop(counter, None)

    def offer(self, counter: "Counter") -> None:
        """It may have risen above the threshold."""
        if counter.spent + counter.held <= self.threshold:
            return
        self._front[counter] = None
        if len(self._front) > 2 * _FRONT:
            ordered = heapq.nsmallest(_FRONT + 1, self._front, key=_fullest_first)
            self._front = dict.fromkeys(ordered[:_FRONT])
            self.threshold = max(self.threshold, ordered[_FRONT].spent + ordered[_FRONT].held)

    def fullest(self) -> "list[Counter]":
        """At most FULLEST counters, the one that has most first, of one amount by the names of their parts."""
        found = heapq.nsmallest(FULLEST, self._front, key=_fullest_first)
        if len(self._front) < len(self.counters):
            least = found[-1].spent + found[-1].held if len(found) == FULLEST else -1
            self.threshold = min(self.threshold, least)
        return found


def _fullest_first(counter: "Counter") -> tuple[int, str]:
    return -counter.spent - counter.held, counter.key.part


#: Of counters that are not kept, in which nothing is held.
_NONE: Final = CapStanding()


class Counter:
    """One counter. Changed by the ledger and its writer only."""

    __slots__ = (
        "_last_peak",
        "_last_spent",
        "_spent_before",
        "cap",
        "charged",
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
        "standing",
        "unmetered",
    )

    def __init__(self, cap: Cap, key: CounterKey) -> None:
        self.cap = cap
        self.key = key
        self.spent = 0
        self.held = 0
        #: What of spent crashes left.
        self.charged = 0
        #: Calls that were sent, and of which nobody knows what they spent.
        self.unmetered = 0
        #: Spent when this stretch began, and in the one before it.
        self._spent_before = 0
        self._last_spent = 0
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
        #: Of its cap and window, once it is kept: whoever changes what is spent or held here changes it there too.
        self.standing = _NONE

    @property
    def tally(self) -> Tally:
        return Tally(self.spent, self.held, self.charged)

    @property
    def is_lease_too_large(self) -> bool:
        """Whether spent, held and the lease together could pass a hard cap's limit, or a crash charge more than is left of what crashes may."""
        cap, lease = self.cap, self.lease
        if lease > largest_lease(cap.limit_amount, self.charged):
            return True
        return cap.is_hard and cap.limit_amount - self.spent - self.held < lease

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
        spent = max(self._last_spent, self.spent - self._spent_before)
        # A lease is twice what is needed at least.
        needed = max(self.peak, self._last_peak, spent * _STRETCHES_AWAY // 2)
        wanted = wanted_lease(self.lease, needed, cap.limit_amount)
        return max(bounded_lease(wanted, cap.limit_amount, self.one_hold, room, self.charged), drawn)

    def take_over(self, spent: int, charged: int, unmetered: int) -> None:
        """What the store says was spent before."""
        self.spent += spent
        self._spent_before += spent
        self.charged += charged
        self.unmetered += unmetered

    def begin_stretch(self) -> None:
        """Forget what was needed before the last stretch."""
        self._last_spent = self.spent - self._spent_before
        self._spent_before = self.spent
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
        self._standings: dict[tuple[str, int], CapStanding] = {}
        #: By cap: the start of the newest window that anything was held in, and of the oldest whose sums are known.
        self._newest: dict[str, int] = {}
        self._known_from: dict[str, int] = {}
        #: By cap: the start of a window of which it is not known how many calls were unmetered.
        self._uncounted: dict[str, int] = {}
        self._stretch_began = 0
        #: Those that the present look has not been at, and whether it begins a stretch for them.
        self._to_see: list[Counter] = []
        self._is_new_stretch = False

    def __iter__(self) -> Iterator[Counter]:
        return iter(self._counters.values())

    def find(self, key: CounterKey) -> Counter | None:
        return self._counters.get(key)

    def standing(self, cap: str, window_start_microseconds: int) -> CapStanding:
        """What all counters of a cap come to in the window that began then."""
        return self._standings.get((cap, window_start_microseconds)) or CapStanding()

    def window_of(self, cap: Cap, now_microseconds: int) -> int:
        """The start of the window that counts now; a clock that is set back reopens none."""
        return window_start(cap.window, self._steady(cap, now_microseconds))

    def knows(self, cap: Cap, now_microseconds: int) -> bool:
        """Whether the sums of the window that counts now are here."""
        return self.window_of(cap, now_microseconds) >= self._known_from.get(cap.id, 0)

    def of(self, cap: Cap, facts: CallFacts, now_microseconds: int) -> Counter:
        """The counter a call adds to now. A new one is not kept before something is held in it. Raises
        Unavailable(`spend_ledger_unavailable`) for a hard cap whose window has come again and is not read yet."""
        current = self._current.get(cap.id)
        if (
            current is not None
            and current.start_microseconds <= now_microseconds < current.end_microseconds
            and current.counter.cap is cap
        ):
            return current.counter
        key = counter_key(cap, facts, self._steady(cap, now_microseconds))
        counter = self._counters.get(key)
        if counter is None:
            if cap.is_hard and key.window_start_microseconds < self._known_from.get(cap.id, 0):
                raise _not_read_yet()
            counter = Counter(cap, key)
        # Its limit may be another by now.
        counter.cap = cap
        return counter

    def keep(self, counter: Counter) -> None:
        """Something is held in it."""
        counter.is_kept = True
        self._counters[counter.key] = counter
        cap, start = counter.cap, counter.key.window_start_microseconds
        standing = self._standings.get((cap.id, start))
        if standing is None:
            standing = self._standings[cap.id, start] = CapStanding()
        standing.add(counter)
        newest = self._newest.get(cap.id, 0)
        if start > newest or newest - start > step_back_held(cap.window):
            self._newest[cap.id] = start
        if cap.scope.user != EACH and cap.window != "rollout":
            self._current[cap.id] = _Current(start, window_end(cap.window, start), counter)

    def load(self, cap: Cap, key: CounterKey, spent: int, charged: int, unmetered: int) -> None:
        """Add a sum of the store's to what was counted without it."""
        counter = self._counters.get(key)
        if counter is None:
            counter = Counter(cap, key)
            counter.take_over(spent, charged, unmetered)
            self.keep(counter)
            return
        counter.take_over(spent, charged, unmetered)
        counter.standing.spent += spent
        counter.standing.charged += charged
        counter.standing.unmetered += unmetered
        counter.standing.offer(counter)

    def known_from(self, cap: Cap, start_microseconds: int, *, counts_unmetered: bool) -> None:
        """The sums of windows that began then or later are all here, but perhaps for how many calls of that one were unmetered."""
        self._known_from[cap.id] = start_microseconds
        self._uncounted.pop(cap.id, None)
        if not counts_unmetered:
            self._uncounted[cap.id] = start_microseconds

    def unmetered(self, cap: str, window_start_microseconds: int) -> int | None:
        """How many calls of the window that began then nobody could meter; None: that is not known."""
        is_known = self._uncounted.get(cap) != window_start_microseconds
        return self.standing(cap, window_start_microseconds).unmetered if is_known else None

    def prune(self, caps: Sequence[Cap], now_microseconds: int) -> list[Counter]:
        """Look at some counters, and next time at others: forget those of windows that are over and of caps that are gone;
        those whose lease is to be looked at."""
        if not self._to_see:
            self._to_see = list(self._counters.values())
            self._is_new_stretch = now_microseconds - self._stretch_began >= _STRETCH_MICROSECONDS
            if self._is_new_stretch:
                self._stretch_began = now_microseconds
        starts = {cap.id: (cap, self.window_of(cap, now_microseconds)) for cap in caps}
        self._newest = {cap: start for cap, start in self._newest.items() if cap in starts}
        self._known_from = {cap: start for cap, start in self._known_from.items() if cap in starts}
        self._uncounted = {cap: start for cap, start in self._uncounted.items() if cap in starts}
        seen, self._to_see = self._to_see[-_LOOK:], self._to_see[:-_LOOK]
        changed: list[Counter] = []
        for counter in seen:
            key = counter.key
            cap, start = starts.get(key.cap, (counter.cap, 2**63))
            counter.cap = cap
            # One that is still to come again was counted in by mistake: nothing is held there now.
            counter.is_over = key.window_start_microseconds != start
            if counter.is_over and counter.is_idle and key.window_start_microseconds < start:
                self.forget(counter)
                if key.cap in starts:
                    self._known_from[key.cap] = max(start, self._known_from.get(key.cap, 0))
                continue
            counter.standing.offer(counter)
            if counter.lease_row != 0:
                if self._is_new_stretch:
                    counter.begin_stretch()
                if self._is_new_stretch or counter.is_over:
                    changed.append(counter)
        return changed

    def _steady(self, cap: Cap, now_microseconds: int) -> int:
        newest = self._newest.get(cap.id, 0)
        return now_microseconds if newest <= now_microseconds else steady_moment(cap.window, now_microseconds, newest)

    def forget(self, counter: Counter) -> None:
        """Nothing is held in it."""
        del self._counters[counter.key]
        counter.standing.remove(counter)
        if not counter.standing.counters:
            del self._standings[counter.key.cap, counter.key.window_start_microseconds]
        current = self._current.get(counter.key.cap)
        if current is not None and current.counter is counter:
            del self._current[counter.key.cap]


def _not_read_yet() -> Unavailable:
    return Unavailable(
        "spend_ledger_unavailable",
        "the clock was set back into an earlier window of a hard spend cap, whose ledger is being read; try again",
        retry_after_seconds=1,
    )

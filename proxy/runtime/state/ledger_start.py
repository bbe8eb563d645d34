"""Taking the spend ledger over at start: what a dead process left held is charged in full, sums become counters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from proxy.core.spending.caps import Cap, CounterKey, window_start
from proxy.runtime.process.clock import Clock
from proxy.runtime.spending.counters import Counter
from proxy.runtime.spending.ledger import SpendLedger
from proxy.runtime.state.live_snapshot import LiveSnapshot
from proxy.store.ports.spending import SpendStore


async def take_over_ledger(store: SpendStore, live: LiveSnapshot, ledger: SpendLedger, clock: Clock) -> int:
    """Load the counters of every cap's current window; how many holds and leases had to be charged. Raises Unavailable, and
    has then loaded nothing."""
    now = clock.now_microseconds()
    charged = await store.recover_holds(now)
    caps = live.current.caps
    found = [await _read(store, cap, window_start(cap.window, now)) for cap in caps]
    for one in found:
        _load(ledger, one)
    ledger.is_loaded = True
    return charged


async def read_what_came_again(store: SpendStore, live: LiveSnapshot, ledger: SpendLedger) -> None:
    """Load the counters of caps whose window was over and counts again, because the clock was set back by far. Raises
    Unavailable."""
    for cap in live.current.caps:
        if ledger.is_loaded and not ledger.knows(cap):
            found = await _read(store, cap, ledger.window_of(cap))
            there = ledger.counters_of(cap)
            new = {key: spent for key, spent in found.spent.items() if key not in there}
            _load(ledger, replace(found, spent=new))


async def restate_ledger(store: SpendStore, ledger: SpendLedger) -> bool:
    """After the database was opened anew: it may be a copy made a moment before, or have lost the end of its log, and caps must not
    come out lower for that after a restart. False while the store is away. Raises Unavailable."""

    async def read(counters: Sequence[Counter]) -> dict[CounterKey, int]:
        oldest: dict[str, tuple[Cap, int]] = {}
        for counter in counters:
            cap, start = counter.cap, counter.key.window_start_microseconds
            known = oldest.get(cap.id)
            oldest[cap.id] = (cap, start if known is None else min(known[1], start))
        sums: dict[CounterKey, int] = {}
        for cap, start in oldest.values():
            sums.update(await store.spent(cap, start))
        return sums

    return not ledger.is_loaded or await ledger.restate(read)


@dataclass(frozen=True, slots=True)
class _Sums:
    """What the store says of a cap, for windows from `start` on."""

    cap: Cap
    start: int
    spent: Mapping[CounterKey, int]
    charged: Mapping[CounterKey, int]
    #: None: that cannot be known.
    unmetered: Mapping[CounterKey, int] | None


async def _read(store: SpendStore, cap: Cap, start: int) -> _Sums:
    spent, charged = await store.spent(cap, start), await store.charged_by_crashes(cap, start)
    # Calls that nobody can meter pass only where a cap warns.
    unmetered = await store.unmetered(cap, start)
    return _Sums(cap, start, spent, charged, {} if unmetered is None and cap.is_hard else unmetered)


def _load(ledger: SpendLedger, sums: _Sums) -> None:
    for key, spent in sums.spent.items():
        unmetered = 0 if sums.unmetered is None else sums.unmetered.get(key, 0)
        ledger.load(sums.cap, key, spent, sums.charged.get(key, 0), unmetered)
    ledger.known_from(sums.cap, sums.start, counts_unmetered=sums.unmetered is not None)

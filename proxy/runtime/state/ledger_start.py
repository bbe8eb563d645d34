"""Taking the spend ledger over at start: what a dead process left held is charged in full, sums become counters."""

from proxy.core.spending.caps import window_start
from proxy.runtime.process.clock import Clock
from proxy.runtime.spending.ledger import SpendLedger
from proxy.runtime.state.live_snapshot import LiveSnapshot
from proxy.store.ports.store import Store


async def take_over_ledger(store: Store, live: LiveSnapshot, ledger: SpendLedger, clock: Clock) -> int:
    """Load the counters of every cap's current window; how many holds and leases had to be charged. Raises Unavailable, and
    has then loaded nothing."""
    now = clock.now_microseconds()
    charged = await store.recover_holds(now)
    caps = live.current.caps
    sums = [(cap, await store.spent(cap, window_start(cap.window, now))) for cap in caps]
    for cap, spent_by_counter in sums:
        for key, spent in spent_by_counter.items():
            ledger.load(cap, key, spent)
    return charged

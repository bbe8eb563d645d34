"""Taking the spend ledger over at start: what a dead process left held is charged in full, sums become counters."""

from proxy.core.caps import window_start
from proxy.runtime.clock import Clock
from proxy.runtime.live_snapshot import LiveSnapshot
from proxy.runtime.spend_ledger import SpendLedger
from proxy.store.store import Store


async def take_over_ledger(store: Store, live: LiveSnapshot, ledger: SpendLedger, clock: Clock) -> int:
    """Load the counters of every cap's current window; how many holds had to be charged. Raises Unavailable."""
    now = clock.now_microseconds()
    charged = await store.recover_holds(now)
    for cap in live.current.caps:
        for key, spent in (await store.spent(cap, window_start(cap.window, now))).items():
            ledger.load(key, spent)
    return charged

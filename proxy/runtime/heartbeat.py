"""What is looked at once a second: the event loop's lag, the store's health, counters of windows that are over."""

import asyncio

from proxy.core.errors import Refusal
from proxy.runtime.clock import Clock
from proxy.runtime.live_snapshot import LiveSnapshot
from proxy.runtime.metrics import Metrics
from proxy.runtime.spend_ledger import SpendLedger
from proxy.store.store import Store

_INTERVAL_SECONDS = 1.0


class Heartbeat:
    """Keeps the gauges that nobody's call would set."""

    def __init__(self, store: Store, live: LiveSnapshot, ledger: SpendLedger, metrics: Metrics, clock: Clock) -> None:
        self._store = store
        self._live = live
        self._ledger = ledger
        self._metrics = metrics
        self._clock = clock

    async def run(self) -> None:
        """Beat until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _INTERVAL_SECONDS
            await asyncio.sleep(_INTERVAL_SECONDS)
            self._metrics.event_loop_lag.set(max(0.0, loop.time() - due))
            await self.beat()

    async def beat(self) -> None:
        """One look."""
        self._ledger.prune(self._live.current.caps, self._clock.now_microseconds())
        try:
            await self._store.ping()
        except Refusal:
            self._metrics.store_up.set(0)
        else:
            self._metrics.store_up.set(1)

"""What is looked at once a second: the event loop's lag, counters of windows that are over, the day.

Whether the store is there is takeover.py's to look at.
"""

import asyncio
from contextlib import suppress

from proxy.core.errors import Refusal
from proxy.runtime.process.clock import Clock
from proxy.runtime.spending.ledger import SpendLedger
from proxy.runtime.state.live_snapshot import LiveSnapshot
from proxy.runtime.state.record_verification import HeadLog
from proxy.runtime.state.standby import StorePresence
from proxy.runtime.telemetry.metrics import Metrics

_INTERVAL_SECONDS = 1.0


class Heartbeat:
    """Keeps the gauges that nobody's call would set."""

    def __init__(
        self,
        presence: StorePresence,
        live: LiveSnapshot,
        ledger: SpendLedger,
        metrics: Metrics,
        clock: Clock,
        head_log: HeadLog,
    ) -> None:
        self._presence = presence
        self._live = live
        self._ledger = ledger
        self._metrics = metrics
        self._clock = clock
        self._head_log = head_log

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
        if not self._presence.is_away:
            with suppress(Refusal):
                await self._head_log.beat()

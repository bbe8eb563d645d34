"""What /metrics shows: the series of every process of this host, with what is only looked up at the time of a scrape."""

import asyncio
from dataclasses import dataclass
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from proxy.core.spending.caps import Cap
from proxy.runtime.calls.conversations import Conversations
from proxy.runtime.process.clock import Clock
from proxy.runtime.spending.ledger import SpendLedger
from proxy.runtime.state.data_path import DataPath
from proxy.runtime.state.live_snapshot import LiveSnapshot
from proxy.runtime.telemetry.metrics import Metrics
from proxy.runtime.telemetry.recorder import Recorder
from proxy.runtime.workers.supervisor import Workers

SCRAPE_CONTENT_TYPE: Final = CONTENT_TYPE_LATEST


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrapeParts:
    """What is looked up; put together by the composition root."""

    metrics: Metrics
    live: LiveSnapshot
    ledger: SpendLedger
    recorder: Recorder
    conversations: Conversations
    data_path: DataPath
    #: None where this process serves the calls itself.
    workers: Workers | None
    clock: Clock


class Scrape:
    """Prometheus' text format."""

    def __init__(self, parts: ScrapeParts) -> None:
        self._parts = parts

    async def text(self) -> bytes:
        """Everything, as of now."""
        workers, own = self._parts.workers, self._parts.metrics.registry
        registry = own if workers is None else await workers.merged(own)
        self.refresh()
        # Thousands of series take a while to write; calls in flight do not wait for that.
        return await asyncio.to_thread(generate_latest, registry)

    def refresh(self) -> None:
        """Take over what is counted elsewhere, and what time alone changes (windows, expired switches)."""
        parts, metrics, now = self._parts, self._parts.metrics, self._parts.clock.now_microseconds()
        metrics.in_flight.set(parts.data_path.in_flight)
        metrics.holds_outstanding.set(parts.ledger.holds_outstanding)
        metrics.recorder_queue_length.set(parts.recorder.queue_length)
        metrics.recorder_dropped.follow(parts.recorder.dropped)
        conversations = parts.conversations
        metrics.conversation_evictions.follow(conversations.evictions + conversations.chains.evictions)
        snapshot = metrics.labels.snapshot = parts.live.current
        metrics.switches_on(switch for switch in snapshot.switches if switch.is_active(now))
        # Of a cap whose ledger could not be read nobody knows what is left: there is no series.
        metrics.caps_stand((cap, *self._ratios(cap)) for cap in snapshot.caps if parts.ledger.knows(cap))

    def _ratios(self, cap: Cap) -> tuple[float, float]:
        """Of its limit, what is left and what crashes charged."""
        ledger, limit = self._parts.ledger, cap.limit_amount
        standing = ledger.standing(cap, ledger.window_of(cap))
        fullest = standing.fullest()
        used = fullest[0].spent + fullest[0].held if fullest else 0
        return (max(0, limit - used) / limit, standing.charged / limit) if limit else (0.0, 0.0)

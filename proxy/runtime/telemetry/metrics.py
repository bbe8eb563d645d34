"""Every Prometheus series in one table; what happened is told by method names. Never users, runs or keys as labels.

Series of runs are labelled by agent, version (only reachable ones, else `other`), arm, provider and model (as a version names
it, else `other`); they are in run_series.py.
"""

from typing import cast

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.registry import Collector

from proxy.runtime.telemetry.run_series import RunCollector


class Mirrored:
    """A counter that follows a total kept elsewhere."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._seen = 0

    def follow(self, total: int) -> None:
        """Catch up with the total."""
        self._counter.inc(total - self._seen)
        self._seen = total


class Metrics:
    """The process's metrics, in a registry of their own."""

    def __init__(self, version: str) -> None:
        registry = CollectorRegistry()
        self.registry = registry
        self.runs = RunCollector()
        registry.register(cast("Collector", self.runs))
        self.in_flight = Gauge("switchback_runs_in_flight", "Calls being served now.", registry=registry)
        self._refusals = Counter(
            "switchback_refusals_total", "Calls refused by the proxy, by code.", ("agent", "code"), registry=registry
        )
        self._upstream_errors = Counter(
            "switchback_upstream_errors_total",
            "Failures of a provider's connection, by reason.",
            ("provider", "reason"),
            registry=registry,
        )
        self.observed_switches = Counter(
            "switchback_switch_observed_total", "Calls a switch in mode observe would have met.", registry=registry
        )
        self.ignored_variables = Counter(
            "switchback_ignored_variables_total", "Variables sent that the prompt does not declare.", registry=registry
        )
        self.cap_warnings = Counter(
            "switchback_cap_warnings_total", "Calls past a cap that only warns.", ("cap",), registry=registry
        )
        self.cap_remaining_ratio = Gauge(
            "switchback_cap_remaining_ratio",
            "What is left of a cap in its window, 0 to 1.",
            ("cap",),
            registry=registry,
        )
        self.holds_outstanding = Gauge(
            "switchback_holds_outstanding", "Ledger rows held and not settled.", registry=registry
        )
        self.switch_active = Gauge(
            "switchback_switch_active", "Kill switches that are on, by scope.", ("scope",), registry=registry
        )
        self.rollout_share_ratio = Gauge(
            "switchback_rollout_share_ratio",
            "Share of the candidate of a running rollout, 0 to 1.",
            ("agent", "label"),
            registry=registry,
        )
        self.rollbacks = Counter(
            "switchback_rollbacks_total", "Rollbacks, by what caused them.", ("agent", "cause"), registry=registry
        )
        self.snapshot_revision = Gauge(
            "switchback_snapshot_revision", "Revision of the snapshot traffic is decided on.", registry=registry
        )
        self.snapshot_loaded = Gauge(
            "switchback_snapshot_loaded_timestamp_seconds", "When it was loaded, UTC.", registry=registry
        )
        self.store_up = Gauge("switchback_store_up", "1 while the store takes writes.", registry=registry)
        self.recorder_queue_length = Gauge(
            "switchback_recorder_queue_length", "Runs waiting to be written.", registry=registry
        )
        self.recorder_dropped = Mirrored(
            Counter("switchback_recorder_dropped_total", "Runs dropped because the queue was full.", registry=registry)
        )
        self.event_loop_lag = Gauge(
            "switchback_event_loop_lag_seconds", "How late the event loop woke at the last check.", registry=registry
        )
        self.conversation_evictions = Mirrored(
            Counter(
                "switchback_conversation_evictions_total", "Conversations whose arm was forgotten.", registry=registry
            )
        )
        self.worker_restarts = Counter(
            "switchback_worker_restarts_total", "Workers started again after they ended unasked.", registry=registry
        )
        Gauge("switchback_build_info", "Always 1.", ("version",), registry=registry).labels(version).set(1)

    def refused(self, agent: str, code: str) -> None:
        self._refusals.labels(agent, code).inc()

    def upstream_failed(self, provider: str, reason: str) -> None:
        self._upstream_errors.labels(provider, reason).inc()

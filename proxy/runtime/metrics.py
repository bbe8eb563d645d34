"""Every Prometheus series in one table; what happened is told by method names. Never users, runs or keys as labels.

Series of runs are labelled by agent, version (only reachable ones, else `other`), arm, provider and model (as a version names
it, else `other`). The children of one combination are looked up once and kept, because a lookup costs more than a count.
"""

from dataclasses import dataclass
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from proxy.core.runs import Run

OTHER = "other"
_RUN_LABELS = ("agent", "version", "arm", "provider", "model")
_MAX_COMBINATIONS = 20_000
_DURATION_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160)


class RunLabels(NamedTuple):
    """The label values of one run's series."""

    agent: str
    version: str
    arm: str
    provider: str
    model: str


@dataclass(slots=True)
class _RunSeries:
    """The children of one combination of labels."""

    outcomes: dict[str, Counter]
    duration: Histogram
    first_byte: Histogram
    tokens: dict[str, Counter]
    cost: Counter


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
        self._runs = Counter(
            "switchback_runs_total", "Finished runs by outcome.", (*_RUN_LABELS, "outcome"), registry=registry
        )
        self._duration = Histogram(
            "switchback_run_duration_seconds",
            "From the call's arrival to the end of its answer.",
            _RUN_LABELS,
            buckets=_DURATION_BUCKETS,
            registry=registry,
        )
        self._first_byte = Histogram(
            "switchback_time_to_first_byte_seconds",
            "From the call's arrival to the first byte of the provider's answer.",
            _RUN_LABELS,
            buckets=_DURATION_BUCKETS,
            registry=registry,
        )
        self.in_flight = Gauge("switchback_runs_in_flight", "Calls being served now.", registry=registry)
        self._tokens = Counter("switchback_tokens_total", "Tokens by kind.", (*_RUN_LABELS, "kind"), registry=registry)
        self._cost = Counter("switchback_cost_usd_total", "Cost in US dollars.", _RUN_LABELS, registry=registry)
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
        self._series: dict[RunLabels, _RunSeries] = {}

    def run_finished(self, run: Run, labels: RunLabels) -> None:
        """Count one finished run."""
        series = self._series.get(labels) or self._new_series(labels)
        outcome = series.outcomes.get(run.outcome)
        if outcome is None:
            outcome = series.outcomes[run.outcome] = self._runs.labels(*labels, run.outcome)
        outcome.inc()
        series.duration.observe(run.duration_microseconds / 1e6)
        if run.time_to_first_byte_microseconds is not None:
            series.first_byte.observe(run.time_to_first_byte_microseconds / 1e6)
        if run.usage_source == "reported":
            for kind, tokens in (
                ("input", run.input_tokens),
                ("cached", run.cached_tokens),
                ("cache_write", run.cache_write_tokens),
                ("output", run.output_tokens),
                ("reasoning", run.reasoning_tokens),
            ):
                if tokens:
                    self._tokens_of(series, labels, kind).inc(tokens)
        if run.cost_nanodollars:
            series.cost.inc(run.cost_nanodollars / 1e9)

    def refused(self, agent: str, code: str) -> None:
        self._refusals.labels(agent, code).inc()

    def upstream_failed(self, provider: str, reason: str) -> None:
        self._upstream_errors.labels(provider, reason).inc()

    def _tokens_of(self, series: _RunSeries, labels: RunLabels, kind: str) -> Counter:
        child = series.tokens.get(kind)
        if child is None:
            child = series.tokens[kind] = self._tokens.labels(*labels, kind)
        return child

    def _new_series(self, labels: RunLabels) -> _RunSeries:
        if len(self._series) >= _MAX_COMBINATIONS:
            labels = RunLabels(OTHER, OTHER, OTHER, OTHER, OTHER)
        series = _RunSeries(
            outcomes={},
            duration=self._duration.labels(*labels),
            first_byte=self._first_byte.labels(*labels),
            tokens={},
            cost=self._cost.labels(*labels),
        )
        self._series[labels] = series
        return series

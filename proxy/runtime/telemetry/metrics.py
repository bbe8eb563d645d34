"""What happened, as method names and series; every family is declared in declared.py.

Series of runs are in run_series.py.
"""

import math
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Metric, ProcessCollector, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from proxy.core.characters import plain
from proxy.core.scopes import Scope
from proxy.core.snapshot import Snapshot
from proxy.core.spending.caps import Cap
from proxy.core.switches import Switch
from proxy.runtime.telemetry.declared import DECLARED, Declared, Kind
from proxy.runtime.telemetry.run_series import OTHER, RunCollector

#: So many switches, scopes of caps or labels have series of their own.
_MAX_SERIES = 2000
_MAX_SCOPE_CHARACTERS = 120


class Mirrored:
    """A counter that follows a total kept elsewhere."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._seen = 0

    def follow(self, total: int) -> None:
        """Catch up with the total."""
        self._counter.inc(total - self._seen)
        self._seen = total


class LabelCollector:
    """Which version every label serves, read off the snapshot by the thread that writes a scrape: it takes no time of the loop."""

    def __init__(self) -> None:
        self.snapshot = Snapshot(0)

    def collect(self) -> Iterator[Metric]:
        """The one family."""
        family = DECLARED["switchback_label_info"]
        metric = GaugeMetricFamily(family.name, family.help, labels=family.labels)
        agents = self.snapshot.agents.items()
        served = ((name, label) for name, state in agents for label in state.labels.values())
        for name, label in islice(served, _MAX_SERIES):
            metric.add_metric((name, label.name, str(label.version)), 1)
        yield metric


class Metrics:
    """The process's metrics, in a registry of their own."""

    def __init__(self, version: str) -> None:
        disable_created_metrics()  # a series more for each counter, which nobody asks for
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.runs = RunCollector()
        registry.register(cast("Collector", self.runs))
        self.in_flight = self._gauge("switchback_runs_in_flight")
        self._refusals = self._counter("switchback_refusals")
        self._upstream_errors = self._counter("switchback_upstream_errors")
        self._outcomes = self._counter("switchback_outcomes")
        self._webhook_deliveries = self._counter("switchback_webhook_deliveries")
        self._answers_not_judged = self._counter("switchback_answers_not_judged")
        self.observed_switches = self._counter("switchback_switch_observed")
        self.ignored_variables = self._counter("switchback_ignored_variables")
        self._cap_warnings = self._counter("switchback_cap_warnings")
        self._cap_remaining_ratio = self._gauge("switchback_cap_remaining_ratio")
        self._cap_charged_ratio = self._gauge("switchback_cap_charged_by_crashes_ratio")
        self.holds_outstanding = self._gauge("switchback_holds_outstanding")
        self._switch_active = self._gauge("switchback_switch_active")
        self.labels = LabelCollector()
        registry.register(cast("Collector", self.labels))
        self.rollout_share_ratio = self._gauge("switchback_rollout_share_ratio")
        self.rollbacks = self._counter("switchback_rollbacks")
        self._shadow_copies = self._counter("switchback_shadow_copies")
        self._drill_timestamp = self._gauge("switchback_drill_timestamp_seconds")
        self._drill_duration = self._gauge("switchback_drill_duration_seconds")
        self._drill_passed = self._gauge("switchback_drill_passed")
        self.snapshot_revision = self._gauge("switchback_snapshot_revision")
        self.snapshot_loaded = self._gauge("switchback_snapshot_loaded_timestamp_seconds")
        self.store_up = self._gauge("switchback_store_up")
        self.recorder_queue_length = self._gauge("switchback_recorder_queue_length")
        self.recorder_dropped = Mirrored(self._counter("switchback_recorder_dropped"))
        self.event_loop_lag = self._gauge("switchback_event_loop_lag_seconds")
        self.conversation_evictions = Mirrored(self._counter("switchback_conversation_evictions"))
        self.worker_restarts = self._counter("switchback_worker_restarts")
        self._gauge("switchback_build_info").labels(version).set(1)

    def refused(self, agent: str, code: str) -> None:
        self._refusals.labels(agent, code).inc()

    def upstream_failed(self, provider: str, reason: str) -> None:
        self._upstream_errors.labels(provider, reason).inc()

    def not_validated(self, agent: str, reason: str) -> None:
        """Validators should have judged an answer, and did not."""
        self._answers_not_judged.labels(agent, reason).inc()

    def webhook(self, endpoint: str, result: str) -> None:
        """An endpoint was tried, or given up on."""
        self._webhook_deliveries.labels(endpoint, result).inc()

    def copied(self, agent: str, result: str) -> None:
        """A call was copied for a candidate in the shadow, or was not for that reason."""
        self._shadow_copies.labels(agent, result).inc()

    def drilled(self, agent: str, at_microseconds: int, time_ms: float | None, *, passed: bool) -> None:
        """A rollback was rehearsed; `time_ms` None: the candidate was not gone when it ended, or answered nothing after the order."""
        self._drill_timestamp.labels(agent).set(at_microseconds / 1e6)
        self._drill_duration.labels(agent).set(math.nan if time_ms is None else time_ms / 1000)
        self._drill_passed.labels(agent).set(passed)

    def warned(self, cap: Cap) -> None:
        """A call went past a cap that only warns."""
        self._cap_warnings.labels(*_cap_labels(cap)).inc()

    def outcome_told(self, agent: str, version: str, name: str, value: str) -> None:
        """Somebody told a fact about a run."""
        self._outcomes.labels(agent, version, name, value).inc()

    def caps_stand(self, ratios: Iterable[tuple[Cap, float, float]]) -> None:
        """What is left of every cap, and what crashes charged."""
        self._cap_remaining_ratio.clear()
        self._cap_charged_ratio.clear()
        for cap, left, charged in islice(ratios, _MAX_SERIES):
            labels = _cap_labels(cap)
            self._cap_remaining_ratio.labels(*labels).set(left)
            self._cap_charged_ratio.labels(*labels).set(charged)

    def switches_on(self, switches: Iterable[Switch]) -> None:
        """The switches that are active."""
        self._switch_active.clear()
        for number, switch in enumerate(switches):
            scope = scope_text(switch.scope) if number < _MAX_SERIES else OTHER
            self._switch_active.labels(scope, switch.mode).inc()

    def _counter(self, name: str) -> Counter:
        family = _declared(name, "counter")
        return Counter(family.name, family.help, family.labels, registry=self.registry)

    def _gauge(self, name: str) -> Gauge:
        family = _declared(name, "gauge")
        return Gauge(family.name, family.help, family.labels, registry=self.registry)


def scope_text(scope: Scope) -> str:
    """A scope as people read it, `agent=support,model=large-2`; `everything`. A user is not named."""
    named = scope.content()
    if named.get("user") not in (None, "*"):
        named["user"] = "one"
    text = ",".join(f"{name}={value}" for name, value in named.items()) or "everything"
    return plain(text)[:_MAX_SCOPE_CHARACTERS]


def _cap_labels(cap: Cap) -> tuple[str, str, str, str]:
    return cap.id, scope_text(cap.scope), cap.window, cap.unit


def _declared(name: str, kind: Kind) -> Declared:
    family = DECLARED[name]
    assert family.kind == kind
    return family

"""Counts of runs as a dashboard reads them: every run in exactly one bucket, sums exact, combinations bounded."""

from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from proxy.core.calls.runs import Run
from proxy.runtime.telemetry import run_series
from proxy.runtime.telemetry.run_series import RunCollector, RunLabels

LABELS = RunLabels("support", "1", "stable", "openai", "gpt-4o-mini")


def a_run(**members: Any) -> Run:
    given = {"duration_microseconds": 20_000, "outcome": "ok", "usage_source": "reported", **members}
    return Run(
        id="run_1",
        agent="support",
        wire="openai_chat",
        operation="chat",
        status=200,
        started_at_microseconds=1,
        **given,
    )


def scraped(collector: RunCollector) -> dict[tuple[str, ...], float]:
    """Samples by name and the label values that differ between them."""
    registry = CollectorRegistry()
    registry.register(collector)
    return {
        (
            sample.name,
            *(sample.labels[name] for name in ("outcome", "kind", "le") if name in sample.labels),
        ): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
    }


def test_a_run_is_counted_in_every_family() -> None:
    collector = RunCollector()
    collector.series(LABELS).finished(
        a_run(
            time_to_first_byte_microseconds=10_000,
            input_tokens=46,
            cached_tokens=2,
            cache_write_tokens=3,
            output_tokens=17,
            reasoning_tokens=5,
            cost_nanodollars=1_500,
        )
    )
    found = scraped(collector)
    assert found["switchback_runs_total", "ok"] == 1
    assert {key[1]: value for key, value in found.items() if key[0] == "switchback_tokens_total"} == {
        "input": 46,
        "cached": 2,
        "cache_write": 3,
        "output": 17,
        "reasoning": 5,
    }
    assert found["switchback_cost_usd_total",] == pytest.approx(1.5e-6)
    assert found["switchback_run_duration_seconds_sum",] == pytest.approx(0.02)
    # A value on a bound belongs to that bound.
    assert found["switchback_time_to_first_byte_seconds_bucket", "0.01"] == 1


def test_buckets_are_cumulative_and_the_last_one_holds_all() -> None:
    collector = RunCollector()
    for microseconds in (1, 10_001, 400_000_000):
        collector.series(LABELS).finished(a_run(duration_microseconds=microseconds))
    found = scraped(collector)
    name = "switchback_run_duration_seconds"
    assert [found[f"{name}_bucket", le] for le in ("0.01", "0.025", "160.0", "+Inf")] == [1, 2, 2, 3]
    assert found[f"{name}_count",] == 3


def test_what_was_not_reported_is_no_count_of_tokens() -> None:
    collector = RunCollector()
    collector.series(LABELS).finished(a_run(usage_source="held", input_tokens=9, outcome="client_left"))
    found = scraped(collector)
    assert not any(key[0] == "switchback_tokens_total" for key in found)
    assert found["switchback_runs_total", "client_left"] == 1
    assert found["switchback_time_to_first_byte_seconds_count",] == 0


def test_beyond_the_bound_of_combinations_everything_is_counted_as_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_series, "_MAX_COMBINATIONS", 1)
    collector = RunCollector()
    first = collector.series(LABELS)
    others = [collector.series(LABELS._replace(agent=name)) for name in ("b", "c")]
    assert first is collector.series(LABELS)
    assert others[0] is others[1] is not first

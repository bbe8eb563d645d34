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
    given = {"duration_microseconds": 20_000, "result": "ok", "usage_source": "reported", "status": 200, **members}
    return Run(
        id="run_1",
        agent="support",
        wire="openai_chat",
        operation="chat",
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
            *(sample.labels[name] for name in ("result", "kind", "le") if name in sample.labels),
        ): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
    }


LABELLED = ("status_class", "error_class", "finish")


def ends(collector: RunCollector) -> dict[tuple[str, ...], float]:
    """How runs ended: samples by the label values that tell it."""
    registry = CollectorRegistry()
    registry.register(collector)
    return {
        tuple(sample.labels[name] for name in ("result", *LABELLED) if name in sample.labels): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        if family.name in ("switchback_runs", "switchback_finishes")
        for sample in family.samples
    }


def test_how_runs_ended_is_told_by_class_of_status_and_of_error_and_by_what_the_model_said() -> None:
    collector = RunCollector()
    series = collector.series(LABELS)
    for finish, count in (("stop", 2), ("refused", 1)):
        for _ in range(count):
            series.finished(a_run(finish=finish))
    for status in (500, 503, 429):
        series.finished(a_run(status=status, result="error", error_class="provider_error"))
    series.finished(a_run(status=402, result="refused", error_class="spend_cap_exceeded"))
    series.finished(a_run(status=0, result="client_left", error_class="client_left"))
    assert ends(collector) == {
        ("ok", "2xx", ""): 3,
        ("error", "5xx", "provider_error"): 2,
        ("error", "4xx", "provider_error"): 1,
        ("refused", "4xx", "spend_cap_exceeded"): 1,
        ("client_left", "none", "client_left"): 1,
        ("stop",): 2,
        ("refused",): 1,
    }


def test_what_the_proxy_adds_is_told_of_what_it_forwarded() -> None:
    collector = RunCollector()
    collector.series(LABELS).finished(a_run(duration_microseconds=20_400, provider_duration_microseconds=20_000))
    collector.series(LABELS).finished(a_run(duration_microseconds=50))
    found = scraped(collector)
    name = "switchback_proxy_overhead_seconds"
    assert [found[f"{name}_bucket", le] for le in ("0.00025", "0.0005", "+Inf")] == [0, 1, 1]
    assert found[f"{name}_sum",] == pytest.approx(0.0004)


def test_tool_calls_add_up() -> None:
    collector = RunCollector()
    for count in (0, 2, 3):
        collector.series(LABELS).finished(a_run(tool_call_count=count))
    assert scraped(collector)["switchback_tool_calls_total",] == 5


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
    for microseconds in (1, 10_001, 400_000_000, 601_000_000):
        collector.series(LABELS).finished(a_run(duration_microseconds=microseconds))
    found = scraped(collector)
    name = "switchback_run_duration_seconds"
    assert [found[f"{name}_bucket", le] for le in ("0.01", "0.025", "300.0", "600.0", "+Inf")] == [1, 2, 2, 3, 4]
    assert found[f"{name}_count",] == 4


def test_what_was_not_reported_is_no_count_of_tokens() -> None:
    collector = RunCollector()
    collector.series(LABELS).finished(a_run(usage_source="held", input_tokens=9, result="client_left"))
    found = scraped(collector)
    assert not any(key[0] == "switchback_tokens_total" for key in found)
    assert found["switchback_runs_total", "client_left"] == 1
    assert found["switchback_time_to_first_byte_seconds_count",] == 0


def test_runs_that_nobody_could_meter_are_counted_by_agent_and_provider() -> None:
    collector = RunCollector()
    for labels in (LABELS, LABELS._replace(version="2"), LABELS._replace(agent="sales", provider="anthropic")):
        collector.series(labels).finished(a_run(usage_source="unmetered"))
    collector.series(LABELS).finished(a_run())
    registry = CollectorRegistry()
    registry.register(collector)
    told = generate_latest(registry).decode()
    assert 'switchback_unmetered_runs_total{agent="support",provider="openai"} 2.0' in told
    assert 'switchback_unmetered_runs_total{agent="sales",provider="anthropic"} 1.0' in told
    assert told.count("switchback_unmetered_runs_total{") == 2


def test_beyond_the_bound_of_combinations_everything_is_counted_as_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_series, "_MAX_COMBINATIONS", 1)
    collector = RunCollector()
    first = collector.series(LABELS)
    others = [collector.series(LABELS._replace(agent=name)) for name in ("b", "c")]
    assert first is collector.series(LABELS)
    assert others[0] is others[1] is not first

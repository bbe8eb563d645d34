"""Several registries read as one: sums that lose nothing and never go back, gauges by their own rule."""

from typing import Any

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from proxy.runtime.telemetry.metrics import Metrics
from proxy.runtime.telemetry.run_series import RunLabels
from proxy.runtime.workers.merged_metrics import ChangedSamples, EndedSamples, MergedRegistry, WorkerSamples


def values(owner: Metrics, *others: WorkerSamples, ended: EndedSamples | None = None) -> dict[str, Any]:
    """Every sample of the merged text by name; labelled ones by name and labels."""
    workers = {f"worker-{number}": other.values for number, other in enumerate(others, start=1)}
    merged = MergedRegistry(owner.registry, ended or EndedSamples(), workers)
    families = text_string_to_metric_families(generate_latest(merged).decode())
    return {
        sample.name + "".join(f",{value}" for _, value in sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def sent(metrics: Metrics, into: WorkerSamples | None = None) -> WorkerSamples:
    samples = into or WorkerSamples()
    samples.update(ChangedSamples(metrics.registry).read())
    return samples


def test_counters_and_histograms_add_up() -> None:
    owner, one, two = Metrics("t"), Metrics("t"), Metrics("t")
    owner.refused("a", "x")
    for metrics, count in ((one, 2), (two, 3)):
        for _ in range(count):
            metrics.refused("a", "x")
            metrics.upstream_failed(f"p{count}", "idle_timeout")
    found = values(owner, sent(one), sent(two))
    assert found["switchback_refusals_total,a,x"] == 6
    assert found["switchback_upstream_errors_total,p2,idle_timeout"] == 2
    assert found["switchback_upstream_errors_total,p3,idle_timeout"] == 3


def test_histograms_stay_in_order_and_complete() -> None:
    owner, one, two = Metrics("t"), Metrics("t"), Metrics("t")
    labels = RunLabels("a", "1", "", "p", "m")
    for metrics, microseconds in ((one, 20_000), (two, 20_000), (two, 30_000_000)):
        metrics.runs.series(labels).duration.observe(microseconds)
    text = generate_latest(
        MergedRegistry(owner.registry, EndedSamples(), {"1": sent(one).values, "2": sent(two).values})
    ).decode()
    buckets = [line for line in text.splitlines() if line.startswith("switchback_run_duration_seconds_bucket")]
    counts = [float(line.rsplit(" ", 1)[1]) for line in buckets]
    assert counts == sorted(counts)
    assert (counts[0], counts[1], counts[-1]) == (0, 2, 3)
    assert text.count("switchback_run_duration_seconds_count") == 1


def _counted(changed: ChangedSamples) -> list[Any]:
    """Changes but for what the kernel tells of the process, which goes on while a test runs."""
    return [sample for sample in changed.read() if not sample[0][0].startswith("process_")]


def test_only_what_changed_is_sent_and_the_last_value_stays() -> None:
    worker = Metrics("t")
    changed = ChangedSamples(worker.registry)
    worker.refused("a", "x")
    samples = WorkerSamples()
    samples.update(changed.read())
    assert _counted(changed) == []
    worker.refused("a", "x")
    (news,) = _counted(changed)
    assert news[1] == 2
    samples.update([news])
    assert values(Metrics("t"), samples)["switchback_refusals_total,a,x"] == 2


def test_what_a_worker_counted_stays_when_it_has_ended_and_its_gauges_do_not() -> None:
    worker = Metrics("t")
    worker.refused("a", "x")
    worker.recorder_queue_length.set(7)
    ended = EndedSamples()
    for _ in range(2):
        ended.add(sent(worker))
    again = Metrics("t")
    again.refused("a", "x")
    found = values(Metrics("t"), sent(again), ended=ended)
    assert found["switchback_refusals_total,a,x"] == 3
    assert found["switchback_recorder_queue_length"] == 0


def test_gauges_are_the_owner_s_own_unless_every_process_has_a_part() -> None:
    owner, one, two = Metrics("t"), Metrics("t"), Metrics("t")
    owner.store_up.set(1)
    owner.snapshot_revision.set(9)
    for metrics, lag in ((owner, 0.1), (one, 0.4), (two, 0.2)):
        metrics.event_loop_lag.set(lag)
        metrics.recorder_queue_length.set(2)
    found = values(owner, sent(one), sent(two))
    assert found["switchback_store_up"] == 1
    assert found["switchback_snapshot_revision"] == 9
    assert found["switchback_event_loop_lag_seconds"] == 0.4
    assert found["switchback_recorder_queue_length"] == 6
    assert found["switchback_build_info,t"] == 1


def test_what_the_kernel_tells_of_a_process_is_told_of_each_and_ends_with_it() -> None:
    owner, ended = Metrics("t"), EndedSamples()
    one, two = sent(Metrics("t")), sent(Metrics("t"))
    descriptors = ("process_open_fds", "process_open_fds", ())
    one.update([(descriptors, 11.0)])
    two.update([(descriptors, 22.0)])
    found = values(owner, one, two)
    assert (found["process_open_fds,worker-1"], found["process_open_fds,worker-2"]) == (11, 22)
    for name in ("open_fds", "max_fds", "resident_memory_bytes", "cpu_seconds_total", "start_time_seconds"):
        of = {key.partition(",")[2] for key in found if key.startswith(f"process_{name}")}
        assert of == {"owner", "worker-1", "worker-2"}, name
    ended.add(two)
    assert not any(
        "worker-2" in key or key in ("process_open_fds", "process_cpu_seconds_total")
        for key in values(owner, one, ended=ended)
    )


def test_a_server_without_workers_tells_of_itself_without_a_label() -> None:
    assert "\nprocess_open_fds " in generate_latest(Metrics("t").registry).decode()

"""Measures of streams: the cost of a relayed event, the wait for the first one, memory of open streams and slow readers."""

from benchmarks import machine
from benchmarks.measures.bench import Bench, Figures, Measure
from benchmarks.measures.calling import CONNECTIONS
from benchmarks.targets.target import PROXIES, REFERENCE, SERVERS, Running, Target

STREAMS = 64
_INTERVAL_US = 10_000
#: Gateways would not keep up: a twentieth of the events.
_GATEWAY_INTERVAL_US = 200_000
HELD = 1000
_HELD_INTERVAL_US = 1_000_000
_SHORT_RATE = 200
_GATEWAY_RATE = 20
READERS = 1000


def events(bench: Bench, target: Target, running: Running) -> Figures:
    """CPU and delay of events on 64 streams that each bring one every 10 ms."""
    result = bench.load(
        "relayed_events",
        target,
        running,
        streams=STREAMS,
        interval_us=_GATEWAY_INTERVAL_US if target.kind == "gateway" else _INTERVAL_US,
        warm_seconds=bench.pace.warm,
        seconds=bench.pace.events,
    )
    names = ("cpu_us_per_event", "events_per_s", "offered_per_s", "p50_ms", "p99_ms")
    return {name: result[name] for name in names if name in result}


def first_event(bench: Bench, target: Target, running: Running) -> Figures:
    """The wait for the first event of a stream, alone and beside 1,000 open streams."""
    figures: Figures = {}
    is_gateway = target.kind == "gateway"
    for held in (0,) if is_gateway else (0, HELD):
        result = bench.load(
            "first_events",
            target,
            running,
            held=held,
            held_interval_us=_HELD_INTERVAL_US,
            connections=CONNECTIONS,
            rate=_GATEWAY_RATE if is_gateway else _SHORT_RATE,
            warm_seconds=bench.pace.warm,
            seconds=bench.pace.first_event,
        )
        figures |= {f"{name}_with_{held}": result[name] for name in ("p50_ms", "p99_ms") if name in result}
    return figures


def memory(bench: Bench, target: Target, running: Running) -> Figures:
    """Resident memory of a fresh process: idle, after some calls, and for each open stream."""
    figures = {"idle_mb": machine.resident_bytes(running.pids) / 1e6}
    bench.load("closed_loop", target, running, connections=CONNECTIONS, warm_seconds=0, seconds=0.5)
    if target.kind == "gateway":
        return figures
    levels = bench.load("held_streams", target, running, levels=list(bench.pace.stream_levels))["levels"]
    base = levels[0]["resident_bytes"]
    figures["after_calls_mb"] = base / 1e6
    for level in levels[1:]:
        if level["streams"]:
            figures[f"kb_per_stream_{level['streams']}"] = (level["resident_bytes"] - base) / 1e3 / level["streams"]
    return figures


def slow_readers(bench: Bench, target: Target, running: Running) -> Figures:
    """The most memory resident with 1,000 slow readers of a provider that is as fast as it can be."""
    result = bench.load(
        "slow_readers",
        target,
        running,
        streams=READERS,
        seconds=bench.pace.slow_readers,
        patience_seconds=bench.pace.patience / 2,
    )
    peak = result["resident_peak_bytes"] / 1e6
    figures = {"idle_mb": result["resident_idle_bytes"] / 1e6, "read_mb": result["bytes_read"] / 1e6}
    if result["begun"] < READERS:
        # The peak of fewer readers is no figure for all of them.
        bench.problems.append(
            f"{target.name}, slow readers: only {result['begun']} streams had begun in time, {peak:.0f} MB resident"
        )
        return figures
    return figures | {"peak_mb": peak}


EVENTS = Measure(name="events", title="Relayed events", kinds=SERVERS, take=events, of_cost=True)
FIRST_EVENT = Measure(name="first_event", title="Time to first event", kinds=SERVERS | REFERENCE, take=first_event)
MEMORY = Measure(name="memory", title="Resident memory", kinds=SERVERS, take=memory, fresh=True)
SLOW_READERS = Measure(name="slow_readers", title="1,000 slow readers", kinds=PROXIES, take=slow_readers, fresh=True)

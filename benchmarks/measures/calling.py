"""Measures of whole calls: what one costs, how many there can be, what they wait, and how large bodies pass."""

from benchmarks import machine
from benchmarks.measures.bench import Bench, Figures, Measure, settled_cpu_seconds
from benchmarks.targets.target import PROXIES, REFERENCE, SERVERS, Running, Target

CONNECTIONS = 64
_GATEWAY_RATES = (100,)
RATES = (100, 200, 1000)
#: Name, bytes, connections.
_BODY_SIZES = (("1kb", 1_000, 64), ("100kb", 100_000, 64), ("5mb", 5_000_000, 8))
_LAG_RATE = 100


def saturation(bench: Bench, target: Target, running: Running) -> Figures:
    """As many calls as are answered. CPU counts from before the first call until the target is at rest again."""
    return _saturated(bench, target, running, bench.pace.saturation, 0, CONNECTIONS)


def bodies(bench: Bench, target: Target, running: Running) -> Figures:
    """The same with request bodies of several sizes."""
    figures: Figures = {}
    for name, size, connections in _BODY_SIZES:
        found = _saturated(bench, target, running, bench.pace.body, size, connections)
        figures |= {f"{key}_{name}": value for key, value in found.items()}
    return figures


def _saturated(
    bench: Bench, target: Target, running: Running, seconds: float, body_bytes: int, connections: int
) -> Figures:
    pids = running.pids
    before = machine.cpu_seconds(pids)
    result = bench.load(
        "closed_loop",
        target,
        running,
        connections=connections,
        warm_seconds=bench.pace.warm,
        seconds=seconds,
        body_bytes=body_bytes,
    )
    cpu = settled_cpu_seconds(pids) - before
    return {
        "cpu_us_per_call": cpu * 1e6 / max(1, result["all_calls"]),
        "calls_per_s": result["calls_per_s"],
        "cpu_share": result["cpu_share"],
    }


def latency(bench: Bench, target: Target, running: Running) -> Figures:
    """What calls wait at fixed rates."""
    figures: Figures = {}
    for rate in _GATEWAY_RATES if target.kind == "gateway" else RATES:
        result = bench.load(
            "fixed_rate",
            target,
            running,
            connections=CONNECTIONS,
            warm_seconds=bench.pace.warm,
            seconds=bench.pace.latency,
            rate=rate,
        )
        figures |= {f"{name}_at_{rate}": result[name] for name in ("p50_ms", "p99_ms") if name in result}
    return figures


def blocking(bench: Bench, target: Target, running: Running) -> Figures:
    """What small calls wait while bodies of 5 MB pass on one other connection."""
    large = bench.begin_load(
        "closed_loop", running, connections=1, warm_seconds=0, seconds=bench.pace.latency + 0.5, body_bytes=5_000_000
    )
    small = bench.load(
        "fixed_rate", target, running, connections=16, warm_seconds=0.3, seconds=bench.pace.latency, rate=_LAG_RATE
    )
    bench.note(f"{target.name}, large bodies", large.result())
    return {name: small[name] for name in ("p50_ms", "p99_ms", "max_ms") if name in small}


CALLS = Measure(name="calls", title="Plain calls at saturation", kinds=SERVERS, take=saturation, of_cost=True)
LATENCY = Measure(name="latency", title="Latency at fixed rates", kinds=SERVERS | REFERENCE, take=latency)
BODIES = Measure(name="bodies", title="Request bodies", kinds=PROXIES, take=bodies)
BLOCKING = Measure(name="blocking", title="Small calls beside bodies of 5 MB", kinds=PROXIES | REFERENCE, take=blocking)

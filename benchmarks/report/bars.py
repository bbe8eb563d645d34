"""What Switchback is to hold beside its peers, as rules over the medians of one run.

Each rule reads medians and says what it found, against what limit; a rule whose peer is missing says so and counts as unknown,
not as held.
"""

from collections.abc import Callable, Iterator
from typing import Any

#: figure(measure, target, metric) -> median, or None where there is none.
Lookup = Callable[[str, str, str], float | None]
US = "switchback"
_OVER_TLS = "switchback-https"
_SIZES = ("10_agents_10_users", "10000_agents_1000000_users")


def bars(figure: Lookup) -> list[dict[str, Any]]:
    """Every bar with what was found: name, found, limit, unit, holds (None: unknown)."""
    return [*_costs(figure), *_waits(figure), *_memory(figure), *_resolution(figure)]


def _costs(figure: Lookup) -> Iterator[dict[str, Any]]:
    own, envoy = figure("calls", US, "cpu_us_per_call"), figure("calls", "envoy", "cpu_us_per_call")
    yield _at_most("CPU per plain call, in Envoy's", _ratio(own, envoy), 1.5, "×")
    over_tls = figure("calls", _OVER_TLS, "cpu_us_per_call")
    yield _at_most("CPU per plain call to a provider over https, in that over http", _ratio(over_tls, own), 1.35, "×")
    for peer, least in (("litellm", 100.0), ("portkey", 20.0)):
        ratio = _ratio(figure("calls", US, "calls_per_s"), figure("calls", peer, "calls_per_s"))
        yield _at_least(f"calls/s, in {peer}'s", ratio, least, "×")
    own, nginx = figure("events", US, "cpu_us_per_event"), figure("events", "nginx", "cpu_us_per_event")
    yield _at_most("CPU per relayed event, in nginx's", _ratio(own, nginx), 1.2, "×")


def _waits(figure: Lookup) -> Iterator[dict[str, Any]]:
    for rate in (200, 1000):
        for name, most in (("p50", 0.3), ("p99", 2.0)):
            metric = f"{name}_ms_at_{rate}"
            more = _difference(figure("latency", US, metric), figure("latency", "envoy", metric))
            yield _at_most(f"{name} at {rate} calls/s, above Envoy's", more, most, "ms")
    for name in ("p50", "p99"):
        metric = f"{name}_ms_with_1000"
        more = _difference(figure("first_event", US, metric), figure("first_event", "nginx", metric))
        yield _at_most(f"first event beside 1,000 streams, {name}, above nginx's", more, 2.0, "ms")
    more = _ratio(figure("blocking", US, "p50_ms"), figure("blocking", "envoy", "p50_ms"))
    yield _at_most("small call beside 5 MB bodies, p50, in Envoy's", more, 2.0, "×")
    yield _at_most("longest wait of a small call beside 5 MB bodies", figure("blocking", US, "max_ms"), 50, "ms")


def _memory(figure: Lookup) -> Iterator[dict[str, Any]]:
    yield _at_most("memory idle", figure("memory", US, "idle_mb"), 100, "MB")
    for count in (1000, 5000):
        yield _at_most(
            f"memory per open stream, {count:,} open", figure("memory", US, f"kb_per_stream_{count}"), 20, "KB"
        )
    yield _at_most("memory with 1,000 slow readers", figure("slow_readers", US, "peak_mb"), 250, "MB")


def _resolution(figure: Lookup) -> Iterator[dict[str, Any]]:
    call = figure("calls", US, "cpu_us_per_call")
    small, large = (figure("resolution", US, f"us_{size}") for size in _SIZES)
    for name, found in (
        ("resolution with 10,000 agents and 1,000,000 users, of a call's CPU", large),
        ("what it grows by from 10 agents and 10 users, of a call's CPU", _difference(large, small)),
    ):
        share = _ratio(found, call)
        yield _at_most(name, None if share is None else share * 100, 10, "%")


def _at_most(name: str, found: float | None, limit: float, unit: str) -> dict[str, Any]:
    holds = None if found is None else found <= limit
    return {"name": name, "found": found, "limit": f"≤ {limit:g}", "unit": unit, "holds": holds}


def _at_least(name: str, found: float | None, limit: float, unit: str) -> dict[str, Any]:
    holds = None if found is None else found >= limit
    return {"name": name, "found": found, "limit": f"≥ {limit:g}", "unit": unit, "holds": holds}


def _ratio(one: float | None, other: float | None) -> float | None:
    return None if one is None or not other else one / other


def _difference(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other

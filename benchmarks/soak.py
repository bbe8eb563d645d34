"""What many calls leave in memory, and what one costs, beside a provider over http and one over https: `python benchmarks/soak.py`.

200,000 calls on kept connections, then 20,000 with a new connection to the provider each; `--calls` and `--new-connections` set
others, `--pure` takes the sources as they are in place of what install_peers.py compiled. About five minutes. It ends with status 1
where resident memory grew by more than 5 MB, or a call over https cost more than 1.35 times one over http.

`--minutes 30` lives with a steady load instead, over https: 200 calls a second, streams of which many are left by their clients,
in turns. It ends with status 1 where resident memory, by a line through all samples after the first third, grows by more than 1 MB
an hour.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import machine
from benchmarks.load.client import control
from benchmarks.load.files import raise_file_limit
from benchmarks.measures.bench import FULL, ROOT, Bench, settled_cpu_seconds
from benchmarks.processes import ServerProcess, free_port
from benchmarks.targets.switchback import (
    PROVIDER_CERTIFICATE,
    SWITCHBACK,
    SWITCHBACK_HTTPS,
    SWITCHBACK_PURE,
    SWITCHBACK_PURE_HTTPS,
)
from benchmarks.targets.target import Running, Target

_WORK = Path(__file__).resolve().parent / ".work"
_CONNECTIONS = 64
_LOAD_SECONDS = 5.0
#: Before memory is looked at: what is cached, kept for the store or pooled has its size by then.
_WARM_SHARE = 0.25
_MOST_GROWN_BYTES = 5_000_000
_MOST_TIMES_HTTP = 1.35
_MOST_BYTES_AN_HOUR = 1_000_000
#: Of the samples of a steady load, those left out at the start.
_WARM_SAMPLES = 1 / 3


def main() -> int:
    """Run both; 0 where the bars hold."""
    parser = argparse.ArgumentParser(description="Soak Switchback beside a provider over http and one over https.")
    parser.add_argument("--calls", type=int, default=200_000, help="on kept connections")
    parser.add_argument("--new-connections", type=int, default=20_000, help="calls with a connection of their own")
    parser.add_argument("--pure", action="store_true", help="the sources as they are, not compiled")
    parser.add_argument("--minutes", type=float, help="a steady load for so long, in place of the counted calls")
    options = parser.parse_args()
    if options.minutes is not None:
        return _steady(SWITCHBACK_PURE_HTTPS if options.pure else SWITCHBACK_HTTPS, options.minutes)
    targets = (SWITCHBACK_PURE, SWITCHBACK_PURE_HTTPS) if options.pure else (SWITCHBACK, SWITCHBACK_HTTPS)
    holds = True
    costs: list[list[float]] = []
    with _bench() as bench:
        for target in targets:
            running = bench.start(target)
            try:
                costs.append([])
                for closes, calls in ((False, options.calls), (True, options.new_connections)):
                    cost, grown = _soaked(bench, target, running, calls, closes=closes)
                    costs[-1].append(cost)
                    holds &= grown <= _MOST_GROWN_BYTES
                    what = "a new connection each" if closes else "kept connections"
                    print(
                        f"{target.name}, {what}: {calls:,} calls, {cost:.1f} µs CPU each, memory {grown / 1e6:+.1f} MB",
                        flush=True,
                    )
            finally:
                running.stop()
        for problem in bench.problems:
            holds = False
            print(f"problem: {problem}")
    kept, new = (https / http for http, https in zip(*costs, strict=True))
    print(f"https in http: {kept:.2f} on kept connections, {new:.2f} with a new connection each")
    return 0 if holds and kept <= _MOST_TIMES_HTTP else 1


def _steady(target: Target, minutes: float) -> int:
    """Live with a steady load; 0 where memory stays."""
    samples: list[tuple[float, int]] = []
    with _bench() as bench:
        running = bench.start(target)
        try:
            begun = time.monotonic()
            while (passed := time.monotonic() - begun) < minutes * 60:
                control(bench.provider_port, "profile", {"closes": False})
                bench.load("fixed_rate", target, running, connections=32, warm_seconds=0, seconds=20, rate=200)
                bench.load(
                    "first_events", target, running, connections=8, warm_seconds=1, seconds=7, rate=20, held=40,
                    held_interval_us=50_000,
                )  # fmt: skip
                samples.append((passed / 3600, machine.resident_bytes(running.pids)))
                print(f"{passed / 60:5.1f} min  {samples[-1][1] / 1e6:6.1f} MB", flush=True)
        finally:
            running.stop()
        for problem in bench.problems:
            print(f"problem: {problem}")
    slope = statistics.linear_regression(*zip(*samples[int(len(samples) * _WARM_SAMPLES) :], strict=True)).slope
    print(
        f"{target.name}: memory {slope / 1e6:+.2f} MB an hour over the last {minutes * (1 - _WARM_SAMPLES):.0f} of {minutes:g} minutes"
    )
    return int(slope > _MOST_BYTES_AN_HOUR or bool(bench.problems))


def _soaked(bench: Bench, target: Target, running: Running, calls: int, *, closes: bool) -> tuple[float, int]:
    """CPU of a call in µs, and by how many bytes resident memory grew over this many calls, once it is warm."""
    control(bench.provider_port, "profile", {"closes": closes})
    _call(bench, target, running, int(calls * _WARM_SHARE))
    cpu, resident = settled_cpu_seconds(running.pids), machine.resident_bytes(running.pids)
    done = _call(bench, target, running, calls)
    cpu = settled_cpu_seconds(running.pids) - cpu
    return cpu * 1e6 / done, machine.resident_bytes(running.pids) - resident


def _call(bench: Bench, target: Target, running: Running, calls: int) -> int:
    done = 0
    while done < calls:
        result = bench.load(
            "closed_loop", target, running, connections=_CONNECTIONS, warm_seconds=0, seconds=_LOAD_SECONDS
        )
        done += result["all_calls"]
    return done


@contextmanager
def _bench() -> Iterator[Bench]:
    load_core, proxy_core = machine.cores()
    raise_file_limit()
    _WORK.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="soak-", dir=_WORK))
    port, tls_port = free_port(), free_port()
    provider = ServerProcess(
        [sys.executable, "-m", "benchmarks.load.provider", str(port), str(tls_port), str(PROVIDER_CERTIFICATE)],
        core=load_core,
        output=folder / "provider.log",
        cwd=ROOT,
        env={},
    )
    try:
        provider.wait_for_port(port, 10)
        yield Bench(
            pace=FULL,
            load_core=load_core,
            proxy_core=proxy_core,
            provider_port=port,
            tls_provider_port=tls_port,
            folder=folder,
        )
    finally:
        provider.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())

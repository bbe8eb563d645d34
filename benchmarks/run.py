"""Measures Switchback beside other proxies, interleaved, and writes what came out: `python benchmarks/run.py`.

Options: `--quick` (one short round, up to 3 minutes), `--only NAME ...` (targets or measures), `--date TEXT` (printed in the
report). The full run takes up to 25 minutes, needs no root, and writes results.json, charts/ and the generated part of
README.md; every other run writes the same files below `.work/last/` and leaves the published ones alone.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.console import Console

from benchmarks import machine
from benchmarks.load.client import control
from benchmarks.load.files import raise_file_limit
from benchmarks.measures import calling, inside, streaming
from benchmarks.measures.bench import FULL, QUICK, ROOT, Bench, Figures, LoadFailed, Measure
from benchmarks.processes import ServerProcess, StartFailed, free_port
from benchmarks.report import results as report
from benchmarks.targets.gateways import LITELLM, PORTKEY
from benchmarks.targets.servers import ENVOY, HAPROXY, NGINX
from benchmarks.targets.switchback import (
    PROVIDER_CERTIFICATE,
    SWITCHBACK,
    SWITCHBACK_HTTPS,
    SWITCHBACK_PURE,
    SWITCHBACK_PURE_HTTPS,
    RunningSwitchback,
)
from benchmarks.targets.target import Running, Target

FOLDER = Path(__file__).resolve().parent
WORK = FOLDER / ".work"

DIRECT = Target(
    name="direct",
    kind="reference",
    setup="no proxy: the load generator calls the provider",
    missing=lambda: None,
    version=lambda: "",
    start=lambda place: Running(port=place.provider_port),
)
TARGETS = (
    DIRECT,
    SWITCHBACK,
    SWITCHBACK_HTTPS,
    SWITCHBACK_PURE,
    SWITCHBACK_PURE_HTTPS,
    NGINX,
    HAPROXY,
    ENVOY,
    PORTKEY,
    LITELLM,
)
#: The most telling first: where time runs out, the last are left out.
MEASURES = (
    calling.CALLS,
    streaming.EVENTS,
    inside.RESOLUTION,
    inside.ROLLBACK,
    calling.LATENCY,
    streaming.FIRST_EVENT,
    streaming.MEMORY,
    streaming.SLOW_READERS,
    calling.BODIES,
    calling.BLOCKING,
)
_WARM_SECONDS = {"gateway": 3.0}
_WIDTH = 120
#: Above this something else is running.
_QUIET_LOAD = 0.5


class Run:
    """One run of the benchmark: what takes part, what was found, what had to be left out."""

    def __init__(self, bench: Bench, targets: list[Target], measures: list[Measure], console: Console) -> None:
        self.missing: dict[str, str] = {}
        self.left_out: list[str] = []
        self.rounds: dict[str, dict[str, list[Figures]]] = {measure.name: {} for measure in measures}
        self.about_switchback: dict[str, Any] = {}
        self._bench = bench
        self._targets = targets
        self._measures = measures
        self._console = console
        self._running: dict[str, Running] = {}
        self._begun = time.monotonic()

    def go(self) -> None:
        """Start what can be started, then measure round by round; everything started is ended."""
        try:
            for target in self._targets:
                self._start(target)
            for number in range(self._bench.pace.rounds):
                self._round(number)
            self._ask_switchback()
        finally:
            for running in self._running.values():
                running.stop()

    def _start(self, target: Target) -> None:
        problem = target.missing()
        if problem is None:
            self._console.print(f"starting {target.name} {target.version()}", style="dim")
            try:
                running = self._running[target.name] = self._bench.start(target)
                # The first calls load modules and open connections; gateways need thousands of lines of it.
                seconds = _WARM_SECONDS.get(target.kind, 0.5)
                self._bench.load("closed_loop", target, running, connections=16, warm_seconds=0, seconds=seconds)
                running.pause()
            except (LoadFailed, StartFailed, OSError, RuntimeError) as failure:
                problem = f"did not start: {failure}"
        if problem is not None:
            self.missing[target.name] = problem
            self._console.print(f"{target.name} is missing: {problem}", style="bold")

    def _round(self, number: int) -> None:
        present = [target for target in self._targets if target.name in self._running]
        for measure in self._measures:
            turn = number % max(1, len(present))
            for target in present[turn:] + present[:turn]:
                if not self._takes_part(measure, target, number):
                    continue
                what = f"round {number + 1}: {measure.name} of {target.name}"
                if time.monotonic() - self._begun > self._bench.pace.total:
                    self.left_out.append(f"{what} (time was up)")
                    continue
                self._console.print(f"{time.monotonic() - self._begun:6.0f} s  {what}", style="dim")
                self._take(measure, target, what)

    def _takes_part(self, measure: Measure, target: Target, number: int) -> bool:
        if target.kind == "variant":
            return measure.of_cost
        if target.kind != "gateway":
            return target.kind in measure.kinds
        # Starting a gateway afresh takes longer than measuring it, and its idle memory does not move.
        is_repeated_start = measure.fresh and number > 0
        is_wanted = measure.of_cost or self._bench.pace.gateways_in_full
        return target.kind in measure.kinds and is_wanted and not is_repeated_start

    def _take(self, measure: Measure, target: Target, what: str) -> None:
        running = self._running[target.name]
        try:
            if measure.fresh:
                running = self._bench.start(target)
                time.sleep(1)
            else:
                running.resume()
                time.sleep(0.15)
            figures = measure.take(self._bench, target, running)
        except (LoadFailed, StartFailed, OSError, RuntimeError) as failure:
            self.left_out.append(f"{what} ({failure})")
            return
        finally:
            if measure.fresh and running is not self._running[target.name]:
                running.stop()
            else:
                running.pause()
        self.rounds[measure.name].setdefault(target.name, []).append(figures)

    def _ask_switchback(self) -> None:
        """Whether it did all of its work: no run dropped, every call of the provider recorded."""
        running = self._running.get(SWITCHBACK.name)
        if isinstance(running, RunningSwitchback):
            running.resume()
            time.sleep(1)
            said = running.operator.request("GET", "/status")
            # Where this machine keeps it is nobody's business.
            del said["store"]["path"], said["store"]["installation"]
            self.about_switchback = said


def main() -> int:
    """Run the benchmark; 0 when every bar that could be checked holds, 1 when one does not, 2 when nothing can be published."""
    options = _options()
    console = Console(width=max(_WIDTH, Console().width))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    targets, measures = _chosen(options.only)
    pace = QUICK if options.quick else FULL
    is_published = not options.quick and not options.only
    missing = SWITCHBACK.missing() if is_published else None
    if missing is not None:
        console.print(f"A full run is about Switchback compiled, which is missing: {missing}")
        return 2
    load_core, proxy_core = machine.cores()
    raise_file_limit()
    WORK.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=WORK))
    port, tls_port = free_port(), free_port()
    provider = ServerProcess(
        [sys.executable, "-m", "benchmarks.load.provider", str(port), str(tls_port), str(PROVIDER_CERTIFICATE)],
        core=load_core,
        output=folder / "provider.log",
        cwd=ROOT,
        env={},
    )
    bench = Bench(
        pace=pace,
        load_core=load_core,
        proxy_core=proxy_core,
        provider_port=port,
        tls_provider_port=tls_port,
        folder=folder,
    )
    run = Run(bench, targets, measures, console)
    load = os.getloadavg()[0]
    if load > _QUIET_LOAD:
        bench.problems.append(f"the machine was not quiet: a load of {load:.1f} before the first measurement")
    try:
        provider.wait_for_port(port, 10)
        run.go()
        served = control(port, "stats", {})
    finally:
        provider.stop()
        shutil.rmtree(folder, ignore_errors=True)
    found = report.results(
        {
            "date": options.date,
            "kind": "full" if is_published else "quick" if options.quick else "part",
            "machine": machine.description() | {"one core for both": str(load_core == proxy_core)},
            "pace": asdict(pace),
            "targets": {
                target.name: {"version": target.version(), "setup": target.setup}
                for target in targets
                if target.name not in run.missing
            },
            "missing": run.missing,
            "left_out": run.left_out,
            "problems": bench.problems,
            "provider": served,
            "switchback_status": run.about_switchback,
        },
        run.rounds,
    )
    output = FOLDER if is_published else WORK / "last"
    report.publish(found, output, FOLDER / "README.md", console)
    return 0 if all(bar["holds"] is not False for bar in found["bars"]) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure Switchback beside other proxies.")
    parser.add_argument("--quick", action="store_true", help="one short round, up to 3 minutes; indicative only")
    parser.add_argument("--only", nargs="+", metavar="NAME", default=[], help="only these targets or measures")
    parser.add_argument("--date", default="not given", help="the date to print in the report")
    options = parser.parse_args()
    known = [item.name for item in (*TARGETS, *MEASURES)]
    unknown = [name for name in options.only if name not in known]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(known)}")
    return options


def _chosen(names: list[str]) -> tuple[list[Target], list[Measure]]:
    targets = [target for target in TARGETS if target.name in names]
    measures = [measure for measure in MEASURES if measure.name in names]
    if targets and DIRECT not in targets:
        targets.insert(0, DIRECT)
    return targets or list(TARGETS), measures or list(MEASURES)


if __name__ == "__main__":
    sys.exit(main())

"""What every measure works with: the pace, the running targets, and one way to put a load on a target.

A measure is a function of one target in one round; run.py interleaves rounds and targets, report.py makes medians of what
they give back. While one target is measured the others are paused.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.targets.target import Kind, Place, Running, Target

ROOT = Path(__file__).resolve().parents[2]
Figures = dict[str, float]

_QUIET_STEP_SECONDS = 0.2
_QUIET_STEPS = 15
_QUIET_SHARE = 0.04


class LoadFailed(Exception):
    """The load generator did not come to a result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long and how often everything is measured; seconds."""

    rounds: int
    saturation: float
    body: float
    latency: float
    events: float
    first_event: float
    warm: float
    stream_levels: tuple[int, ...]
    slow_readers: float
    #: How much longer than planned one load may take.
    patience: float
    #: Whether gateways take part in all measures for their kind, or only in those of cost.
    gateways_in_full: bool
    #: Nothing new is begun after this.
    total: float


FULL = Pace(
    rounds=5,
    saturation=2.2,
    body=0.8,
    latency=2.2,
    events=2.0,
    first_event=2.2,
    warm=0.4,
    stream_levels=(1000, 5000),
    slow_readers=3.0,
    patience=60,
    gateways_in_full=True,
    total=23 * 60,
)
QUICK = Pace(
    rounds=1,
    saturation=1.0,
    body=0.4,
    latency=0.8,
    events=1.0,
    first_event=0.8,
    warm=0.2,
    stream_levels=(1000,),
    slow_readers=1.5,
    patience=20,
    gateways_in_full=False,
    total=160,
)


@dataclass(slots=True, kw_only=True)
class Bench:
    """The pieces of one run of the benchmark."""

    pace: Pace
    load_core: int
    proxy_core: int
    provider_port: int
    tls_provider_port: int
    folder: Path
    started: int = 0
    #: What went wrong, for the report; a figure with errors behind it is not silently a figure.
    problems: list[str] = field(default_factory=list[str])

    def start(self, target: Target) -> Running:
        """A fresh one of a target. Raises StartFailed and whatever setting it up raises."""
        self.started += 1
        folder = self.folder / f"{target.name}-{self.started}"
        folder.mkdir(parents=True)
        place = Place(
            core=self.proxy_core,
            provider_port=self.provider_port,
            tls_provider_port=self.tls_provider_port,
            folder=folder,
        )
        return target.start(place)

    def begin_load(self, mode: str, running: Running, **spec: Any) -> "Load":
        """Put a load on a target; ask the load for its result."""
        spec |= {"mode": mode, "target": running.address, "provider_port": self.provider_port, "watch": running.pids}
        return Load(spec, self.load_core, self.pace.patience)

    def load(self, mode: str, target: Target, running: Running, **spec: Any) -> Any:
        """Put a load on a target and wait for the result; errors are noted as problems. Raises LoadFailed."""
        result = self.begin_load(mode, running, **spec).result()
        self.note(f"{target.name}, {mode.replace('_', ' ')}", result)
        return result

    def note(self, what: str, result: Any) -> None:
        """Keep a result's errors for the report."""
        errors = result["errors"] + result.get("unanswered", 0)
        if errors:
            example = " ".join(str(result["example"]).split())[:160]
            self.problems.append(f"{what}: {errors} calls failed or stayed unanswered {example}".strip())


class Load:
    """One load generator at work."""

    def __init__(self, spec: dict[str, Any], core: int, patience_seconds: float) -> None:
        self._mode = spec["mode"]
        with machine.on_core(core):
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.load.generator"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(spec).encode())
        self._process.stdin.close()
        self._process.stdin = None
        self._seconds = spec.get("seconds", 0) + spec.get("warm_seconds", 0) + patience_seconds

    def result(self) -> Any:
        """Wait for the end. Raises LoadFailed."""
        try:
            output, words = self._process.communicate(timeout=self._seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            raise LoadFailed(f"the load {self._mode} did not end in {self._seconds:.0f} s") from None
        if self._process.returncode != 0:
            last = words.decode(errors="replace").strip().splitlines()[-1:]
            raise LoadFailed(f"the load {self._mode} failed: {' '.join(last)}")
        return json.loads(output)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One thing that is measured of each target of some kinds."""

    name: str
    title: str
    kinds: frozenset[Kind]
    take: Callable[[Bench, Target, Running], Figures]
    #: Whether each round needs a process that has done nothing before.
    fresh: bool = False
    #: Whether it is one of those that even a quick run takes of gateways.
    of_cost: bool = False


def settled_cpu_seconds(pids: list[int]) -> float:
    """CPU time used once a target has come to rest: work put off (batches, logs) is part of what calls cost."""
    before = machine.cpu_seconds(pids)
    for _ in range(_QUIET_STEPS):
        time.sleep(_QUIET_STEP_SECONDS)
        now = machine.cpu_seconds(pids)
        if now - before < _QUIET_SHARE * _QUIET_STEP_SECONDS:
            return now
        before = now
    return before

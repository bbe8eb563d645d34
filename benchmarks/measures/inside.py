"""Measures that only Switchback has: what resolving a version costs, and how fast a rollback is in force."""

import json
import os
import subprocess
import time
from collections.abc import Callable

from benchmarks import machine
from benchmarks.measures.bench import ROOT, Bench, Figures, LoadFailed, Measure
from benchmarks.measures.calling import CONNECTIONS
from benchmarks.targets.switchback import AGENT, COMPILED_PYTHON, RunningSwitchback
from benchmarks.targets.target import SUBJECT, Running, Target

_RATE = 1000
_BEFORE_SECONDS = 0.6
#: The command starts an interpreter first, which takes long on a busy machine.
_AFTER_API_SECONDS, _AFTER_COMMAND_SECONDS = 0.8, 3.0
#: The benchmark of this tree with the `proxy` that is installed: the tree comes last.
_RESOLVING = "import runpy, sys; sys.path.append(sys.argv[1]); runpy.run_module('benchmarks.measures.resolving', run_name='__main__')"


def resolution(bench: Bench, target: Target, running: Running) -> Figures:
    """Microseconds to resolve one call in process, by numbers of agents, users and versions."""
    del target, running
    with machine.on_core(bench.proxy_core):
        done = subprocess.run(
            [COMPILED_PYTHON, "-c", _RESOLVING, ROOT],
            cwd=bench.folder,
            capture_output=True,
            timeout=120,
            check=False,
        )
    if done.returncode != 0:
        raise LoadFailed(f"resolving failed: {done.stderr.decode(errors='replace')[-300:]}")
    return json.loads(done.stdout)


def rollback(bench: Bench, target: Target, running: Running) -> Figures:
    """From the rollback command to the last answer of the version it takes back, under 1,000 calls/s."""
    assert isinstance(running, RunningSwitchback)
    return {
        "api_to_last_old_answer_ms": _rolled_back(bench, target, running, _by_api, _AFTER_API_SECONDS),
        "command_to_last_old_answer_ms": _rolled_back(bench, target, running, _by_command, _AFTER_COMMAND_SECONDS),
    }


def _rolled_back(
    bench: Bench,
    target: Target,
    running: RunningSwitchback,
    roll_back: Callable[[RunningSwitchback], None],
    after_seconds: float,
) -> float:
    ask = running.operator.request
    rollout = ask("GET", f"/agents/{AGENT}/rollouts?limit=1")["items"][0]["id"]
    ask("POST", f"/agents/{AGENT}/rollouts/{rollout}/promote", {"why": "benchmark"})
    load = bench.begin_load(
        "watched_versions",
        running,
        connections=CONNECTIONS,
        warm_seconds=0,
        seconds=_BEFORE_SECONDS + after_seconds,
        rate=_RATE,
    )
    time.sleep(_BEFORE_SECONDS)
    begun = time.monotonic_ns()
    roll_back(running)
    result = load.result()
    bench.note(f"{target.name}, rollback", result)
    running.start_rollout(10)
    seen = result["seen"]
    if set(seen) != {f"{AGENT}@1", f"{AGENT}@2"}:
        raise LoadFailed(f"the rollback was not seen: {sorted(seen)}")
    return (seen[f"{AGENT}@2"][1] - begun) / 1e6


def _by_api(running: RunningSwitchback) -> None:
    running.operator.request("POST", f"/agents/{AGENT}/rollback", {"why": "benchmark"})


def _by_command(running: RunningSwitchback) -> None:
    done = subprocess.run(
        [*running.command, "rollback", AGENT, "--why", "benchmark"],
        cwd=running.cwd,
        env={
            **os.environ,
            "SWITCHBACK_ADMIN_URL": f"http://127.0.0.1:{running.admin_port}",
            "SWITCHBACK_HOME": str(running.home),
        },
        capture_output=True,
        timeout=30,
        check=False,
    )
    if done.returncode != 0:
        raise LoadFailed(f"the command failed: {done.stderr.decode(errors='replace')[-300:]}")


RESOLUTION = Measure(name="resolution", title="Resolution in process", kinds=SUBJECT, take=resolution)
ROLLBACK = Measure(name="rollback", title="Rollback to last old answer", kinds=SUBJECT, take=rollback)

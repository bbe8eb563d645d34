"""What resolving a call costs in process, in a process of its own: `python -m benchmarks.measures.resolving`, JSON on stdout.

Measured is what the data path does between identifying and guarding: finding the agent in the snapshot and resolving its
label's rollout for the user. The snapshot is the real one, made of core values; each figure is the median of several
passes over calls of many users and agents in random order.
"""

import gc
import json
import random
import statistics
import sys
import time

from proxy.core.calls.caller import Caller
from proxy.core.calls.resolving import resolve
from proxy.core.releasing.arms import candidate_arm, divided
from proxy.core.snapshot import Agent, AgentState, Label, Rollout, Snapshot
from proxy.core.versions.components import parse_bundle
from proxy.core.versions.versions import Version

_CALLS = 20_000
_PASSES = 7
_USERS = (10, 10_000, 1_000_000)
_AGENTS = (10, 10_000)
_VERSIONS = (2, 1000)


def main() -> None:
    """Print microseconds per resolution by size."""
    random.seed(20_261_121)
    figures = {"loop_only_us": _empty_loop()}
    for agents in _AGENTS:
        snapshot = _snapshot(agents, versions=2)
        for users in _USERS:
            figures[f"us_{agents}_agents_{users}_users"] = _measured(snapshot, users)
    for versions in _VERSIONS:
        figures[f"us_{versions}_versions"] = _measured(_snapshot(10, versions), 10_000)
    json.dump(figures, sys.stdout)


def _snapshot(agents: int, versions: int) -> Snapshot:
    bundle = parse_bundle({"prompt": {"text": "measured"}, "model": {"name": "gpt-4o-mini"}})
    states: dict[str, AgentState] = {}
    for number in range(agents):
        name = f"agent-{number}"
        rollout = Rollout(
            id="r1", agent=name, label="prod", salt=f"{name}/r1", arms=divided(1, candidate_arm(2, 10)), state="running"
        )
        known = {
            at: Version(
                agent=name, number=at, bundle=bundle, parent=None, author="", message="", created_at_microseconds=0
            )
            for at in range(1, versions + 1)
        }
        labels = {"prod": Label("prod", 1, 1)}
        states[name] = AgentState(Agent(name=name, newest=versions), labels, {"prod": rollout}, known)
    return Snapshot(revision=1, agents=states)


def _measured(snapshot: Snapshot, users: int) -> float:
    names = list(snapshot.agents)
    callers = [Caller(agent=random.choice(names), user=f"user-{random.randrange(users)}") for _ in range(_CALLS)]
    gc.collect()
    gc.disable()
    passes: list[float] = []
    for _ in range(_PASSES):
        agents = snapshot.agents
        begun = time.perf_counter_ns()
        for caller in callers:
            state = agents.get(caller.agent or "")
            assert state is not None
            resolve(state, caller)
        passes.append((time.perf_counter_ns() - begun) / 1e3 / _CALLS)
    gc.enable()
    return statistics.median(passes)


def _empty_loop() -> float:
    callers = list(range(_CALLS))
    begun = time.perf_counter_ns()
    for _caller in callers:
        pass
    return (time.perf_counter_ns() - begun) / 1e3 / _CALLS


if __name__ == "__main__":
    main()

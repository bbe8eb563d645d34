"""python -m benchmarks.canary.many [--rollouts N] [--runs N]: what one tick over many rollouts costs, and how long it holds the loop up.

The controller itself over rollouts of the default plan at 25 %, with runs of all of them between two ticks; its store takes everything
and keeps nothing. Prints CPU milliseconds of a tick and the longest stretch in which no call would have been
served, of ticks that only decide and of those that also write everything down. Half a minute.
"""

import argparse
import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from proxy.core.calls.runs import Run
from proxy.core.releasing.arms import candidate_arm, divided
from proxy.core.rollouts.plan import DEFAULT_PLAN
from proxy.core.rollouts.reading import plan_document
from proxy.core.snapshot import Agent, AgentState, Label, Rollout, Snapshot
from proxy.core.versions.components import parse_bundle
from proxy.core.versions.versions import Version
from proxy.runtime.process.garbage import collect_seldom
from proxy.runtime.rollouts.applying import Applying
from proxy.runtime.rollouts.rollout_loop import JudgingStore, LoopParts, RolloutLoop
from proxy.runtime.state.live_snapshot import LiveSnapshot
from proxy.store.ports.rollouts import KeptEvidence

_TICKS = 24
_TICK_MICROSECONDS = 5_000_000
_USERS = 400


class _Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000_000_000

    def now_microseconds(self) -> int:
        return self.now

    def monotonic_microseconds(self) -> int:
        return self.now


@dataclass(frozen=True, slots=True)
class _Page:
    items: Sequence[Run] = ()


class _Store:
    """Takes everything, keeps nothing."""

    async def evidence(self, agent: str, rollout: str) -> KeptEvidence | None:
        del agent, rollout

    async def open_watches(self) -> Sequence[tuple[Rollout, KeptEvidence]]:
        return ()

    async def keep_evidence(self, kept: Sequence[KeptEvidence]) -> None:
        del kept

    async def runs(self, *wanted: object) -> _Page:
        del wanted
        return _Page()

    async def outcomes_of(self, runs: Sequence[str]) -> Mapping[str, Any]:
        del runs
        return {}


def _agents(rollouts: int) -> dict[str, AgentState]:
    plan = plan_document(DEFAULT_PLAN)
    agents: dict[str, AgentState] = {}
    for number in range(rollouts):
        name = f"agent-{number}"
        versions = {
            version: Version(
                agent=name,
                number=version,
                bundle=parse_bundle({"prompt": {"text": f"v{version}"}}),
                parent=None,
                author="",
                message="",
                created_at_microseconds=0,
            )
            for version in (1, 2)
        }
        rollout = Rollout(
            id="r1",
            agent=name,
            label="prod",
            salt=f"{name}/r1",
            arms=divided(1, candidate_arm(2, 25)),
            state="running",
            plan=plan,
        )
        agents[name] = AgentState(
            Agent(name=name, newest=2), {"prod": Label("prod", 1, 1)}, {"prod": rollout}, versions
        )
    return agents


class _Traffic:
    """Runs of users who come again, of every rollout alike: 2 % of them bad."""

    def __init__(self, rollouts: int) -> None:
        self._rng = random.Random(7)
        self._rollouts = rollouts
        self._count = 0

    def runs(self, count: int, step: int, now: int) -> list[Run]:
        rng, runs = self._rng, list[Run]()
        for _ in range(count):
            self._count += 1
            user = rng.randrange(_USERS)
            arm = "candidate" if user % 4 == 0 else "stable"
            is_bad = rng.random() < 0.02
            runs.append(
                Run(
                    id=f"run_{self._count}",
                    agent=f"agent-{rng.randrange(self._rollouts)}",
                    started_at_microseconds=now,
                    duration_microseconds=round(rng.lognormvariate(13.5, 0.8)),
                    status=500 if is_bad else 200,
                    result="error" if is_bad else "ok",
                    error_class="provider_error" if is_bad else None,
                    version=2 if arm == "candidate" else 1,
                    label="prod",
                    arm=arm,
                    rollout="r1",
                    step=step,
                    user=f"user-{user}",
                    cost_nanodollars=round(rng.lognormvariate(13, 1)),
                    output_tokens=200,
                    in_analysis=True,
                )
            )
        return runs


class _Stretches:
    """The longest stretch in which nothing else had a turn, in milliseconds of the loop's time."""

    def __init__(self) -> None:
        self.longest_ms = 0.0

    async def watch(self) -> None:
        while True:
            before = time.thread_time()
            await asyncio.sleep(0)
            self.longest_ms = max(self.longest_ms, (time.thread_time() - before) * 1e3)


async def measured(rollouts: int, runs_a_tick: int) -> None:
    """Live through the ticks and print."""
    collect_seldom()
    clock, store, errors = _Clock(), _Store(), list[BaseException]()
    live = LiveSnapshot(cast("Any", store))
    live.replace(Snapshot(revision=1, agents=_agents(rollouts), caps=()))
    applying = cast("Applying", _NeverAsked())
    loop = RolloutLoop(
        LoopParts(
            live=live,
            store=cast("JudgingStore", store),
            applying=applying,
            clock=clock,
            log=lambda line: None,
            told=lambda *_, **__: None,
            on_error=errors.append,
        )
    )
    traffic = _Traffic(rollouts)
    await loop.tick()
    deciding, keeping = list[float](), list[float]()
    stretches = {False: _Stretches(), True: _Stretches()}
    for number in range(2, _TICKS + 2):
        loop.finished(traffic.runs(runs_a_tick, 0, clock.now))
        clock.now += _TICK_MICROSECONDS
        keeps = number % 6 == 0
        watching = asyncio.ensure_future(stretches[keeps].watch())
        await asyncio.sleep(0)
        began = time.thread_time()
        await loop.tick()
        (keeping if keeps else deciding).append((time.thread_time() - began) * 1e3)
        watching.cancel()
    if errors:
        raise errors[0]
    for name, keeps, taken in (("decides", False, deciding), ("decides and keeps", True, keeping)):
        taken.sort()
        longest = stretches[keeps].longest_ms
        print(
            f"{rollouts} rollouts, {runs_a_tick} runs: a tick that {name} takes {taken[len(taken) // 2]:.0f} ms of CPU "
            f"({taken[0]:.0f} to {taken[-1]:.0f}), at most {longest:.1f} ms at a stretch"
        )


class _NeverAsked:
    async def apply(self, *decided: object) -> None:
        del decided


def main() -> None:
    """Measure as told."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("--rollouts", type=int, default=200)
    arguments.add_argument("--runs", type=int, default=5_000, help="recorded between two ticks, over all rollouts")
    chosen = arguments.parse_args()
    asyncio.run(measured(chosen.rollouts, chosen.runs))


if __name__ == "__main__":
    main()

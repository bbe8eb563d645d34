"""A stage for the controller: a real store, an agent whose label is rolled out, made-up runs, a clock that is turned."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

from proxy.core.calls.runs import Run
from proxy.core.releasing.arms import RolloutDraft, WantedArm, candidate_arm
from proxy.core.rollouts.reading import plan_document, read_plan
from proxy.core.snapshot import Agent, Rollout
from proxy.runtime.releasing.release_commands import VersionDraft
from proxy.runtime.rollouts.applying import Applying
from proxy.runtime.rollouts.rollout_loop import LoopParts, RolloutLoop
from tests.edges.admin.composition import Commands, commands

PLAN = {
    "steps": [
        {"percentage": 10, "min_duration": "1m", "min_runs": 50, "min_users": 20},
        {"percentage": 50, "min_duration": "1m", "min_runs": 50, "min_users": 20},
    ],
    "guards": {"errors": {}},
}


class RolloutStage:
    """An agent whose label `prod` is rolled out from version 1 to 2."""

    def __init__(self, made: Commands) -> None:
        self.made = made
        self.log: list[dict[str, Any]] = []
        self.errors: list[BaseException] = []
        self.loop = self.new_loop()
        self._draw = random.Random(3)
        self._runs = 0

    def new_loop(self) -> RolloutLoop:
        """A controller as after a restart."""
        made = self.made
        parts = LoopParts(
            live=made.live,
            store=made.store,
            applying=Applying(made.live, made.releases, made.rollouts),
            clock=made.clock,
            told=lambda kind, subject, sentence, **members: None,
            log=lambda line: self.log.append(orjson.loads(line)),
            on_error=self.errors.append,
        )
        return RolloutLoop(parts)

    async def start(self, plan: dict[str, Any]) -> Rollout:
        read = read_plan(plan)
        arms = tuple(WantedArm(name, number, share) for number, (name, share) in enumerate(read.arms.items(), start=2))
        arms = arms or candidate_arm(2, read.steps[0].percentage)
        draft = RolloutDraft(label="prod", arms=arms, plan=plan_document(read))
        started = await self.made.rollouts.start_rollout("ana", "triage", draft, "a try", force=True)
        assert isinstance(started, Rollout)
        await self.loop.tick()
        return started

    def running(self) -> Rollout | None:
        return self.made.live.current.agents["triage"].rollouts.get("prod")

    def version(self) -> int:
        return self.made.live.current.agents["triage"].labels["prod"].version

    def runs(self, candidate: int, stable: int, fails: Callable[[str], float]) -> list[Run]:
        """So many runs of different users in the running step."""
        rollout = self.running()
        assert rollout is not None
        return self.runs_of(rollout, candidate, stable, fails)

    def runs_of(self, rollout: Rollout, candidate: int, stable: int, fails: Callable[[str], float]) -> list[Run]:
        """The same of a rollout as it was."""
        return self.runs_of_arms(rollout, {"candidate": candidate, "stable": stable}, fails)

    def runs_of_arms(self, rollout: Rollout, counts: dict[str, int], fails: Callable[[str], float]) -> list[Run]:
        """So many of each arm."""
        versions = {arm.name: arm.version for arm in rollout.arms}
        runs: list[Run] = []
        for arm in [arm for arm, count in counts.items() for _ in range(count)]:
            self._runs += 1
            is_error = self._draw.random() < fails(arm)
            runs.append(
                Run(
                    id=f"run_{self._runs}",
                    agent="triage",
                    started_at_microseconds=self.made.clock.now,
                    duration_microseconds=500_000,
                    status=500 if is_error else 200,
                    result="error" if is_error else "ok",
                    error_class="provider_error" if is_error else None,
                    version=versions.get(arm, 1),
                    arm=arm,
                    rollout=rollout.id,
                    step=rollout.step,
                    user=f"user-{self._runs}",
                    in_analysis=True,
                )
            )
        return runs

    async def tick(
        self, candidate: int = 0, stable: int = 0, fails: Callable[[str], float] = lambda arm: 0.05, seconds: float = 5
    ) -> None:
        """Some traffic, some time, one tick."""
        if self.running() is not None:
            self.loop.finished(self.runs(candidate, stable, fails))
        self.made.clock.now += round(seconds * 1_000_000)
        await self.loop.tick()

    async def tick_of_arms(
        self, counts: dict[str, int], fails: Callable[[str], float] = lambda arm: 0.05, seconds: float = 5
    ) -> None:
        """The same of arms with names of their own."""
        if (rollout := self.running()) is not None:
            self.loop.finished(self.runs_of_arms(rollout, counts, fails))
        self.made.clock.now += round(seconds * 1_000_000)
        await self.loop.tick()

    async def releases(self) -> list[Any]:
        return list((await self.made.store.releases("triage")).items)


@asynccontextmanager
async def staged(folder: Path) -> AsyncIterator[RolloutStage]:
    async with commands(folder) as made:
        await made.releases.create_agent("ana", Agent(name="triage"), "")
        for number in (1, 2, 3):
            draft = VersionDraft(
                components={"prompt": {"text": f"v{number}"}}, parent=number - 1 or None, message="a test"
            )
            await made.releases.create_version("ana", "triage", draft)
        await made.releases.move_label("ana", "triage", "prod", 1, "first")
        stage = RolloutStage(made)
        yield stage
        assert stage.errors == []


def worse(arm: str) -> float:
    """How often an arm fails where the candidate is far worse."""
    return 0.4 if arm == "candidate" else 0.05

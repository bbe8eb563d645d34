"""A rollout that judges itself, over the whole proxy and a provider whose answers really are worse."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from proxy.simulator.app import Simulator
from tests.harness import PATIENCE_SECONDS, Deployment, deployed, eventually

CHAT = "/a/support/v1/chat/completions"
BODY = {"model": "x", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 100}
GOOD, FAILING, SLOW, REFUSING = (
    f"Be brief. [[simulate: {order}]]"
    for order in ("output_tokens=2", "output_tokens=2; error_rate=0.4", "output_tokens=2; delay_ms=2500", "refuse")
)
STEP = {"min_duration": 0.1, "min_users": 20}


@asynccontextmanager
async def _ramping(home: Path, candidate: str, workers: int = 1, **options: Any) -> AsyncIterator[Deployment]:
    """A deployment that judges often, with an agent whose second version is the candidate."""
    async with deployed(home, workers=workers, rollout_tick_seconds=0.05, **options) as running:
        await running.operator.agent("support", GOOD, candidate)
        yield running


async def _start(
    deployment: Deployment, guards: dict[str, Any], *percentages: float, min_runs: int = 30
) -> dict[str, Any]:
    steps = [{"percentage": share, **STEP, "min_runs": min_runs} for share in percentages]
    plan = {"steps": steps, "guards": guards}
    return await deployment.operator.post("/agents/support/rollouts", label="prod", candidate=2, plan=plan, why="")


async def _calls(deployment: Deployment, users: Iterator[int], count: int) -> None:
    gate = asyncio.Semaphore(40)

    async def call(user: int) -> None:
        async with gate, deployment.post(CHAT, BODY, Switchback_User=f"user-{user}") as answer:
            await answer.read()

    await asyncio.gather(*(call(user) for user in itertools.islice(users, count)))


async def _until_over(deployment: Deployment, rollout: dict[str, Any], users: Iterator[int]) -> dict[str, Any]:
    """Traffic until the rollout has ended; as it ended."""
    path = f"/agents/support/rollouts/{rollout['id']}"
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (shown := await deployment.operator.get(path))["state"] == "running":
            await _calls(deployment, users, 100)
    return shown


async def _newest_release(deployment: Deployment) -> dict[str, Any]:
    return (await deployment.operator.get("/agents/support/releases"))["items"][0]


@pytest.mark.parametrize("workers", [1, 3])
async def test_a_failing_candidate_is_taken_back_at_a_tenth_of_the_users(tmp_path: Path, workers: int) -> None:
    async with _ramping(tmp_path / "home", FAILING, workers) as deployment:
        rollout = await _start(deployment, {"errors": {}}, 10, 100)
        ended = await _until_over(deployment, rollout, itertools.count())
        assert (ended["state"], ended["step"]) == ("rolled_back", 0)
        assert ended["progress"]["code"] in ("worse", "hard_trigger")
        newest = await _newest_release(deployment)
        assert (newest["kind"], newest["who"]) == ("rolled_back", "rollout-controller")
        assert newest["why"].startswith("candidate errors ")
        async with deployment.post(CHAT, BODY, Switchback_User="user-1") as answer:
            assert answer.headers["switchback-version"] == "support@1"


async def test_every_run_of_every_worker_is_counted(tmp_path: Path) -> None:
    async with _ramping(tmp_path / "home", f"{GOOD} And polite.", 3) as deployment:
        rollout = await _start(deployment, {"errors": {}}, 1)
        await eventually(lambda: _has_counted(deployment, rollout, 0))
        await _calls(deployment, itertools.count(), 200)
        await eventually(lambda: _has_counted(deployment, rollout, 200))


async def test_refusals_take_a_candidate_back(tmp_path: Path) -> None:
    async with _ramping(tmp_path / "home", REFUSING) as deployment:
        rollout = await _start(deployment, {"errors": {}, "refusals": {}}, 10, 100)
        ended = await _until_over(deployment, rollout, itertools.count())
        assert (ended["state"], ended["progress"]["decision"]["metric"]) == ("rolled_back", "refusals")


async def test_a_slow_candidate_is_taken_back_by_what_stable_took_before(tmp_path: Path) -> None:
    async with _ramping(tmp_path / "home", SLOW) as deployment:
        users = itertools.count()
        await _calls(deployment, users, 150)
        await deployment.operator.runs(150)
        # A busy machine makes stable slow too, so that it takes more runs to tell them apart: none goes on before.
        rollout = await _start(deployment, {"errors": {}, "latency": {}}, 50, 100, min_runs=100_000)
        ended = await _until_over(deployment, rollout, users)
        assert (ended["state"], ended["progress"]["decision"]["metric"]) == ("rolled_back", "latency")


async def test_an_equal_candidate_is_promoted_over_two_steps_and_a_restart(home: Path, simulator: Simulator) -> None:
    users = itertools.count()
    async with _ramping(home, f"{GOOD} And polite.", simulator=simulator) as deployment:
        rollout = await _start(deployment, {"errors": {}}, 10, 50)
        await eventually(lambda: _has_counted(deployment, rollout, 0))
        await _calls(deployment, users, 100)
        before = await deployment.operator.runs(100)
    async with deployed(home, simulator=simulator, rollout_tick_seconds=0.05) as deployment:
        # What was counted before the restart is what it goes on with.
        await eventually(lambda: _has_counted(deployment, rollout, 100))
        ended = await _until_over(deployment, rollout, users)
        assert (ended["state"], ended["step"]) == ("promoted", 1)
        kinds = [row["kind"] for row in (await deployment.operator.get("/agents/support/releases"))["items"]]
        assert kinds == ["promoted", "share_changed", "rollout_started", "label_moved"]
        runs = await deployment.operator.runs(200, f"agent=support&rollout={rollout['id']}")
        assert {(run["arm"], run["version"]) for run in runs} == {("stable", 1), ("candidate", 2)}
        assert {(run["rollout"], run["step"]) for run in before} == {(rollout["id"], 0)}
        assert {run["step"] for run in runs} in ({0, 1}, {1})


async def _has_counted(deployment: Deployment, rollout: dict[str, Any], runs: int) -> bool:
    progress = (await deployment.operator.get(f"/agents/support/rollouts/{rollout['id']}"))["progress"]
    if progress is None or progress["decision"] is None:
        return False
    told = progress["decision"]["metrics"][0]
    return (told["candidate"]["runs"] or 0) + (told["stable"]["runs"] or 0) >= runs

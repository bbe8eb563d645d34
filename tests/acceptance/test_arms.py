"""Several versions with fixed shares over the whole proxy: who gets which, what is told of each, and a bad one that goes."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from proxy.core.bucketing import bucket_of
from tests.harness import PATIENCE_SECONDS, Deployment, deployed, eventually

CHAT = "/a/support/v1/chat/completions"
BODY = {"model": "x", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 100}
GOOD, KIND, FAILING = (
    f"{text} [[simulate: output_tokens=2{orders}]]"
    for text, orders in (("Be brief.", ""), ("Be kind.", ""), ("Be bold.", "; error_rate=0.4"))
)
ARMS = [{"name": "b", "version": 2, "percentage": 20}, {"name": "c", "version": 3, "percentage": 20}]
PATH = "/agents/support/rollouts/r1"


@asynccontextmanager
async def _with_arms(home: Path, workers: int, *versions: str) -> AsyncIterator[Deployment]:
    async with deployed(home, workers=workers, rollout_tick_seconds=0.05) as running:
        await running.operator.agent("support", *versions)
        await running.operator.post(
            "/agents/support/rollouts", label="prod", arms=ARMS, plan={"guards": {"errors": {}}}, why="which is best"
        )
        yield running


async def _arms_of(deployment: Deployment, users: list[str]) -> dict[str, tuple[str | None, str]]:
    gate = asyncio.Semaphore(40)

    async def ask(user: str) -> tuple[str, tuple[str | None, str]]:
        async with gate, deployment.post(CHAT, BODY, Switchback_User=user) as answer:
            await answer.read()
            return user, (answer.headers.get("switchback-arm"), answer.headers["switchback-version"])

    return dict(await asyncio.gather(*(ask(user) for user in users)))


def _users(numbers: Iterator[int], count: int) -> list[str]:
    return [f"user-{number}" for number in itertools.islice(numbers, count)]


async def test_each_user_has_the_arm_of_their_bucket_and_another_share_moves_only_stables(tmp_path: Path) -> None:
    async with _with_arms(tmp_path / "home", 1, GOOD, KIND, "Be quick. [[simulate: output_tokens=2]]") as deployment:
        users = _users(itertools.count(), 1000)
        first = await _arms_of(deployment, users)
        for user, served in first.items():
            bucket = bucket_of("support/r1", user)
            expected = ("b", 2) if bucket < 20_000 else ("c", 3) if bucket < 40_000 else ("stable", 1)
            assert served == (expected[0], f"support@{expected[1]}")
        assert min(Counter(arm for arm, _ in first.values()).values()) > 150
        assert await _arms_of(deployment, users[:100]) == {user: first[user] for user in users[:100]}

        await deployment.operator.post(f"{PATH}/set-percentage", percentage=30, arm="b", why="looks good")
        second = await _arms_of(deployment, users)
        moved = {(first[user][0], second[user][0]) for user in users if first[user] != second[user]}
        assert moved == {("stable", "b")}

        await deployment.operator.post(f"{PATH}/promote", arm="c", why="c wins")
        assert {version for _, version in (await _arms_of(deployment, users[:50])).values()} == {"support@3"}


@pytest.mark.parametrize("workers", [1, 3])
async def test_a_failing_arm_is_taken_out_and_the_other_goes_on(tmp_path: Path, workers: int) -> None:
    async with _with_arms(tmp_path / "home", workers, GOOD, KIND, FAILING) as deployment:
        numbers = itertools.count()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len((shown := await deployment.operator.get(PATH))["arms"]) == 3:
                await _arms_of(deployment, _users(numbers, 100))
        assert (shown["state"], [arm["name"] for arm in shown["arms"]]) == ("running", ["stable", "b"])
        assert (shown["progress"]["arms"]["c"]["state"], shown["progress"]["arms"]["b"]["state"]) == (
            "taken_out",
            "running",
        )
        newest = (await deployment.operator.get("/agents/support/releases"))["items"][0]
        assert (newest["kind"], newest["who"]) == ("share_changed", "rollout-controller")
        assert newest["why"].startswith("c errors ")
        users = [f"user-{number}" for number in range(200)]

        async def nobody_has_c() -> bool:
            return set((await _arms_of(deployment, users)).values()) == {("stable", "support@1"), ("b", "support@2")}

        # The other workers follow the change in a moment.
        await eventually(nobody_has_c)

        report = await deployment.operator.get("/reports/rollout?agent=support&rollout=r1")
        rows = {row["arm"]: row for row in report["rows"]}
        assert set(rows) == {"stable", "b", "c"}
        assert rows["c"]["against_stable"]["metrics"]["errors"]["verdict"] == "worse"
        assert rows["stable"]["against_stable"] is None
        runs = await deployment.operator.get("/runs?agent=support&arm=c&limit=5")
        assert {run["version"] for run in runs["items"]} == {3}
        assert (await deployment.operator.get("/audit/verify"))["ok"] is True


async def test_a_conversation_on_an_arm_that_goes_has_stable_again(tmp_path: Path) -> None:
    async with _with_arms(tmp_path / "home", 1, GOOD, KIND, FAILING) as deployment:
        user = next(f"u{n}" for n in itertools.count() if 20_000 <= bucket_of("support/r1", f"u{n}") < 40_000)

        async def arm() -> str:
            async with deployment.post(CHAT, BODY, Switchback_User=user, Switchback_Conversation="talk") as answer:
                await answer.read()
                return answer.headers["switchback-arm"]

        assert await arm() == "c"
        numbers = itertools.count()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len((await deployment.operator.get(PATH))["arms"]) == 3:
                await _arms_of(deployment, _users(numbers, 100))
        assert await arm() == "stable"


async def test_arms_are_as_they_were_after_a_restart(tmp_path: Path) -> None:
    users = [f"user-{number}" for number in range(60)]
    async with _with_arms(tmp_path / "home", 1, GOOD, KIND, GOOD + " And polite.") as deployment:
        before: dict[str, Any] = await _arms_of(deployment, users)
    async with deployed(tmp_path / "home", rollout_tick_seconds=0.05) as deployment:
        assert await _arms_of(deployment, users) == before
        shown = await deployment.operator.get(PATH)
        assert [(arm["name"], arm["percentage"]) for arm in shown["arms"]] == [("stable", 60), ("b", 20), ("c", 20)]

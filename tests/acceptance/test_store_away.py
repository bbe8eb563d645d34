"""Traffic and emergencies while the store is locked, full or moved away: served, stopped, taken back, remembered afterwards."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.absent_store import (
    BODY,
    USER,
    from_journal,
    is_up,
    moved_away,
    prepared,
    version_served,
    whole_audit,
)
from tests.harness import PATIENCE_SECONDS, Deployment, Operator, Refused, eventually, saved

#: Too long for what is free in the pages of a database that may not grow.
LONG = " and more" * 200


@asynccontextmanager
async def locked(deployment: Deployment, home: Path) -> AsyncIterator[None]:
    with closing(sqlite3.connect(home / "switchback.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


@asynccontextmanager
async def full(deployment: Deployment, home: Path) -> AsyncIterator[None]:
    await on_writer(deployment, "PRAGMA max_page_count = 1")
    yield
    await on_writer(deployment, "PRAGMA max_page_count = 1000000")


async def on_writer(deployment: Deployment, statement: str) -> None:
    connections = deployment.server._control.store._database._opening
    await connections.writer.run(lambda plain: plain.execute(statement).fetchall())


async def is_kept_as_told(operator: Operator, answer: dict[str, Any], orders: int) -> None:
    """An answer that says that it is journalled was given when all orders up to it were on disk."""
    written = (await operator.get("/status"))["journal"]["written"]
    assert written >= orders or not answer["journalled"]


TROUBLES = [locked, full, moved_away]


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_traffic_goes_on_emergencies_take_effect_and_everything_is_remembered_when_the_store_is_back(
    deployment: Deployment, tmp_path: Path, trouble: Callable[..., Any]
) -> None:
    operator, home = deployment.operator, tmp_path / "home"
    rollout = await prepared(operator)
    app, stop = deployment.openai(), asyncio.Event()
    answered: list[str] = []

    async def traffic() -> None:
        while not stop.is_set():
            raw = await app.chat.completions.with_raw_response.create(model="x", messages=USER, user="u1")
            answered.append(raw.headers["switchback-version"])

    running = asyncio.ensure_future(traffic())
    await eventually(lambda: bool(answered))
    async with trouble(deployment, home):
        taken_back = await operator.post("/agents/support/rollback", label="prod", undoes=2, why="bad answers" + LONG)
        # Whether it is on disk yet when it is answered is the disk's matter, and the answer says so; in the end all three are (below).
        await is_kept_as_told(operator, taken_back, 1)
        assert (taken_back["changed"], taken_back["version"], "journalled" in taken_back) == (True, 1, True)
        assert await version_served(deployment) == "support@1"
        again = await operator.post("/agents/support/rollback", label="prod", undoes=2, why="me too")
        assert (again["changed"], "journalled" in again) == (False, False)

        ended = await operator.post(f"/agents/billing/rollouts/{rollout}/abort", why="errors" + LONG)
        assert (ended["state"], "journalled" in ended) == ("aborted", True)
        await is_kept_as_told(operator, ended, 2)
        assert {await version_served(deployment, "billing", switchback_user=f"u{n}") for n in range(8)} == {"billing@1"}

        switch = await operator.post("/switches", scope={"agent": "billing"}, mode="block", why="stop")
        await is_kept_as_told(operator, switch, 3)
        async with deployment.post("/a/billing/v1/chat/completions", BODY) as answer:
            assert (answer.status, "stop" in await answer.text()) == (403, True)

        async def is_all_written() -> bool:
            journal = (await operator.get("/status"))["journal"]
            return journal["entries"] == journal["written"] == 3

        await eventually(is_all_written)
        status = await operator.get("/status")
        assert (status["store"]["up"], bool(status["store"]["problem"])) == (False, True)
        async with deployment.session.get(f"{deployment.server.admin_url}/readyz") as ready:
            content = await ready.json()
            assert (ready.status, content["ready"], content["reasons"]) == (200, True, ["store_away"])
        async with deployment.session.get(f"{deployment.server.admin_url}/metrics") as metrics:
            assert "switchback_store_up 0.0" in await metrics.text()
        assert [item["id"] for item in (await operator.get("/switches"))["items"]] == [switch["id"]]
        assert (await operator.get("/agents/support/labels"))["items"][0]["version"] == 1
        for method, path, body in (
            ("POST", "/agents", {"agent": "another"}),
            ("PUT", "/agents/support/labels/prod", {"version": 2}),
            ("DELETE", f"/switches/{switch['id']}", {}),
            ("POST", f"/agents/billing/rollouts/{rollout}/promote", {}),
        ):
            async with asyncio.timeout(PATIENCE_SECONDS):
                with pytest.raises(Refused) as refused:
                    await operator.request(method, path, body)
            assert (refused.value.status, refused.value.code) == (503, "store_unavailable")

    await eventually(lambda: is_up(operator))
    stop.set()
    await running
    assert set(answered) == {"support@2", "support@1"}
    assert answered[-1] == "support@1"

    entries = await whole_audit(operator)
    assert from_journal(entries) == [
        "label.rolled_back agents/support/labels/prod",
        f"rollout.aborted agents/billing/rollouts/{rollout}",
        f"switch.on switches/{switch['id']}",
    ]
    assert [entry["who"] for entry in entries[-3:]] == ["admin"] * 3
    assert [entry["why"] for entry in entries[-3:]] == ["bad answers" + LONG, "errors" + LONG, "stop"]
    newest = (await operator.get("/agents/support/releases"))["items"][0]
    assert (newest["kind"], newest["version"], newest["undoes"], newest["release"]) == (
        "rolled_back", 1, 2, taken_back["release"],
    )  # fmt: skip
    assert newest["evidence"][0]["kind"] == "journal"
    assert (await operator.get("/status"))["journal"]["entries"] == 0
    assert await version_served(deployment) == "support@1"
    assert (await operator.label("support", "prod", 3))["changed"] is True
    assert await version_served(deployment) == "support@3"
    assert await operator.runs(min(500, len(answered)), "agent=support")


async def test_hard_caps_refuse_while_the_ledger_cannot_be_written_and_other_calls_pass(
    deployment: Deployment, tmp_path: Path
) -> None:
    operator = deployment.operator
    await prepared(operator)
    await operator.post("/caps", scope={"agent": "billing"}, window="day", unit="calls", limit=100, why="")
    async with moved_away(deployment, tmp_path / "home"):
        async with deployment.post("/a/billing/v1/chat/completions", BODY) as answer:
            assert answer.status == 503
            assert (await answer.json())["error"]["code"] == "spend_ledger_unavailable"
        for _ in range(5):
            assert await version_served(deployment) == "support@2"
    await eventually(lambda: is_up(operator))
    assert (await version_served(deployment, "billing", switchback_user="u1")).startswith("billing@")
    assert {run["status"] for run in await operator.runs(7)} == {200, 503}
    cap = (await operator.get("/caps"))["items"][0]
    assert (cap["spent"], cap["held"]) == (1, 0)


async def test_a_rollback_that_went_too_far_is_followed_by_one_to_another_version(
    deployment: Deployment, tmp_path: Path
) -> None:
    operator, home = deployment.operator, tmp_path / "home"
    await operator.agent("support", "one", "two", "three", "four")
    for number in (2, 3, 4):
        await operator.label("support", "prod", number)
    await saved(operator)
    async with moved_away(deployment, home):
        for number in (1, 3, 2):
            answer = await operator.post("/agents/support/rollback", to=number, why="this one")
            assert (answer["version"], "journalled" in answer) == (number, True)
            assert await version_served(deployment) == f"support@{number}"
    await eventually(lambda: is_up(operator))
    assert await version_served(deployment) == "support@2"
    await whole_audit(operator)


async def test_a_rollback_beyond_memory_says_what_is_possible(deployment: Deployment, tmp_path: Path) -> None:
    operator = deployment.operator
    await operator.agent("support", *(f"text {number}" for number in range(1, 8)))
    for number in (2, 3, 4, 5, 6):
        await operator.label("support", "prod", number)
    async with moved_away(deployment, tmp_path / "home"):
        for beyond in (1, 7):
            with pytest.raises(Refused) as refused:
                await operator.post("/agents/support/rollback", to=beyond)
            assert (refused.value.status, refused.value.code) == (503, "store_unavailable")
            assert "possible are 3, 4, 5, 6" in refused.value.problem["detail"]
        assert "journalled" in await operator.post("/agents/support/rollback", to=4)
        assert (await operator.post("/agents/support/rollback", undoes=7))["version"] == 3
        assert await version_served(deployment) == "support@3"
    await eventually(lambda: is_up(operator))
    assert [row["version"] for row in (await operator.get("/agents/support/releases"))["items"][:3]] == [3, 4, 6]
    assert from_journal(await whole_audit(operator)) == ["label.rolled_back agents/support/labels/prod"] * 2


async def test_a_fallback_switch_goes_to_a_version_in_memory_or_nowhere(deployment: Deployment, tmp_path: Path) -> None:
    operator = deployment.operator
    await prepared(operator)
    async with moved_away(deployment, tmp_path / "home"):
        scope = {"agent": "support", "version": 2}
        with pytest.raises(Refused) as refused:
            await operator.post("/switches", scope=scope, mode="fallback", fallback_version=3, why="a test")
        assert "possible are 1, 2" in refused.value.problem["detail"]
        await operator.post("/switches", scope=scope, mode="fallback", fallback_version=1, why="a test")
        assert await version_served(deployment) == "support@1"
    await eventually(lambda: is_up(operator))
    assert await version_served(deployment) == "support@1"

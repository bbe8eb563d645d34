"""Starts over a store that is missing, damaged, older, too new or in use: from the last known good state, or refused and said so."""

import os
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import openai
import pytest

from proxy.core.errors import Unavailable
from proxy.simulator.app import Simulator
from tests.acceptance.absent_store import (
    BODY,
    USER,
    files_elsewhere,
    from_journal,
    is_up,
    prepared,
    put_back,
    version_served,
    whole_audit,
)
from tests.harness import Deployment, Refused, deployed, eventually, saved

CHAT = "/a/support/v1/chat/completions"


def a_directory(database: Path) -> None:
    database.mkdir()


def no_database(database: Path) -> None:
    database.write_bytes(b"this is no database at all" * 400)


def an_empty_file(database: Path) -> None:
    database.write_bytes(b"")


def too_new(database: Path) -> None:
    elsewhere = database.parent.with_name("elsewhere") / database.name
    shutil.copyfile(elsewhere, database)
    with closing(sqlite3.connect(database)) as plain:
        plain.execute("PRAGMA user_version = 999")


@pytest.mark.parametrize("instead", [a_directory, no_database, too_new, an_empty_file, lambda database: None])
async def test_a_start_without_a_usable_store_serves_the_last_known_good_state(
    home: Path, simulator: Simulator, instead: Callable[[Path], object]
) -> None:
    async with deployed(home, simulator=simulator) as first:
        rollout = await prepared(first.operator)
        await first.operator.post("/switches", scope={"agent": "billing"}, mode="block", why="stop")
        revision = (await first.operator.get("/status"))["revision"]
        labels = await first.operator.get("/agents/billing/labels")
    with files_elsewhere(home, instead):
        async with deployed(home, simulator=simulator) as second:
            operator = second.operator
            assert await version_served(second) == "support@2"
            assert await version_served(second, "billing", switchback_user="u1") != "refused 200"
            async with second.post("/a/billing/v1/chat/completions", BODY) as answer:
                assert answer.status == 403
            assert await operator.get("/agents/billing/labels") == labels
            status = await operator.get("/status")
            assert (status["revision"], status["store"]["up"]) == (revision, False)
            with pytest.raises(Refused) as refused:
                await operator.label("support", "prod", 1)
            assert (refused.value.status, refused.value.code) == (503, "store_unavailable")
            taken_back = await operator.post("/agents/support/rollback", label="prod", why="bad")
            assert (taken_back["version"], taken_back["journalled"]) == (1, True)
            assert await version_served(second) == "support@1"
        async with deployed(home, simulator=simulator) as third:
            assert await version_served(third) == "support@1"
            assert (await third.operator.get("/status"))["revision"] == revision + 1
            await third.operator.post(f"/agents/billing/rollouts/{rollout}/abort", why="errors")
            put_back(home)
            await eventually(lambda: is_up(third.operator))
            assert from_journal(await whole_audit(third.operator)) == [
                "label.rolled_back agents/support/labels/prod",
                f"rollout.aborted agents/billing/rollouts/{rollout}",
            ]
            assert await version_served(third) == "support@1"
            assert (await third.operator.get("/status"))["revision"] == revision + 2
            await third.operator.label("support", "staging", 1)


async def test_a_deleted_database_is_not_taken_for_a_fresh_start(home: Path, simulator: Simulator) -> None:
    async with deployed(home, simulator=simulator) as first:
        await prepared(first.operator)
    lines: list[bytes] = []
    with files_elsewhere(home):
        async with deployed(home, simulator=simulator, log=lines.append) as second:
            with pytest.raises(Refused) as refused:
                await second.operator.post("/agents", agent="another")
            assert "the database is missing" in refused.value.problem["detail"]
            assert "last-known-good.json" in refused.value.problem["detail"]
            assert not (home / "switchback.db").exists()
            assert any(b'"store_away"' in line and b"missing" in line for line in lines)
            assert second.server.store_problem is not None
    for name in ("last-known-good.json", "journal", "switchback.db-identity"):
        assert name in refused.value.problem["detail"]
        (home / name).unlink()
    with files_elsewhere(home):
        async with deployed(home, simulator=simulator) as anew:
            status = await anew.operator.get("/status")
            assert (status["revision"], status["store"]["up"]) == (0, True)


async def test_an_older_copy_of_the_database_is_not_taken_up_silently(home: Path, simulator: Simulator) -> None:
    async with deployed(home, simulator=simulator) as first:
        await first.operator.agent("support", "one", "two")
    shutil.copyfile(home / "switchback.db", home / "backup")
    async with deployed(home, simulator=simulator) as second:
        await second.operator.post("/switches", scope={}, mode="block", why="stop")
    with files_elsewhere(home, lambda database: shutil.copyfile(home / "backup", database)):
        async with deployed(home, simulator=simulator) as third:
            assert "the database is older" in (await third.operator.get("/status"))["store"]["problem"]
            assert await version_served(third) == "support@1"
            async with third.post(CHAT, BODY) as answer:
                assert answer.status == 403


async def test_without_a_last_known_good_state_calls_are_refused_as_not_ready_until_the_store_opens(
    home: Path, simulator: Simulator
) -> None:
    (home / "switchback.db").mkdir(parents=True)
    async with deployed(home, simulator=simulator) as deployment:
        app = deployment.openai()
        with pytest.raises(openai.InternalServerError) as caught:
            await app.chat.completions.create(model="x", messages=USER)
        assert (caught.value.status_code, caught.value.code) == (503, "not_ready")
        assert int(caught.value.response.headers["retry-after"]) > 0
        async with deployment.session.get(f"{deployment.server.admin_url}/readyz") as ready:
            content = await ready.json()
            assert (ready.status, content["reasons"]) == (503, ["not_ready", "store_away"])
        with pytest.raises(Refused) as refused:
            await deployment.operator.post("/switches", scope={}, mode="block", why="stop")
        assert refused.value.code == "store_unavailable"
        (home / "switchback.db").rmdir()
        await eventually(lambda: is_up(deployment.operator))
        await deployment.operator.agent("support", "one")
        assert await version_served(deployment) == "support@1"


async def test_a_damaged_last_known_good_file_is_told_and_replaced(home: Path, simulator: Simulator) -> None:
    async with deployed(home, simulator=simulator) as first:
        await first.operator.agent("support", "one")
        await saved(first.operator)
    kept = home / "last-known-good.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    kept.write_bytes(kept.read_bytes().replace(b"support", b"suppart"))
    with files_elsewhere(home, a_directory):
        async with deployed(home, simulator=simulator) as second:
            assert "checksum" in (await second.operator.get("/status"))["last_known_good"]["problem"]
            assert await version_served(second) == "refused 503"
    async with deployed(home, simulator=simulator) as third:
        await saved(third.operator)
        assert await version_served(third) == "support@1"


def truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


def changed(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b"support", b"suppart"))


def newer(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b'"format":1', b'"format":7', 1))


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def another_users(file: Path) -> None:
    os.chown(file, 4321, 4321)


def a_link(file: Path) -> None:
    file.rename(file.with_name("real"))
    file.symlink_to(file.with_name("real"))


def without_tables(database: Path) -> None:
    with closing(sqlite3.connect(database)) as plain:
        plain.execute("PRAGMA user_version = 0")
        plain.execute("VACUUM")


@pytest.mark.parametrize("fault", [truncated, changed, newer, emptied, another_users, a_link])
@pytest.mark.parametrize("instead", [lambda database: None, an_empty_file, without_tables])
async def test_a_last_known_good_file_that_cannot_be_read_is_evidence_of_an_earlier_life(
    home: Path, simulator: Simulator, fault: Callable[[Path], None], instead: Callable[[Path], None]
) -> None:
    if fault is another_users and os.geteuid() != 0:
        pytest.skip("only root gives files away")
    async with deployed(home, simulator=simulator) as first:
        await first.operator.agent("support", "one")
        await saved(first.operator)
    fault(home / "last-known-good.json")
    (home / "switchback.db-identity").unlink()
    with files_elsewhere(home, instead):
        async with deployed(home, simulator=simulator) as second:
            assert await version_served(second) == "refused 503"
            problem = (await second.operator.get("/status"))["store"]["problem"]
            assert re.search("the database is (missing or )?empty", problem)
            assert "last-known-good.json" in problem
    async with deployed(home, simulator=simulator) as third:
        assert await version_served(third) == "support@1"
        await saved(third.operator)
        assert (home / "last-known-good.json.unreadable").exists()


async def test_a_journal_that_cannot_be_read_keeps_traffic_from_passing_without_its_switches(
    home: Path, simulator: Simulator
) -> None:
    async with deployed(home, simulator=simulator) as first:
        await first.operator.agent("support", "one")
        await saved(first.operator)
    (home / "journal").rename(home / "kept")
    (home / "journal").write_bytes(b"garbage" * 100)
    async with deployed(home, simulator=simulator) as second:
        assert await version_served(second) == "refused 503"
        assert "move it away and start" in (await second.operator.get("/status"))["store"]["problem"]
        (home / "kept").replace(home / "journal")
        await eventually(lambda: is_up(second.operator))
        assert await version_served(second) == "support@1"


async def test_a_journal_alone_tells_of_an_earlier_life(home: Path, simulator: Simulator) -> None:
    async with deployed(home, simulator=simulator) as first:
        await first.operator.agent("support", "one")
        await saved(first.operator)
        (home / "switchback.db").rename(home / "away")
        await first.operator.post("/switches", scope={"agent": "support"}, mode="block", why="stop")
    for name in ("last-known-good.json", "switchback.db-identity"):
        (home / name).unlink()
    async with deployed(home, simulator=simulator) as second:
        assert await version_served(second) == "refused 503"
        assert "journal" in (await second.operator.get("/status"))["store"]["problem"]


async def test_a_second_process_on_the_same_home_is_refused_even_where_it_could_serve_from_memory(
    deployment: Deployment, tmp_path: Path
) -> None:
    await deployment.operator.agent("support", "one")
    await saved(deployment.operator)
    with pytest.raises(Unavailable) as refused:
        async with deployed(tmp_path / "home", simulator=deployment.simulator):
            pass
    assert refused.value.code == "store_in_use"
    assert await version_served(deployment) == "support@1"

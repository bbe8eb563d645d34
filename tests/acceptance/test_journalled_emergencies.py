"""What was done in an emergency outlives crashes, and the store takes it over once or says why not."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from proxy.core.proof.audit import AuditDraft
from proxy.core.releasing.releases import Release, release_document, whole
from proxy.simulator.app import Simulator
from proxy.store.sqlite import SqliteStore
from tests.acceptance.absent_store import (
    BODY,
    files_elsewhere,
    from_journal,
    is_up,
    moved_away,
    prepared,
    put_back,
    version_served,
    whole_audit,
)
from tests.harness import PATIENCE_SECONDS, Deployment, Operator, deployed, eventually


async def test_an_action_that_no_longer_applies_is_recorded_as_not_applied(home: Path, simulator: Simulator) -> None:
    async with deployed(home, simulator=simulator) as first:
        await prepared(first.operator)
    with files_elsewhere(home):
        async with deployed(home, simulator=simulator) as second:
            await second.operator.post("/agents/support/rollback", label="prod", undoes=2, why="bad")
    store = SqliteStore(home / "switchback.db")
    await store.open()
    async with store.change() as change:
        row = Release(
            agent="support", number=3, kind="label_moved", label="prod", arms=whole(3), salt=None, rollout=None,
            who="somebody", approved_by=None, why="", created_at_microseconds=1,
        )  # fmt: skip
        await change.append_release(row)
        await change.append_audit(
            AuditDraft(
                who="somebody",
                what="label.moved",
                subject="x",
                why="",
                at_microseconds=1,
                after=release_document(row),
            )
        )
    await store.close()
    async with deployed(home, simulator=simulator) as third:
        assert await version_served(third) == "support@3"
        entry = (await whole_audit(third.operator))[-1]
        assert (entry["what"], entry["who"], entry["why"]) == ("journal.not_applied", "admin", "bad")
        assert entry["after"]["reason"] == "release 2 is no longer in force; nothing was moved"
        assert (await third.operator.get("/status"))["journal"]["entries"] == 0


async def test_a_crash_between_the_stores_commit_and_the_journals_end_doubles_nothing(
    home: Path, simulator: Simulator
) -> None:
    async with deployed(home, simulator=simulator) as first:
        await prepared(first.operator)
    with files_elsewhere(home):
        async with deployed(home, simulator=simulator) as second:
            await second.operator.post("/switches", scope={}, mode="observe", why="look")
            await second.operator.post("/agents/support/rollback", label="prod", why="bad")
    journal = (home / "journal").read_bytes()
    for _ in range(2):
        async with deployed(home, simulator=simulator) as third:
            assert len(from_journal(await whole_audit(third.operator))) == 2
            assert len((await third.operator.get("/switches"))["items"]) == 1
            assert await version_served(third) == "support@1"
        assert (home / "journal").read_bytes().strip() == b""
        (home / "journal").write_bytes(journal)


@asynccontextmanager
async def served_by_a_process(
    home: Path, simulator: Simulator
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A server in a process of its own, and its admin URL."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "SWITCHBACK_HOME": str(home),
        "SWITCHBACK_LISTEN": "127.0.0.1:0",
        "SWITCHBACK_ADMIN__LISTEN": "127.0.0.1:0",
        "SWITCHBACK_PROVIDERS__OPENAI__BASE_URL": simulator.url,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "proxy", "serve", env=environment,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        said = (await asyncio.wait_for(process.stderr.readline(), PATIENCE_SECONDS)).decode()
        yield process, said.split("admin on ")[1].split(",")[0]
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_an_emergency_survives_kill_9_with_the_store_still_away(home: Path, simulator: Simulator) -> None:
    async with deployed(home, simulator=simulator) as first:
        await prepared(first.operator)
        token = first.server.admin_token_path.read_text().strip()
    with files_elsewhere(home):
        async with (
            served_by_a_process(home, simulator) as (process, admin_url),
            aiohttp.ClientSession() as session,
        ):
            operator = Operator(admin_url, token, session)
            await operator.post("/agents/support/rollback", label="prod", why="bad")
            switch = await operator.post("/switches", scope={"agent": "billing"}, mode="block", why="stop")
            process.send_signal(signal.SIGKILL)
            await process.wait()
        async with deployed(home, simulator=simulator) as second:
            assert await version_served(second) == "support@1"
            async with second.post("/a/billing/v1/chat/completions", BODY) as answer:
                assert answer.status == 403
            put_back(home)
            await eventually(lambda: is_up(second.operator))
            assert from_journal(await whole_audit(second.operator)) == [
                "label.rolled_back agents/support/labels/prod",
                f"switch.on switches/{switch['id']}",
            ]


async def test_a_journal_that_cannot_be_written_is_told_in_the_answer(deployment: Deployment, tmp_path: Path) -> None:
    operator, home = deployment.operator, tmp_path / "home"
    await prepared(operator)
    async with moved_away(deployment, home):
        (home / "journal").unlink()
        (home / "journal").mkdir()
        switch = await operator.post("/switches", scope={"agent": "billing"}, mode="block", why="stop")
        assert switch["journalled"] is False
        assert "restart would undo it" in switch["warning"]
        async with deployment.post("/a/billing/v1/chat/completions", BODY) as answer:
            assert answer.status == 403
        (home / "journal").rmdir()

        async def is_written() -> bool:
            return (await operator.get("/status"))["journal"]["written"] == 1

        await eventually(is_written)
    await eventually(lambda: is_up(operator))
    assert from_journal(await whole_audit(operator)) == [f"switch.on switches/{switch['id']}"]

"""Traffic and emergencies while the store is locked, full, deleted, damaged or too new: served, stopped, taken back, remembered."""

import asyncio
import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest

from proxy.core.audit import AuditDraft
from proxy.core.audit_proof import verify_entries
from proxy.core.documents import release_document
from proxy.core.errors import Unavailable
from proxy.core.releases import Release, whole
from proxy.simulator.app import Simulator
from proxy.store.sqlite import SqliteStore
from tests.harness import DATABASE_FILES, PATIENCE_SECONDS, Deployment, Operator, Refused, deployed, eventually, saved

USER = [{"role": "user", "content": "hi"}]
CHAT = "/a/support/v1/chat/completions"
BODY = {"model": "x", "messages": USER}
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


@asynccontextmanager
async def moved_away(deployment: Deployment, home: Path) -> AsyncIterator[None]:
    (home / "switchback.db").rename(home / "away")
    yield
    (home / "away").rename(home / "switchback.db")


async def on_writer(deployment: Deployment, statement: str) -> None:
    connections = deployment.server._store._database._connections
    await connections.writer.run(lambda plain: plain.execute(statement).fetchall())


TROUBLES = [locked, full, moved_away]


@contextmanager
def files_elsewhere(home: Path, instead: Callable[[Path], object] = lambda database: None) -> Iterator[None]:
    """The database's files are gone while this holds; `instead` may put something in their place."""
    elsewhere = home.with_name("elsewhere")
    elsewhere.mkdir(exist_ok=True)
    for name in DATABASE_FILES:
        if (home / name).exists():
            (home / name).rename(elsewhere / name)
    instead(home / "switchback.db")
    yield
    put_back(home)


def put_back(home: Path) -> None:
    database = home / "switchback.db"
    if database.is_dir():
        database.rmdir()
    for name in DATABASE_FILES:
        (home / name).unlink(missing_ok=True)
        if (home.with_name("elsewhere") / name).exists():
            (home.with_name("elsewhere") / name).rename(home / name)


async def prepared(operator: Operator) -> str:
    """`support` with prod on 2, moved there from 1; `billing` with a rollout; both saved as last known good."""
    await operator.agent("support", "one", "two", "three")
    await operator.label("support", "prod", 2)
    await operator.agent("billing", "one", "two")
    rollout = await operator.post("/agents/billing/rollouts", label="prod", candidate=2, percentage=50, why="try")
    await saved(operator)
    return rollout["id"]


async def version_served(deployment: Deployment, agent: str = "support", **headers: str) -> str:
    async with deployment.post(f"/a/{agent}/v1/chat/completions", BODY, **headers) as answer:
        return answer.headers.get("switchback-version", f"refused {answer.status}")


async def is_up(operator: Operator) -> bool:
    return (await operator.get("/status"))["store"]["up"]


async def whole_audit(operator: Operator) -> list[dict[str, Any]]:
    """The whole log, oldest first, proven by the published rule; the rows it speaks about are proven with it."""
    entries = (await operator.get("/audit?limit=500"))["items"][::-1]
    proof = verify_entries(entries)
    assert proof.ok, proof.reason
    verdict = await operator.get("/audit/verify")
    assert verdict["ok"], verdict
    return entries


def from_journal(entries: list[dict[str, Any]]) -> list[str]:
    return [
        f"{entry['what']} {entry['subject']}"
        for entry in entries
        if any(item["kind"] == "journal" for item in entry["evidence"])
    ]


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
        assert (taken_back["changed"], taken_back["version"], taken_back["journalled"]) == (True, 1, True)
        assert await version_served(deployment) == "support@1"
        again = await operator.post("/agents/support/rollback", label="prod", undoes=2, why="me too")
        assert (again["changed"], "journalled" in again) == (False, False)

        ended = await operator.post(f"/agents/billing/rollouts/{rollout}/abort", why="errors" + LONG)
        assert (ended["state"], ended["journalled"]) == ("aborted", True)
        assert {await version_served(deployment, "billing", switchback_user=f"u{n}") for n in range(8)} == {"billing@1"}

        switch = await operator.post("/switches", scope={"agent": "billing"}, mode="block", why="stop")
        assert switch["journalled"] is True
        async with deployment.post("/a/billing/v1/chat/completions", BODY) as answer:
            assert (answer.status, "stop" in await answer.text()) == (403, True)

        status = await operator.get("/status")
        assert (status["store"]["up"], bool(status["store"]["problem"])) == (False, True)
        assert status["journal"]["entries"] == status["journal"]["written"] == 3
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
            async with asyncio.timeout(5):
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
    (home / "last-known-good.json").unlink()
    with files_elsewhere(home):
        async with deployed(home, simulator=simulator) as anew:
            assert (await anew.operator.get("/status"))["revision"] == 0


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
            assert (answer["version"], answer["journalled"]) == (number, True)
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
        assert (await operator.post("/agents/support/rollback", to=4))["journalled"] is True
        assert (await operator.post("/agents/support/rollback", undoes=7))["version"] == 3
        assert await version_served(deployment) == "support@3"
    await eventually(lambda: is_up(operator))
    assert [row["version"] for row in (await operator.get("/agents/support/releases"))["items"][:3]] == [3, 4, 6]
    assert from_journal(await whole_audit(operator)) == ["label.rolled_back agents/support/labels/prod"] * 2


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


async def test_a_fallback_switch_goes_to_a_version_in_memory_or_nowhere(deployment: Deployment, tmp_path: Path) -> None:
    operator = deployment.operator
    await prepared(operator)
    async with moved_away(deployment, tmp_path / "home"):
        scope = {"agent": "support", "version": 2}
        with pytest.raises(Refused) as refused:
            await operator.post("/switches", scope=scope, mode="fallback", fallback_version=3, why="")
        assert "possible are 1, 2" in refused.value.problem["detail"]
        await operator.post("/switches", scope=scope, mode="fallback", fallback_version=1, why="")
        assert await version_served(deployment) == "support@1"
    await eventually(lambda: is_up(operator))
    assert await version_served(deployment) == "support@1"


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

"""Databases of every earlier schema: copied, brought to the newest, whole, proved and served from; also after kills on the way."""

import asyncio
import os
import random
import shutil
import signal
import sqlite3
import stat
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import count as counting
from pathlib import Path
from typing import Any

import pytest

from proxy.core.errors import Unavailable
from proxy.simulator.app import Simulator
from proxy.store.sqlite import SqliteStore
from proxy.store.sqlite.opening.migrate import migrations, schema_version
from proxy.store.sqlite.restoring import check
from tests.harness import MODEL, Refused, deployed, eventually, saved
from tests.store.schemas.old import fixtures, unpack

#: At any time; twenty more are at what touches a file.
KILLS = 80
NEWEST = max(migrations())
#: What Python says that it is about to do to a file (audit events).
TOUCHING = frozenset({"open", "os.link", "os.listdir", "os.remove", "os.rename", "sqlite3.connect"})
BODY = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}


def one_more() -> dict[int, str]:
    """The migrations of a release to come, whose last one takes its time and writes to what is there."""
    return {
        **migrations(),
        NEWEST + 1: """
            ALTER TABLE run_records ADD COLUMN of_tomorrow INTEGER;
            UPDATE run_records SET of_tomorrow = number;
            CREATE INDEX runs_of_tomorrow ON run_records (of_tomorrow);
        """,
    }


TOKEN_COLUMNS = "id, name, role, sha256, created_by, created_at_microseconds, revoked_by, revoked_at_microseconds"


def facts(database: Path) -> dict[str, Any]:
    """What no migration changes: the tables of records, and what is summed up of the others."""
    with closing(sqlite3.connect(database)) as plain:
        kept = {
            table: plain.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()
            for table in ("audit", "components", "labels", "proposals", "outcomes")
        }
        # Columns that came later are empty in rows of before.
        kept["tokens"] = plain.execute(f"SELECT {TOKEN_COLUMNS} FROM tokens ORDER BY 1").fetchall()
        kept["runs"] = plain.execute(
            "SELECT id, agent, version, status, cost_nanodollars FROM runs ORDER BY id"
        ).fetchall()
        kept["holds"] = plain.execute("SELECT cap, part, COUNT(*), SUM(spent) FROM holds GROUP BY 1, 2").fetchall()
        kept["installation"] = plain.execute("SELECT installation, revision FROM meta").fetchall()
        return kept


def copies(database: Path) -> list[Path]:
    return sorted(database.parent.glob(f"{database.name}.schema-*"))


def put_back(copy: Path, database: Path) -> None:
    """As `store restore` does: what told of the database before is set aside."""
    database.with_name(f"{database.name}-identity").unlink(missing_ok=True)
    shutil.copyfile(copy, database)


def version_in(database: Path) -> int:
    with closing(sqlite3.connect(database)) as plain:
        assert plain.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return schema_version(plain)


async def opened(database: Path, known: dict[int, str] | None = None) -> None:
    store = SqliteStore(database, known_migrations=known, busy_timeout_seconds=0.5)
    await store.open()
    await store.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def before(database: Path) -> dict[str, Any]:
    unpack(1, database)
    return facts(database)


def definitions(database: Path) -> Iterator[tuple[str, ...]]:
    with closing(sqlite3.connect(database)) as plain:
        for name, table, text in plain.execute("SELECT name, tbl_name, sql FROM sqlite_master ORDER BY name"):
            columns = plain.execute("SELECT name, type FROM pragma_table_xinfo(?) ORDER BY name", (name,)).fetchall()
            yield (name, table, str(columns) if columns else text)


def test_there_is_one_of_every_schema_that_is_not_the_newest():
    assert set(fixtures()) >= set(range(1, NEWEST))


@pytest.mark.parametrize("schema", fixtures())
async def test_an_old_database_gets_the_schema_that_a_new_one_has_and_keeps_what_it_held(
    database: Path, tmp_path: Path, schema: int
) -> None:
    unpack(schema, database)
    before = facts(database)
    await opened(database)
    await opened(tmp_path / "new.db")
    assert list(definitions(database)) == list(definitions(tmp_path / "new.db"))
    assert facts(database) == before
    assert version_in(database) == NEWEST


@pytest.mark.parametrize("schema", fixtures())
def test_an_old_database_that_nobody_opened_since_is_sound_to_a_check(database: Path, schema: int) -> None:
    unpack(schema, database)
    checked = check(database)
    assert checked.is_sound, (checked.findings, checked.proof)
    assert version_in(database) == schema


@pytest.mark.parametrize("schema", fixtures())
async def test_an_old_database_is_verified_and_served_from(tmp_path: Path, schema: int) -> None:
    home = tmp_path / "home"
    home.mkdir()
    unpack(schema, home / "switchback.db")
    async with deployed(home) as deployment:
        operator = deployment.operator
        verdict = await operator.get("/audit/verify")
        assert verdict["ok"], verdict
        async with deployment.post("/a/support/v1/chat/completions", BODY, switchback_user="user-2") as answer:
            assert (answer.status, answer.headers["switchback-version"]) == (200, "support@1")
        assert len(await operator.runs(1, "agent=support&user=user-2")) > 50
        spent = {item["id"]: item["spent"] for item in (await operator.get("/caps"))["items"]}
        assert sum(amount > 0 for amount in spent.values()) >= 2
        taken_back = await operator.post("/agents/billing/rollback", label="prod", why="a test")
        assert taken_back["changed"]
        assert (await operator.get("/audit/verify"))["ok"]


async def test_a_copy_of_it_is_kept_that_the_release_before_opens(database: Path, before: dict[str, Any]) -> None:
    await opened(database, one_more())
    (copy,) = copies(database)
    assert copy.name.startswith("switchback.db.schema-1.2")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert (facts(copy), version_in(copy)) == (before, 1)
    shutil.copyfile(copy, database.with_name("again.db"))
    await opened(database.with_name("again.db"), {1: migrations()[1]})
    await opened(database, one_more())
    assert copies(database) == [copy]


async def test_the_copy_holds_what_was_only_in_the_log(database: Path, before: dict[str, Any]) -> None:
    with closing(sqlite3.connect(database)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("UPDATE meta SET revision = 999")
        other.commit()
        # Another program keeps reading, so that the log cannot be moved into the database.
        other.execute("BEGIN")
        other.execute("SELECT * FROM meta").fetchall()
        await opened(database, one_more())
    (copy,) = copies(database)
    assert facts(copy) == {**before, "installation": [(before["installation"][0][0], 999)]}


async def test_a_copy_is_never_overwritten_and_made_again_only_of_another_content(database: Path) -> None:
    unpack(1, database)
    await opened(database, one_more())
    (first,) = copies(database)
    content = first.read_bytes()
    for changed, count in ((False, 1), (True, 2)):
        put_back(first, database)
        if changed:
            with closing(sqlite3.connect(database)) as plain, plain:
                plain.execute("UPDATE meta SET revision = revision + 1")
        await opened(database, one_more())
        assert len(copies(database)) == count
    assert first.read_bytes() == content


async def test_an_empty_and_an_up_to_date_database_are_not_copied(database: Path) -> None:
    await opened(database)
    await opened(database)
    assert copies(database) == []


async def test_without_room_for_a_copy_the_old_schema_stays_and_it_is_said(
    database: Path, before: dict[str, Any]
) -> None:
    (database.parent / "switchback.db.schema-1.part").mkdir()
    store = SqliteStore(database, known_migrations=one_more())
    with pytest.raises(Unavailable) as refused:
        await store.open()
    assert refused.value.code == "store_unavailable"
    assert "copy of it" in refused.value.message
    assert (facts(database), version_in(database)) == (before, 1)


async def test_an_interrupted_start_copies_nothing_afterwards(database: Path, before: dict[str, Any]) -> None:
    opening = asyncio.ensure_future(opened(database, one_more()))
    await eventually(lambda: bool(copies(database)) or opening.done())
    opening.cancel()
    await asyncio.wait([opening])
    left = copies(database)
    assert not any(copy.name.endswith(".part") for copy in left)
    await opened(database, one_more())
    assert (facts(database), version_in(database)) == (before, NEWEST + 1)
    assert len(copies(database)) == max(1, len(left))


def open_in_a_child(database: Path, after_seconds: float | None) -> float:
    """Open the database in a process of its own, which the kernel ends once it has worked so long, or not at all; how long it
    worked. In seconds of its processor time: the moments are spread over the work alike, however busy the machine is."""
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            if after_seconds is not None:
                # Nothing handles its signal, so that it ends the process as SIGKILL would, in the middle of anything.
                signal.signal(signal.SIGPROF, signal.SIG_DFL)
                signal.setitimer(signal.ITIMER_PROF, after_seconds)
            asyncio.run(opened(database, one_more()))
            os._exit(0)
        os._exit(1)
    _, ended, used = os.wait4(child, 0)
    assert os.waitstatus_to_exitcode(ended) in ((0,) if after_seconds is None else (0, -signal.SIGPROF))
    return used.ru_utime + used.ru_stime


def open_until_a_moment(database: Path, last: int | None) -> int:
    """Open the database in a process of its own, which is killed as it touches a file beside it for the `last` time, before that is
    done, or never; how often it did touch one."""
    told, tells = os.pipe()
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            touched = counting(1)

            def touch(event: str, details: tuple[object, ...]) -> None:
                if event in TOUCHING and any(str(database) in str(detail) for detail in details):
                    number = next(touched)
                    if number == last:
                        os.kill(os.getpid(), signal.SIGKILL)
                    os.write(tells, b".")

            sys.addaudithook(touch)
            asyncio.run(opened(database, one_more()))
            os._exit(0)
        os._exit(1)
    os.close(tells)
    with os.fdopen(told, "rb") as pipe:
        touches = len(pipe.read())
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == (0 if last is None else -signal.SIGKILL)
    return touches


def whole_after_a_kill(database: Path, before: dict[str, Any]) -> str:
    """What is there: never less than before the start that was killed."""
    named = [copy for copy in copies(database) if ".part" not in copy.name]
    schema = version_in(database)
    assert facts(database) == before
    # Each migration is whole or not begun; a start after a kill between two of them copies what it finds, too.
    assert all(version_in(copy) <= NEWEST and facts(copy) == before for copy in named)
    assert len({version_in(copy) for copy in named}) == len(named)
    assert schema == 1 or (schema <= NEWEST + 1 and 1 in map(version_in, named))
    return f"schema {schema}, {len(named)} copy"


def test_a_kill_before_any_touch_of_a_file_leaves_the_old_schema_or_the_new_one_and_one_whole_copy(
    database: Path, before: dict[str, Any]
) -> None:
    shutil.copyfile(database, database.with_name("unpacked"))
    touches, seen = open_until_a_moment(database, None), Counter[str]()
    for last in range(1, touches + 1):
        for file in (*copies(database), *database.parent.glob(f"{database.name}-*")):
            file.unlink()
        shutil.copyfile(database.with_name("unpacked"), database)
        assert open_until_a_moment(database, last) == last - 1
        seen[whole_after_a_kill(database, before)] += 1
        open_in_a_child(database, None)
        assert (version_in(database), facts(database)) == (NEWEST + 1, before)
    assert {"schema 1, 0 copy", "schema 1, 1 copy", f"schema {NEWEST + 1}, 1 copy"} <= seen.keys(), seen


@pytest.mark.timeout(600)
def test_kills_at_any_time_leave_the_old_schema_or_the_new_one_and_one_whole_copy(
    database: Path, before: dict[str, Any]
) -> None:
    chance = random.Random(7)  # the moments differ anyway, with the machine's pace
    shutil.copyfile(database, database.with_name("unpacked"))
    whole = open_in_a_child(database, None)
    kills = 0
    while kills < KILLS:
        if version_in(database) > 1:
            for file in (database, *copies(database)):
                file.unlink()
            put_back(database.with_name("unpacked"), database)
        for _ in range(chance.choice((1, 2, 3))):
            open_in_a_child(database, chance.uniform(0.001, whole))
            kills += 1
        whole_after_a_kill(database, before)
    open_in_a_child(database, None)
    assert (version_in(database), facts(database)) == (NEWEST + 1, before)


async def test_the_release_before_refuses_the_newer_schema_by_its_number_and_serves_what_it_knows(
    home: Path, simulator: Simulator
) -> None:
    async with deployed(home, simulator=simulator) as first:
        await first.operator.agent("support", "one", "two")
        await saved(first.operator)
    await opened(home / "switchback.db", one_more())
    async with deployed(home, simulator=simulator) as second:
        async with second.post("/a/support/v1/chat/completions", BODY) as answer:
            assert answer.headers["switchback-version"] == "support@1"
        with pytest.raises(Refused) as refused:
            await second.operator.label("support", "prod", 2)
        assert f"the database has schema {NEWEST + 1}" in refused.value.problem["detail"]
        assert (await second.operator.post("/switches", scope={}, mode="block", why="stop"))["journalled"]
    assert version_in(home / "switchback.db") == NEWEST + 1

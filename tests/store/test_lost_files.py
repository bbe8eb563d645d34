"""Files of the database that are moved, replaced, overwritten, cut or deleted while it is open: nothing acknowledged is lost.

Each fault is followed to its end: the right file comes back, or the process stops and starts, or it dies.
"""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import asdict
from pathlib import Path

import pytest

from proxy.core.calls.run_filter import RunFilter
from proxy.core.errors import Unavailable
from proxy.core.proof.audit_proof import verify_entries
from proxy.store.sqlite import SqliteStore
from proxy.store.sqlite.opening.identity_file import IdentityFile
from proxy.store.sqlite.opening.presence import FileFacts, Presence, Sighting, presence_of
from proxy.store.sqlite.restoring import check, check_own
from tests.store.given import NOON, an_agent, run

SEVERAL = 12


def log_of(database: Path) -> Path:
    return database.with_name(f"{database.name}-wal")


def index_of(database: Path) -> Path:
    return database.with_name(f"{database.name}-shm")


@asynccontextmanager
async def opened(database) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(database, busy_timeout_seconds=1)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def acknowledged(store: SqliteStore) -> None:
    """Agents and runs that nobody may lose."""
    for number in range(SEVERAL):
        await an_agent(store, f"agent-{number}")
        await store.record_runs([run(f"run-{number}", started_at_microseconds=NOON + number)], [])


async def nothing_is_missing(store: SqliteStore) -> None:
    assert len((await store.load_snapshot()).agents) >= SEVERAL
    assert len((await store.runs(RunFilter())).items) == SEVERAL
    entries = await store.audit_after(0, 500)
    assert len(entries) >= SEVERAL
    assert verify_entries([asdict(entry) for entry in entries]).ok


async def refused(store: SqliteStore) -> str:
    with pytest.raises(Unavailable) as caught:
        await store.ping()
    return caught.value.message


def emptied(database: Path) -> None:
    database.write_bytes(b"")


def garbage(database: Path) -> None:
    database.write_bytes(b"not a database" * 1000)


def older_copy(database: Path) -> None:
    shutil.copyfile(database.with_name("older"), database)


def of_another_installation(database: Path) -> None:
    shutil.copyfile(database.with_name("another"), database)


def opened_by_others(database: Path) -> None:
    """Somebody looks into the wrong file; SQLite then moves the log it finds beside it, and removes it by its path."""
    older_copy(database)
    look = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('SELECT COUNT(*) FROM agents').fetchone())"
    subprocess.run([sys.executable, "-c", look, str(database)], capture_output=True, check=False)


IMPOSTORS = [emptied, garbage, older_copy, of_another_installation]


async def beside(database):
    """`older` and `another`, for impostors."""
    async with opened(database) as store:
        await an_agent(store, "agent-0")
    shutil.copyfile(database, database.with_name("older"))
    async with opened(database.with_name("another")) as store:
        await an_agent(store, "foreign")
    async with opened(database) as store:
        await store.ping()


@asynccontextmanager
async def long_read(store: SqliteStore) -> AsyncIterator[None]:
    """The log cannot be moved whole: somebody reads what was there before."""
    database = store._database
    begun, done = threading.Event(), threading.Event()

    def reads(plain: sqlite3.Connection) -> None:
        plain.execute("SELECT revision FROM meta").fetchone()
        begun.set()
        done.wait(30)

    reading = asyncio.create_task(database.read_for_lists(reads))
    await asyncio.to_thread(begun.wait, 30)
    yield
    done.set()
    await reading


@asynccontextmanager
async def slow_disk(store: SqliteStore) -> AsyncIterator[None]:
    """The log is left where it is: moving it would hold up changes."""
    store._database._speed.looked(1)
    yield


@pytest.mark.parametrize("impostor", IMPOSTORS)
@pytest.mark.parametrize("looks", [0, 3])
async def test_a_file_that_was_replaced_comes_back_whole_when_it_is_put_back(
    database, impostor: Callable[[Path], None], looks: int
):
    await beside(database)
    async with opened(database) as store:
        await acknowledged_beyond(store)
        right = database.with_name("right")
        database.rename(right)
        impostor(database)
        for _ in range(looks):
            assert "replaced" in await refused(store)
        database.unlink()
        right.rename(database)
        with suppress(Unavailable):
            await store.ping()
        await store.ping()
        await nothing_is_missing(store)
    async with opened(database) as store:
        await nothing_is_missing(store)


async def test_a_file_whose_impostor_was_opened_by_others_has_lost_nothing(database):
    await beside(database)
    right = database.with_name("right")
    async with opened(database) as store:
        await acknowledged_beyond(store)
        database.rename(right)
        emptied(database)
        for _ in range(2):
            await refused(store)
        opened_by_others(database)
        for _ in range(2):
            await refused(store)
        database.unlink()
        right.rename(database)
        for _ in range(2):
            with suppress(Unavailable):
                await store.ping()
        await store.ping()
        await nothing_is_missing(store)
    async with opened(database) as store:
        await nothing_is_missing(store)


async def acknowledged_beyond(store: SqliteStore):
    for number in range(1, SEVERAL + 1):
        await an_agent(store, f"agent-{number}")
        await store.record_runs([run(f"run-{number}", started_at_microseconds=NOON + number)], [])


@pytest.mark.parametrize("impostor", IMPOSTORS)
async def test_a_file_that_is_put_back_after_a_stop_is_whole_and_the_impostor_is_refused_until_then(
    database, impostor: Callable[[Path], None]
):
    await beside(database)
    right = database.with_name("right")
    async with opened(database) as store:
        await acknowledged_beyond(store)
        database.rename(right)
        impostor(database)
        await refused(store)
    came = database.read_bytes()
    with pytest.raises(Unavailable):
        async with opened(database):
            pass
    assert database.read_bytes() == came
    database.unlink()
    right.rename(database)
    async with opened(database) as store:
        await nothing_is_missing(store)


@pytest.mark.parametrize("impostor", IMPOSTORS)
async def test_an_overwritten_file_is_not_written_and_its_log_is_not_laid_over_it(
    database, impostor: Callable[[Path], None]
):
    await beside(database)
    async with opened(database) as store:
        await acknowledged_beyond(store)
        impostor(database)
        came = database.read_bytes()
        assert "overwritten" in await refused(store)
        assert "switchback store restore FILE" in await refused(store)
        with pytest.raises(Unavailable):
            await store.load_snapshot()
    assert database.read_bytes() == came


async def test_a_deleted_file_is_kept_under_another_name_and_taken_up_when_that_is_put_in_its_place(
    database,
):
    async with opened(database) as store:
        await acknowledged(store)
        database.unlink()
        await refused(store)
        message = await refused(store)
        (kept,) = database.parent.glob("switchback.db.kept-*")
        assert kept.name in message
        assert kept.stat().st_mode & 0o777 == 0o600
        await refused(store)
        assert list(database.parent.glob("switchback.db.kept-*")) == [kept]
        kept.rename(database)
        await store.ping()
        await nothing_is_missing(store)
    async with opened(database) as store:
        await nothing_is_missing(store)


async def test_a_file_deleted_just_before_the_stop_is_kept_too(database):
    async with opened(database) as store:
        await acknowledged(store)
        database.unlink()
    (kept,) = database.parent.glob("switchback.db.kept-*")
    kept.rename(database)
    async with opened(database) as store:
        await nothing_is_missing(store)


async def test_a_whole_copy_in_the_place_of_a_moved_file_is_taken_up_and_an_older_one_is_not(database):
    async with opened(database) as store:
        await acknowledged(store)
        moved, older = database.with_name("moved"), database.with_name("older")
        shutil.copyfile(database, older)
        await store.ping()
        database.rename(moved)
        await refused(store)
        shutil.copyfile(older, database)
        assert "an older copy is in its place" in await refused(store)
        shutil.copyfile(moved, database)
        await store.ping()
        await nothing_is_missing(store)
        await an_agent(store, "afterwards")
    async with opened(database) as store:
        assert "afterwards" in (await store.load_snapshot()).agents


async def test_a_home_that_is_moved_and_moved_back_is_used_again(tmp_path):
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    async with opened(home / "switchback.db") as store:
        await acknowledged(store)
        home.rename(elsewhere)
        await refused(store)
        elsewhere.rename(home)
        await store.ping()
        await nothing_is_missing(store)
        home.rename(elsewhere)
    async with opened(elsewhere / "switchback.db") as store:
        await nothing_is_missing(store)


def deleted(file: Path) -> None:
    file.unlink()


def replaced_by_garbage(file: Path) -> None:
    file.with_name("garbage").write_bytes(b"garbage" * 2000)
    file.with_name("garbage").replace(file)


def replaced_by_a_copy(file: Path) -> None:
    shutil.copyfile(file, file.with_name("copy"))
    file.with_name("copy").replace(file)


@pytest.mark.parametrize("which", [log_of, index_of])
@pytest.mark.parametrize("fault", [deleted, replaced_by_garbage, replaced_by_a_copy])
@pytest.mark.parametrize("ends", ["by itself", "stopped", "killed"])
async def test_a_log_or_index_that_is_deleted_or_replaced_loses_nothing(
    database, which: Callable[[Path], Path], fault: Callable[[Path], None], ends: str
):
    async with opened(database) as store:
        await acknowledged(store)
        await store.record_runs([], [])
        fault(which(database))
        if ends == "by itself":
            with suppress(Unavailable):
                await store.ping()
            await store.ping()
            await an_agent(store, "afterwards")
            await nothing_is_missing(store)
        if ends == "killed":
            # What a dead process leaves: the files, and no lock.
            await refused_or_moved(store)
            copied(database, database.parent / "crashed")
    where = database.parent / "crashed" / database.name if ends == "killed" else database
    async with opened(where) as store:
        await nothing_is_missing(store)


async def refused_or_moved(store: SqliteStore) -> None:
    for _ in range(2):
        with suppress(Unavailable):
            await store.ping()


def copied(database: Path, folder: Path) -> None:
    folder.mkdir()
    for file in database.parent.glob(f"{database.name}*"):
        if file.suffix != ".lock":
            shutil.copy2(file, folder / file.name)


async def test_a_log_that_is_cut_takes_no_acknowledged_change_with_it(database):
    async with opened(database) as store:
        await acknowledged(store)
        await store.ping()
        await store.record_runs([run("lost", started_at_microseconds=NOON + 99)], [])
        with pytest.raises(Unavailable):
            os.truncate(log_of(database), 0)
            await store.ping()
        await store.ping()
        await nothing_is_missing(store)


class TestAtTheStart:
    async def test_a_backup_laid_beside_the_log_of_a_crash_is_not_merged_with_it(self, database):
        await beside(database)
        crashed = database.parent / "crashed"
        async with opened(database) as store:
            await acknowledged_beyond(store)
            await store.record_runs([run("last", started_at_microseconds=NOON + 50)], [])
            copied(database, crashed)
        restored = crashed / database.name
        assert log_of(restored).stat().st_size > 0
        shutil.copyfile(database.with_name("older"), restored)
        came, log = restored.read_bytes(), log_of(restored).read_bytes()
        with pytest.raises(Unavailable) as caught:
            async with opened(restored):
                pass
        assert caught.value.code == "store_log_foreign"
        assert "switchback store restore switchback.db --without-log" in caught.value.message
        assert (restored.read_bytes(), log_of(restored).read_bytes()) == (came, log)

    @pytest.mark.parametrize("holds_up", [long_read, slow_disk])
    async def test_an_older_copy_is_known_for_one_from_the_acknowledgement_of_a_change_on(
        self, database, holds_up: Callable[[SqliteStore], AbstractAsyncContextManager[None]]
    ):
        crashed = database.parent / "crashed"
        async with opened(database) as store:
            await an_agent(store, "agent-0")
            shutil.copyfile(database, database.with_name("older"))
            async with holds_up(store):
                await an_agent(store, "agent-1")
                copied(database, crashed)
                # The database file itself lacks the change: what it says is in the log.
                assert log_of(database).stat().st_size > 0
        lost = crashed / database.name
        log_of(lost).unlink()
        index_of(lost).unlink()
        shutil.copyfile(database.with_name("older"), lost)
        with pytest.raises(Unavailable) as caught:
            async with opened(lost):
                pass
        assert caught.value.code == "store_not_the_same"

    async def test_what_a_change_notes_beside_the_database_is_not_asked_of_it_after_the_commit(self, database):
        async with opened(database) as store, slow_disk(store):
            writer, statements = store._database._opening.writer, list[str]()
            await writer.run(lambda plain: plain.set_trace_callback(statements.append))
            await an_agent(store, "agent-0")
            await writer.run(lambda plain: plain.set_trace_callback(None))
            revision = await writer.run(lambda plain: plain.execute("SELECT revision FROM meta").fetchone()[0])
            noted = IdentityFile(database).read()
            assert noted.identity.revision == revision
        assert statements[statements.index("COMMIT") + 1 :] == ["PRAGMA synchronous = NORMAL"]

    async def test_a_revision_whose_note_failed_is_noted_when_the_log_is_moved(self, database):
        async with opened(database) as store:
            identity = database.with_name(f"{database.name}-identity")
            await an_agent(store, "agent-0")
            async with slow_disk(store):
                identity.rename(identity.with_name("away"))
                identity.mkdir()
                await an_agent(store, "agent-1")
                identity.rmdir()
                identity.with_name("away").rename(identity)
            opening = store._database._opening
            known = IdentityFile(database).read().identity
            assert opening.identity == known
            await opening.move_log()
            assert IdentityFile(database).read().identity.revision > known.revision

    async def test_a_crash_anywhere_is_not_taken_for_an_exchange(self, database):
        async with opened(database) as store:
            for number in range(SEVERAL):
                await an_agent(store, f"agent-{number}")
                await store.record_runs([run(f"run-{number}", started_at_microseconds=NOON + number)], [])
                copied(database, database.parent / f"crashed-{number}")
        for number in range(SEVERAL):
            async with opened(database.parent / f"crashed-{number}" / database.name) as store:
                assert len((await store.load_snapshot()).agents) == number + 1

    @pytest.mark.parametrize("instead", [None, emptied, older_copy, of_another_installation])
    async def test_what_is_not_the_database_of_this_home_is_refused_and_left_alone(
        self, database, instead: Callable[[Path], None] | None
    ):
        await beside(database)
        database.unlink()
        if instead is not None:
            instead(database)
        came = database.read_bytes() if database.exists() else None
        with pytest.raises(Unavailable) as caught:
            async with opened(database):
                pass
        assert caught.value.code == "store_not_the_same"
        assert (database.read_bytes() if database.exists() else None) == came

    async def test_an_identity_that_cannot_be_read_is_evidence_and_not_nothing(self, database):
        async with opened(database) as store:
            await acknowledged(store)
        database.with_name("switchback.db-identity").write_bytes(b"{}" * 600)
        with pytest.raises(Unavailable) as caught:
            async with opened(database):
                pass
        assert caught.value.code == "store_identity_unusable"
        database.with_name("switchback.db-identity").rename(database.with_name("aside"))
        async with opened(database) as store:
            await nothing_is_missing(store)


class TestOneOwner:
    async def test_another_home_that_links_to_the_file_is_refused(self, database, tmp_path):
        other = tmp_path / "other"
        other.mkdir()
        async with opened(database) as store:
            await acknowledged(store)
            (other / "switchback.db").symlink_to(database)
            with pytest.raises(Unavailable) as caught:
                async with opened(other / "switchback.db"):
                    pass
            assert caught.value.code == "store_in_use"
        async with opened(other / "switchback.db") as store:
            await nothing_is_missing(store)
        async with opened(database) as store:
            await nothing_is_missing(store)

    async def test_a_database_behind_a_link_is_judged_by_the_command_as_by_the_server(self, database, tmp_path):
        home = tmp_path / "other"
        home.mkdir()
        (home / "switchback.db").symlink_to(database)
        async with opened(home / "switchback.db") as store:
            await an_agent(store, "agent-0")
            shutil.copyfile(database, database.with_name("older"))
            async with slow_disk(store):
                await an_agent(store, "agent-1")
                assert log_of(database).stat().st_size > 0
                assert check(home / "switchback.db").inspection.identity.revision == 2
        assert not check_own(home / "switchback.db").findings
        older_copy(database)
        (finding,) = check_own(home / "switchback.db").findings
        assert finding.startswith("the database is older than the home knows it: revision 1")
        with pytest.raises(Unavailable, match="the database is older"):
            async with opened(home / "switchback.db"):
                pass

    async def test_a_lock_file_that_was_replaced_does_not_make_a_second_owner(self, database):
        async with opened(database) as store:
            await acknowledged(store)
            database.with_name("switchback.db.lock").unlink()
            with pytest.raises(Unavailable) as caught:
                async with opened(database):
                    pass
            assert caught.value.code == "store_in_use"
            await store.ping()
            await nothing_is_missing(store)

    async def test_a_file_with_two_names_is_refused(self, database):
        async with opened(database) as store:
            await acknowledged(store)
        os.link(database, database.with_name("second"))
        with pytest.raises(Unavailable) as caught:
            async with opened(database):
                pass
        assert caught.value.code == "store_linked"
        database.with_name("second").unlink()
        async with opened(database) as store:
            await nothing_is_missing(store)

    async def test_a_lock_that_is_a_link_is_not_followed(self, database, tmp_path):
        victim = tmp_path / "victim"
        victim.write_text("precious")
        database.with_name("switchback.db.lock").symlink_to(victim)
        with pytest.raises(Unavailable, match="symbolic link"):
            async with opened(database):
                pass
        assert victim.read_text() == "precious"


HERE = Sighting(FileFacts(1, 10, 4096, 5), FileFacts(1, 11, 900, 5), FileFacts(1, 12, 32768, 5))


@pytest.mark.parametrize(
    ("seen", "presence"),
    [
        (HERE, Presence.HERE),
        (Sighting(HERE.database, FileFacts(1, 11, 1800, 9), FileFacts(1, 12, 65536, 9)), Presence.HERE),
        (Sighting(None, HERE.log, HERE.index), Presence.GONE),
        (Sighting(None, None, None), Presence.GONE),
        (Sighting(FileFacts(1, 20, 4096, 5), HERE.log, HERE.index), Presence.REPLACED),
        (Sighting(FileFacts(2, 10, 4096, 5), HERE.log, HERE.index), Presence.REPLACED),
        (Sighting(FileFacts(1, 10, 4096, 6), HERE.log, HERE.index), Presence.OVERWRITTEN),
        (Sighting(FileFacts(1, 10, 0, 5), None, None), Presence.OVERWRITTEN),
        (Sighting(HERE.database, None, HERE.index), Presence.LOG_LOST),
        (Sighting(HERE.database, FileFacts(1, 21, 900, 5), HERE.index), Presence.LOG_LOST),
        (Sighting(HERE.database, FileFacts(1, 11, 899, 5), HERE.index), Presence.LOG_CUT),
        (Sighting(HERE.database, HERE.log, None), Presence.INDEX_LOST),
        (Sighting(HERE.database, HERE.log, FileFacts(1, 22, 32768, 5)), Presence.INDEX_LOST),
        (Sighting(HERE.database, HERE.log, FileFacts(1, 12, 32767, 9)), Presence.INDEX_CUT),
        (Sighting(HERE.database, FileFacts(1, 11, 0, 5), FileFacts(1, 12, 0, 9)), Presence.LOG_CUT),
    ],
)
def test_what_is_seen_says_what_became_of_the_files(seen: Sighting, presence: Presence) -> None:
    assert presence_of(HERE, seen) is presence

"""What a store finds at its start: a copy beside the log of a crash, an older copy, the database of another home."""

import shutil
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from proxy.core.errors import Unavailable
from proxy.store.sqlite import SqliteStore
from proxy.store.sqlite.opening.identity_file import IdentityFile
from tests.store.given import NOON, an_agent, run
from tests.store.lost_files import (
    SEVERAL,
    acknowledged,
    acknowledged_beyond,
    beside,
    copied,
    emptied,
    index_of,
    log_of,
    long_read,
    nothing_is_missing,
    of_another_installation,
    older_copy,
    opened,
    slow_disk,
)


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

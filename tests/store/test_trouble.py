"""The store when the file is locked, full, read-only, deleted, replaced or damaged: a quick refusal, then recovery."""

import asyncio
import shutil
import sqlite3
from contextlib import closing

import pytest

from proxy.core.calls.run_filter import RunFilter
from proxy.core.errors import Unavailable
from proxy.core.proof.record_proof import begin_proof
from proxy.core.snapshot import Agent
from proxy.core.spending.caps import CounterKey
from proxy.core.spending.ledger import Hold, LedgerWrites
from proxy.store.sqlite import SqliteStore
from proxy.store.sqlite.opening.connection import roll_back
from tests.harness import PATIENCE_SECONDS
from tests.store.given import NOON, an_agent, audited, cap, draft, run


async def refused(action) -> Unavailable:
    """The refusal of something that cannot be done now; it comes soon and tells no path."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        with pytest.raises(Unavailable) as caught:
            await action
    assert caught.value.code == "store_unavailable"
    assert "/" not in caught.value.message
    return caught.value


async def a_change(store, name="another"):
    await an_agent(store, name, versions=0)


async def everything_works(store):
    """Every kind of access, as after trouble."""
    await store.ping()
    await a_change(store, "afterwards")
    await store.record_runs([run("afterwards", started_at_microseconds=NOON + 1)], [])
    assert "afterwards" in (await store.load_snapshot()).agents
    assert (await store.runs(RunFilter())).items[0].id == "afterwards"


class TestLockedByAnotherProgram:
    @pytest.fixture
    def locked(self, store, database):
        with closing(sqlite3.connect(database, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            yield other

    async def test_every_write_is_refused_soon_and_reads_go_on(self, store, locked):
        for action in (a_change(store), store.record_runs([run("r1")], []), store.recover_holds(NOON), store.ping()):
            assert "SQLITE_BUSY" in (await refused(action)).message
        assert (await store.load_snapshot()).agents == {}

    async def test_many_writes_at_once_are_refused_as_soon_as_one(self, store, locked):
        async with asyncio.timeout(PATIENCE_SECONDS):
            answers = await asyncio.gather(
                *(a_change(store, f"a{index}") for index in range(300)), return_exceptions=True
            )
        assert {type(answer).__name__ for answer in answers} <= {"DatabaseFailed", "Unavailable"}

    async def test_everything_works_when_the_lock_is_gone(self, store, locked):
        await refused(a_change(store))
        locked.execute("ROLLBACK")
        await everything_works(store)

    async def test_a_write_waits_out_a_short_lock(self, database):
        store = SqliteStore(database, busy_timeout_seconds=PATIENCE_SECONDS)
        await store.open()
        with closing(sqlite3.connect(database, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            waiting = asyncio.ensure_future(a_change(store))
            await asyncio.sleep(0)
            other.execute("ROLLBACK")
            await waiting
        await store.close()

    async def test_opening_is_refused_and_works_when_the_lock_is_gone(self, database):
        store = SqliteStore(database, busy_timeout_seconds=0.2)
        with closing(sqlite3.connect(database, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            await refused(store.open())
            other.execute("ROLLBACK")
        await store.open()
        await everything_works(store)
        await store.close()


async def on_writer(store, statement):
    """Run a statement on the store's own writing connection."""
    return await store._database._opening.writer.run(lambda plain: plain.execute(statement).fetchall())


async def test_a_full_database_refuses_and_works_again_when_there_is_room(store):
    await on_writer(store, "PRAGMA max_page_count = 1")
    runs = [run(f"run-{index}", user="x" * 500) for index in range(100)]
    assert "SQLITE_FULL" in (await refused(store.record_runs(runs, []))).message
    assert (await store.runs(RunFilter())).items == []
    await on_writer(store, "PRAGMA max_page_count = 1000000")
    await store.record_runs(runs, [])
    await everything_works(store)


async def test_a_change_that_meets_a_full_database_is_undone_whole(store):
    await on_writer(store, "PRAGMA max_page_count = 1")

    async def large_change():
        async with audited(store) as change:
            await change.insert_agent(Agent(name="support"))
            for index in range(50):
                await change.insert_agent(Agent(name=f"support-{index}", description="x" * 1_000))

    await refused(large_change())
    await on_writer(store, "PRAGMA max_page_count = 1000000")
    assert (await store.load_snapshot()).agents == {}
    await everything_works(store)


async def test_a_read_only_database_refuses_and_the_store_recovers_by_itself(store):
    await on_writer(store, "PRAGMA query_only = ON")
    assert "SQLITE_READONLY" in (await refused(a_change(store))).message
    await everything_works(store)


class TestTheFileIsGone:
    async def test_writes_are_refused_and_reads_go_on_while_it_is_away(self, store, database):
        await an_agent(store)
        database.rename(database.with_name("away"))
        for action in (a_change(store), store.record_runs([run("r1")], []), store.ping()):
            await refused(action)
        assert "support" in (await store.load_snapshot()).agents
        assert (await store.diagnostics())["kind"] == "sqlite"

    async def test_nothing_is_proved_of_a_file_that_is_gone_until_it_is_back(self, store, database):
        await an_agent(store)
        away = database.with_name("away")
        database.rename(away)
        assert "put it, or a whole copy of it, back" in (await refused(store.prove(begin_proof()))).message
        shutil.copyfile(away, database)
        assert "replaced" in (await refused(store.prove(begin_proof()))).message
        away.rename(database)
        assert (await store.prove(begin_proof())).head.number == 1

    async def test_a_file_put_back_is_used_again(self, store, database):
        await an_agent(store)
        away = database.with_name("away")
        database.rename(away)
        await refused(a_change(store))
        away.rename(database)
        await everything_works(store)
        assert "support" in (await store.load_snapshot()).agents

    async def test_a_deleted_file_is_never_made_anew_behind_our_back(self, store, database):
        await an_agent(store)
        database.unlink()
        await refused(a_change(store))
        await refused(a_change(store))
        assert not database.exists()

    async def test_a_whole_copy_put_in_its_place_is_taken_up(self, store, database):
        await an_agent(store)
        copy = database.with_name("copy")
        with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        database.unlink()
        await refused(a_change(store))
        shutil.copyfile(copy, database)
        await everything_works(store)
        assert "support" in (await store.load_snapshot()).agents

    async def test_an_older_copy_is_refused_and_left_alone(self, store, database):
        copy = database.with_name("copy")
        with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        await an_agent(store)
        copy.replace(database)
        for _ in range(3):
            await refused(a_change(store))
        with closing(sqlite3.connect(database)) as plain:
            assert plain.execute("SELECT COUNT(*) FROM agents").fetchone() == (0,)

    async def test_another_installations_file_is_refused(self, store, database, tmp_path):
        other = SqliteStore(tmp_path / "other.db")
        await other.open()
        await an_agent(other)
        await other.close()
        (tmp_path / "other.db").replace(database)
        for _ in range(3):
            await refused(a_change(store))


async def contents_after_a_crash(database, tmp_path) -> list[str]:
    """The agents that a start would find if this process died now."""
    for file in database.parent.glob(f"{database.name}*"):
        if not file.name.endswith("-shm"):
            shutil.copy(file, tmp_path / f"crashed{file.name.removeprefix(database.name)}")
    with closing(sqlite3.connect(tmp_path / "crashed")) as plain:
        return [name for (name,) in plain.execute("SELECT name FROM agents ORDER BY name")]


@pytest.mark.parametrize("how", ["deleted", "replaced"])
async def test_a_log_that_is_gone_is_noticed_and_what_it_held_is_in_the_database(store, database, tmp_path, how):
    await an_agent(store)
    log = database.with_name(f"{database.name}-wal")
    if how == "deleted":
        log.unlink()
    else:
        shutil.copyfile(log, database.with_name("beside"))
        database.with_name("beside").replace(log)
    assert "log (-wal) was deleted or replaced" in (await refused(a_change(store))).message
    await everything_works(store)
    assert await contents_after_a_crash(database, tmp_path) == ["afterwards", "support"]


async def test_a_damaged_file_is_refused_without_an_exception_of_the_driver(store, database):
    await an_agent(store, versions=40)
    await store.record_runs([run(f"run-{index}") for index in range(300)], [])
    await store.close()
    content = bytearray(database.read_bytes())
    content[4096 : len(content)] = b"\xa5" * (len(content) - 4096)
    database.write_bytes(content)
    with pytest.raises(Unavailable) as caught:
        await store.open()
    assert caught.value.code == "store_unavailable"


class TestOneOwner:
    async def test_a_second_store_on_the_same_file_is_refused(self, store, database):
        second = SqliteStore(database)
        with pytest.raises(Unavailable) as caught:
            await second.open()
        assert caught.value.code == "store_in_use"
        await everything_works(store)

    async def test_a_closed_store_leaves_the_file_to_the_next_and_does_nothing_more(self, store, database):
        await store.close()
        second = SqliteStore(database)
        await second.open()
        await refused(a_change(store))
        await refused(store.load_snapshot())
        await everything_works(second)
        await second.close()

    async def test_a_store_that_could_not_open_holds_nothing(self, database, store):
        await store.close()
        with closing(sqlite3.connect(database)) as plain:
            version = plain.execute("PRAGMA user_version").fetchone()[0]
            plain.execute("PRAGMA user_version = 999")
        with pytest.raises(Unavailable):
            await store.open()
        with closing(sqlite3.connect(database)) as plain:
            plain.execute(f"PRAGMA user_version = {version}")
        second = SqliteStore(database)
        await second.open()
        await second.close()


class TestCancelled:
    async def test_while_waiting_for_the_lock_nothing_stays_open(self, store, database):
        with closing(sqlite3.connect(database, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            waiting = asyncio.ensure_future(a_change(store))
            for _ in range(3):
                await asyncio.sleep(0)
            waiting.cancel()
            other.execute("ROLLBACK")
            with pytest.raises(asyncio.CancelledError):
                await waiting
        await everything_works(store)
        assert "another" not in (await store.load_snapshot()).agents

    async def test_twice_the_transaction_is_still_rolled_back(self, store):
        inside = asyncio.Event()

        async def stuck():
            async with store.change() as change:
                await change.insert_agent(Agent(name="support"))
                await change.append_audit(draft())
                inside.set()
                await asyncio.Event().wait()

        task = asyncio.ensure_future(stuck())
        await inside.wait()
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await everything_works(store)
        assert "support" not in (await store.load_snapshot()).agents

    async def test_batches_are_written_whole_or_not_at_all(self, store):
        async with audited(store) as change:
            await change.insert_cap(cap("c1"))
        key = CounterKey("c1", 0)
        for index in range(10):
            holds = [Hold(f"a{index}-{part}", key, "usd", 1, NOON) for part in range(10)]
            task = asyncio.ensure_future(store.write_ledger(LedgerWrites(holds)))
            for _ in range(index):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert (await store.spent(cap("c1"), 0)).get(key, 0) % 10 == 0
        await everything_works(store)


async def test_a_rollback_without_a_transaction_is_harmless(store):
    await store._database._opening.writer.run(roll_back)
    await everything_works(store)

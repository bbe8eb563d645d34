"""The schema's way from one release to the next: all of a migration or nothing of it, and never backwards."""

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

import proxy.store
from proxy.core.errors import Unavailable
from proxy.store.sqlite import SqliteStore
from proxy.store.sqlite.opening.migrate import migrate, migrations, schema_version
from tests.store.given import an_agent

#: PostgreSQL's reserved words, appendix C of its manual; SQLite takes most of them as names.
RESERVED = """
    all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation column
    concurrently constraint create cross current_catalog current_date current_role current_schema current_time current_timestamp
    current_user default deferrable desc distinct do else end except false fetch for foreign freeze from full grant group having
    ilike in initially inner intersect into is isnull join lateral leading left like limit localtime localtimestamp natural not
    notnull null offset on only or order outer overlaps placing primary references returning right select session_user similar
    some symmetric system_user table tablesample then to trailing true union unique user using variadic verbose when where window
    with
"""


def plain_connection(database):
    return closing(sqlite3.connect(database, isolation_level=None))


async def refusal_at_open(database) -> Unavailable:
    store = SqliteStore(database, busy_timeout_seconds=0.3)
    with pytest.raises(Unavailable) as refused:
        await store.open()
    return refused.value


def test_are_numbered_from_one_without_gaps():
    assert list(migrations()) == list(range(1, len(migrations()) + 1))


def test_bring_a_new_file_to_the_newest_schema_and_do_nothing_twice(database):
    with plain_connection(database) as plain:
        newest = max(migrations())
        assert (migrate(plain, migrations()), migrate(plain, migrations()), schema_version(plain)) == (
            newest,
            newest,
            newest,
        )


def test_make_strict_tables_only(database):
    with plain_connection(database) as plain:
        migrate(plain, migrations())
        tables = plain.execute("SELECT name, strict FROM pragma_table_list WHERE schema = 'main' AND type = 'table'")
        assert {name for name, strict in tables if not strict} == {"sqlite_schema"}


def test_make_no_table_and_no_column_with_a_name_that_another_engine_reserves(database):
    with plain_connection(database) as plain:
        migrate(plain, migrations())
        tables = [name for (name,) in plain.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")]
        columns = {
            column for table in tables for (column,) in plain.execute("SELECT name FROM pragma_table_info(?)", (table,))
        }
    assert {"user_id", "window_kind"} <= columns
    assert set(RESERVED.split()).isdisjoint({*tables, *columns})


@pytest.mark.parametrize("statement", range(1, 60, 7))
def test_stopped_half_way_leave_the_old_schema_and_work_the_next_time(database, statement):
    """Stopped at the n-th statement, as by a full disk."""
    seen = 0

    def authorise(action, *_):
        nonlocal seen
        if action in (sqlite3.SQLITE_CREATE_TABLE, sqlite3.SQLITE_CREATE_TRIGGER, sqlite3.SQLITE_CREATE_INDEX):
            seen += 1
            return sqlite3.SQLITE_DENY if seen == statement else sqlite3.SQLITE_OK
        return sqlite3.SQLITE_OK

    with plain_connection(database) as plain:
        plain.set_authorizer(authorise)
        try:
            migrate(plain, migrations())
        except sqlite3.DatabaseError:
            plain.set_authorizer(None)
            assert not plain.in_transaction
            assert (schema_version(plain), plain.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]) == (0, 0)
        plain.set_authorizer(None)
        assert migrate(plain, migrations()) == max(migrations())


async def test_a_newer_schema_is_refused_with_what_to_do_and_left_alone(store, database):
    await an_agent(store)
    await store.close()
    with plain_connection(database) as plain:
        plain.execute("PRAGMA user_version = 999")
    refusal = await refusal_at_open(database)
    assert refusal.code == "store_too_new"
    assert "999" in refusal.message
    with plain_connection(database) as plain:
        assert schema_version(plain) == 999
        plain.execute(f"PRAGMA user_version = {max(migrations())}")
    await store.open()
    assert await store.agent_state("support") is not None


async def test_another_programs_database_is_refused_and_left_alone(database):
    with plain_connection(database) as plain:
        plain.execute("CREATE TABLE theirs (a)")
    assert (await refusal_at_open(database)).code == "store_foreign"
    with plain_connection(database) as plain:
        assert plain.execute("PRAGMA journal_mode").fetchone()[0] == "delete"


async def test_a_file_that_is_no_database_is_refused_and_left_alone(database):
    content = b"this is a shopping list, not a database " * 100
    database.write_bytes(content)
    refusal = await refusal_at_open(database)
    assert (refusal.code, refusal.status) == ("store_unavailable", 503)
    assert "SQLITE_NOTADB" in refusal.message
    assert database.read_bytes() == content


async def test_a_folder_that_is_not_there_is_refused_without_telling_paths(tmp_path):
    refusal = await refusal_at_open(tmp_path / "secret-folder" / "switchback.db")
    assert refusal.code == "store_unavailable"
    assert "secret-folder" not in refusal.message


async def test_the_file_is_its_owners_alone(store, database):
    files = list(database.parent.glob("switchback.db*"))
    assert len(files) >= 2
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_every_migration_has_a_number_of_its_own() -> None:
    folder = Path(proxy.store.__file__).parent / "migrations" / "sqlite"
    numbers = sorted(int(file.name.partition("_")[0]) for file in folder.glob("*.sql"))
    assert numbers == list(range(1, len(numbers) + 1))

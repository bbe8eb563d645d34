"""What must never change in place is held by the file's own schema, for every program that opens it."""

import sqlite3
from contextlib import closing

import pytest

from tests.store.given import an_agent, audited, release
from tests.two_arms import split

APPEND_ONLY = ("components", "versions", "releases", "release_arms", "audit")
#: A column of each table that an author of lies would like to change.
TARGETS = {"components": "content", "versions": "message", "releases": "who", "release_arms": "version", "audit": "who"}


@pytest.fixture
async def plain(store, database):
    """A raw connection to a file with history, without any setting of ours."""
    await an_agent(store, versions=3)
    async with audited(store) as change:
        await change.append_release(release("support", 2, 1, arms=split(1, 2, 10_000)))
    await store.close()
    with closing(sqlite3.connect(database)) as connection:
        yield connection


def everything(plain: sqlite3.Connection) -> list[tuple]:
    return [row for table in APPEND_ONLY for row in plain.execute(f"SELECT '{table}', * FROM {table}")]


def columns_of(plain: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in plain.execute(f"PRAGMA table_info({table})")]


def refused(plain: sqlite3.Connection, statement: str, values: tuple = ()) -> None:
    before = everything(plain)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        plain.execute(statement, values)
    plain.rollback()
    assert everything(plain) == before


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize("verb", ["UPDATE", "UPDATE OR REPLACE", "UPDATE OR IGNORE"])
async def test_no_row_can_be_updated(plain, table, verb):
    refused(plain, f"{verb} {table} SET {TARGETS[table]} = 7")


@pytest.mark.parametrize("table", APPEND_ONLY)
async def test_no_row_can_be_deleted(plain, table):
    refused(plain, f"DELETE FROM {table}")


@pytest.mark.parametrize("recursive_triggers", ["OFF", "ON"])
@pytest.mark.parametrize("verb", ["REPLACE", "INSERT OR REPLACE", "INSERT OR IGNORE"])
@pytest.mark.parametrize("table", APPEND_ONLY)
async def test_no_row_can_be_replaced_by_an_insert(plain, table, verb, recursive_triggers):
    plain.execute(f"PRAGMA recursive_triggers = {recursive_triggers}")
    names = columns_of(plain, table)
    row = list(plain.execute(f"SELECT * FROM {table} LIMIT 1").fetchone())
    row[names.index(TARGETS[table])] = 7
    refused(plain, f"{verb} INTO {table} VALUES ({', '.join('?' * len(row))})", tuple(row))


@pytest.mark.parametrize("table", APPEND_ONLY)
async def test_no_row_can_be_changed_by_an_upsert(plain, table):
    names = columns_of(plain, table)
    row = plain.execute(f"SELECT * FROM {table} LIMIT 1").fetchone()
    marks = ", ".join("?" * len(names))
    target = TARGETS[table]
    refused(plain, f"INSERT INTO {table} VALUES ({marks}) ON CONFLICT DO UPDATE SET {target} = 7", row)


@pytest.mark.parametrize("table", [table for table in APPEND_ONLY if table != "components"])
async def test_no_row_has_a_second_key_to_be_replaced_through(plain, table):
    with pytest.raises(sqlite3.OperationalError, match="no such column: rowid"):
        plain.execute(f"SELECT rowid FROM {table}")


@pytest.mark.parametrize("rowid", ["number", "rowid", "_rowid_", "oid"])
@pytest.mark.parametrize("verb", ["REPLACE", "INSERT OR REPLACE", "INSERT OR IGNORE"])
async def test_no_component_is_replaced_through_either_of_its_keys(plain, verb, rowid):
    names = f"({rowid}, hash, kind, content)"
    refused(plain, f"{verb} INTO components {names} VALUES (1, 'another', 'prompt', '{{}}')")
    refused(plain, f"{verb} INTO components {names} SELECT 1 + MAX(number), hash, 'prompt', '{{}}' FROM components")
    refused(plain, f"{verb} INTO components (hash, kind, content) VALUES ('another', 'prompt', '{{}}')")


@pytest.mark.parametrize(
    ("table", "number"), [("components", 9), ("components", 0), ("versions", 5), ("releases", 4), ("audit", 4)]
)
async def test_numbers_have_no_gaps(plain, table, number):
    names = columns_of(plain, table)
    row = list(plain.execute(f"SELECT * FROM {table} LIMIT 1").fetchone())
    row[names.index("number")] = number
    if table == "components":
        row[names.index("hash")] = "another"
    refused(plain, f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", tuple(row))


async def test_a_release_gets_no_further_arm(plain):
    refused(plain, "INSERT INTO release_arms VALUES ('support', 2, 2, 'third', 3, '[]')")
    refused(plain, "INSERT INTO release_arms VALUES ('support', 1, 1, 'second', 3, '[]')")

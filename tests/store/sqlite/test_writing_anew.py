"""A database of a release that let files only grow: `store restore` writes it anew, and it can shrink from then on."""

import sqlite3
from contextlib import closing
from pathlib import Path

from proxy.store.sqlite import SqliteStore
from proxy.store.sqlite.restoring import check, owned, restore
from tests.store.schemas.old import fixtures, unpack


def told(database: Path) -> dict[str, object]:
    """What both files hold, and what a reader goes by."""
    with closing(sqlite3.connect(f"file:{database}?immutable=1", uri=True)) as plain:
        tables = [row[0] for row in plain.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        held: dict[str, object] = {
            name: plain.execute(f'SELECT * FROM "{name}" ORDER BY 1, 2').fetchall()
            for name in tables
            if not name.startswith("sqlite_")
        }
        pragmas = ("application_id", "user_version", "page_size")
        return held | {name: plain.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas}


def size_of(file: Path) -> int:
    return file.stat().st_size


def grown(database: Path) -> None:
    """Like a file in which much was, and nothing was given back."""
    with closing(sqlite3.connect(database, isolation_level=None)) as plain:
        plain.execute("PRAGMA journal_mode = DELETE")
        plain.execute("PRAGMA auto_vacuum = NONE")
        plain.execute("VACUUM")
        plain.execute("CREATE TABLE much (text)")
        plain.executemany("INSERT INTO much VALUES (?)", [("x" * 4000,) for _ in range(1000)])
        plain.execute("DROP TABLE much")


async def test_a_restored_file_holds_the_same_in_less_and_gives_back_later(database: Path) -> None:
    unpack(max(fixtures()), database)
    store = SqliteStore(database)
    await store.open()
    await store.close()
    grown(database)
    before, size = told(database), size_of(database)
    with owned(database):
        checked, kept = restore(database, database, None, [])
    assert checked.is_sound
    assert told(database) == before
    assert size_of(database) < size - 3_000_000
    assert size in [size_of(path) for path in kept]
    assert check(database).is_sound
    await store.open()
    try:
        await store._database.tend(lambda plain: plain.execute("CREATE TABLE much (text)"))
        await store._database.tend(
            lambda plain: plain.executemany("INSERT INTO much VALUES (?)", [("x" * 4000,) for _ in range(600)])
        )
        await store._database.tend(lambda plain: plain.execute("DROP TABLE much"))
        assert await store.give_back() > 0
    finally:
        await store.close()

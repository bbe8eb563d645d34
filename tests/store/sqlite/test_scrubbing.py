"""Damage where nobody reads is found while the store is open, by looking through it a little at a time."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from proxy.core.errors import Unavailable
from proxy.store.sqlite import SqliteStore
from proxy.store.sqlite.opening import scrubbing
from proxy.store.sqlite.opening.failures import DatabaseFailed
from proxy.store.sqlite.opening.scrubbing import ScrubPosition, look_further

ROWS = 3_000


@pytest.fixture
def plain(tmp_path: Path):
    path = tmp_path / "some.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as made:
        made.row_factory = sqlite3.Row
        made.execute(
            "CREATE TABLE many (place TEXT, number INTEGER, text TEXT, PRIMARY KEY (place, number)) WITHOUT ROWID"
        )
        made.execute("CREATE TABLE few (number INTEGER PRIMARY KEY, text TEXT)")
        made.execute("CREATE TABLE loose (text TEXT)")
        made.execute("BEGIN")
        made.executemany("INSERT INTO many VALUES (?, ?, ?)", [(f"p{n % 7}", n, "x" * 200) for n in range(ROWS)])
        made.executemany("INSERT INTO few VALUES (?, ?)", [(n, "y" * 200) for n in range(100)])
        made.executemany("INSERT INTO loose VALUES (?)", [("z" * 200,) for _ in range(ROWS)])
        made.execute("COMMIT")
        yield made


def page_with(path: Path, text: bytes) -> int:
    """Where a page begins that lies in the middle of those that hold the text."""
    content = path.read_bytes()
    pages = [at for at in range(0, len(content), 4096) if text in content[at : at + 4096] and at]
    return pages[len(pages) // 2]


def overwrite(path: Path, at: int) -> None:
    """As a disk that loses what was on it: neither size nor times of the file tell."""
    before = os.stat(path)
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\xa5" * 4096)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_sound_database_is_looked_through_again_and_again(plain: sqlite3.Connection) -> None:
    position, tables, large = ScrubPosition(), set[str](), set[str]()
    for _ in range(12):
        look_further(plain, position)
        tables.add(position.table)
        large |= set(position.large_tables)
    assert tables == {"few", "loose", "many", "sqlite_schema"}
    assert large == {"loose", "many"}


def test_a_large_table_is_read_to_its_end_in_slices(plain: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrubbing, "_SLICE_ROWS", 700)
    position = ScrubPosition(large_tables=["many"])
    seen = []
    for _ in range(5):
        scrubbing._read_slice(plain, position)  # pyright: ignore[reportPrivateUsage] one slice alone
        seen.append(position.after)
    keys = sorted((f"p{n % 7}", n) for n in range(ROWS))
    assert seen == [keys[699], keys[1399], keys[2099], keys[2799], ()]
    assert position.large_tables == []


@pytest.mark.parametrize("text", [b"x" * 200, b"y" * 200, b"z" * 200], ids=["many", "few", "loose"])
def test_an_overwritten_page_of_any_table_is_found_within_a_round(plain: sqlite3.Connection, text: bytes) -> None:
    path = Path(plain.execute("PRAGMA database_list").fetchone()[2])
    position = ScrubPosition()
    for _ in range(8):
        look_further(plain, position)
    overwrite(path, page_with(path, text))
    with pytest.raises((DatabaseFailed, sqlite3.DatabaseError), match=r"malformed|damaged"):
        for _ in range(12):
            look_further(plain, position)


async def test_damage_nobody_reads_becomes_the_stores_problem_while_it_is_open(tmp_path: Path) -> None:
    database = tmp_path / "switchback.db"
    store = SqliteStore(database)
    await store.open()
    await store.close()
    # A table that nothing asks for.
    with closing(sqlite3.connect(database)) as made:
        made.execute("CREATE TABLE unread (text TEXT)")
        made.executemany("INSERT INTO unread VALUES (?)", [("z" * 500,) for _ in range(500)])
        made.commit()
    await store.open()
    try:
        await store.ping()
        overwrite(database, page_with(database, b"z" * 500))
        with pytest.raises(Unavailable, match="damaged") as caught:
            for _ in range(100):
                await store.scrub()
        assert caught.value.code == "store_unavailable"
        # It does not come back by itself.
        with pytest.raises(Unavailable, match="damaged"):
            await store.ping()
    finally:
        await store.close()

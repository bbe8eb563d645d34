"""An open store on a real file, closed after the test."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from proxy.store.sqlite import SqliteStore


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "switchback.db"


@pytest.fixture
async def store(database: Path) -> AsyncIterator[SqliteStore]:
    # Short, so that a test of a locked database is short.
    opened = SqliteStore(database, busy_timeout_seconds=0.3)
    await opened.open()
    try:
        yield opened
    finally:
        await opened.close()


@pytest.fixture
def rows(database: Path) -> Callable[[str], list[tuple[Any, ...]]]:
    """Reads the file beside the store, as an operator with the sqlite3 command would."""

    def read(statement: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(database)) as plain:
            return plain.execute(statement).fetchall()

    return read

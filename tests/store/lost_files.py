"""What may happen to the files of a database, and what may not have been lost then."""

import asyncio
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path

import pytest

from proxy.core.calls.run_filter import RunFilter
from proxy.core.errors import Unavailable
from proxy.core.proof.audit_proof import verify_entries
from proxy.store.sqlite import SqliteStore
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


async def acknowledged_beyond(store: SqliteStore):
    for number in range(1, SEVERAL + 1):
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


def copied(database: Path, folder: Path) -> None:
    folder.mkdir()
    for file in database.parent.glob(f"{database.name}*"):
        if file.suffix != ".lock":
            shutil.copy2(file, folder / file.name)

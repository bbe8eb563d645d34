"""Logs and indexes of a database that are deleted, replaced or cut while it is open: nothing acknowledged is lost."""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from proxy.core.errors import Unavailable
from proxy.store.sqlite import SqliteStore
from tests.store.given import NOON, an_agent, run
from tests.store.lost_files import acknowledged, copied, index_of, log_of, nothing_is_missing, opened


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

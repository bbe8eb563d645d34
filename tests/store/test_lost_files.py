"""Databases that are moved, replaced, overwritten or deleted while they are open: nothing acknowledged is lost.

Each fault is followed to its end: the right file comes back, or the process stops and starts, or it dies.
"""

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from proxy.core.errors import Unavailable
from tests.store.given import an_agent
from tests.store.lost_files import (
    IMPOSTORS,
    acknowledged,
    acknowledged_beyond,
    beside,
    emptied,
    nothing_is_missing,
    opened,
    opened_by_others,
    refused,
)


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

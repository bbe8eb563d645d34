"""A database has one owner, by whichever name, link or lock it is come to."""

import os
import shutil

import pytest

from proxy.core.errors import Unavailable
from proxy.store.sqlite.restoring import check, check_own
from tests.store.given import an_agent
from tests.store.lost_files import acknowledged, log_of, nothing_is_missing, older_copy, opened, slow_disk


async def test_another_home_that_links_to_the_file_is_refused(database, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    async with opened(database) as store:
        await acknowledged(store)
        (other / "switchback.db").symlink_to(database)
        with pytest.raises(Unavailable) as caught:
            async with opened(other / "switchback.db"):
                pass
        assert caught.value.code == "store_in_use"
    async with opened(other / "switchback.db") as store:
        await nothing_is_missing(store)
    async with opened(database) as store:
        await nothing_is_missing(store)


async def test_a_database_behind_a_link_is_judged_by_the_command_as_by_the_server(database, tmp_path):
    home = tmp_path / "other"
    home.mkdir()
    (home / "switchback.db").symlink_to(database)
    async with opened(home / "switchback.db") as store:
        await an_agent(store, "agent-0")
        shutil.copyfile(database, database.with_name("older"))
        async with slow_disk(store):
            await an_agent(store, "agent-1")
            assert log_of(database).stat().st_size > 0
            assert check(home / "switchback.db").inspection.identity.revision == 2
    assert not check_own(home / "switchback.db").findings
    older_copy(database)
    (finding,) = check_own(home / "switchback.db").findings
    assert finding.startswith("the database is older than the home knows it: revision 1")
    with pytest.raises(Unavailable, match="the database is older"):
        async with opened(home / "switchback.db"):
            pass


async def test_a_lock_file_that_was_replaced_does_not_make_a_second_owner(database):
    async with opened(database) as store:
        await acknowledged(store)
        database.with_name("switchback.db.lock").unlink()
        with pytest.raises(Unavailable) as caught:
            async with opened(database):
                pass
        assert caught.value.code == "store_in_use"
        await store.ping()
        await nothing_is_missing(store)


async def test_a_file_with_two_names_is_refused(database):
    async with opened(database) as store:
        await acknowledged(store)
    os.link(database, database.with_name("second"))
    with pytest.raises(Unavailable) as caught:
        async with opened(database):
            pass
    assert caught.value.code == "store_linked"
    database.with_name("second").unlink()
    async with opened(database) as store:
        await nothing_is_missing(store)


async def test_a_lock_that_is_a_link_is_not_followed(database, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    database.with_name("switchback.db.lock").symlink_to(victim)
    with pytest.raises(Unavailable, match="symbolic link"):
        async with opened(database):
            pass
    assert victim.read_text() == "precious"

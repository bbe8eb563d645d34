"""`switchback store`: the real command against a real server, and on files while none runs."""

import asyncio
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from proxy.cli.app import app
from proxy.simulator.app import Simulator
from tests.harness import Deployment, deployed
from tests.store.given import run


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SWITCHBACK_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


async def switchback(*words: object, exit_code: int = 0) -> Any:
    """What the command says with --json, as the document."""
    done = await asyncio.to_thread(CliRunner().invoke, app, [*map(str, words), "--json"])
    assert done.exit_code == exit_code, done.output
    return json.loads(done.stdout or done.stderr)


async def backed_up(deployment: Deployment, file: Path) -> Any:
    at = ["--admin-url", deployment.server.admin_url, "--token-file", deployment.server.admin_token_path]
    return await switchback("store", "backup", file, *at)


async def test_a_backup_of_a_running_server_is_whole_and_a_restored_one_serves_what_it_held(
    home, tmp_path, simulator: Simulator
):
    file = tmp_path / "monday.db"
    async with deployed(home, simulator=simulator) as first:
        await first.operator.agent("support", "one", "two")
        said = await backed_up(first, file)
        head = await first.operator.get("/audit/head")
        assert said["audit_head"] == f"{head['number']}:{head['hash']}"
        assert file.stat().st_size == said["size_bytes"]
        assert file.stat().st_mode & 0o777 == 0o600
        await first.operator.label("support", "prod", 2)
        for words in (("store", "check"), ("store", "restore", file)):
            assert (await switchback(*words, exit_code=4))["code"] == "store_in_use"
        assert list(home.glob("*backup*")) == []
    checked = await switchback("store", "check", file)
    assert (checked["ok"], checked["audit_head"]) == (True, {"number": head["number"], "hash": head["hash"]})
    assert (await switchback("store", "check"))["ok"]
    restored = await switchback("store", "restore", file)
    assert restored["ok"]
    assert {str(path) for path in home.glob("*.before-restore-*")} == set(restored["set_aside"])
    async with deployed(home, simulator=simulator) as second:
        assert (await second.operator.get("/agents/support/labels"))["items"][0]["version"] == 1
        assert (await second.operator.get("/status"))["store"]["up"]
        assert (await second.operator.get("/audit/verify"))["ok"]
    (database,) = (name for name in restored["set_aside"] if "switchback.db.before" in name)
    await switchback("store", "restore", database)
    async with deployed(home, simulator=simulator) as third:
        assert (await third.operator.get("/agents/support/labels"))["items"][0]["version"] == 2


async def test_a_backup_takes_no_files_place(home, tmp_path, simulator: Simulator):
    (tmp_path / "there").write_text("precious")
    async with deployed(home, simulator=simulator) as deployment:
        at = ["--admin-url", deployment.server.admin_url, "--token-file", deployment.server.admin_token_path]
        assert (await switchback("store", "backup", tmp_path / "there", *at, exit_code=2))["code"] == "usage"
    assert (tmp_path / "there").read_text() == "precious"


def garbage(file: Path) -> None:
    file.write_bytes(b"no database" * 1000)


def empty(file: Path) -> None:
    file.write_bytes(b"")


def damaged(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[:8192] + b"\xa5" * 4096 * 8 + content[8192 + 4096 * 8 :])


def missing(file: Path) -> None:
    file.unlink()


async def test_a_check_tells_a_database_that_is_not_the_homes_own_and_one_that_is_older(
    home, tmp_path, simulator: Simulator
):
    older, others = tmp_path / "older.db", tmp_path / "others.db"
    async with deployed(home, simulator=simulator) as first:
        await first.operator.agent("support", "one")
        await backed_up(first, older)
        await first.operator.agent("sales", "one")
    async with deployed(tmp_path / "another", simulator=simulator) as second:
        await second.operator.agent("support", "one")
        await backed_up(second, others)
    assert (await switchback("store", "check"))["ok"] is True
    database = home / "switchback.db"
    for copy, said in ((older, "older than the home knows"), (others, "another database is in its place")):
        shutil.copy(copy, database)
        for ending in ("-wal", "-shm"):
            database.with_name(f"switchback.db{ending}").unlink(missing_ok=True)
        assert (await switchback("store", "check", copy))["ok"] is True
        found = await switchback("store", "check", exit_code=1)
        assert found["ok"] is False
        assert any(said in finding for finding in found["findings"])
    await switchback("store", "restore", older)
    assert (await switchback("store", "check"))["ok"] is True


@pytest.mark.parametrize("fault", [garbage, empty, damaged, missing])
async def test_what_is_no_sound_database_is_never_restored(
    home, tmp_path, simulator: Simulator, fault: Callable[[Path], None]
):
    file = tmp_path / "monday.db"
    async with deployed(home, simulator=simulator) as first:
        await first.operator.agent("support", "one")
        await backed_up(first, file)
    before = (home / "switchback.db").read_bytes()
    fault(file)
    await switchback("store", "check", file, exit_code=1)
    told = await switchback("store", "restore", file, exit_code=1)
    # Of the file that was named, and no advice to do what was just done.
    assert file.name in told["message"]
    assert "stop Switchback" not in told["message"]
    assert (home / "switchback.db").read_bytes() == before
    assert (home / "switchback.db-identity").exists()


async def test_a_file_with_a_log_beside_it_is_restored_only_once_it_is_said_whether_they_belong_together(
    home, tmp_path, simulator: Simulator
):
    async with deployed(home, simulator=simulator) as first:
        await first.operator.agent("support", "one")
        # What a crash leaves: the log holds what came last.
        await first.server._control.store.record_runs([], [])
        first.server._control.store._database._move_due_at = float("inf")
        await first.operator.label("support", "staging", 1)
        crashed = tmp_path / "crashed"
        shutil.copytree(home, crashed)
    file = crashed / "switchback.db"
    log = file.with_name("switchback.db-wal").read_bytes()
    assert log
    assert (await switchback("store", "restore", file, exit_code=2))["code"] == "log_undecided"
    alone = await switchback("store", "restore", file, "--without-log")
    both = await switchback("store", "restore", file, "--with-log")
    assert both["revision"] == alone["revision"] + 1
    assert file.with_name("switchback.db-wal").read_bytes() == log
    async with deployed(home, simulator=simulator) as second:
        labels = {item["label"] for item in (await second.operator.get("/agents/support/labels"))["items"]}
        assert labels == {"prod", "staging"}


@pytest.mark.parametrize("verb", ["backup", "check", "restore", "compact"])
def test_every_verb_shows_an_example(verb: str) -> None:
    shown = CliRunner().invoke(app, ["store", verb, "--help"])
    assert shown.exit_code == 0
    assert f"switchback store {verb}" in shown.output.split("Example", 1)[1]


async def test_compact_prunes_by_the_settings_gives_space_back_and_is_audited(home, simulator: Simulator):
    async with deployed(home, simulator=simulator) as deployment:
        old = [run(f"r{number:06}", tags={"text": "x" * 1_500}) for number in range(2_500)]
        await deployment.server._control.store.record_runs(old, [])
        before = (await deployment.operator.get("/status"))["store"]["size_bytes"]
        at = ["--admin-url", deployment.server.admin_url, "--token-file", deployment.server.admin_token_path]
        done = await switchback("store", "compact", "--why", "the disk is full", *at)
        assert (done["runs_pruned"], done["unproven_rows"]) == (len(old) - 1, 0)
        assert done["bytes_given_back"] > 3_000_000
        assert done["bytes_free"] < 100_000
        newest = (await deployment.operator.get("/audit"))["items"][0]
        assert (newest["what"], newest["why"]) == ("store.compacted", "the disk is full")
        assert (await deployment.operator.get("/audit/verify"))["ok"]
        assert before > 3_000_000
    assert (home / "switchback.db").stat().st_size < 1_500_000
    assert (await switchback("store", "check"))["ok"]


@pytest.mark.parametrize("place", [".", "/", "..", "a-pipe", "/dev/null", "nothing-here", "a-link-to-nothing"])
async def test_what_is_no_file_is_said_to_be_none(home, tmp_path, monkeypatch: pytest.MonkeyPatch, place: str):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("a-pipe")
    os.symlink("nowhere", "a-link-to-nothing")
    for verb in ("check", "restore"):
        told = await switchback("store", verb, place, exit_code=1)
        assert told["code"] == "store_unavailable"
        assert told["message"].endswith(("is not a file", "there is no such file"))
    assert not (home / "switchback.db").exists()


async def test_a_check_tells_people_which_row_is_broken_and_that_a_file_is_empty(home, tmp_path, simulator: Simulator):
    file, nothing = tmp_path / "monday.db", tmp_path / "nothing.db"
    async with deployed(home, simulator=simulator) as first:
        await first.operator.agent("support", "one")
        await backed_up(first, file)
    file.write_bytes(file.read_bytes().replace(b"label.moved", b"label.maved", 1))
    nothing.touch()
    broken, empty_file = [
        await asyncio.to_thread(CliRunner().invoke, app, ["store", "check", str(name)]) for name in (file, nothing)
    ]
    assert (broken.exit_code, empty_file.exit_code) == (1, 1)
    assert broken.stdout.startswith("BROKEN: audit number ")
    assert "the entry was changed" in broken.stdout
    assert "{" not in broken.stdout
    assert empty_file.stdout == "EMPTY: nothing was ever made in it\n"


@pytest.mark.parametrize(
    "words",
    ["store check", "store restore", "sync", "diff a 1 --file", "plans set p"],
)
async def test_a_file_that_the_system_takes_for_none_is_named(monkeypatch: pytest.MonkeyPatch, words: str):
    """Standard output has nothing to do with it."""
    monkeypatch.setenv("SWITCHBACK_TOKEN", "sb_x")
    monkeypatch.setenv("SWITCHBACK_ADMIN_URL", "http://127.0.0.1:1")
    name = "n" * 300
    told = await switchback(*words.split(), name, exit_code=2)
    assert told["code"] == "usage"
    assert name in told["message"]
    assert "File name too long" in told["message"]
    assert "output" not in told["message"]

"""`sync` and `agents export`: what they print, how they exit, which commit they record."""

import asyncio
import json
import subprocess
from pathlib import Path

from proxy.cli.git_verbs import commit_of
from proxy.cli.sync import sync
from tests.cli.repository import Repository, run


async def test_the_verbs_sync_and_export_directories(repository: Repository, tmp_path: Path) -> None:
    repository.write()
    done = await run(repository, "sync", str(repository.directory), "--label", "staging", "--git-commit", "c0ffee")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [
        "support: agent created, version 1 created; staging now serves it",
        "1 created, 0 unchanged, 0 refused (git commit c0ffee)",
    ]
    exported = await run(repository, "agents", "export", str(tmp_path / "out"), "--json")
    assert json.loads(exported.stdout)["items"][0]["version"] == 1
    again = await run(repository, "sync", str(tmp_path / "out"), "--dry-run", "--json")
    assert json.loads(again.stdout)["agents"][0]["result"] == "unchanged"


async def test_a_refused_agent_makes_exit_code_4_and_a_wrong_file_exit_code_2(repository: Repository) -> None:
    await repository.deployment.operator.agent("support", "By hand.")
    repository.write()
    assert (await run(repository, "sync", str(repository.directory), "--dry-run")).exit_code == 4
    repository.write(more="modle: {}\n")
    wrong = await run(repository, "sync", str(repository.directory))
    assert wrong.exit_code == 2
    assert "support/agent.yaml: modle: unknown key; did you mean model?" in wrong.stderr


def git(directory: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(directory), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_the_commit_is_asked_of_git_and_says_whether_files_differ_from_it(tmp_path: Path) -> None:
    assert commit_of(tmp_path) is None
    git(tmp_path, "init")
    (tmp_path / "agent.yaml").write_text("agent: a")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert commit_of(tmp_path) == commit
    (tmp_path / "agent.yaml").write_text("agent: b")
    assert commit_of(tmp_path) == f"{commit}-dirty"
    git(tmp_path, "checkout", "agent.yaml")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "agent.yaml").write_text("agent: new")
    assert commit_of(tmp_path) == f"{commit}-dirty"
    git(tmp_path, "add", "new")
    assert commit_of(tmp_path) == f"{commit}-dirty"
    git(tmp_path, "commit", "-m", "second")
    (tmp_path / "elsewhere.txt").write_text("not about agents")
    assert commit_of(tmp_path / "new") == git(tmp_path, "rev-parse", "HEAD")


async def test_a_new_version_is_told_by_the_commits_subject(repository: Repository) -> None:
    more = "message: first version\n"

    async def synced(*words: str) -> str:
        await run(repository, "sync", str(repository.directory), *words)
        return (await repository.deployment.operator.get("/agents/support/versions/latest"))["message"]

    repository.write(more=more)
    git(repository.directory, "init")
    git(repository.directory, "add", ".")
    git(repository.directory, "commit", "-m", "Be kind to customers\n\nThey asked for it.")
    assert await synced() == "Be kind to customers"
    repository.write(prompt="Not committed yet.", more=more)
    assert await synced() == "first version"
    repository.write(prompt="By hand.", more=more)
    assert await synced("--message", "said by hand") == "said by hand"
    repository.write(prompt="Elsewhere.", more=more)
    assert await synced("--git-commit", "0123abc") == "first version"


def test_a_repository_without_a_commit_has_none_to_record(tmp_path: Path) -> None:
    git(tmp_path, "init")
    assert commit_of(tmp_path) is None


async def test_a_sync_says_which_commit_it_recorded(repository: Repository) -> None:
    repository.write()
    report = await asyncio.to_thread(sync, repository.client, repository.directory, dry_run=True)
    assert report.lines()[-1].endswith("1 created, 0 unchanged, 0 refused (no git commit to record)")
    assert report.document()["git_commit"] is None

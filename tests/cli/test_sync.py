import asyncio
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from proxy.cli import git_verbs
from proxy.cli.admin_client import AdminClient
from proxy.cli.admin_command import new_group
from proxy.cli.agent_files import BadAgentFiles, read_agents
from proxy.cli.failures import CommandFailed
from proxy.cli.git_verbs import commit_of
from proxy.cli.sync import SyncReport, export_agents, sync
from tests.harness import Deployment


@dataclass
class Repository:
    """Agent files beside a running server."""

    deployment: Deployment
    directory: Path
    client: AdminClient

    def write(self, name: str = "support", prompt: str = "You help.", more: str = "") -> None:
        folder = self.directory / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "agent.yaml").write_text(f"agent: {name}\nprompt: {{file: prompt.md}}\n{more}")
        (folder / "prompt.md").write_bytes(prompt.encode())

    async def sync(self, **options: Any) -> SyncReport:
        return await asyncio.to_thread(sync, self.client, self.directory, git_commit="c0ffee", **options)

    async def export(self, directory: Path, label: str | None = None) -> Any:
        return await asyncio.to_thread(export_agents, self.client, directory, [], label)

    async def versions(self, name: str = "support") -> int:
        return len((await self.deployment.operator.get(f"/agents/{name}/versions"))["items"])


@pytest.fixture
async def repository(deployment: Deployment, tmp_path: Path) -> Repository:
    token = deployment.server.admin_token_path.read_text().strip()
    return Repository(deployment, tmp_path / "agents", AdminClient(deployment.server.admin_url, token))


def told(report: SyncReport) -> list[tuple[str, str, int | None]]:
    return [(outcome.agent, outcome.result, outcome.version) for outcome in report.outcomes]


async def test_a_new_agent_is_created_with_its_first_version_and_the_commit(repository: Repository) -> None:
    repository.write(more="description: Routes tickets\nmessage: first\ntested_against: {score: 0.9}\n")
    report = await repository.sync()
    assert told(report) == [("support", "created", 1)]
    assert report.outcomes[0].created_agent
    made = await repository.deployment.operator.get("/agents/support/versions/1")
    assert made["source"] == {"git": {"commit": "c0ffee", "path": "agents/support/agent.yaml"}}
    assert (made["message"], made["tested_against"], made["parent"]) == ("first", {"score": 0.9}, None)
    assert (await repository.deployment.operator.get("/agents/support"))["description"] == "Routes tickets"


async def test_equal_content_never_makes_a_second_version(repository: Repository) -> None:
    repository.write()
    await repository.sync()
    assert told(await repository.sync()) == [("support", "unchanged", 1)]
    repository.write(prompt="You help more.")
    assert told(await repository.sync()) == [("support", "created", 2)]
    assert told(await repository.sync()) == [("support", "unchanged", 2)]
    assert await repository.versions() == 2


async def test_a_dry_run_tells_the_same_and_changes_nothing(repository: Repository) -> None:
    repository.write()
    dry = await repository.sync(dry_run=True, label="staging")
    assert (await repository.deployment.operator.get("/agents"))["items"] == []
    wet = await repository.sync(label="staging")
    assert told(dry) == told(wet)
    assert [outcome.label for outcome in dry.outcomes] == [outcome.label for outcome in wet.outcomes] == ["moved"]
    repository.write(prompt="You help more.")
    assert told(await repository.sync(dry_run=True)) == [("support", "created", 2)]
    assert await repository.versions() == 1


async def test_a_version_made_elsewhere_is_not_built_over_unless_forced(repository: Repository) -> None:
    repository.write()
    await repository.sync(label="prod")
    await repository.deployment.operator.version("support", "Edited in an emergency.", parent=1)
    repository.write(prompt="You help more.")
    report = await repository.sync(label="prod")
    assert told(report) == [("support", "refused", 2)]
    assert report.outcomes[0].code == "not_from_git"
    assert report.exit_code == 4
    assert await repository.versions() == 2
    assert told(await repository.sync(force=True)) == [("support", "created", 3)]


async def test_an_edit_made_elsewhere_that_came_into_the_files_is_no_conflict(repository: Repository) -> None:
    await repository.deployment.operator.agent("support", "Made by hand.")
    await repository.export(repository.directory)
    assert told(await repository.sync()) == [("support", "unchanged", 1)]


async def test_one_refused_agent_does_not_keep_the_others_back(repository: Repository) -> None:
    await repository.deployment.operator.agent("hand-made", "By hand.")
    repository.write("hand-made", "By git.")
    repository.write("support")
    report = await repository.sync()
    assert told(report) == [("hand-made", "refused", 1), ("support", "created", 1)]
    assert report.lines()[-1] == "1 created, 0 unchanged, 1 refused (git commit c0ffee)"


async def test_nothing_is_changed_while_any_file_is_wrong(repository: Repository) -> None:
    repository.write("good")
    repository.write("wrong", more="modle: {}\n")
    with pytest.raises(BadAgentFiles):
        await repository.sync()
    assert (await repository.deployment.operator.get("/agents"))["items"] == []


async def test_the_label_is_moved_afterwards_and_only_when_it_must(repository: Repository) -> None:
    repository.write()
    assert (await repository.sync(label="staging")).outcomes[0].label == "moved"
    assert (await repository.sync(label="staging")).outcomes[0].label == "unchanged"
    (label,) = (await repository.deployment.operator.get("/agents/support/labels"))["items"]
    assert (label["label"], label["version"], label["release"]) == ("staging", 1, 1)


async def test_a_label_with_a_rollout_is_left_alone_and_the_report_says_so(repository: Repository) -> None:
    repository.write()
    await repository.sync(label="prod")
    repository.write(prompt="You help more.")
    await repository.sync()
    await repository.deployment.operator.post(
        "/agents/support/rollouts", label="prod", candidate=2, percentage=10, why="try"
    )
    report = await repository.sync(label="prod")
    assert report.outcomes[0].label == "refused"
    assert report.exit_code == 4
    assert "prod was not moved" in report.lines()[0]


async def test_settings_of_an_agent_that_differ_are_told_and_changed_only_by_force(repository: Repository) -> None:
    repository.write(more="description: one\n")
    await repository.sync()
    repository.write(more="description: two\n")
    report = await repository.sync()
    assert report.outcomes[0].notes == (
        "description of the agent differ from the file and were left as they are; --force changes them",
    )
    assert (await repository.deployment.operator.get("/agents/support"))["description"] == "one"
    await repository.sync(force=True)
    assert (await repository.deployment.operator.get("/agents/support"))["description"] == "two"


async def test_an_archived_agent_is_refused(repository: Repository) -> None:
    repository.write()
    await repository.sync()
    await repository.deployment.operator.post("/agents/support/archive", why="gone")
    repository.write(prompt="You help more.")
    assert (await repository.sync()).outcomes[0].code == "archived"


@pytest.mark.parametrize(
    "prompt",
    ["日本 👩‍👩‍👧 e\u0301 \x1b]0;x\x07 <script> \u202e", "no end", "x y\n" * 250_000],
    ids=["hostile", "no final line end", "a megabyte"],
)
async def test_files_survive_server_and_export_to_the_last_byte(
    repository: Repository, tmp_path: Path, prompt: str
) -> None:
    repository.write(prompt=prompt, more="tools: {mode: merge, items: [{name: lookup, parameters: {}}]}\nmessage: m\n")
    await repository.sync()
    await repository.export(tmp_path / "exported")
    assert (tmp_path / "exported/support/prompt.md").read_bytes() == prompt.encode()
    before, after = read_agents(repository.directory)[0], read_agents(tmp_path / "exported")[0]
    assert after.version == before.version
    assert after.bundle_hash == before.bundle_hash


async def test_an_export_may_write_what_a_label_serves(repository: Repository, tmp_path: Path) -> None:
    await repository.deployment.operator.agent("support", "one", "two")
    assert [item["version"] for item in await repository.export(tmp_path / "newest")] == [2]
    assert [item["version"] for item in await repository.export(tmp_path / "prod", "prod")] == [1]
    assert (tmp_path / "prod/support/prompt.md").read_text() == "one"


# The verbs


def command() -> typer.Typer:
    app, agents = new_group(), new_group()
    git_verbs.register(app, agents)
    app.add_typer(agents, name="agents")
    return app


async def run(repository: Repository, *arguments: str) -> Any:
    token = str(repository.deployment.server.admin_token_path)
    options = ["--admin-url", repository.deployment.server.admin_url, "--token-file", token]
    return await asyncio.to_thread(CliRunner().invoke, command(), [*arguments, *options])


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


async def protect(repository: Repository, label: str, **rules: Any) -> None:
    path = f"/agents/support/labels/{label}/protection"
    await repository.deployment.operator.request("PUT", path, {**rules, "why": "careful"})


async def test_what_a_version_was_tested_against_is_the_evidence_of_its_move(repository: Repository) -> None:
    repository.write()
    await repository.sync()
    await protect(repository, "staging", evaluation_required=True)
    missing = (
        "it needs an evaluation that the version passed: name it in support/agent.yaml as tested_against.evaluation"
    )
    for dry_run in (True, False):
        report = await repository.sync(label="staging", dry_run=dry_run)
        assert (report.outcomes[0].label, report.outcomes[0].label_reason) == ("refused", missing)
        assert report.exit_code == 4
        assert f"staging {'would not be' if dry_run else 'was not'} moved: {missing}" in report.lines()[0]
    repository.write(prompt="Better.", more="tested_against: {evaluation: tickets-20, score: 0.95}\n")
    assert (await repository.sync(label="staging", dry_run=True)).outcomes[0].label == "moved"
    assert (await repository.sync(label="staging")).outcomes[0].label == "moved"
    newest = (await repository.deployment.operator.get("/agents/support/releases"))["items"][0]
    assert (newest["label"], newest["version"]) == ("staging", 2)
    assert newest["evidence"] == [{"kind": "evaluation", "id": "tickets-20"}]


async def test_evidence_does_not_replace_the_second_person(repository: Repository) -> None:
    repository.write(more="tested_against: {evaluation: [tickets-20, 7]}\n")
    await repository.sync()
    await protect(repository, "prod", evaluation_required=True, approval_required=True)
    assert (await repository.sync(label="prod", dry_run=True)).outcomes[0].label == "proposed"
    assert (await repository.sync(label="prod")).outcomes[0].label == "proposed"
    waiting = (await repository.deployment.operator.get("/agents/support/proposals"))["items"][0]
    assert [item["id"] for item in waiting["evidence"]] == ["tickets-20", "7"]


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


@pytest.mark.parametrize("label", ["latest", "7x", "PROD"])
async def test_a_label_that_cannot_be_is_refused_before_anything_is_made(repository: Repository, label: str) -> None:
    repository.write()
    for line in (("sync",), ("sync", "--dry-run"), ("agents", "export")):
        done = await run(repository, *line, str(repository.directory), "--label", label)
        assert (done.exit_code, done.stderr.startswith("error: --label: a label is ")) == (2, True)
    assert (await repository.deployment.operator.get("/agents"))["items"] == []


async def test_an_agent_without_the_label_is_left_out_of_an_export_and_its_files_stay(repository: Repository) -> None:
    repository.write("one")
    repository.write("two")
    await repository.sync()
    await repository.deployment.operator.label("one", "prod", 1)
    written = (repository.directory / "two" / "agent.yaml").read_bytes()
    done = await run(repository, "agents", "export", str(repository.directory), "--label", "prod")
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [f"{repository.directory}/one: version 1", "left out: two has no label prod"]
    assert (repository.directory / "two" / "agent.yaml").read_bytes() == written
    nowhere = await run(repository, "agents", "export", str(repository.directory), "--label", "prdo")
    assert nowhere.exit_code == 1
    assert "no agent has the label 'prdo'; nothing was written" in nowhere.stderr


async def test_a_version_that_would_not_work_is_told_in_a_dry_run_as_its_move_would_be_refused(
    repository: Repository,
) -> None:
    repository.write()
    await repository.sync(label="prod")
    repository.write(prompt=" ", more="model: {provider: nobody, name: gpt-4o}\n")
    dry = await repository.sync(dry_run=True, label="prod")
    without_label = await repository.sync(dry_run=True)
    assert await repository.versions() == 1
    wet = await repository.sync(label="prod")
    for report in (dry, wet):
        (outcome,) = report.outcomes
        assert (report.exit_code, outcome.result, outcome.label) == (4, "created", "refused")
        assert [finding["code"] for finding in outcome.document()["findings"]] == ["provider_unknown", "prompt_empty"]
        assert "the provider 'nobody' is not in the settings" in outcome.label_reason
        assert "white space alone" in outcome.label_reason
    assert (without_label.exit_code, without_label.outcomes[0].label) == (0, None)
    assert "it would not work: the prompt holds white space alone" in without_label.outcomes[0].notes
    again = await repository.sync(dry_run=True, label="prod")
    assert (again.outcomes[0].result, again.outcomes[0].label) == ("unchanged", "refused")
    forced = await repository.sync(dry_run=True, label="prod", force=True)
    assert (forced.exit_code, forced.outcomes[0].label) == (0, "moved")
    assert [finding["code"] for finding in forced.outcomes[0].findings] == ["provider_unknown", "prompt_empty"]


async def test_a_dry_run_of_a_new_agent_is_looked_at_by_its_own_label(repository: Repository) -> None:
    repository.write(prompt="\t", more="default_label: live\n")
    (outcome,) = (await repository.sync(dry_run=True, label="live")).outcomes
    assert (outcome.created_agent, outcome.label) == (True, "refused")
    assert [finding["code"] for finding in outcome.findings] == ["prompt_empty"]
    assert (await repository.deployment.operator.get("/agents"))["items"] == []


async def test_line_ends_of_another_system_make_no_version(repository: Repository) -> None:
    more = 'prompt: {{file: prompt.md, variables: {{tone: {{default: "dry{}"}}}}}}\n'
    for prompt, tone in (
        ("a {{tone}}\nb\n", "\\n"),
        ("\ufeffa {{tone}}\r\nb\r\n", "\\r\\n"),
        ("a {{tone}}\rb\r", "\\r"),
    ):
        repository.write(prompt=prompt)
        folder = repository.directory / "support"
        (folder / "agent.yaml").write_text("agent: support\n" + more.format(tone))
        assert (await repository.sync(dry_run=True)).outcomes[0].version == 1
        assert (await repository.sync()).outcomes[0].version == 1
    assert await repository.versions() == 1


async def test_what_could_be_no_version_is_told_also_where_the_server_cannot_be_asked(repository: Repository) -> None:
    repository.write(prompt="{{user-name}}")
    repository.write("other", more="policy: {max_tool_cals: 3}\n")
    nobody = AdminClient("http://127.0.0.1:1", "token")
    with pytest.raises(CommandFailed) as failed:
        await asyncio.to_thread(sync, nobody, repository.directory, dry_run=True)
    policy, prompt, unreachable = failed.value.problems
    assert policy == (
        "other/agent.yaml: policy.max_tool_cals is unknown; did you mean max_tool_calls? What is only written down goes to "
        "policy.recorded"
    )
    assert prompt.startswith("support/agent.yaml: prompt.text holds {{user-name}}")
    assert "cannot reach http://127.0.0.1:1" in unreachable


async def plans(repository: Repository) -> dict[str, Any]:
    items = (await repository.deployment.operator.get("/plans"))["items"]
    return {item["name"]: item for item in items}


def told_of_plans(report: SyncReport) -> list[tuple[str, str, str | None]]:
    return [(plan.name, plan.result, plan.code) for plan in report.plans]


async def test_plans_are_set_from_files_that_are_named_for_them(repository: Repository) -> None:
    repository.write()
    (repository.directory / "shared").mkdir()
    file = repository.directory / "shared" / "cautious.plan.yaml"
    file.write_text("steps:\n- {percentage: 1, min_duration: 1h}\nat_end: wait\n")
    assert told_of_plans(await repository.sync(dry_run=True)) == [("cautious", "set", None)]
    assert await plans(repository) == {}
    report = await repository.sync()
    assert (told_of_plans(report), told(report)) == ([("cautious", "set", None)], [("support", "created", 1)])
    kept = (await plans(repository))["cautious"]
    assert kept["source"] == {"git": {"commit": "c0ffee", "path": "agents/shared/cautious.plan.yaml"}}
    assert kept["plan"]["steps"][0]["min_duration"] == "1h"
    assert told_of_plans(await repository.sync()) == [("cautious", "unchanged", None)]
    file.write_text("steps: [{percentage: 2}]\n")
    report = await repository.sync()
    assert told_of_plans(report) == [("cautious", "set", None)]
    assert "plan cautious: set" in report.lines()


async def test_times_of_a_plan_need_no_quotes(repository: Repository) -> None:
    repository.directory.mkdir()
    (repository.directory / "late.plan.yaml").write_text("schedule: {not_before: 2026-12-01T09:00:00+01:00}\n")
    await repository.sync()
    schedule = (await plans(repository))["late"]["plan"]["schedule"]
    assert schedule["not_before"] == "2026-12-01T08:00:00.000000Z"


async def test_a_directory_of_plans_alone_is_synced_too(repository: Repository) -> None:
    repository.directory.mkdir()
    (repository.directory / "quick.plan.yaml").write_text("{}")
    report = await repository.sync()
    assert (told_of_plans(report), report.outcomes) == ([("quick", "set", None)], ())


async def test_a_plan_that_was_set_elsewhere_is_replaced_only_by_force(repository: Repository) -> None:
    repository.write()
    (repository.directory / "quick.plan.yaml").write_text("alpha: 0.01\n")
    await repository.deployment.operator.request("PUT", "/plans/quick", {"plan": {"alpha": 0.02}})
    report = await repository.sync()
    assert told_of_plans(report) == [("quick", "refused", "not_from_git")]
    assert (report.exit_code, told(report)) == (4, [("support", "created", 1)])
    assert told_of_plans(await repository.sync(force=True)) == [("quick", "set", None)]
    assert (await plans(repository))["quick"]["plan"]["alpha"] == 0.01


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("Quick.plan.yaml", "{}", "Quick.plan.yaml: a plan is named with"),
        ("quick.plan.yaml", "stepz: []", "quick.plan.yaml: plan has no 'stepz'; did you mean steps?"),
        ("quick.plan.yaml", "[]", "quick.plan.yaml: must be a mapping of steps"),
        ("quick.plan.yaml", "name: slow", "quick.plan.yaml: name: the file's own name says quick"),
        ("quick.plan.yaml", "alpha: .nan", "quick.plan.yaml: alpha: is not a number that JSON has"),
        ("quick.plan.yaml", "alpha: [", "quick.plan.yaml: is not valid YAML"),
    ],
)
async def test_nothing_is_changed_while_a_plans_file_is_wrong(
    repository: Repository, name: str, content: str, problem: str
) -> None:
    repository.write()
    (repository.directory / name).write_text(content)
    with pytest.raises(BadAgentFiles) as bad:
        await repository.sync()
    assert problem in "\n".join(bad.value.problems)
    assert (await repository.deployment.operator.get("/agents"))["items"] == []


async def test_a_plan_is_not_read_through_a_link_that_leads_out(repository: Repository, tmp_path: Path) -> None:
    repository.write()
    (tmp_path / "secret").write_text("{}")
    (repository.directory / "quick.plan.yaml").symlink_to(tmp_path / "secret")
    with pytest.raises(BadAgentFiles) as bad:
        await repository.sync()
    assert "quick.plan.yaml: leads out of agents" in bad.value.problems[0]

"""Agents of a repository become versions of a server: what is new, and nothing else; what stands elsewhere is not built over."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from proxy.cli.admin_client import AdminClient
from proxy.cli.agent_files import BadAgentFiles, read_agents
from proxy.cli.failures import CommandFailed
from proxy.cli.sync import sync
from tests.cli.repository import Repository, run, told


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

"""Plans of a repository are those of the server, and its own are not replaced unasked."""

from pathlib import Path
from typing import Any

import pytest

from proxy.cli.agent_files import BadAgentFiles
from proxy.cli.sync import SyncReport
from tests.cli.repository import Repository, told


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

"""What an agent's runs come to, asked of a running server by its API and by the command: every path a run can take is in it."""

import asyncio
import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from proxy.cli.app import app
from tests.harness import Deployment, Refused, deployed, saved

BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 20}


async def ask(deployment: Deployment, number: int, **headers: str) -> str | None:
    names = {"switchback_user": f"user-{number}", **headers}
    async with deployment.post("/a/support/v1/chat/completions", BODY, **names) as answer:
        await answer.read()
        return answer.headers.get("Switchback-Run-Id")


async def switchback(deployment: Deployment, *arguments: str) -> Any:
    token = deployment.server.admin_token_path.read_text().strip()
    variables = {"SWITCHBACK_ADMIN_URL": deployment.server.admin_url, "SWITCHBACK_TOKEN": token}
    return await asyncio.to_thread(CliRunner().invoke, app, list(arguments), env=variables)


def by_arm(report: Any) -> dict[tuple[int | None, str | None], Any]:
    return {(row["version"], row["arm"]): row for row in report["rows"]}


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_report_has_runs_errors_money_and_outcomes_by_version_and_arm(tmp_path: Path, workers: int) -> None:
    async with deployed(tmp_path, workers=workers) as deployment:
        operator = deployment.operator
        await operator.agent("support", "one", "two")
        await operator.post("/agents/support/rollouts", label="prod", candidate=2, percentage=50, why="try")
        ids = [await ask(deployment, number) for number in range(40)]
        await asyncio.gather(*(ask(deployment, number, x_simulate="status=500") for number in range(10)))
        await ask(deployment, 1, x_simulate="cut_before_answer")
        await saved(operator)
        for run in ids[:6]:
            await operator.post(f"/runs/{run}/outcomes", name="score", value=0.5, why="read")

        report = await operator.get("/reports/rollout?agent=support&rollout=r1")
        rows = by_arm(report)
        assert set(rows) == {(1, "stable"), (2, "candidate")}
        assert sum(row["runs"] for row in rows.values()) == 51
        assert sum(row["rates"]["errors"]["count"] for row in rows.values()) == 11
        assert sum(row["users"] for row in rows.values()) == 40
        assert sum(row["outcomes"].get("score", {"numbers": 0})["numbers"] for row in rows.values()) == 6
        recorded = await operator.runs(51)
        for (version, _), row in rows.items():
            mine = [run for run in recorded if run["version"] == version]
            costs = [run["cost_usd"] for run in mine if run["cost_usd"] is not None]
            assert row["runs"] == len(mine)
            assert row["cost"]["priced_runs"] == len(costs)
            assert row["cost"]["total_usd"] == pytest.approx(sum(costs), abs=1e-12)
        assert rows[2, "candidate"]["against_stable"]["is_randomised"]
        for kind in ("versions?agent=support", "label?agent=support&label=prod"):
            assert by_arm(await operator.get(f"/reports/{kind}")).keys() == rows.keys()

        await operator.post("/runs/quarantine", agent="support", version=2, why="a test")
        rest = by_arm(await operator.get("/reports/versions?agent=support"))
        assert rest[2, "candidate"]["runs"] == 0
        assert rest[2, "candidate"]["rates"]["errors"]["rate"] is None
        assert rest[1, "stable"]["runs"] == rows[1, "stable"]["runs"]


async def test_the_command_shows_counts_with_intervals_and_says_what_it_does_not_know(tmp_path: Path) -> None:
    async with deployed(tmp_path) as deployment:
        await deployment.operator.agent("support", "one", "two")
        empty = await switchback(deployment, "report", "versions", "support")
        assert "no runs in this time" in empty.stdout
        for number in range(4):
            await ask(deployment, number)
        await deployment.operator.label("support", "prod", 2)
        await ask(deployment, 9, x_simulate="status=500")
        await saved(deployment.operator)

        told = await switchback(deployment, "report", "versions", "support", "--since", "1h")
        assert told.exit_code == 0, told.output
        assert "0 of 4, 0.0 % (0.0 to 49.0)" in told.stdout
        assert "1 of 1, 100.0 %" in told.stdout
        assert "unknown" in told.stdout
        assert "version 2: errors by kind: provider 1" in told.stdout
        compared = await switchback(deployment, "versions", "compare", "support", "1", "2")
        assert compared.exit_code == 0, compared.output
        assert "errors not enough traffic" in compared.stdout
        assert "not drawn by a rollout" in compared.stdout
        document = json.loads(
            (await switchback(deployment, "versions", "compare", "support", "1", "2", "--json")).stdout
        )
        assert (document["stable"]["runs"], document["candidate"]["runs"]) == (4, 1)
        assert document["diff"]
        lines = list(
            csv.DictReader(io.StringIO((await switchback(deployment, "report", "label", "support", "--csv")).stdout))
        )
        assert [(line["version"], line["runs"], line["rates.errors.count"]) for line in lines] == [
            ("1", "4", "0"),
            ("2", "1", "1"),
        ]


async def test_what_is_not_there_and_windows_that_end_before_they_begin_are_refused(tmp_path: Path) -> None:
    async with deployed(tmp_path) as deployment:
        await deployment.operator.agent("support", "one")
        for path, code in (
            ("versions?agent=nobody", "agent_not_found"),
            ("rollout?agent=support&rollout=r9", "rollout_not_found"),
            ("comparison?agent=support&candidate=9&stable=1", "version_not_found"),
            ("versions?agent=support&since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", "bad_filter"),
            ("versions?agent=support&since=2999-01-02T00:00:00Z", "bad_filter"),
            (
                "comparison?agent=support&candidate=1&stable=1&since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z",
                "bad_filter",
            ),
            ("versions?agent=support&since=yesterday", "bad_time"),
            ("versions", "bad_query"),
        ):
            with pytest.raises(Refused) as refused:
                await deployment.operator.get(f"/reports/{path}")
            assert refused.value.code == code

"""`rollout simulate` lives through a rollout of made-up or recorded traffic, in bounded time, and changes nothing."""

import json
from pathlib import Path
from typing import Any

import pytest

from proxy.core.calls.runs import Run, run_document

FAILING = ("--assume", "stable.errors=0.01", "--assume", "candidate.errors=0.5")


async def test_a_failing_candidate_is_taken_back_each_time_and_a_seed_says_it_all(admin: Any, switchback: Any) -> None:
    line = (
        "rollout",
        "simulate",
        "a",
        *FAILING,
        "--repeats",
        "3",
        "--runs-per-hour",
        "2000",
        "--users",
        "200",
        "--json",
    )
    told = json.loads((await switchback(*line)).stdout)
    assert told["ends"] == {"rolled_back": 3, "promoted": 0, "waiting": 0, "traffic_over": 0}
    assert 0 < told["candidate_users"]["p50"] <= told["candidate_users"]["p90"]
    assert json.loads((await switchback(*line)).stdout) == told
    assert json.loads((await switchback(*line, "--seed", "2")).stdout) != told
    assert admin.asked == []


START = 1_700_000_000_000_000
AGENT = {"agent": "a", "default_label": "prod"}


def recorded(count: int, **members: Any) -> list[dict[str, Any]]:
    """Newest first, as the API lists them."""
    runs = (
        Run(
            **{
                "id": f"r{n}", "agent": "a", "started_at_microseconds": START + n * 6_000_000, "duration_microseconds": 1_000_000,
                "user": f"u{n % 100}", "status": 200, "cost_nanodollars": 5, "version": 1, "label": "prod", **members,
            }
        )
        for n in range(count)
    )  # fmt: skip
    return [run_document(run) for run in runs][::-1]


async def replayed(admin: Any, switchback: Any, runs: list[dict[str, Any]], *more: str) -> Any:
    admin.answer("GET", "/agents/a", AGENT)
    admin.answer("GET", "/runs", {"items": runs, "next": None})
    return await switchback("rollout", "simulate", "a", "--since", "24h", "--repeats", "1", *more)


async def test_recorded_runs_are_replayed_oldest_first_page_by_page(admin: Any, switchback: Any) -> None:
    runs = recorded(3_000)
    admin.answer("GET", "/agents/a", AGENT)
    admin.answer("GET", "/runs", {"items": runs[:1_500], "next": "more"})
    admin.answer("GET", "/runs", {"items": [], "next": "and more"})
    admin.answer("GET", "/runs", {"items": runs[1_500:], "next": None})
    told = (await switchback("rollout", "simulate", "a", "--since", "24h", *FAILING, "--repeats", "1", "--json")).stdout
    assert (json.loads(told)["recorded_runs"], json.loads(told)["runs_before"]) == (3_000, 500)
    assert json.loads(told)["ends"]["rolled_back"] == 1
    assert [asked.query.get("cursor") for asked in admin.asked[1:]] == [None, "more", "and more"]
    assert {asked.method for asked in admin.asked} == {"GET"}


@pytest.mark.parametrize(("count", "before"), [(150, 0), (300, 150), (500, 250)])
async def test_a_few_recorded_runs_are_replayed_and_it_says_what_is_missing(
    admin: Any, switchback: Any, count: int, before: int
) -> None:
    told = (await replayed(admin, switchback, recorded(count))).stdout
    assert told.startswith("of 1 times: not decided by then 1\n")
    assert f"replayed {count - before} recorded runs" in told
    (short,) = (line for line in told.splitlines() if line.startswith("traffic ended before it could be decided: "))
    runs = int(short.partition("of 200 runs")[0].split()[-1])
    assert 0 < runs <= 0.15 * (count - before)
    assert "of 20 users" in short
    assert ("latency could not be judged: that takes 200 successful runs" in told) == (before == 0)


async def test_runs_that_a_candidate_served_or_another_label_are_left_out_and_counted(
    admin: Any, switchback: Any
) -> None:
    runs = (
        recorded(600) + recorded(40, arm="candidate", version=2) + recorded(7, label="beta") + recorded(2, label=None)
    )
    said = json.loads((await replayed(admin, switchback, runs, "--json")).stdout)
    assert said["recorded_runs"] == 600
    assert said["left_out_runs"] == {"other_arm": 40, "other_label": 9, "says_nothing": 0}
    told = (await replayed(admin, switchback, runs)).stdout
    assert "left out 9 of other labels, or of none, 40 served by a candidate or another arm of a rollout" in told


async def test_without_runs_it_says_how_to_go_on(admin: Any, switchback: Any) -> None:
    told = await replayed(admin, switchback, recorded(3, arm="candidate"))
    assert told.exit_code != 0
    assert "3 served by a candidate" in told.stderr
    assert "leave --since out" in told.stderr


async def test_made_up_users_carry_the_tags_that_the_plan_asks_for(switchback: Any, tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text("eligible: {tier: internal}\n")
    told = await switchback("rollout", "simulate", "a", *FAILING, "--repeats", "1", "--plan", str(plan))
    assert told.stdout.startswith("of 1 times: taken back 1\n")
    assert "made-up users all carry what the plan asks for: tier=internal" in told.stdout


async def test_people_are_told_when_and_before_how_many_users(switchback: Any) -> None:
    told = await switchback("rollout", "simulate", "a", *FAILING, "--repeats", "2", "--runs-per-hour", "2000")
    assert told.stdout.startswith("of 2 times: taken back 2\n")
    assert "users at the median" in told.stdout
    assert "candidate errors" in told.stdout


@pytest.mark.parametrize("pair", ["candidate.errors=2", "bugs"])
async def test_what_is_no_assumption_is_a_wrong_usage(switchback: Any, pair: str) -> None:
    told = await switchback("rollout", "simulate", "a", "--assume", pair)
    assert told.exit_code == 2
    assert pair in told.stderr

"""`rollout simulate` lives through a rollout of made-up or recorded traffic, in bounded time, and changes nothing."""

import json
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


async def test_recorded_runs_are_replayed_oldest_first_page_by_page(admin: Any, switchback: Any) -> None:
    start = 1_700_000_000_000_000
    runs = [
        run_document(
            Run(f"r{n}", "a", start + n * 6_000_000, 1_000_000, user=f"u{n % 100}", status=200, cost_nanodollars=5)
        )
        for n in range(3_000)
    ][::-1]
    admin.answer("GET", "/runs", {"items": runs[:1_500], "next": "more"})
    admin.answer("GET", "/runs", {"items": runs[1_500:], "next": None})
    told = (await switchback("rollout", "simulate", "a", "--since", "24h", *FAILING, "--repeats", "1", "--json")).stdout
    assert json.loads(told)["recorded_runs"] == 3_000
    assert json.loads(told)["ends"]["rolled_back"] == 1
    assert [asked.query.get("cursor") for asked in admin.asked] == [None, "more"]
    assert {asked.method for asked in admin.asked} == {"GET"}


async def test_without_runs_it_says_how_to_go_on(admin: Any, switchback: Any) -> None:
    admin.answer("GET", "/runs", {"items": [], "next": None})
    told = await switchback("rollout", "simulate", "a", "--since", "24h")
    assert told.exit_code != 0
    assert "leave --since out" in told.stderr


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

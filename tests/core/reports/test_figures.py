"""Figures of reports: what nobody told is null and never 0, counts stand beside rates, and a difference is shown only where it is."""

import random
from typing import Any

from proxy.core.calls.latency import bucket_edge, latency_bucket
from proxy.core.calls.runs import Run
from proxy.core.reports.comparing import COST_PER_SUCCESS
from proxy.core.reports.counting import count_runs, lane_facts
from proxy.core.reports.figures import figures, rate_of
from proxy.core.reports.reporting import difference_of, rows_of, window_document
from proxy.core.reports.sums import HOUR_MICROSECONDS, Cell, RunSums, merged

_OK = Run(id="", agent="support", started_at_microseconds=0, duration_microseconds=0)


def counted(lanes: dict[int, dict[str, Any]], lines: list[list[Any]]) -> list[tuple[Cell, RunSums]]:
    facts = {
        lane: lane_facts(Run(**{**{name: getattr(_OK, name) for name in Run.__struct_fields__}, **members}))
        for lane, members in lanes.items()
    }
    cells: dict[Cell, RunSums] = {}
    count_runs(lines, facts, cells)
    return list(cells.items())


def line(
    lane: int, number: int, *, user: str | None = None, cost: int | None = 1_000, hour: int = 0, took: int = 1_000_000
):
    return [lane, "support", hour * HOUR_MICROSECONDS + number, took, 0, user, None, None, 10, 0, 5, cost, []]


def rollout(
    seed: int, *, users: int, runs: int, candidate_errors: float, stable_errors: float
) -> list[tuple[Cell, RunSums]]:
    """Runs of both arms of one step, over ten hours."""
    rng = random.Random(seed)
    place = {"version": 1, "label": "prod", "rollout": "r1", "step": 0, "in_analysis": True}
    lanes: dict[int, dict[str, Any]] = {}
    for lane, (arm, result) in enumerate(
        (arm, result) for arm in ("stable", "candidate") for result in ("ok", "error")
    ):
        status = 200 if result == "ok" else 500
        lanes[lane] = {**place, "arm": arm, "version": 1 + (arm == "candidate"), "result": result, "status": status}
    lines: list[list[Any]] = []
    for number in range(runs):
        is_candidate = rng.random() < 0.5
        is_bad = rng.random() < (candidate_errors if is_candidate else stable_errors)
        user = f"{'c' if is_candidate else 's'}{rng.randrange(users)}"
        lines.append(line(2 * is_candidate + is_bad, number, user=user, hour=number * 10 // runs))
    return counted(lanes, lines)


def test_of_nothing_everything_is_unknown():
    empty = figures(RunSums())
    assert empty["runs"] == 0
    assert empty["rates"]["errors"] == {"count": 0, "of": 0, "rate": None, "interval": None}
    assert empty["latency"] == {"runs": 0, "p50_ms": None, "p95_ms": None}
    assert empty["cost"]["per_run_usd"] is None
    assert empty["cost"]["total_usd"] is None
    assert empty["output_tokens"]["mean"] is None
    assert empty["outcomes"] == {}


def test_a_rate_has_its_counts_and_wilsons_interval():
    told = rate_of(31, 412)
    assert (told["count"], told["of"]) == (31, 412)
    low, high = told["interval"] or (0, 0)
    assert abs(low - 0.05354) < 1e-4
    assert abs(high - 0.10486) < 1e-4


def test_an_interval_is_wider_where_users_are_alike():
    low, high = rate_of(31, 412)["interval"] or (0, 0)
    wide_low, wide_high = rate_of(31, 412, deff=4.0)["interval"] or (0, 0)
    assert wide_low < low < high < wide_high


def test_cost_is_over_what_has_a_price_and_says_what_has_none():
    [(_, sums)] = counted({0: {"version": 1}}, [line(0, n, cost=None if n < 3 else 2_000_000_000) for n in range(5)])
    assert figures(sums)["cost"] == {
        "priced_runs": 2,
        "unpriced_runs": 3,
        "total_usd": 4.0,
        "per_run_usd": 2.0,
        "per_success_usd": 2.0,
    }


def test_quantiles_are_the_edges_of_the_buckets_they_fall_in():
    [(_, sums)] = counted({0: {"version": 1}}, [line(0, n, took=1_000 * (n + 1)) for n in range(100)])
    told = figures(sums)["latency"]
    assert told["runs"] == 100
    assert told["p50_ms"] == round(bucket_edge(latency_bucket(50_000))) / 1000
    assert told["p95_ms"] == round(bucket_edge(latency_bucket(95_000))) / 1000


def test_means_of_outcomes_have_intervals_and_rates_of_flags_their_counts():
    lines = [line(0, n) for n in range(4)]
    for one, score in zip(lines, (0.2, 0.4, 0.6, 0.8), strict=True):
        one[-1] = [("score", score), ("solved", score > 0.3), ("note", "fine")]
    [(_, sums)] = counted({0: {"version": 1}}, lines)
    told = figures(sums)["outcomes"]
    assert told["score"]["mean"] == 0.5
    low, high = told["score"]["interval"] or (0, 0)
    assert abs((high - low) / 2 - 1.95996 * (0.2 / 3 / 4) ** 0.5) < 1e-5
    assert told["solved"]["flags"] is not None
    assert (told["solved"]["flags"]["count"], told["solved"]["flags"]["of"]) == (3, 4)
    assert told["note"] == {"flags": None, "numbers": 0, "mean": None, "interval": None, "other": 4}


def test_a_candidate_that_fails_more_is_called_worse_with_its_counts():
    rows = rows_of(rollout(1, users=200, runs=2_000, candidate_errors=0.2, stable_errors=0.02), "hour")
    assert [(row["version"], row["arm"]) for row in rows] == [(1, "stable"), (2, "candidate")]
    stable, candidate = rows
    assert stable["against_stable"] is None
    told = candidate["against_stable"]
    assert told is not None
    assert told["is_randomised"]
    errors = told["metrics"]["errors"]
    assert errors["verdict"] == "worse"
    assert errors["candidate"] == {"runs": candidate["runs"], "bad": candidate["rates"]["errors"]["count"]}
    low, high = errors["interval"] or (0, 0)
    assert 1 < low < (errors["effect"] or 0) < high
    assert len(candidate["series"]) == 10


def test_equal_arms_are_not_called_different_and_little_traffic_is_called_little():
    verdicts = [
        rows_of(rollout(seed, users=200, runs=2_000, candidate_errors=0.05, stable_errors=0.05), "hour")[1]
        for seed in range(10)
    ]
    shown = [row["against_stable"]["metrics"]["errors"]["verdict"] for row in verdicts if row["against_stable"]]
    assert shown.count("no_difference_shown") >= 9
    few = rows_of(rollout(1, users=20, runs=40, candidate_errors=0.05, stable_errors=0.05), "hour")[1]
    assert few["against_stable"] is not None
    metrics = few["against_stable"]["metrics"]
    assert {metrics[name]["verdict"] for name in ("errors", "refusals", COST_PER_SUCCESS)} == {"not_enough_traffic"}


def test_versions_that_no_rollout_had_are_compared_hour_by_hour_and_it_says_so():
    lanes = {0: {"version": 1, "label": "prod"}, 1: {"version": 2, "label": "beta"}}
    lines = [line(n % 2, n, user=f"u{n % 100}", hour=n // 100) for n in range(400)]
    alone = [line(1, n, user=f"u{n % 100}", hour=9) for n in range(50)]
    cells = counted(lanes, [*lines, *alone])
    sides = [[(cell, sums) for cell, sums in cells if cell.version == version] for version in (2, 1)]
    told = difference_of(*sides)
    assert not told["is_randomised"]
    assert told["blocks"] == 4
    assert told["metrics"]["errors"]["candidate"]["runs"] == 200


def test_what_ran_alone_is_compared_with_nothing():
    cells = counted({0: {"version": 1, "label": "prod"}}, [line(0, n, user=f"u{n}") for n in range(100)])
    told = difference_of(cells, [])
    assert told["blocks"] == 0
    assert told["metrics"]["errors"]["verdict"] == "not_enough_traffic"
    assert told["metrics"]["errors"]["effect"] is None


def test_a_window_says_what_is_not_added_up_yet_only_where_it_touches_it():
    assert window_document(10, 20, None)["unfilled_before"] is None
    assert window_document(10, 20, 10)["unfilled_before"] is None
    assert window_document(10, 20, 11)["unfilled_before"] is not None


def test_sums_taken_away_again_leave_nothing():
    cells: dict[Cell, RunSums] = {}
    facts = {0: lane_facts(_OK)}
    lines = [line(0, n, user=f"u{n}") for n in range(10)]
    count_runs(lines, facts, cells)
    count_runs(lines, facts, cells, -1)
    assert merged(cells.values()).groups == {}

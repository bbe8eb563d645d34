"""Old runs go and their sums stay, whatever the order they came in and wherever it is stopped."""

import random
import sqlite3
from contextlib import closing

import pytest

from proxy.core.calls.outcomes import Outcome
from proxy.core.calls.run_filter import RunFilter
from proxy.core.errors import Refusal
from proxy.store.sqlite.runs.run_segments import SEGMENT_RUNS
from tests.store.given import NOON, attempt, run

DAY = 86_400_000_000
HOUR = 3_600_000_000
#: What the runs of a day come to, those that are there and those that are not.
SUMS = """
SELECT agent, day, version, arm, kind, result, SUM(runs), SUM(tokens), SUM(cost) FROM (
    SELECT agent, day_microseconds AS day, version, arm, kind, result, runs, input_tokens + output_tokens AS tokens,
        cost_nanodollars AS cost FROM run_days
    UNION ALL
    SELECT agent, started_at_microseconds - started_at_microseconds % 86400000000, COALESCE(version, 0), COALESCE(arm, ''), kind, result,
        1, COALESCE(input_tokens, 0) + COALESCE(output_tokens, 0), COALESCE(cost_nanodollars, 0) FROM runs
) GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6
"""


def recorded_runs(seed: int, count: int):
    rng = random.Random(seed)
    return [
        run(
            f"r{number:05}",
            agent=rng.choice(["support", "other"]),
            version=rng.choice([None, 1, 2]),
            arm=rng.choice([None, "stable", "candidate"]),
            kind=rng.choice(["live", "shadow"]),
            result=rng.choice(["ok", "ok", "error"]),
            started_at_microseconds=NOON + (number * 4 * DAY) // count + rng.randrange(HOUR),
            user=rng.choice([None, f"u{rng.randrange(20)}"]),
            conversation=rng.choice([None, f"c{rng.randrange(50)}"]),
            input_tokens=rng.choice([None, 10]),
            output_tokens=rng.choice([None, 2**62, 7]) if number == 5 else rng.choice([None, 3]),
            cost_nanodollars=rng.choice([None, 1_000_000_007]),
        )
        for number in range(count)
    ]


def result(run_id: str) -> Outcome:
    return Outcome(
        id=f"out_{run_id}",
        run=run_id,
        name="solved",
        value=True,
        severity=None,
        why="why",
        recorded_by="ada",
        recorded_at_microseconds=NOON,
    )


async def pruned(store, before: int) -> int:
    removed = 0
    while step := await store.prune_runs(before):
        removed += step
    return removed


async def test_runs_that_are_pruned_leave_their_sums_and_nothing_else(store, rows):
    runs = recorded_runs(seed=3, count=SEGMENT_RUNS + 600)
    for start in range(0, len(runs), 700):
        await store.record_runs(runs[start : start + 700], [attempt(one.id) for one in runs[start : start + 3]])
    await store.record_outcomes([result(runs[number].id) for number in range(0, len(runs), 100)])
    before, cutoff = rows(SUMS), NOON + DAY
    while await store.prune_runs(cutoff):
        assert rows(SUMS) == before
    left = [one for one in runs if one.started_at_microseconds >= cutoff]
    assert 0 < len(left) < len(runs)
    assert await store.count_runs(RunFilter()) == len(left)
    for owner in ("u3", "u7"):
        mine = sorted((one for one in left if one.user == owner), key=lambda one: one.started_at_microseconds)
        assert [one.id for one in (await store.runs(RunFilter(user=owner), None, 500)).items] == [
            one.id for one in reversed(mine)
        ]
    for table in ("attempts", "outcomes"):
        assert rows(f"SELECT COUNT(*) FROM {table}") != [(0,)]
        assert rows(f"SELECT COUNT(*) FROM {table} WHERE run NOT IN (SELECT id FROM run_records)") == [(0,)]
    assert rows("SELECT COUNT(*) FROM run_owners WHERE run NOT IN (SELECT number FROM run_records)") == [(0,)]


async def test_a_run_that_claims_absurd_amounts_does_not_stop_pruning(store, rows):
    absurd = {"input_tokens": 2**63 - 1, "cost_nanodollars": -5}
    await store.record_runs([run(f"r{number:04}", **absurd) for number in range(600)], [])
    assert await pruned(store, NOON + 1) == 599
    assert rows("SELECT runs, input_tokens, cost_nanodollars FROM run_days") == [(599, 599 * 2**50, 0)]


async def test_the_newest_run_stays_so_that_numbers_go_on_and_later_runs_are_found(store, rows):
    runs = recorded_runs(seed=4, count=2 * SEGMENT_RUNS)
    for start in range(0, len(runs), 1_024):
        await store.record_runs(runs[start : start + 1_024], [])
    assert await pruned(store, NOON + 400 * DAY) == len(runs) - 1
    assert rows("SELECT segment FROM run_segments") == [(1,)]
    assert await pruned(store, NOON + 400 * DAY) == 0
    later = [
        run(f"s{number:05}", user="ann", started_at_microseconds=NOON + 401 * DAY + number) for number in range(5_000)
    ]
    await store.record_runs(later, [])
    assert rows("SELECT segment FROM run_segments") == [(1,), (2,)]
    assert await store.count_runs(RunFilter(user="ann")) == 5_000
    assert len((await store.runs(RunFilter(result="ok", user="ann"), None, 100)).items) == 100


async def test_durations_that_earlier_releases_counted_go_for_every_version(store, database, rows):
    hour = NOON - NOON % HOUR
    with closing(sqlite3.connect(database)) as plain, plain:
        plain.executemany(
            "INSERT INTO latency_histograms VALUES ('support', ?, ?, 600, 1)",
            [(n % 3, hour + n * HOUR) for n in range(90)],
        )
    cutoff = hour + 60 * HOUR
    while await store.prune_latencies(cutoff):
        pass
    assert rows(f"SELECT MIN(hour_microseconds) >= {cutoff}, SUM(count) FROM latency_histograms") == [(1, 30)]


async def test_a_step_that_is_undone_left_the_sums_as_they_were(store, database, rows):
    runs = recorded_runs(seed=9, count=500)
    await store.record_runs(runs, [])
    before = rows(SUMS)
    with closing(sqlite3.connect(database)) as plain:
        plain.execute("CREATE TRIGGER no_more BEFORE DELETE ON run_records BEGIN SELECT RAISE(ABORT, 'no'); END")
    with pytest.raises(Refusal):
        await store.prune_runs(NOON + 9 * DAY)
    assert rows("SELECT COUNT(*) FROM run_days") == [(0,)]
    assert rows(SUMS) == before

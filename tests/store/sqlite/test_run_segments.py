"""The runs of one user or conversation: the same pages and counts wherever the segments end."""

import random
import sqlite3
from contextlib import closing

import pytest

from proxy.core.calls.run_filter import RunFilter
from proxy.store.sqlite.runs.run_segments import SEGMENT_RUNS
from tests.store.given import NOON, run

_RUNS = 2 * SEGMENT_RUNS + 100
_SPREAD_MICROSECONDS = 3_000


def recorded_runs(seed: int):
    """Runs in the order they are recorded, which is not quite that of their starts; few users have many, many have few."""
    rng = random.Random(seed)
    return [
        run(
            f"r{number:05}",
            agent=rng.choice(["support", "other"]),
            started_at_microseconds=NOON + number + rng.randrange(_SPREAD_MICROSECONDS),
            user=rng.choice([None, "busy", f"u{rng.randrange(3_000)}"]),
            conversation=rng.choice([None, f"c{rng.randrange(200)}"]),
            result=rng.choice(["ok", "error"]),
        )
        for number in range(_RUNS)
    ]


async def pages_of(store, wanted: RunFilter, limit: int) -> list[str]:
    found: list[str] = []
    cursor = None
    while True:
        page = await store.run_ids(wanted, cursor, limit)
        assert page.items == [one.id for one in (await store.runs(wanted, cursor, limit)).items]
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            return found
        assert len(page.items) == limit


def expected(runs, wanted: RunFilter) -> list[str]:
    asked = {
        name: getattr(wanted, name)
        for name in ("agent", "user", "conversation", "result")
        if getattr(wanted, name) is not None
    }
    matching = [
        one
        for one in runs
        if all(getattr(one, name) == value for name, value in asked.items())
        and (wanted.from_microseconds or 0) <= one.started_at_microseconds < (wanted.to_microseconds or 2**63)
    ]
    return [one.id for one in sorted(matching, key=lambda one: (one.started_at_microseconds, one.id), reverse=True)]


@pytest.fixture
async def recorded(store):
    runs = recorded_runs(seed=7)
    # Batches that end neither where segments do nor at each other's multiples.
    for start in range(0, _RUNS, 700):
        await store.record_runs(runs[start : start + 700], [])
    return runs


async def test_runs_of_one_owner_are_listed_and_counted_over_all_segments(store, recorded, rows):
    assert rows("SELECT segment FROM run_segments") == [(0,), (1,)]
    for wanted, limit in [
        (RunFilter(user="busy"), 199),
        (RunFilter(user="busy", agent="other", result="error"), 50),
        (RunFilter(user="u17"), 1),
        (RunFilter(conversation="c5"), 7),
        (RunFilter(conversation="c5", user="busy"), 3),
        (RunFilter(user="busy", from_microseconds=NOON + 3_900, to_microseconds=NOON + 4_500), 20),
        (RunFilter(user="busy", to_microseconds=NOON + 1_500), 20),
        (RunFilter(user="busy", from_microseconds=NOON + _RUNS), 20),
    ]:
        listed = await pages_of(store, wanted, limit)
        assert listed == expected(recorded, wanted)
        assert listed
        assert await store.count_runs(wanted) == len(listed)
    assert await pages_of(store, RunFilter(user="nobody"), 5) == []
    assert await store.count_runs(RunFilter(conversation="none")) == 0


async def test_a_segment_is_sorted_in_by_the_batch_that_fills_it_also_with_runs_that_are_there_already(store, rows):
    runs = recorded_runs(seed=1)[: SEGMENT_RUNS + 10]
    await store.record_runs(runs[: SEGMENT_RUNS - 1], [])
    assert rows("SELECT COUNT(*) FROM run_segments") == [(0,)]
    await store.record_runs(runs[: SEGMENT_RUNS - 1], [])
    assert rows("SELECT COUNT(*) FROM run_owners") == [(0,)]
    await store.record_runs(runs, [])
    owners = rows("SELECT COUNT(*), MIN(run), MAX(run) FROM run_owners")
    assert owners == rows(
        f"SELECT SUM((user_id IS NOT NULL) + (conversation IS NOT NULL)), 1, {SEGMENT_RUNS} FROM runs WHERE number <= {SEGMENT_RUNS}"
    )
    starts = [one.started_at_microseconds for one in runs[:SEGMENT_RUNS]]
    assert rows("SELECT * FROM run_segments") == [(0, min(starts), max(starts), 1)]


async def test_one_batch_may_fill_several_segments(store, rows):
    await store.record_runs(recorded_runs(seed=2), [])
    assert rows("SELECT segment FROM run_segments ORDER BY segment") == [(0,), (1,)]


async def test_what_is_asked_of_a_lane_is_found_over_all_segments(store, database, rows):
    rng = random.Random(5)
    runs = [
        run(
            f"r{number:05}",
            agent=rng.choice(["support", "other"]),
            user=rng.choice([None, "busy"]),
            started_at_microseconds=NOON + number + rng.randrange(_SPREAD_MICROSECONDS),
            # None in the first segment, few in the second, and in what is in no segment yet.
            result="error" if number > SEGMENT_RUNS and number % 97 == 0 else "ok",
            arm="candidate" if number in (17, _RUNS - 1) else None,
            quarantined=number % 501 == 0,
        )
        for number in range(_RUNS)
    ]
    for start in range(0, _RUNS, 1_000):
        await store.record_runs(runs[start : start + 1_000], [])

    async def all_are_right() -> None:
        for wanted, limit in [
            (RunFilter(result="error"), 10),
            (RunFilter(result="error", agent="other"), 3),
            (RunFilter(result="error", user="busy"), 5),
            (RunFilter(result="ok", agent="support", to_microseconds=NOON + 4_000), 199),
            (RunFilter(arm="candidate"), 1),
            (RunFilter(quarantined=True, result="ok"), 4),
            (RunFilter(quarantined=True, agent="other"), 2),
            (RunFilter(version=1, from_microseconds=NOON + 3_900, to_microseconds=NOON + 4_300), 50),
            (RunFilter(to_microseconds=NOON + 1_500), 70),
        ]:
            names = ("agent", "user", "result", "arm", "version", "quarantined")
            asked = {name: getattr(wanted, name) for name in names if getattr(wanted, name) is not None}
            matching = [
                one
                for one in runs
                if all(getattr(one, name) == value for name, value in asked.items())
                and (wanted.from_microseconds or 0) <= one.started_at_microseconds < (wanted.to_microseconds or 2**63)
            ]
            newest_first = sorted(matching, key=lambda one: (one.started_at_microseconds, one.id), reverse=True)
            assert await pages_of(store, wanted, limit) == [one.id for one in newest_first]
            assert matching
        assert await pages_of(store, RunFilter(arm="nobody"), 5) == []

    assert rows(
        "SELECT segment FROM run_segment_lanes WHERE lane IN (SELECT lane FROM run_lanes WHERE result = 'error')"
    )
    await all_are_right()
    # As an older release left it, and half-way through what is made good.
    with closing(sqlite3.connect(database)) as plain:
        plain.execute("DELETE FROM run_segment_lanes")
        plain.execute("UPDATE run_segments SET lanes_sorted = 0")
        plain.commit()
    await all_are_right()
    assert await store.sort_lanes() == 1
    await all_are_right()
    assert [await store.sort_lanes(), await store.sort_lanes()] == [1, 0]
    assert rows("SELECT DISTINCT segment FROM run_segment_lanes ORDER BY segment") == [(0,), (1,)]
    await all_are_right()

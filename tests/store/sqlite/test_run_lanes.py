"""What runs have in common is written once, and every run comes back whole, whatever happened to the write before."""

import sqlite3
from contextlib import closing

import pytest

from proxy.core.calls.run_filter import RunFilter
from proxy.core.errors import Conflict
from proxy.store.rows.runs import LANE_COLUMNS, RECORD_COLUMNS
from proxy.store.sqlite import SqliteStore
from proxy.store.sqlite.runs import run_lanes
from tests.store.given import NOON, run

_REFUSING = """
CREATE TRIGGER refusing AFTER INSERT ON run_records BEGIN SELECT RAISE(ABORT, 'not now'); END
"""


def alter(database, statement: str) -> None:
    with closing(sqlite3.connect(database)) as plain:
        plain.execute(statement)


async def listed(store):
    return sorted((await store.runs(RunFilter(), None, 500)).items, key=lambda one: one.id)


async def test_runs_that_differ_only_in_their_own_values_share_a_lane(store, rows):
    alike = [
        run(f"r{number}", user=f"u{number}", cost_nanodollars=number, tags={"n": str(number)}) for number in range(5)
    ]
    others = [run("r5", status=500, result="error"), run("r6", tool_calls=("a", "b"), dropped_parameters=("seed",))]
    await store.record_runs(alike[:2], [])
    await store.record_runs([*alike[2:], *others], [])
    assert rows("SELECT lane, COUNT(*) FROM run_records GROUP BY lane") == [(1, 5), (2, 1), (3, 1)]
    assert await listed(store) == [*alike, *others]


async def test_the_view_has_every_value_of_a_run_once(store, database):
    with closing(sqlite3.connect(database)) as plain:
        columns = [column[0] for column in plain.execute("SELECT * FROM runs").description]
    assert sorted(columns) == sorted(["number", "lane", *LANE_COLUMNS, *RECORD_COLUMNS])


async def test_lanes_of_a_write_that_was_undone_are_written_with_the_next(store, database, rows):
    known, new = run("r1"), run("r2", model_asked="another", in_analysis=True)
    await store.record_runs([known], [])
    alter(database, _REFUSING)
    with pytest.raises(Conflict):
        await store.record_runs([new], [])
    alter(database, "DROP TRIGGER refusing")
    await store.record_runs([run("r3")], [])
    await store.record_runs([new], [])
    assert await listed(store) == [known, new, run("r3")]
    assert rows("SELECT COUNT(*) FROM run_lanes") == [(2,)]


async def test_a_store_that_is_opened_again_knows_the_lanes_that_are_there(store, database, rows):
    first = [run("r1", tool_calls=("a",), streamed=True), run("r2", version=None, label=None)]
    await store.record_runs(first, [])
    await store.close()
    again = SqliteStore(database)
    await again.open()
    try:
        second = [run("r3", tool_calls=("a",), streamed=True), run("r4", version=None, label=None)]
        await again.record_runs(second, [])
        assert await listed(again) == [*first, *second]
    finally:
        await again.close()
    assert rows("SELECT COUNT(*) FROM run_lanes") == [(2,)]


async def test_more_lanes_than_are_kept_are_still_right(store, rows):
    runs = [
        run(
            f"r{number:05}",
            model_asked=f"model-{number % (run_lanes._KEPT + 100)}",
            started_at_microseconds=NOON + number,
        )
        for number in range(run_lanes._KEPT + 300)
    ]
    await store.record_runs(runs, [])
    # The hundred that were forgotten first came again, and have a lane more.
    assert rows("SELECT COUNT(*), COUNT(DISTINCT model_asked) FROM run_lanes") == [
        (run_lanes._KEPT + 300, run_lanes._KEPT + 100)
    ]
    assert await listed(store) == runs[-500:]

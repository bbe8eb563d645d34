"""Sums of runs by cell (core/reports), for reports: added up from what is recorded, read back with what is not added up yet.

Between two marks the runs are in the sums: those from `summed_from` to `summed_to`, by number. What comes after is added when there
is enough of it: at once what was counted when it was written (counted_runs.py), in steps what has to be read back because it was
written before a restart or changed since. What was recorded before there were sums is added from the newest to the oldest. A report
counts the few runs after the last mark itself, so that it is never behind. Marks move in the transaction that changes the sums.

What a step reads comes as one JSON text in one step of the statement, because each further one would wait for the interpreter lock.
How often there is a step, and what it costs: runtime/telemetry/summing.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import orjson

from proxy.core.calls.outcomes import Outcome, OutcomeValue
from proxy.core.calls.runs import Run
from proxy.core.reports.counting import LaneFacts, count_alike, count_outcome, count_runs, lane_facts
from proxy.core.reports.sums import DAY_MICROSECONDS, HOUR_MICROSECONDS, Cell, RunSums, read_sums, sums_text
from proxy.store.ports.reports import SummedRuns, SumsFilter
from proxy.store.rows.columns import json_text
from proxy.store.rows.runs import LANE_COLUMNS, lane_of
from proxy.store.sqlite.runs.counted_runs import CountedRuns, newest_run
from proxy.store.sqlite.runs.run_segments import SEGMENT_RUNS

#: A step, and how many runs may wait for one: a report counts them. Not Final: tests make them small.
_RUNS_A_STEP = 1_024
_RUNS_AWAITED = 2_048
#: Of a part of an hour that a report begins or ends in; more is not counted again, the whole hour is told.
_MOST_RECOUNTED: Final = 50_000
_SPANS: Final = (HOUR_MICROSECONDS, DAY_MICROSECONDS)

# Only constants of this code base are put together; every value is bound.
_LINES: Final = """
SELECT MIN(number), MAX(number), json_group_array(json_array(lane, agent, started_at_microseconds, duration_microseconds, quarantined,
    user_id, conversation, time_to_first_byte_microseconds, input_tokens, cached_tokens, output_tokens, cost_nanodollars,
    json((SELECT json_group_array(json_array(name, json(value))) FROM outcomes WHERE run = chosen.id))))
FROM (SELECT * FROM run_records {place}) AS chosen
"""
_AFTER: Final = _LINES.format(place="NOT INDEXED WHERE number > ? AND number < ? ORDER BY number LIMIT ?")
_BEFORE: Final = _LINES.format(place="NOT INDEXED WHERE number < ? ORDER BY number DESC LIMIT ?")
_BY_NUMBER: Final = _LINES.format(place="NOT INDEXED WHERE number IN (SELECT value FROM json_each(?))")
_BY_ID: Final = _LINES.format(place="WHERE id IN (SELECT value FROM json_each(?)) AND number BETWEEN ? AND ?")
_WAITING: Final = _LINES.format(
    place="NOT INDEXED WHERE number > ? AND agent = ? AND started_at_microseconds >= ? AND started_at_microseconds < ?"
)
_OF_TIME: Final = _LINES.format(
    place="WHERE agent = ? AND started_at_microseconds >= ? AND started_at_microseconds < ?"
)
_COUNT_OF_TIME: Final = f"""
SELECT COUNT(*) FROM (
    SELECT 1 FROM run_records WHERE agent = ? AND started_at_microseconds >= ? AND started_at_microseconds < ? LIMIT {_MOST_RECOUNTED + 1}
)
"""  # noqa: S608
_LANES: Final = "SELECT * FROM run_lanes WHERE lane IN (SELECT value FROM json_each(?))"
_MARKS: Final = "SELECT summed_from, summed_to FROM run_sum_marks"
_SET_MARKS: Final = "UPDATE run_sum_marks SET summed_from = ?, summed_to = ?"
_IS_BEFORE: Final = "SELECT 1 FROM run_records WHERE number < ? LIMIT 1"
_KEY: Final = "agent = ? AND span_microseconds = ? AND start_microseconds = ? AND version = ? AND label = ? AND rollout = ? AND step = ? AND arm = ?"
_SUMS: Final = f"SELECT sums FROM run_sums WHERE {_KEY}"  # noqa: S608
_PUT: Final = """
INSERT INTO run_sums (agent, span_microseconds, start_microseconds, version, label, rollout, step, arm, sums)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET sums = excluded.sums
"""
_CELLS: Final = """
SELECT agent, start_microseconds, version, label, rollout, step, arm, sums FROM run_sums
WHERE agent = ?1 AND span_microseconds = ?2 AND start_microseconds >= ?3 AND start_microseconds < ?4
    AND (?5 IS NULL OR version IN (SELECT value FROM json_each(?5))) AND (?6 IS NULL OR label = ?6) AND (?7 IS NULL OR rollout = ?7)
"""
_TOLD_OF: Final = """
SELECT value, number, lane, agent, started_at_microseconds, quarantined FROM json_each(?) AS wanted
CROSS JOIN run_records ON run_records.id = wanted.value WHERE number >= ?
"""
_TOLD: Final = """
SELECT lane, agent, started_at_microseconds, quarantined, name, outcomes.value AS told FROM json_each(?) AS wanted
CROSS JOIN run_records ON run_records.id = wanted.value CROSS JOIN outcomes ON outcomes.run = run_records.id
WHERE number >= ?
"""
_PRUNED_UNTIL: Final = "SELECT MAX(day_microseconds) FROM run_days WHERE agent = ?"
_LATEST_UNFILLED: Final = "SELECT MAX(latest_start_microseconds) FROM run_segments WHERE segment <= ?"
_LATEST_OF_FEW: Final = "SELECT MAX(started_at_microseconds) FROM run_records NOT INDEXED WHERE number BETWEEN ? AND ?"


def sum_up(plain: sqlite3.Connection, counted: CountedRuns) -> int:
    """One step; how many runs were added, 0 where too few wait for it."""
    summed_from, summed_to = _marks(plain)
    newest = newest_run(plain)
    if newest - summed_to < _RUNS_AWAITED:
        oldest, _, lines = _read(plain, _BEFORE, summed_from, _RUNS_A_STEP)
        if not lines:
            return 0
        summed_from = oldest
        _add(plain, _counted(plain, lines))
        added = len(lines)
    else:
        first = counted.first(plain)
        _, last, lines = _read(plain, _AFTER, summed_to, first, _RUNS_A_STEP)
        if lines:
            _add(plain, _counted(plain, lines))
        else:
            _add(plain, _taken(plain, counted, first))
            last = newest
        added, summed_to = last - summed_to, last
    plain.execute(_SET_MARKS, (summed_from, summed_to))
    return added


def _taken(plain: sqlite3.Connection, counted: CountedRuns, first: int) -> dict[Cell, RunSums]:
    """What was counted when it was written, with what was told of it since."""
    alike, told = counted.take()
    cells: dict[Cell, RunSums] = {}
    count_alike(alike, _lanes(plain, {lane for lane, _, _ in alike}), cells)
    if told:
        rows = plain.execute(_TOLD, (json_text(list(told)), first)).fetchall()
        _count_told(plain, [(row, row["name"], orjson.loads(row["told"])) for row in rows], cells)
    return cells


def sum_up_pruned(plain: sqlite3.Connection, counted: CountedRuns, numbers: Sequence[int]) -> None:
    """Add those of these runs that are in no sum yet, before they are removed."""
    summed_from, summed_to = _marks(plain)
    missing = [number for number in numbers if not summed_from <= number <= summed_to]
    if missing:
        if max(missing) > summed_to:
            counted.forget()
        _add(plain, _counted(plain, _read(plain, _BY_NUMBER, json_text(missing))[2]))


def move_quarantined(plain: sqlite3.Connection, counted: CountedRuns, run_ids: str, quarantined: bool) -> None:
    """Take runs out of the sums that they are in, or put them back: `run_ids` (JSON) were just marked so, and were not before."""
    counted.forget()
    lines = _read(plain, _BY_ID, run_ids, *_marks(plain))[2]
    for line in lines:
        line[_QUARANTINED] = 0
    _add(plain, _counted(plain, lines, -1 if quarantined else 1))


_QUARANTINED: Final = 4


def sum_up_outcomes(plain: sqlite3.Connection, counted: CountedRuns, outcomes: Iterable[Outcome]) -> None:
    """Add what was just told of runs that are in the sums; of others it is looked up when they are."""
    told: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        told.setdefault(outcome.run, []).append(outcome)
    summed_from, summed_to = _marks(plain)
    rows = plain.execute(_TOLD_OF, (json_text(list(told)), summed_from)).fetchall()
    summed = [row for row in rows if row["number"] <= summed_to]
    if len(summed) < len(rows):
        counted.told(row["value"] for row in rows if row["number"] > summed_to)
    cells: dict[Cell, RunSums] = {}
    _count_told(plain, [(row, one.name, one.value) for row in summed for one in told[row["value"]]], cells)
    _add(plain, cells)


def _count_told(
    plain: sqlite3.Connection, told: Sequence[tuple[sqlite3.Row, str, OutcomeValue]], cells: dict[Cell, RunSums]
) -> None:
    """Add to the cells of the runs that rows are of."""
    lanes = _lanes(plain, {row["lane"] for row, _, _ in told})
    for row, name, value in told:
        facts = lanes[row["lane"]]
        if facts is None or row["quarantined"]:
            continue
        started = row["started_at_microseconds"]
        cell = Cell(row["agent"], started - started % HOUR_MICROSECONDS, *facts.place)
        count_outcome(cells.setdefault(cell, RunSums()), name, value)


def read_sums_of(plain: sqlite3.Connection, wanted: SumsFilter) -> SummedRuns:
    """The sums of whole hours, and of the parts of hours at both ends what is counted anew."""
    start, end = wanted.from_microseconds, max(wanted.from_microseconds, wanted.to_microseconds)
    first, last = start + -start % HOUR_MICROSECONDS, end - end % HOUR_MICROSECONDS
    parts = [(start, end)] if first > last else [(start, first), (last, end)]
    cells: list[tuple[Cell, RunSums]] = []
    for begin, until in parts:
        if begin < until and not _is_recountable(plain, wanted.agent, begin, until):
            first, last = min(first, begin - begin % HOUR_MICROSECONDS), max(last, until + -until % HOUR_MICROSECONDS)
    for begin, until in parts:
        if begin < until and not (first <= begin and until <= last):
            lines = _read(plain, _OF_TIME, wanted.agent, begin, until)[2]
            cells += _wanted(wanted, _counted(plain, lines))
    if first < last:
        cells += _whole_hours(plain, wanted, first, last)
    return SummedRuns(
        cells=cells,
        from_microseconds=min(start, first) if first < last else start,
        to_microseconds=max(end, last) if first < last else end,
        unfilled_before_microseconds=_unfilled_before(plain),
    )


def _whole_hours(plain: sqlite3.Connection, wanted: SumsFilter, first: int, last: int) -> list[tuple[Cell, RunSums]]:
    first_day, last_day = first + -first % DAY_MICROSECONDS, last - last % DAY_MICROSECONDS
    if wanted.by_hour or first_day >= last_day:
        stretches = [(HOUR_MICROSECONDS, first, last)]
    else:
        hours = [(HOUR_MICROSECONDS, first, first_day), (HOUR_MICROSECONDS, last_day, last)]
        stretches = [*hours, (DAY_MICROSECONDS, first_day, last_day)]
    found: list[tuple[Cell, RunSums]] = []
    versions = None if wanted.versions is None else json_text(list(wanted.versions))
    for span, begin, until in stretches:
        values = wanted.agent, span, begin, until, versions, wanted.label, wanted.rollout
        found += [(Cell(*row[:-1]), read_sums(row[-1])) for row in map(tuple, plain.execute(_CELLS, values))]
    lines = _read(plain, _WAITING, _marks(plain)[1], wanted.agent, first, last)[2]
    return found + _wanted(wanted, _counted(plain, lines))


def _wanted(wanted: SumsFilter, cells: Mapping[Cell, RunSums]) -> list[tuple[Cell, RunSums]]:
    return [(cell, sums) for cell, sums in cells.items() if _is_wanted(wanted, cell)]


def _is_wanted(wanted: SumsFilter, cell: Cell) -> bool:
    return (
        (wanted.versions is None or cell.version in wanted.versions)
        and wanted.label in (None, cell.label)
        and wanted.rollout in (None, cell.rollout)
    )


def _is_recountable(plain: sqlite3.Connection, agent: str, begin: int, until: int) -> bool:
    """Whether all runs of a part of an hour are there, and few enough to count them while somebody waits."""
    pruned = plain.execute(_PRUNED_UNTIL, (agent,)).fetchone()[0]
    if pruned is not None and begin < pruned + DAY_MICROSECONDS:
        return False
    return plain.execute(_COUNT_OF_TIME, (agent, begin, until)).fetchone()[0] <= _MOST_RECOUNTED


def _unfilled_before(plain: sqlite3.Connection) -> int | None:
    summed_from = _marks(plain)[0]
    if plain.execute(_IS_BEFORE, (summed_from,)).fetchone() is None:
        return None
    segment = (summed_from - 2) // SEGMENT_RUNS
    in_segments = plain.execute(_LATEST_UNFILLED, (segment,)).fetchone()[0] or 0
    in_this_one = plain.execute(_LATEST_OF_FEW, (segment * SEGMENT_RUNS + 1, summed_from - 1)).fetchone()[0] or 0
    return max(in_segments, in_this_one) + 1


def _counted(plain: sqlite3.Connection, lines: Sequence[Sequence[Any]], sign: int = 1) -> dict[Cell, RunSums]:
    cells: dict[Cell, RunSums] = {}
    count_runs(lines, _lanes(plain, {line[0] for line in lines}), cells, sign)
    return cells


def _lanes(plain: sqlite3.Connection, lanes: Iterable[int]) -> dict[int, LaneFacts | None]:
    return {
        row["lane"]: lane_facts(Run("", "", 0, 0, **dict(zip(LANE_COLUMNS, lane_of(row), strict=True))))
        for row in plain.execute(_LANES, (json_text(list(lanes)),))
    }


def _add(plain: sqlite3.Connection, hours: Mapping[Cell, RunSums]) -> None:
    """Add to what is kept of these hours, and of their days."""
    days: dict[Cell, RunSums] = {}
    for cell, sums in hours.items():
        start = cell.start_microseconds
        days.setdefault(cell._replace(start_microseconds=start - start % DAY_MICROSECONDS), RunSums()).merge(sums)
    for span, cells in zip(_SPANS, (hours, days), strict=True):
        for cell, more in cells.items():
            key = (cell.agent, span, *cell[1:])
            row = plain.execute(_SUMS, key).fetchone()
            total = RunSums() if row is None else read_sums(row["sums"])
            total.merge(more)
            plain.execute(_PUT, (*key, sums_text(total)))


def _marks(plain: sqlite3.Connection) -> tuple[int, int]:
    row = plain.execute(_MARKS).fetchone()
    return row["summed_from"], row["summed_to"]


def _read(plain: sqlite3.Connection, statement: str, *values: Any) -> tuple[int, int, list[list[Any]]]:
    """The first and the last number, and the runs as `count_runs` wants them."""
    first, last, lines = plain.execute(statement, values).fetchone()
    return first or 0, last or 0, orjson.loads(lines)

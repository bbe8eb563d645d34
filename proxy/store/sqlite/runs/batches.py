"""Runs, attempts and outcomes: each batch in one transaction. The spend ledger is ledger.py's.

Decision: CPU of the thread per run, measured in batches of 190: 5 us (its values 0.5, binding and writing them 2, its indexes 1,
counting it for reports and the rest 1.5). A batch of its own adds 100 us for the hop to the thread and the commit, so callers gather.
One index serves an agent's runs, also those of one version or release: an index for each would add 2 us to every run, to save
20 ms for every 100,000 runs passed over.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from proxy.core.calls.outcomes import Outcome
from proxy.core.calls.runs import Attempt, Run
from proxy.core.errors import BadInput
from proxy.store.rows.columns import json_text
from proxy.store.rows.runs import (
    ATTEMPT_COLUMNS,
    OUTCOME_COLUMNS,
    RECORD_COLUMNS,
    attempt_values,
    outcome_values,
    run_parts,
    storable_attempt,
    storable_run,
)
from proxy.store.sqlite.runs.counted_runs import CountedRuns, newest_run
from proxy.store.sqlite.runs.run_lanes import RunLanes
from proxy.store.sqlite.runs.run_segments import sort_in
from proxy.store.sqlite.runs.run_sums import sum_up_outcomes
from proxy.store.sqlite.statements.bulk import NULL, BulkInsert

_RECORD: Final = BulkInsert("run_records", (*RECORD_COLUMNS, "lane"), "DO NOTHING")
_ATTEMPT: Final = BulkInsert("attempts", ATTEMPT_COLUMNS, "DO NOTHING")
_OUTCOME: Final = BulkInsert("outcomes", OUTCOME_COLUMNS, "DO NOTHING")
_KNOWN_RUNS: Final = (
    "SELECT run_records.id FROM json_each(?) AS wanted CROSS JOIN run_records ON run_records.id = wanted.value"
)
_TOLD: Final = "SELECT outcomes.id FROM json_each(?) AS wanted CROSS JOIN outcomes ON outcomes.id = wanted.value"


def write_runs(
    plain: sqlite3.Connection, lanes: RunLanes, counted: CountedRuns, runs: Sequence[Run], attempts: Sequence[Attempt]
) -> None:
    """Insert what is not there yet, and count it for reports."""
    lanes.see(plain)
    newest_before = newest_run(plain)
    is_new = False
    try:
        inserted, of_lanes = _insert(plain, lanes, runs, attempts)
        is_new = inserted == len(runs)
    except (UnicodeEncodeError, OverflowError, BadInput):
        # One unwritable value of a caller or provider must not lose the others; rows already inserted stay.
        of_lanes = []
        _insert(plain, lanes, [storable_run(run) for run in runs], [storable_attempt(one) for one in attempts])
    newest = newest_run(plain)
    sort_in(plain, newest_before, newest)
    if is_new:
        counted.add(plain, newest_before, newest, runs, of_lanes)


def _insert(
    plain: sqlite3.Connection, lanes: RunLanes, runs: Sequence[Run], attempts: Sequence[Attempt]
) -> tuple[int, list[int]]:
    """How many runs were not there before, and the lane of each."""
    rows: list[list[Any]] = []
    of_lanes: list[int] = []
    for run in runs:
        own, values = run_parts(run, NULL)
        lane = lanes.of(values)
        own.append(lane)
        rows.append(own)
        of_lanes.append(lane)
    inserted = _RECORD(plain, rows)
    _ATTEMPT(plain, [attempt_values(attempt, NULL) for attempt in attempts])
    return inserted, of_lanes


def write_outcomes(plain: sqlite3.Connection, counted: CountedRuns, outcomes: Sequence[Outcome]) -> list[str]:
    """Insert those whose run is there; the ids of runs that are not, each once, in order."""
    wanted = list({outcome.run: None for outcome in outcomes})
    known = {row["id"] for row in plain.execute(_KNOWN_RUNS, (json_text(wanted),))}
    told = {row["id"] for row in plain.execute(_TOLD, (json_text([outcome.id for outcome in outcomes]),))}
    new = {outcome.id: outcome for outcome in outcomes if outcome.run in known and outcome.id not in told}
    if new:
        _OUTCOME(plain, [outcome_values(outcome) for outcome in new.values()])
        sum_up_outcomes(plain, counted, new.values())
    return [run for run in wanted if run not in known]


def try_write(plain: sqlite3.Connection) -> None:
    """A write that changes nothing anybody reads, to learn whether writes succeed."""
    plain.execute("UPDATE meta SET writes_tried = writes_tried + 1")

"""The data plane's writes, each a batch in one transaction: runs with their latency counts, holds, settlements.

Decision: CPU of the thread per row, measured in batches of 100 to 500: a run 27 us (binding and writing its 49 columns 21, its
six indexes 5), its attempt 3, its latency count 1; a hold 4, its settlement 5. A batch of its own adds 100 us for the hop to
the thread and the commit, so callers gather. An index on unsettled holds would add 6 us to every hold to save one scan of
the ledger at start: there is none.
"""

import sqlite3
from collections import Counter
from collections.abc import Sequence

from proxy.core.caps import CounterKey
from proxy.core.errors import BadInput
from proxy.core.latency import latency_bucket
from proxy.core.ledger import Hold, Settlement
from proxy.core.outcomes import Outcome
from proxy.core.runs import Attempt, Run
from proxy.store.rows import json_text
from proxy.store.run_rows import (
    ATTEMPT_COLUMNS,
    OUTCOME_COLUMNS,
    RUN_COLUMNS,
    attempt_values,
    outcome_values,
    run_values,
    storable_attempt,
    storable_run,
)

_HOUR_MICROSECONDS = 3_600_000_000


def _insertion(table: str, columns: Sequence[str]) -> str:
    names, marks = ", ".join(columns), ", ".join("?" * len(columns))
    # Only names from this code base are put together.
    return f"INSERT INTO {table} ({names}) VALUES ({marks}) ON CONFLICT DO NOTHING"  # noqa: S608


_RUN = _insertion("runs", RUN_COLUMNS)
_ATTEMPT = _insertion("attempts", ATTEMPT_COLUMNS)
_OUTCOME = _insertion("outcomes", OUTCOME_COLUMNS)
_KNOWN_RUNS = "SELECT runs.id FROM json_each(?) AS wanted CROSS JOIN runs ON runs.id = wanted.value"
_LATENCY = """
INSERT INTO latency_histograms (agent, version, hour_microseconds, bucket, count) VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET count = count + excluded.count
"""
# A hold placed again, by a caller who could not know that the first time worked, is one hold, and the larger counts.
_HOLD = """
INSERT INTO holds (cap, window_start_microseconds, part, attempt, unit, amount, placed_at_microseconds)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET amount = MAX(amount, excluded.amount) WHERE settled_at_microseconds IS NULL
"""
_SETTLEMENT = """
UPDATE holds SET spent = ?, settled_by = ?, settled_at_microseconds = ?
WHERE cap = ? AND window_start_microseconds = ? AND part = ? AND attempt = ? AND settled_at_microseconds IS NULL
"""
_RECOVERY = """
UPDATE holds SET
    spent = CASE unit WHEN 'in_flight' THEN 0 ELSE amount END,
    settled_by = CASE unit WHEN 'in_flight' THEN 'released' ELSE 'held' END,
    settled_at_microseconds = ?
WHERE settled_at_microseconds IS NULL
"""
_SPENT = """
SELECT window_start_microseconds, part, SUM(COALESCE(spent, amount)) AS spent FROM holds
WHERE cap = ? AND window_start_microseconds >= ? GROUP BY window_start_microseconds, part
"""


def write_runs(plain: sqlite3.Connection, runs: Sequence[Run], attempts: Sequence[Attempt]) -> None:
    """Insert what is not there yet, and count the durations of what is new."""
    try:
        new = _insert(plain, runs, attempts)
    except (UnicodeEncodeError, OverflowError, BadInput):
        # One unwritable value of a caller or provider must not lose the others; rows already inserted stay.
        new = _insert(plain, [storable_run(run) for run in runs], [storable_attempt(one) for one in attempts])
    counts = Counter(
        (run.agent, run.version or 0, _hour_of(run), latency_bucket(run.duration_microseconds))
        for run in new
        if run.kind == "live" and run.outcome != "refused"
    )
    plain.executemany(_LATENCY, [(*key, count) for key, count in counts.items()])


def _insert(plain: sqlite3.Connection, runs: Sequence[Run], attempts: Sequence[Attempt]) -> Sequence[Run]:
    """Insert runs and attempts; the runs that were not there before."""
    newest_row: int = plain.execute("SELECT COALESCE(MAX(rowid), 0) FROM runs").fetchone()[0]
    inserted = plain.executemany(_RUN, [run_values(run) for run in runs]).rowcount
    plain.executemany(_ATTEMPT, [attempt_values(attempt) for attempt in attempts])
    if inserted == len(runs):
        return runs
    added = {row["id"] for row in plain.execute("SELECT id FROM runs WHERE rowid > ?", (newest_row,))}
    return list({run.id: run for run in reversed(runs) if run.id in added}.values())


def _hour_of(run: Run) -> int:
    return run.started_at_microseconds - run.started_at_microseconds % _HOUR_MICROSECONDS


def write_outcomes(plain: sqlite3.Connection, outcomes: Sequence[Outcome]) -> list[str]:
    """Insert those whose run is there; the ids of runs that are not, each once, in order."""
    wanted = list({outcome.run: None for outcome in outcomes})
    known = {row["id"] for row in plain.execute(_KNOWN_RUNS, (json_text(wanted),))}
    plain.executemany(_OUTCOME, [outcome_values(outcome) for outcome in outcomes if outcome.run in known])
    return [run for run in wanted if run not in known]


def write_holds(plain: sqlite3.Connection, holds: Sequence[Hold]) -> None:
    plain.executemany(
        _HOLD,
        [
            (
                hold.key.cap,
                hold.key.window_start_microseconds,
                hold.key.part,
                hold.attempt,
                hold.unit,
                hold.amount,
                hold.placed_at_microseconds,
            )
            for hold in holds
        ],
    )


def write_settlements(plain: sqlite3.Connection, settlements: Sequence[Settlement]) -> None:
    plain.executemany(
        _SETTLEMENT,
        [
            (
                settlement.spent,
                settlement.settled_by,
                settlement.settled_at_microseconds,
                settlement.key.cap,
                settlement.key.window_start_microseconds,
                settlement.key.part,
                settlement.attempt,
            )
            for settlement in settlements
        ],
    )


def settle_what_is_left(plain: sqlite3.Connection, at_microseconds: int) -> int:
    """Charge every open hold in full, calls in flight nothing; how many there were."""
    return plain.execute(_RECOVERY, (at_microseconds,)).rowcount


def read_spent(plain: sqlite3.Connection, cap: str, from_window_start_microseconds: int) -> dict[CounterKey, int]:
    """The ledger's sum per counter of a cap: what is settled, and open holds in full."""
    rows = plain.execute(_SPENT, (cap, from_window_start_microseconds))
    return {CounterKey(cap, row["window_start_microseconds"], row["part"]): row["spent"] for row in rows}


def try_write(plain: sqlite3.Connection) -> None:
    """A write that changes nothing anybody reads, to learn whether writes succeed."""
    plain.execute("UPDATE meta SET writes_tried = writes_tried + 1")

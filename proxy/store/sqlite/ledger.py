"""The spend ledger's rows, batches and leases: written, summed, and charged after a crash. What was settled long ago is summed
by carrying.py.

An index on unsettled holds would add to every row to save one scan of the rows at start: there is none.
"""

import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec.structs import astuple

from proxy.core.spending.caps import CounterKey
from proxy.core.spending.ledger import LedgerWrites, SettledBatch, Settlement
from proxy.store.sqlite.statements.bulk import BulkInsert

_COUNTER: Final = ("cap", "window_start_microseconds", "part")
# A hold placed again, by a caller who could not know that the first time worked, is one hold, and the larger counts.
_HOLD: Final = BulkInsert(
    "hold_rows",
    (*_COUNTER, "attempt", "unit", "amount", "placed_at_microseconds"),
    "DO UPDATE SET amount = MAX(amount, excluded.amount) WHERE settled_at_microseconds IS NULL",
)
_SETTLEMENT: Final = BulkInsert(
    "hold_rows",
    Settlement.__struct_fields__,
    "DO UPDATE SET spent = excluded.spent, settled_by = excluded.settled_by, "
    "settled_at_microseconds = excluded.settled_at_microseconds WHERE settled_at_microseconds IS NULL",
)
_BATCH: Final = BulkInsert("settled_batches", (*_COUNTER, "first_attempt", "unit", "spent", "entries"), "DO NOTHING")
_LEASE: Final = BulkInsert("leases", (*_COUNTER, "unit", "amount"), "DO UPDATE SET amount = excluded.amount")
_LEASE_END: Final = "DELETE FROM leases WHERE cap = ? AND window_start_microseconds = ? AND part = ?"
_RECOVERY: Final = """
UPDATE hold_rows SET
    spent = CASE unit WHEN 'in_flight' THEN 0 ELSE amount END,
    settled_by = CASE WHEN unit = 'in_flight' THEN 'released' WHEN amount = 0 THEN 'unmetered' ELSE 'crash' END,
    settled_at_microseconds = ?
WHERE settled_at_microseconds IS NULL
"""
_LEASE_RECOVERY: Final = """
INSERT INTO hold_rows (cap, window_start_microseconds, part, attempt, unit, amount, placed_at_microseconds,
    spent, settled_by, settled_at_microseconds)
SELECT cap, window_start_microseconds, part, 'lease_' || :at, unit, amount, :at, amount, 'lease', :at FROM leases WHERE TRUE
ON CONFLICT DO UPDATE SET amount = amount + excluded.amount, spent = spent + excluded.spent
"""
ROWS_SPENT: Final = """
SELECT window_start_microseconds, part, SUM(COALESCE(spent, amount)) AS spent FROM hold_rows
WHERE cap = ? AND window_start_microseconds >= ? GROUP BY window_start_microseconds, part
"""
_CHARGED: Final = """
SELECT window_start_microseconds, part, SUM(spent) AS spent FROM hold_rows
WHERE cap = ? AND window_start_microseconds >= ? AND settled_by IN ('lease', 'crash') GROUP BY window_start_microseconds, part
"""
BATCHES_SPENT: Final = """
SELECT window_start_microseconds, part, SUM(spent) AS spent FROM settled_batches
WHERE cap = ? AND window_start_microseconds >= ? GROUP BY window_start_microseconds, part
"""
CARRIED_SPENT: Final = """
SELECT window_start_microseconds, part, SUM(spent) AS spent FROM carried_sums
WHERE cap = ? AND window_start_microseconds >= ? GROUP BY window_start_microseconds, part
"""
_CARRIED_CHARGED: Final = """
SELECT window_start_microseconds, part, SUM(spent) AS spent FROM carried_sums
WHERE cap = ? AND window_start_microseconds >= ? AND settled_by IN ('lease', 'crash') GROUP BY window_start_microseconds, part
"""
# Earlier releases wrote a hold of nothing whose use nobody told as held. A batch is text: [attempt, amount, placed, spent, how, when].
_UNMETERED: Final = """
SELECT window_start_microseconds, part, COUNT(*) AS spent FROM hold_rows
WHERE cap = ? AND window_start_microseconds >= ? AND unit IN ('usd', 'tokens')
    AND (settled_by = 'unmetered' OR (settled_by IN ('held', 'crash') AND amount = 0))
GROUP BY window_start_microseconds, part
"""
_BATCHES_UNMETERED: Final = """
SELECT window_start_microseconds, part, COUNT(*) AS spent FROM settled_batches, json_each(entries)
WHERE cap = ? AND window_start_microseconds >= ? AND unit IN ('usd', 'tokens')
    AND (instr(entries, ',"unmetered",') OR instr(entries, ',0,"held",'))
    AND (json_extract(value, '$[4]') = 'unmetered' OR (json_extract(value, '$[4]') = 'held' AND json_extract(value, '$[1]') = 0))
GROUP BY window_start_microseconds, part
"""
_CARRIED_UNMETERED: Final = """
SELECT window_start_microseconds, part, SUM(holds) AS spent FROM carried_sums
WHERE cap = ? AND window_start_microseconds >= ? AND unit IN ('usd', 'tokens')
    AND (settled_by = 'unmetered' OR (settled_by IN ('held', 'crash') AND amount = 0))
GROUP BY window_start_microseconds, part
"""
#: Calls a crash took with it that only a lease stood for, and calls merged while the store was away, are in no row of their own.
_MAY_MISS: Final = """
SELECT EXISTS (SELECT 1 FROM hold_rows WHERE cap = :cap AND window_start_microseconds >= :start AND settled_by IN ('lease', 'merged'))
    OR EXISTS (SELECT 1 FROM carried_sums WHERE cap = :cap AND window_start_microseconds >= :start
        AND settled_by IN ('lease', 'merged'))
    OR EXISTS (SELECT 1 FROM settled_batches WHERE cap = :cap AND window_start_microseconds >= :start
        AND instr(entries, ',"merged",'))
"""


def write_ledger(plain: sqlite3.Connection, writes: LedgerWrites) -> None:
    """Holds before settlements, which may be of the same attempts."""
    holds = [
        (*astuple(hold.key), hold.attempt, hold.unit, hold.amount, hold.placed_at_microseconds) for hold in writes.holds
    ]
    _HOLD(plain, holds)
    _SETTLEMENT(plain, [astuple(settlement) for settlement in writes.settlements])
    _BATCH(plain, [_batch_values(batch) for batch in writes.batches])
    leases = writes.leases
    _LEASE(plain, [(*astuple(lease.key), lease.unit, lease.amount) for lease in leases if lease.amount > 0])
    plain.executemany(_LEASE_END, [astuple(lease.key) for lease in leases if lease.amount <= 0])


def charge_what_is_left(plain: sqlite3.Connection, at_microseconds: int) -> int:
    """Charge every open hold and every lease in full, calls in flight nothing, and end the leases; how many there were."""
    charged = plain.execute(_RECOVERY, (at_microseconds,)).rowcount
    plain.execute(_LEASE_RECOVERY, {"at": at_microseconds})
    return charged + plain.execute("DELETE FROM leases").rowcount


def read_spent(plain: sqlite3.Connection, cap: str, from_window_start_microseconds: int) -> dict[CounterKey, int]:
    """The ledger's sum per counter of a cap: what is settled, and open holds in full."""
    return _sums(plain, (ROWS_SPENT, BATCHES_SPENT, CARRIED_SPENT), cap, from_window_start_microseconds)


def read_charged(plain: sqlite3.Connection, cap: str, from_window_start_microseconds: int) -> dict[CounterKey, int]:
    """What of it crashes left."""
    return _sums(plain, (_CHARGED, _CARRIED_CHARGED), cap, from_window_start_microseconds)


def read_unmetered(
    plain: sqlite3.Connection, cap: str, from_window_start_microseconds: int
) -> dict[CounterKey, int] | None:
    """How many calls counted there and could not be metered; None where some may be in no row."""
    found = plain.execute(_MAY_MISS, {"cap": cap, "start": from_window_start_microseconds}).fetchone()
    if found[0]:
        return None
    statements = (_UNMETERED, _BATCHES_UNMETERED, _CARRIED_UNMETERED)
    return _sums(plain, statements, cap, from_window_start_microseconds)


def _sums(
    plain: sqlite3.Connection, statements: Sequence[str], cap: str, from_window_start_microseconds: int
) -> dict[CounterKey, int]:
    sums: dict[CounterKey, int] = {}
    for statement in statements:
        for row in plain.execute(statement, (cap, from_window_start_microseconds)):
            key = CounterKey(cap, row["window_start_microseconds"], row["part"])
            sums[key] = sums.get(key, 0) + row["spent"]
    return sums


def _batch_values(batch: SettledBatch) -> tuple[str | int, ...]:
    entries = msgspec.json.encode(batch.entries).decode()
    return (*astuple(batch.key), batch.first_attempt, batch.unit, batch.spent, entries)

"""Carrying sums: of holds that were settled long ago one sum is kept per counter and way they ended; ledger.py adds it in.

A counter comes to the same before and after, because holds go and their sum grows in one transaction. What would be written
a second time after a failure nobody could place must have been before: whoever carries has the ledger's writer flushed first.

What does not prove is left as it is and counted: a batch whose holds do not come to what it says they spent.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from proxy.core.spending.ledger import BatchEntry
from proxy.store.ports.upkeep import Carried, CarryPosition
from proxy.store.rows.columns import Row

#: Of one step, which takes a few milliseconds of the writer's thread.
_ROWS_A_STEP: Final = 256
_HOLDS_A_STEP: Final = 2_000
_AFTER_ALL_TEXT: Final = "\U0010ffff"
_AFTER_ALL_WINDOWS: Final = 2**63 - 1
_MOST: Final = 2**62

_KEYS: Final = {"hold_rows": "attempt", "settled_batches": "first_attempt"}
_TABLES: Final = tuple(_KEYS)
# Only names of this code base are put together; values are bound.
_NEXT: Final = {
    table: f"""
SELECT * FROM {table} WHERE (cap, window_start_microseconds, part, {attempt}) > (?, ?, ?, ?)
ORDER BY cap, window_start_microseconds, part, {attempt} LIMIT ?
"""  # noqa: S608
    for table, attempt in _KEYS.items()
}
_REMOVE: Final = {
    table: f"DELETE FROM {table} WHERE cap = ? AND window_start_microseconds = ? AND part = ? AND {attempt} = ?"  # noqa: S608
    for table, attempt in _KEYS.items()
}
_ADD: Final = f"""
INSERT INTO carried_sums (cap, window_start_microseconds, part, settled_by, unit, holds, amount, spent) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET holds = holds + excluded.holds,
    amount = MIN(amount + excluded.amount, {_MOST}), spent = MIN(spent + excluded.spent, {_MOST})
"""  # noqa: S608
_ENTRIES: Final = msgspec.json.Decoder(list[BatchEntry])

#: Cap, start of the window, part, attempt.
_Key = tuple[str, int, str, str]
_BEFORE_ALL: Final[_Key] = ("", -1, "", "")
#: Counter, how its holds ended, unit -> how many, amount, spent.
_Sums = dict[tuple[str, int, str, str, str], list[int]]


@dataclass(slots=True)
class _Step:
    settled_before: int
    sums: _Sums = field(default_factory=dict[tuple[str, int, str, str, str], list[int]])
    gone: list[_Key] = field(default_factory=list[_Key])
    holds: int = 0
    unproven: int = 0


def carry_sums(plain: sqlite3.Connection, settled_before_microseconds: int, after: CarryPosition | None) -> Carried:
    """One step, as the port says."""
    table, start = after or (_TABLES[0], _BEFORE_ALL)
    position: _Key | None = start
    step = _Step(settled_before_microseconds)
    read = 0
    while position is not None and read < _ROWS_A_STEP and step.holds < _HOLDS_A_STEP:
        rows = plain.execute(_NEXT[table], (*position, _ROWS_A_STEP)).fetchall()
        position, looked_at = _through(step, table, rows)
        read += looked_at
    plain.executemany(_REMOVE[table], step.gone)
    plain.executemany(_ADD, [(*key, *(min(one, _MOST) for one in sums)) for key, sums in step.sums.items()])
    if position is None:
        following = _TABLES.index(table) + 1
        table, position = (table, None) if following == len(_TABLES) else (_TABLES[following], _BEFORE_ALL)
    return Carried(step.holds, step.unproven, None if position is None else (table, position))


def _through(step: _Step, table: str, rows: Sequence[Row]) -> tuple[_Key | None, int]:
    """Where to go on, None at the end of the table; and how many rows were looked at. Ends early where what follows is too young,
    and where it has been enough."""
    for looked_at, row in enumerate(rows, 1):
        key: _Key = (row["cap"], row["window_start_microseconds"], row["part"], row[_KEYS[table]])
        entries = _entries_of(row, table)
        if entries is None:
            step.unproven += 1
        elif entries and entries[0][2] >= step.settled_before:
            # A counter's rows are ordered by when they began, and a cap's by windows.
            is_young_window = key[1] >= step.settled_before
            beyond = (key[0], _AFTER_ALL_WINDOWS, "", "") if is_young_window else (*key[:3], _AFTER_ALL_TEXT)
            return beyond, looked_at
        elif all(entry[5] < step.settled_before for entry in entries):
            _add(step, row, key, entries)
        if step.holds >= _HOLDS_A_STEP or looked_at == _ROWS_A_STEP:
            return key, looked_at
    return None, len(rows)


def _entries_of(row: Row, table: str) -> list[BatchEntry] | None:
    """The holds of a row; None where they do not prove, none where they are open."""
    if table == "hold_rows":
        settled_at = row["settled_at_microseconds"]
        if settled_at is None:
            return [(row["attempt"], row["amount"], row["placed_at_microseconds"], 0, "held", _AFTER_ALL_WINDOWS)]
        told = (
            row["attempt"],
            row["amount"],
            row["placed_at_microseconds"],
            row["spent"],
            row["settled_by"],
            settled_at,
        )
        return [told]
    try:
        entries = _ENTRIES.decode(row["entries"])
    except msgspec.DecodeError:
        return None
    return entries if sum(entry[3] for entry in entries) == row["spent"] else None


def _add(step: _Step, row: Row, key: _Key, entries: Sequence[BatchEntry]) -> None:
    step.gone.append(key)
    step.holds += len(entries)
    for settled_by, amount, spent in _amounts(entries):
        sums = step.sums.setdefault((*key[:3], settled_by, row["unit"]), [0, 0, 0])
        sums[0] += 1
        sums[1] += amount
        sums[2] += spent


def _amounts(entries: Sequence[BatchEntry]) -> Iterator[tuple[str, int, int]]:
    return ((entry[4], entry[1], entry[3]) for entry in entries)

"""Looking through the content of the open database beside traffic, a little at a time, so that damage is known before it is needed.

A step looks through one small table with its indexes, and through a slice of one large table, on the connection for lists. What
is read comes from the file, not from what the connection still has in memory.

Decision: a step a second. The 30 tables there are, the large ones aside, are each looked at within half a minute; a large one takes a
second for each 2,000 rows, 3 million runs 25 minutes. What is looked for is what an opening of the file looks for too
(`quick_check`), so that a store cannot come and go over damage that only one of the two sees.
"""

import sqlite3
from dataclasses import dataclass, field
from typing import Any, Final

from proxy.store.sqlite.opening.inspection import damaged

#: Rows of a slice. A table that has more is large. Not Final: a test makes it small.
_SLICE_ROWS = 2_000
_SCHEMA: Final = "sqlite_schema"


@dataclass(slots=True)
class ScrubPosition:
    """How far the looking has come: in the round of tables, and in the large one that is being read, which is the first."""

    table: str = ""
    large_tables: list[str] = field(default_factory=list[str])
    #: The key of the last row that was read of it; empty: none yet.
    after: tuple[Any, ...] = ()


def look_further(plain: sqlite3.Connection, position: ScrubPosition) -> None:
    """One step; moves the position on. Raises DatabaseFailed for damage, and the driver's exceptions, which may tell of it too."""
    # What the connection has in memory would hide what became of the file.
    plain.execute("PRAGMA shrink_memory")
    position.table = table = _table_after(plain, position.table)
    if not _is_large(plain, table):
        _check_whole(plain, table)
    elif table not in position.large_tables:
        position.large_tables.append(table)
    if position.large_tables:
        _read_slice(plain, position)


def _table_after(plain: sqlite3.Connection, table: str) -> str:
    """The schema itself is looked at where the round begins again."""
    if table == _SCHEMA:
        table = ""
    row = plain.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name > ? ORDER BY name LIMIT 1", (table,)
    ).fetchone()
    return _SCHEMA if row is None else row[0]


def _is_large(plain: sqlite3.Connection, table: str) -> bool:
    # Names of tables are the schema's own.
    return plain.execute(f'SELECT 1 FROM "{table}" LIMIT 1 OFFSET {_SLICE_ROWS}').fetchone() is not None  # noqa: S608


def _check_whole(plain: sqlite3.Connection, table: str) -> None:
    found = plain.execute(f'PRAGMA quick_check("{table}")').fetchone()
    if found is not None and found[0] != "ok":
        raise damaged(found[0])


def _read_slice(plain: sqlite3.Connection, position: ScrubPosition) -> None:
    """Every column of the next rows, in the order of the primary key."""
    table = position.large_tables[0]
    told = plain.execute("SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk", (table,))
    keys = [f'"{row[0]}"' for row in told] or ["rowid"]
    columns, marks = ", ".join(keys), ", ".join("?" for _ in keys)
    where = f"WHERE ({columns}) > ({marks})" if position.after else ""
    query = f'SELECT {columns}, * FROM "{table}" {where} ORDER BY {columns} LIMIT {_SLICE_ROWS}'  # noqa: S608 names of the schema
    count = 0
    for row in plain.execute(query, position.after):
        count, position.after = count + 1, tuple(row[: len(keys)])
    if count < _SLICE_ROWS:
        position.large_tables.pop(0)
        position.after = ()

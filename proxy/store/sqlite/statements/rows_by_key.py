"""Rows by their keys, many at once: one statement a table, with the keys as JSON."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from proxy.store.rows.columns import Columns, json_text


def statement_by_key(table: str, key: Sequence[str]) -> str:
    """Rows of a table by a JSON array of keys."""
    same = " AND ".join(f"{table}.{name} = json_extract(wanted.value, '$[{index}]')" for index, name in enumerate(key))
    # Only names from this code base are put together.
    return f"SELECT {table}.* FROM json_each(?) AS wanted CROSS JOIN {table} ON {same}"  # noqa: S608


def rows_by_key(
    plain: sqlite3.Connection, statement: str, key: Sequence[str], wanted: Iterable[tuple[Any, ...]]
) -> dict[tuple[Any, ...], Columns]:
    """The rows that are there, by their keys."""
    rows = (dict(row) for row in plain.execute(statement, (json_text(list(dict.fromkeys(wanted))),)))
    return {tuple(row[name] for name in key): row for row in rows}

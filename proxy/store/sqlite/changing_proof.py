"""Proving the rows that may change: each is what the last audit entry that speaks about it says, and none is beside.

Entries are followed with the others (proof.py); of rows that may still change only the number of the entry is kept, and they are
compared at the end of the log, on the same picture of the file. What an entry says of a row is rows/changing.py's.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from proxy.core.errors import Refusal
from proxy.core.proof.record_proof import BrokenRow, Document, RecordProof, RowKey, Table, broken_entry
from proxy.store.rows.changing import KEYS, StatedRow, stated_row
from proxy.store.rows.columns import json_text
from proxy.store.rows.sealed import sound_entry
from proxy.store.sqlite.statements.rows_by_key import rows_by_key, statement_by_key

_AT_ONCE = 500
_ROWS = {table: statement_by_key(table, key) for table, key in KEYS.items()}
_ENTRIES = "SELECT audit.* FROM json_each(?) AS wanted CROSS JOIN audit ON audit.number = wanted.value"
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table'"
#: Rows that are there or in force; numbered ones are counted by proof.py.
_PRESENT: Mapping[Table, str] = {
    "agents": "SELECT name FROM agents",
    "switches": "SELECT id FROM switches WHERE ended_at_microseconds IS NULL",
    "caps": "SELECT id FROM caps WHERE ended_at_microseconds IS NULL",
    "tokens": "SELECT id FROM tokens WHERE revoked_at_microseconds IS NULL",
    "protections": "SELECT agent, label FROM protections",
    "rollout_plans": "SELECT name FROM rollout_plans",
}


def prove_final(
    plain: sqlite3.Connection, proof: RecordProof, entries: Iterable[Document]
) -> tuple[RecordProof, BrokenRow | None]:
    """Follow what these entries say of rows that may change, and compare those that never change again."""
    final: list[StatedRow] = []
    standing: dict[RowKey, int] | None = None
    made: dict[Table, dict[str, int]] = {}
    broken: BrokenRow | None = None
    for entry in entries:
        try:
            row = stated_row(entry)
            if row is None:
                continue
            # Most entries make versions: what has not changed is not copied.
            standing = dict(proof.standing) if standing is None else standing
            if row.made is not None:
                _count(made.setdefault(row.table, dict(_numbers(proof, row.table))), row.key["agent"], row.made)
        except (LookupError, TypeError, ValueError, AttributeError, Refusal):
            broken = broken_entry(entry["number"], "what it says of a row is not what this program writes")
            break
        if row.is_final or row.columns is None:
            standing.pop(row.row_key, None)
        else:
            standing[row.row_key] = row.entry
        if row.is_final:
            final.append(row)
    if standing is not None:
        proof = replace(
            proof,
            standing=standing,
            rollouts=made.get("rollouts", proof.rollouts),
            proposals=made.get("proposals", proof.proposals),
        )
    return proof, _first_wrong(plain, final) or broken


def prove_standing(plain: sqlite3.Connection, proof: RecordProof) -> BrokenRow | None:
    """At the end of the entries: rows that may change again are as they were left, and no other is there or in force."""
    numbers = sorted(proof.standing.values())
    for start in range(0, len(numbers), _AT_ONCE):
        stated: list[StatedRow] = []
        for row in plain.execute(_ENTRIES, (json_text(numbers[start : start + _AT_ONCE]),)):
            entry = sound_entry(row, dict(row))
            again = None if entry is None else stated_row(entry.content())
            if again is None:
                return broken_entry(row["number"], "it was changed while the log was proved")
            stated.append(again)
        broken = _first_wrong(plain, stated)
        if broken is not None:
            return broken
    # A check looks at a database as it is, and one of an earlier schema lacks a table.
    tables = {row["name"] for row in plain.execute(_TABLES)}
    for table, present in _PRESENT.items():
        if table not in tables:
            continue
        for row in plain.execute(present):
            if (table, *row) not in proof.standing:
                key = dict(zip(KEYS[table], row, strict=True))
                return BrokenRow(table=table, key=key, reason="no audit entry speaks about this row")
    return None


def _first_wrong(plain: sqlite3.Connection, stated: Sequence[StatedRow]) -> BrokenRow | None:
    wanted: dict[Table, list[tuple[Any, ...]]] = {}
    for row in stated:
        wanted.setdefault(row.table, []).append(tuple(row.key.values()))
    stored = {table: rows_by_key(plain, _ROWS[table], KEYS[table], keys) for table, keys in wanted.items()}
    for row in stated:
        reason = row.wrong(stored[row.table].get(tuple(row.key.values())))
        if reason is not None:
            return BrokenRow(table=row.table, key=row.key, reason=reason, entry=row.entry)
    return None


def _numbers(proof: RecordProof, table: Table) -> Mapping[str, int]:
    return proof.rollouts if table == "rollouts" else proof.proposals


def _count(seen: dict[str, int], agent: str, number: int) -> None:
    if number != seen.get(agent, 0) + 1:
        raise ValueError("numbers follow each other")
    seen[agent] = number

"""Proving the audit log and the rows it speaks about, one bounded stretch a call, each on one picture of the file.

Rows are read as they are, whatever stands in them: text that is not UTF-8 too, so that damage is a finding and not an error.
What must be there is said by the audit entries (rows/sealed.py); how far the proof is, is core's value (record_proof.py).
"""

import sqlite3
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from proxy.core.errors import Refusal
from proxy.core.proof.audit_proof import BrokenEntry
from proxy.core.proof.record_proof import BrokenRow, Document, RecordProof, Table, broken_entry, end_of_entries, follow
from proxy.store.rows.columns import Columns, Row
from proxy.store.rows.sealed import SealedRow, sealed_rows, sound_component, sound_entry, wrong_column
from proxy.store.sqlite.changing_proof import prove_final, prove_standing
from proxy.store.sqlite.statements.rows_by_key import rows_by_key, statement_by_key

_ENTRIES_A_STRETCH = 200
_COMPONENTS_A_STRETCH = 500
#: Components can be megabytes; a stretch ends behind the one that passes this.
_COMPONENT_CHARACTERS_A_STRETCH = 4_000_000
#: Below every number: a changed one may be negative.
_LEAST = -(2**63)
_DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")

_ENTRIES = "SELECT * FROM audit WHERE number >= ? ORDER BY number LIMIT ?"
_COMPONENTS = "SELECT number, hash, kind, content FROM components WHERE number >= ? ORDER BY number LIMIT ?"
_KEYS: Mapping[Table, tuple[str, ...]] = {
    "versions": ("agent", "number"),
    "releases": ("agent", "number"),
    "release_arms": ("agent", "release", "position"),
    "components": ("hash",),
}


#: Of components, which can be large, the keys alone; as the table has them, not as its index says it has.
_COMPONENT_KEYS = """
SELECT components.hash FROM json_each(?) AS wanted
    CROSS JOIN components AS indexed ON indexed.hash = json_extract(wanted.value, '$[0]')
    CROSS JOIN components ON components.number = indexed.number AND +components.hash = indexed.hash
"""
_ROWS = {
    table: _COMPONENT_KEYS if table == "components" else statement_by_key(table, key) for table, key in _KEYS.items()
}


def _numbers_of(table: Table) -> str:
    """Least and newest number of every agent that has rows, by jumping from agent to agent along the key."""
    # Only names from this code base are put together.
    return f"""
        WITH RECURSIVE found (agent) AS (
            SELECT MIN(agent) FROM {table}
            UNION ALL SELECT (SELECT MIN(agent) FROM {table} WHERE agent > found.agent) FROM found WHERE found.agent IS NOT NULL
        )
        SELECT agent, (SELECT MIN(number) FROM {table} WHERE agent = found.agent) AS least,
            (SELECT MAX(number) FROM {table} WHERE agent = found.agent) AS newest
        FROM found WHERE agent IS NOT NULL
    """  # noqa: S608


_VERSION_NUMBERS = _numbers_of("versions")
_RELEASE_NUMBERS = _numbers_of("releases")
_ROLLOUT_NUMBERS = _numbers_of("rollouts")
_PROPOSAL_NUMBERS = _numbers_of("proposals")
_STRAY_ARMS = """
SELECT release_arms.agent, release_arms.release, position FROM release_arms
    LEFT JOIN releases ON releases.agent = release_arms.agent AND releases.number = release_arms.release
WHERE releases.number IS NULL OR position NOT BETWEEN 0 AND arm_count - 1 LIMIT 1
"""
# What each label's newest release serves, beside what the label itself says; a deleted label must not be there.
_LABELS = """
WITH newest (agent, label, number) AS (SELECT agent, label, MAX(number) FROM releases GROUP BY agent, label)
SELECT newest.agent AS agent, newest.label AS label FROM newest
    JOIN releases ON releases.agent = newest.agent AND releases.number = newest.number
    LEFT JOIN release_arms
        ON release_arms.agent = newest.agent AND release_arms.release = newest.number AND position = 0
    LEFT JOIN labels ON labels.agent = newest.agent AND labels.name = newest.label
    WHERE CASE releases.kind WHEN 'label_deleted' THEN labels.name IS NOT NULL
        ELSE labels.release IS NOT newest.number OR labels.version IS NOT release_arms.version END
UNION ALL SELECT agent, name FROM labels
    WHERE NOT EXISTS (SELECT 1 FROM releases WHERE releases.agent = labels.agent AND releases.label = labels.name)
LIMIT 1
"""


def prove_more(plain: sqlite3.Connection, proof: RecordProof) -> RecordProof:
    """The next stretch. Raises nothing for damage, also where SQLite itself cannot read on."""
    try:
        with _text_as_it_is(plain):
            return _prove_components(plain, proof) if proof.entries_are_done else _prove_entries(plain, proof)
    except sqlite3.DatabaseError as error:
        name: str = getattr(error, "sqlite_errorname", None) or ""
        if not name.startswith(_DAMAGED):
            raise
        return proof.broken_by(BrokenRow(table="database", key={}, reason=f"the file is damaged ({name})"))


def _prove_entries(plain: sqlite3.Connection, proof: RecordProof) -> RecordProof:
    next_number = proof.head.number + 1 if proof.head.number else _LEAST
    rows = plain.execute(_ENTRIES, (next_number, _ENTRIES_A_STRETCH)).fetchall()
    entries: list[Document] = []
    broken: BrokenRow | None = None
    for row in rows:
        entry = sound_entry(row, dict(row))
        try:
            if entry is None:
                raise BrokenEntry("it is not as it was written")
            proof = replace(proof, head=follow(proof, entry.content()))
        except BrokenEntry as found:
            broken = broken_entry(proof.head.number + 1, str(found))
            break
        entries.append(entry.content())
    # A row of an earlier entry is broken before a later entry is.
    proof, broken_row = _prove_rows(plain, proof, entries)
    proof, changed_row = prove_final(plain, proof, entries)
    first = broken_row or changed_row or broken
    if first is not None:
        return proof.broken_by(first)
    return proof if len(rows) == _ENTRIES_A_STRETCH else _prove_nothing_beside(plain, end_of_entries(proof))


def _prove_rows(
    plain: sqlite3.Connection, proof: RecordProof, entries: Sequence[Document]
) -> tuple[RecordProof, BrokenRow | None]:
    """The rows these entries speak about, in the order of the entries."""
    sealed: list[SealedRow] = []
    seen = {"versions": dict(proof.versions), "releases": dict(proof.releases)}
    broken: BrokenRow | None = None
    for entry in entries:
        try:
            rows = list(sealed_rows(entry))
            for row in rows:
                if row.table in seen:
                    _count(seen[row.table], row.key)
        except (LookupError, TypeError, ValueError, Refusal):
            broken = broken_entry(entry["number"], "what it says of a row is not what this program writes")
            break
        sealed += rows
    stored = {
        table: rows_by_key(plain, _ROWS[table], key, (tuple(row.key.values()) for row in sealed if row.table == table))
        for table, key in _KEYS.items()
    }
    for row in sealed:
        reason = _wrong(row, stored[row.table].get(tuple(row.key.values())))
        if reason is not None:
            return proof, BrokenRow(table=row.table, key=row.key, reason=reason, entry=row.entry)
    return replace(proof, versions=seen["versions"], releases=seen["releases"]), broken


def _count(seen: dict[str, int], key: Columns) -> None:
    if key["number"] != seen.get(key["agent"], 0) + 1:
        raise ValueError("numbers follow each other")
    seen[key["agent"]] = key["number"]


def _wrong(sealed: SealedRow, row: Columns | None) -> str | None:
    if row is None:
        return "the row is missing"
    if sealed.columns is None:
        return None
    column = wrong_column(row, sealed.columns)
    return None if column is None else f"`{column}` is not what the audit entry says"


def _prove_nothing_beside(plain: sqlite3.Connection, proof: RecordProof) -> RecordProof:
    """At the end of the entries, on the same picture: no row that no entry speaks about, and labels as the ledger has them."""
    standing = prove_standing(plain, proof)
    if standing is not None:
        return proof.broken_by(standing)
    numbered: list[tuple[Table, str, Mapping[str, int]]] = [
        ("versions", _VERSION_NUMBERS, proof.versions),
        ("releases", _RELEASE_NUMBERS, proof.releases),
        ("rollouts", _ROLLOUT_NUMBERS, proof.rollouts),
        ("proposals", _PROPOSAL_NUMBERS, proof.proposals),
    ]
    for table, numbers, seen in numbered:
        for row in plain.execute(numbers):
            newest = seen.get(row["agent"], 0)
            if row["least"] < 1 or row["newest"] > newest:
                key = {"agent": row["agent"], "number": row["least"] if row["least"] < 1 else newest + 1}
                return proof.broken_by(BrokenRow(table=table, key=key, reason="no audit entry speaks about this row"))
    arm = plain.execute(_STRAY_ARMS).fetchone()
    if arm is not None:
        reason = "its release has no such arm"
        return proof.broken_by(BrokenRow(table="release_arms", key=dict(arm), reason=reason))
    label = plain.execute(_LABELS).fetchone()
    if label is not None:
        reason = "the label is not what its newest release says"
        return proof.broken_by(BrokenRow(table="labels", key=dict(label), reason=reason))
    return proof


def _prove_components(plain: sqlite3.Connection, proof: RecordProof) -> RecordProof:
    looked_at = characters = 0
    next_number = proof.components + 1 if proof.components else _LEAST
    for row in plain.execute(_COMPONENTS, (next_number, _COMPONENTS_A_STRETCH)):
        broken = _broken_component(row, proof.components + 1)
        if broken is not None:
            return proof.broken_by(broken)
        proof = replace(proof, components=row["number"])
        looked_at += 1
        characters += len(row["content"])
        if characters > _COMPONENT_CHARACTERS_A_STRETCH:
            return proof
    return proof if looked_at == _COMPONENTS_A_STRETCH else replace(proof, is_finished=True)


def _broken_component(row: Row, number: int) -> BrokenRow | None:
    if not sound_component(row["hash"], row["kind"], row["content"]):
        reason = "its content does not have the hash it is stored under"
        return BrokenRow(table="components", key={"hash": row["hash"]}, reason=reason)
    if row["number"] == number:
        return None
    # Below the next number there can only be one that nobody gives; above it, the next one is not there.
    reason = "the row is missing" if row["number"] > number else "numbers begin with 1"
    return BrokenRow(table="components", key={"number": min(number, row["number"])}, reason=reason)


@contextmanager
def _text_as_it_is(plain: sqlite3.Connection) -> Generator[None]:
    """Text that is not UTF-8 is read too, and will be found to be wrong."""
    usual: Callable[[bytes], Any] = plain.text_factory
    plain.text_factory = _text
    try:
        yield
    finally:
        plain.text_factory = usual


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")

"""What rows the audit log says there must be: documents of its entries -> columns, exactly as they were written.

The other way round would have to make sense of damaged rows first; here a row is only compared. The documents are those of
core, beside each value, the columns those of rows/values.py, which writes the same values. Every SQL store shares these functions.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from proxy.core.errors import Refusal
from proxy.core.proof.audit import AuditEntry
from proxy.core.proof.record_proof import Document, Table, component_holds, release_in, version_in
from proxy.core.times import parse_rfc3339
from proxy.core.versions.components import COMPONENT_KINDS
from proxy.store.rows.columns import Columns, Row, json_text
from proxy.store.rows.values import AUDIT, authored_json


@dataclass(frozen=True, slots=True)
class SealedRow:
    """A row that must be there, because an audit entry says so. `columns` None: there is nothing but its key to compare."""

    entry: int
    table: Table
    key: Columns
    columns: Columns | None


def sealed_rows(entry: Document) -> Iterator[SealedRow]:
    """The rows an entry speaks about. Raises LookupError, TypeError, ValueError or Refusal for an entry that says it otherwise
    than this program does."""
    number: int = entry["number"]
    version = version_in(entry)
    if version is not None:
        key = {"agent": version["agent"], "number": version["version"]}
        yield SealedRow(number, "versions", key, _version_row(version))
        for kind in COMPONENT_KINDS:
            yield SealedRow(number, "components", {"hash": version["hashes"][kind]}, None)
    release = release_in(entry)
    if release is not None:
        key = {"agent": release["agent"], "number": release["release"]}
        yield SealedRow(number, "releases", key, _release_row(release))
        yield from _arm_rows(number, release)


def _version_row(document: Document) -> Columns:
    return {
        "agent": document["agent"],
        "number": document["version"],
        "parent": document["parent"],
        "bundle_hash": document["version_id"],
        **{kind: document["hashes"][kind] for kind in COMPONENT_KINDS},
        "author": document["author"],
        "message": document["message"],
        "tested_against": json_text(document["tested_against"]),
        "source": json_text(document["source"]),
        "created_at_microseconds": parse_rfc3339(document["created_at"], "created_at"),
    }


def _release_row(document: Document) -> Columns:
    same = ("agent", "kind", "label", "salt", "rollout", "who", "approved_by", "why", "undoes")
    return {
        **{name: document[name] for name in same},
        "number": document["release"],
        "arm_count": len(document["arms"]),
        "evidence": json_text(document["evidence"]),
        "created_at_microseconds": parse_rfc3339(document["created_at"], "created_at"),
    }


def _arm_rows(number: int, document: Document) -> Iterator[SealedRow]:
    for position, arm in enumerate(document["arms"]):
        key = {"agent": document["agent"], "release": document["release"], "position": position}
        columns = {**key, "name": arm["name"], "version": arm["version"], "ranges": json_text(arm["ranges"])}
        yield SealedRow(number, "release_arms", key, columns)


def wrong_column(row: Columns, sealed: Columns) -> str | None:
    """The first column of `row` that is not as it was sealed, its type included; None where all are."""
    for column in (*sealed, *(name for name in row if name not in sealed)):
        found, wanted = row.get(column), sealed.get(column)
        if column not in sealed or type(found) is not type(wanted) or found != wanted:
            return column
    return None


def sound_entry(row: Row, columns: Columns) -> AuditEntry | None:
    """The audit entry of a row, whose cells are `columns`; None for a row that was not written by this program."""
    try:
        entry = AUDIT.value(row)
        is_sound = wrong_column(columns, AUDIT.columns(entry)) is None
    except (ValueError, TypeError, Refusal):
        return None
    return entry if is_sound else None


def sound_component(stored_under: str, kind: str, content: str) -> bool:
    """Whether a component's row is as it was written: its hash, and its text to the byte."""
    try:
        value = orjson.loads(content)
        return component_holds(stored_under, kind, value) and authored_json(value) == content
    except (ValueError, TypeError, Refusal):
        return False

"""The audit log's rule: who, what, when, why, before, after, evidence; each entry carries the hash of the one before.

Published rule, format 1, so that an export verifies offline: `hash` is the SHA-256 (lower-case hex) of the canonical JSON
(core/canonical.py) of the entry's members without `hash`; `previous` is the hash of entry number-1, and 64 zeros for the
first. An entry names the content it is about by hash, so a changed version breaks the chain's promise visibly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypedDict

from proxy.core.canonical import content_hash
from proxy.core.shapes import Hash, JsonObject, Who, Why

AUDIT_FORMAT = 1
NO_PREVIOUS = "0" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditDraft:
    """A change about to be made: what its audit entry will say. `what` is a verb such as `label.moved`."""

    who: str
    what: str
    subject: str
    why: str
    at_microseconds: int
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    evidence: Sequence[Mapping[str, Any]] = field(default_factory=tuple[Mapping[str, Any], ...])


class _HashedMembers(TypedDict):
    format: int
    number: int
    who: Who
    what: str
    subject: str
    why: Why
    at_microseconds: int
    before: JsonObject | None
    after: JsonObject | None
    evidence: list[JsonObject]
    previous: Hash


class AuditEntryDocument(_HashedMembers):
    """One entry of the audit log, with exactly the members that its hash covers, and the hash."""

    hash: Hash


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One appended entry."""

    number: int
    who: str
    what: str
    subject: str
    why: str
    at_microseconds: int
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    evidence: Sequence[Mapping[str, Any]]
    previous: str
    hash: str
    format: int = AUDIT_FORMAT

    def content(self) -> AuditEntryDocument:
        """Every member as JSON, the hash included: one line of an export."""
        return {**_hashed_members(self), "hash": self.hash}


def seal(draft: AuditDraft, number: int, previous: str) -> AuditEntry:
    """The entry that follows the one with hash `previous`."""
    unsealed = AuditEntry(
        number=number,
        who=draft.who,
        what=draft.what,
        subject=draft.subject,
        why=draft.why,
        at_microseconds=draft.at_microseconds,
        before=draft.before,
        after=draft.after,
        evidence=draft.evidence,
        previous=previous,
        hash="",
    )
    return replace(unsealed, hash=content_hash(_hashed_members(unsealed)))


def _hashed_members(entry: AuditEntry) -> _HashedMembers:
    return {
        "format": entry.format,
        "number": entry.number,
        "who": entry.who,
        "what": entry.what,
        "subject": entry.subject,
        "why": entry.why,
        "at_microseconds": entry.at_microseconds,
        "before": entry.before,
        "after": entry.after,
        "evidence": list(entry.evidence),
        "previous": entry.previous,
    }


def change_evidence(change_id: str) -> dict[str, Any]:
    """What the audit entries of a change carry that whoever ordered it gave an id."""
    return {"kind": "change", "id": change_id}


def change_id_of(evidence: Mapping[str, Any]) -> str | None:
    """The id in what change_evidence makes, None in other evidence."""
    return evidence.get("id") if evidence.get("kind") == "change" else None

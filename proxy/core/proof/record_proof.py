"""The proof of what the store remembers: the audit log's chain, and every row its entries speak about.

Published rule. An entry `version.created` has in `after` the version's summary, with the hashes of its components; an entry of a
change of traffic has its release row in `after`, or in `after.release` beside a rollout. Each row must be exactly what its
entry says, each component must have the hash it is stored under, no version or release may be without entry, and each label
must point to what its newest release serves. Agents, rollouts, switches, caps, tokens, protections, proposals and named plans change; of
them the last entry that speaks about a row says what it is now. Values only: reading rows is the store's matter, one stretch after the other
(`RecordProof` says how far); an export alone is proved by audit_proof.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self, TypedDict, cast

from proxy.core.proof.audit_proof import EMPTY_HEAD, AuditHead, AuditHeadDocument, BrokenEntry, check_known, next_head
from proxy.core.shapes import Count, JsonObject
from proxy.core.versions.components import component_hash

Table = Literal[
    "audit",
    "versions",
    "releases",
    "release_arms",
    "components",
    "labels",
    "agents",
    "rollouts",
    "switches",
    "caps",
    "tokens",
    "protections",
    "proposals",
    "rollout_plans",
    "database",
]
#: A table and the values of the row's key.
RowKey = tuple[Any, ...]
Document = Mapping[str, Any]


class BrokenRowDocument(TypedDict):
    """The first row that does not hold, and why."""

    table: Table
    key: JsonObject
    reason: str
    entry: int | None


class RecordProofDocument(TypedDict):
    """Whether the audit log and every row that it speaks about hold."""

    ok: bool
    entries: Count
    first_broken: BrokenRowDocument | None
    head: AuditHeadDocument


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenRow:
    """The first row that does not hold: its table and key, why, and the audit entry that speaks about it."""

    table: Table
    key: Mapping[str, Any]
    reason: str
    entry: int | None = None

    def document(self) -> BrokenRowDocument:
        return {"table": self.table, "key": dict(self.key), "reason": self.reason, "entry": self.entry}


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordProof:
    """The verdict as far as it goes: entries first with the rows they speak about, then components."""

    known_head: AuditHead | None = None
    #: The last entry that holds.
    head: AuditHead = EMPTY_HEAD
    entries_are_done: bool = False
    #: How many components hold; they are numbered without gaps.
    components: int = 0
    is_finished: bool = False
    first_broken: BrokenRow | None = None
    #: Newest number by agent that an entry speaks about.
    versions: Mapping[str, int] = field(default_factory=dict[str, int])
    releases: Mapping[str, int] = field(default_factory=dict[str, int])
    rollouts: Mapping[str, int] = field(default_factory=dict[str, int])
    proposals: Mapping[str, int] = field(default_factory=dict[str, int])
    #: Rows that may change again, by the last entry that speaks about each.
    standing: Mapping[RowKey, int] = field(default_factory=dict[RowKey, int])

    def broken_by(self, row: BrokenRow) -> Self:
        """The end of the proof: `row` does not hold."""
        return replace(self, first_broken=row, is_finished=True)

    def document(self) -> RecordProofDocument:
        """As the admin API answers it."""
        broken = self.first_broken
        return {
            "ok": self.is_finished and broken is None,
            "entries": self.head.number,
            "first_broken": None if broken is None else broken.document(),
            "head": self.head.document(),
        }


def begin_proof(known_head: AuditHead | None = None) -> RecordProof:
    """A proof that has looked at nothing yet. `known_head` is a head kept outside, which the log must contain."""
    proof = RecordProof(known_head=known_head)
    try:
        check_known(proof.head, known_head)
    except BrokenEntry as broken:
        return proof.broken_by(broken_entry(0, str(broken)))
    return proof


def follow(proof: RecordProof, entry: Document) -> AuditHead:
    """The head after `entry`. Raises BrokenEntry."""
    head = next_head(entry, proof.head)
    check_known(head, proof.known_head)
    return head


def end_of_entries(proof: RecordProof) -> RecordProof:
    """After the last entry: the log must reach the head that was kept outside."""
    known = proof.known_head
    if known is not None and proof.head.number < known.number:
        reason = f"the log ends before it, but entry {known.number} was known: it was cut at the end"
        return proof.broken_by(broken_entry(proof.head.number + 1, reason))
    return replace(proof, entries_are_done=True)


def broken_entry(number: int, reason: str) -> BrokenRow:
    """An entry that does not hold; `number` is the one it should have."""
    return BrokenRow(table="audit", key={"number": number}, reason=reason, entry=number)


def version_in(entry: Document) -> Document | None:
    """The summary of the version this entry says was created."""
    return _object(entry["after"]) if entry["what"] == "version.created" else None


def release_in(entry: Document) -> Document | None:
    """The release row this entry says was appended."""
    after = _object(entry["after"])
    if after is None:
        return None
    beside = _object(after.get("release"))
    if beside is not None:
        return beside
    return after if "kind" in after and "arms" in after and isinstance(after.get("release"), int) else None


def component_holds(stored_under: str, kind: Any, content: Any) -> bool:
    """Whether a component's content has the hash it is stored under."""
    return component_hash(kind, content) == stored_under


def _object(value: Any) -> Document | None:
    return cast("Document", value) if isinstance(value, dict) else None

"""Proves an exported audit log offline, by the rule published in audit.py: nothing else is needed than the lines themselves.

An entry that was changed, left out, moved or added is named. What the lines alone cannot show (a chain rewritten from some
entry on, or cut at its end) fails against a head kept outside. Values only: who reads the file is the command's matter.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypedDict, cast

from proxy.core.canonical import content_hash
from proxy.core.errors import BadInput
from proxy.core.proof.audit import AUDIT_FORMAT, NO_PREVIOUS
from proxy.core.shapes import Count, Hash

_MEMBERS = (
    "format",
    "number",
    "who",
    "what",
    "subject",
    "why",
    "at_microseconds",
    "before",
    "after",
    "evidence",
    "previous",
    "hash",
)


class AuditHeadDocument(TypedDict):
    """Number and hash of an entry."""

    number: Count
    hash: Hash


@dataclass(frozen=True, slots=True)
class AuditHead:
    """Number and hash of an entry; number 0 stands for the empty log."""

    number: int
    hash: str

    def document(self) -> AuditHeadDocument:
        return {"number": self.number, "hash": self.hash}


EMPTY_HEAD = AuditHead(0, NO_PREVIOUS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """The verdict. `entries` counts those that hold, `first_broken` is the number the first bad one should have had."""

    ok: bool
    entries: int
    head: AuditHead
    first_broken: int | None = None
    reason: str = ""

    def document(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "entries": self.entries,
            "first_broken": self.first_broken,
            "reason": self.reason or None,
            "head": self.head.document(),
        }


class BrokenEntry(Exception):
    """The entry that follows the last good one does not hold; the message says why."""


def verify_entries(entries: Iterable[Mapping[str, Any]], known_head: AuditHead | None = None) -> Proof:
    """Verify exported entries, oldest first, one at a time.

    `known_head` is what `audit head` said earlier and was kept where the log's owner cannot reach it: the log must contain
    exactly that entry and may go on behind it.
    """
    head = EMPTY_HEAD
    try:
        check_known(head, known_head)
        for entry in entries:
            head = next_head(entry, head)
            check_known(head, known_head)
        if known_head is not None and head.number < known_head.number:
            raise BrokenEntry(f"the log ends here, but entry {known_head.number} was known: it was cut at the end")
    except BrokenEntry as broken:
        # A head that contradicts the known one is itself the broken entry.
        good = head.number - 1 if _contradicts(head, known_head) else head.number
        return Proof(ok=False, entries=max(good, 0), head=head, first_broken=max(good, 0) + 1, reason=str(broken))
    return Proof(ok=True, entries=head.number, head=head)


def verify_lines(lines: Iterable[bytes], known_head: AuditHead | None = None) -> Proof:
    """Verify an export of JSON lines; blank lines are skipped. A line that is no entry at all counts as broken."""
    return verify_entries(_entries(lines), known_head)


def _entries(lines: Iterable[bytes]) -> Iterator[Mapping[str, Any]]:
    for line in lines:
        if not line.strip():
            continue
        try:
            value: Any = json.loads(line, object_pairs_hook=_without_duplicates)
        except (ValueError, RecursionError) as error:
            raise BrokenEntry(f"the line is not one JSON object: {error}") from None
        if not isinstance(value, dict):
            raise BrokenEntry("the line is not one JSON object")
        yield cast("dict[str, Any]", value)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A member that occurs twice could show one thing to a reader and hash as another."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member occurs twice")
    return found


def next_head(entry: Mapping[str, Any], head: AuditHead) -> AuditHead:
    """The head after `entry`. Raises BrokenEntry."""
    wrong = sorted(set(_MEMBERS).symmetric_difference(entry))
    if wrong:
        raise BrokenEntry(f"members are missing or added: {', '.join(wrong)}")
    number, given = entry["number"], entry["hash"]
    if type(entry["format"]) is not int or entry["format"] != AUDIT_FORMAT:
        raise BrokenEntry(f"format {entry['format']!r} is not one this program knows ({AUDIT_FORMAT})")
    if type(number) is not int or number != head.number + 1:
        raise BrokenEntry(f"its number is {number!r}, not {head.number + 1}: an entry was left out, moved or added")
    if entry["previous"] != head.hash:
        raise BrokenEntry("`previous` is not the hash of the entry before: an entry was left out, replaced or added")
    try:
        found = content_hash({name: value for name, value in entry.items() if name != "hash"})
    except BadInput as error:
        raise BrokenEntry(f"its content cannot be hashed: {error.message}") from None
    if given != found:
        raise BrokenEntry("its hash does not fit its content: the entry was changed")
    return AuditHead(number, found)


def _contradicts(head: AuditHead, known: AuditHead | None) -> bool:
    return known is not None and head.number == known.number and head.hash != known.hash


def check_known(head: AuditHead, known: AuditHead | None) -> None:
    """Raises BrokenEntry where `head` is the entry that was kept outside and is another one now."""
    if _contradicts(head, known):
        raise BrokenEntry("its hash is not the one that was kept outside: the log was rewritten")

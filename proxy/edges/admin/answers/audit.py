"""Answers: the audit log, and what became of a change."""

from typing import Literal, TypedDict

from proxy.core.proof.audit_proof import AuditHeadDocument
from proxy.core.shapes import Count, Moment


class AuditHeadShown(AuditHeadDocument):
    """Number, hash and time of the newest entry; number 0 of an empty log."""

    at: Moment | None


class ChangeEntryShown(TypedDict):
    """An audit entry that a change made."""

    number: Count
    what: str
    subject: str


class ChangeShown(TypedDict):
    """What became of a change that was sent with an id. By the log alone nothing is known of later facts about runs."""

    id: str
    result: Literal["changed", "not_changed", "unknown"]
    by: Literal["process", "audit"]
    entries: list[ChangeEntryShown]

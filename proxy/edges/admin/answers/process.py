"""Answers: the process, its store, its audit log."""

from typing import Literal, TypedDict

from proxy.core.proof.audit_proof import AuditHeadDocument
from proxy.core.shapes import Count, Moment
from proxy.runtime.state.journal import JournalStatus
from proxy.runtime.state.last_known_good import KnownGoodStatus
from proxy.runtime.workers.supervisor import WorkerStatus
from proxy.store.ports.store import StoreFacts


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


class RecorderStatus(TypedDict):
    """Runs that wait to be written, and runs that were dropped because too many waited."""

    queued: Count
    dropped: Count


class StoreStatus(StoreFacts):
    """The database, and why it cannot be used now."""

    up: bool
    problem: str | None


class AdminStatus(TypedDict):
    """This listener, and what is unsafe about it."""

    warning: str | None


class ProcessStatus(TypedDict):
    """How this process is."""

    version: str
    compiled: bool
    draining: bool
    revision: Count
    agents: Count
    switches: Count
    caps: Count
    runs_in_flight: Count
    holds_outstanding: Count
    recorder: RecorderStatus
    #: Empty where this process serves the calls itself.
    workers: list[WorkerStatus]
    admin: AdminStatus
    store: StoreStatus
    journal: JournalStatus
    last_known_good: KnownGoodStatus

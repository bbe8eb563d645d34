"""Handlers: the database as a whole."""

from proxy.edges.admin.ask_and_answer import AdminAnswer, Ask, Streamed
from proxy.edges.admin.bodies import ReasonBody
from proxy.edges.admin.streaming import AUDIT_HEAD_HEADER, COUNT_HEADER
from proxy.runtime.releasing.retention_commands import RetentionCommands
from proxy.runtime.reports.process import StoreReader
from proxy.runtime.retention import RetentionDocument

_SQLITE = "application/vnd.sqlite3"


async def back_up(store: StoreReader, ask: Ask) -> Streamed[bytes]:
    copy = await store.copy()
    head = f"{copy.audit_head.number}:{copy.audit_head.hash}"
    return Streamed(copy.pieces, _SQLITE, {COUNT_HEADER: str(copy.size_bytes), AUDIT_HEAD_HEADER: head})


async def compact(retention: RetentionCommands, ask: Ask) -> AdminAnswer[RetentionDocument]:
    return AdminAnswer(await retention.compact(ask.who, ask.body_as(ReasonBody).why))

"""Handlers: the database as a whole."""

from proxy.edges.admin.bodies import ReasonBody
from proxy.edges.admin.parts import AdminParts, Answer, Ask, Streamed
from proxy.edges.admin.streaming import AUDIT_HEAD_HEADER, COUNT_HEADER
from proxy.runtime.retention import RetentionDocument

_SQLITE = "application/vnd.sqlite3"


async def back_up(parts: AdminParts, ask: Ask) -> Streamed[bytes]:
    copy = await parts.store.backup()
    head = f"{copy.audit_head.number}:{copy.audit_head.hash}"
    return Streamed(copy.pieces, _SQLITE, {COUNT_HEADER: str(copy.size_bytes), AUDIT_HEAD_HEADER: head})


async def compact(parts: AdminParts, ask: Ask) -> Answer[RetentionDocument]:
    return Answer(await parts.retention.compact(ask.who, ask.body_as(ReasonBody).why))

"""Handlers: the audit log. An entry is answered with exactly the members its hash covers, so that it verifies as it is."""

from proxy.core.audit import NO_PREVIOUS, AuditEntry
from proxy.core.times import rfc3339
from proxy.edges.pages import page_answer
from proxy.edges.parts import AdminParts, Answer, Ask
from proxy.edges.queries import PageQuery


async def list_audit(parts: AdminParts, ask: Ask) -> Answer:
    query = ask.query_as(PageQuery)
    return page_answer(await parts.store.audit(query.cursor, query.limit), AuditEntry.content)


async def audit_head(parts: AdminParts, ask: Ask) -> Answer:
    newest = (await parts.store.audit(None, 1)).items
    if not newest:
        return Answer({"number": 0, "hash": NO_PREVIOUS, "at": None})
    head = newest[0]
    return Answer({"number": head.number, "hash": head.hash, "at": rfc3339(head.at_microseconds)})

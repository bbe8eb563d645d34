"""Handlers: the audit log and its proof. An entry is answered with exactly the members its hash covers, so that it verifies
as it is."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import orjson

from proxy.core.proof.audit import NO_PREVIOUS, AuditEntry, AuditEntryDocument
from proxy.core.proof.audit_proof import AuditHead
from proxy.core.proof.record_proof import RecordProofDocument
from proxy.core.times import rfc3339
from proxy.edges.admin.answers.audit import AuditHeadShown, ChangeShown
from proxy.edges.admin.answers.lists import Listed
from proxy.edges.admin.ask_and_answer import AdminAnswer, Ask, Streamed
from proxy.edges.admin.pages import page_answer
from proxy.edges.admin.queries import PageQuery, ProofQuery
from proxy.runtime.reports.audit import AuditReader

JSON_LINES = "application/x-ndjson"


async def list_audit(audit: AuditReader, ask: Ask) -> AdminAnswer[Listed[AuditEntryDocument]]:
    query = ask.query_as(PageQuery)
    return page_answer(await audit.page(query.cursor, query.limit), AuditEntry.content)


async def audit_head(audit: AuditReader, ask: Ask) -> AdminAnswer[AuditHeadShown]:
    head = await audit.head()
    if head is None:
        return AdminAnswer({"number": 0, "hash": NO_PREVIOUS, "at": None})
    return AdminAnswer({"number": head.number, "hash": head.hash, "at": rfc3339(head.at_microseconds)})


async def get_change(audit: AuditReader, ask: Ask) -> AdminAnswer[ChangeShown]:
    end = await audit.change(ask.path["id"])
    return AdminAnswer(
        {
            "id": end.id,
            "result": end.result,
            "by": end.by,
            "entries": [
                {"number": entry.number, "what": entry.what, "subject": entry.subject} for entry in end.entries
            ],
        }
    )


async def verify_audit(audit: AuditReader, ask: Ask) -> Streamed[RecordProofDocument]:
    """A long log takes minutes: blank lines before the document keep the connection alive meanwhile."""
    number, _, digest = (ask.query_as(ProofQuery).head or "").partition(":")
    return Streamed(_verdict(audit, AuditHead(int(number), digest) if number else None), "application/json")


async def _verdict(audit: AuditReader, known_head: AuditHead | None) -> AsyncGenerator[bytes]:
    async for proof in audit.proofs(known_head):
        yield orjson.dumps(proof.document()) if proof.is_finished else b"\n"


async def export_audit(audit: AuditReader, ask: Ask) -> Streamed[AuditEntryDocument]:
    """Every entry as a line of JSON, oldest first, for keeping and verifying elsewhere."""
    return Streamed(_lines(audit), JSON_LINES)


async def _lines(audit: AuditReader) -> AsyncGenerator[bytes]:
    async for entries in audit.stretches():
        yield await asyncio.to_thread(_rendered, entries)


def _rendered(entries: Sequence[AuditEntry]) -> bytes:
    return b"".join(orjson.dumps(entry.content(), option=orjson.OPT_APPEND_NEWLINE) for entry in entries)

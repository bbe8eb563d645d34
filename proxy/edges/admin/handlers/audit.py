"""Handlers: the audit log and its proof. An entry is answered with exactly the members its hash covers, so that it verifies
as it is."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import orjson

from proxy.core.pages import MAX_PAGE
from proxy.core.proof.audit import NO_PREVIOUS, AuditEntry, AuditEntryDocument
from proxy.core.proof.audit_proof import AuditHead
from proxy.core.proof.record_proof import RecordProofDocument
from proxy.core.times import rfc3339
from proxy.edges.admin.answers.lists import Listed
from proxy.edges.admin.answers.process import AuditHeadShown
from proxy.edges.admin.pages import page_answer
from proxy.edges.admin.parts import AdminParts, Answer, Ask, Streamed
from proxy.edges.admin.queries import PageQuery, ProofQuery
from proxy.runtime.state.record_verification import proofs

JSON_LINES = "application/x-ndjson"


async def list_audit(parts: AdminParts, ask: Ask) -> Answer[Listed[AuditEntryDocument]]:
    query = ask.query_as(PageQuery)
    return page_answer(await parts.store.audit(query.cursor, query.limit), AuditEntry.content)


async def audit_head(parts: AdminParts, ask: Ask) -> Answer[AuditHeadShown]:
    newest = (await parts.store.audit(None, 1)).items
    if not newest:
        return Answer({"number": 0, "hash": NO_PREVIOUS, "at": None})
    head = newest[0]
    return Answer({"number": head.number, "hash": head.hash, "at": rfc3339(head.at_microseconds)})


async def verify_audit(parts: AdminParts, ask: Ask) -> Streamed[RecordProofDocument]:
    """A long log takes minutes: blank lines before the document keep the connection alive meanwhile."""
    number, _, digest = (ask.query_as(ProofQuery).head or "").partition(":")
    return Streamed(_verdict(parts, AuditHead(int(number), digest) if number else None), "application/json")


async def _verdict(parts: AdminParts, known_head: AuditHead | None) -> AsyncGenerator[bytes]:
    async for proof in proofs(parts.store, known_head):
        yield orjson.dumps(proof.document()) if proof.is_finished else b"\n"


async def export_audit(parts: AdminParts, ask: Ask) -> Streamed[AuditEntryDocument]:
    """Every entry as a line of JSON, oldest first, for keeping and verifying elsewhere."""
    return Streamed(_lines(parts), JSON_LINES)


async def _lines(parts: AdminParts) -> AsyncGenerator[bytes]:
    number = 0
    while entries := await parts.store.audit_after(number, MAX_PAGE):
        yield await asyncio.to_thread(_rendered, entries)
        number = entries[-1].number


def _rendered(entries: Sequence[AuditEntry]) -> bytes:
    return b"".join(orjson.dumps(entry.content(), option=orjson.OPT_APPEND_NEWLINE) for entry in entries)

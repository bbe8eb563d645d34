"""Handlers: the audit log and its proof. An entry is answered with exactly the members its hash covers, so that it verifies
as it is."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import orjson

from proxy.core.errors import Unavailable
from proxy.core.pages import MAX_PAGE
from proxy.core.proof.audit import NO_PREVIOUS, AuditEntry, AuditEntryDocument, change_id_of
from proxy.core.proof.audit_proof import AuditHead
from proxy.core.proof.record_proof import RecordProofDocument
from proxy.core.times import rfc3339
from proxy.edges.admin.answers.lists import Listed
from proxy.edges.admin.answers.process import AuditHeadShown, ChangeEntryShown, ChangeShown
from proxy.edges.admin.pages import page_answer
from proxy.edges.admin.parts import AdminParts, Answer, Ask, Streamed
from proxy.edges.admin.queries import PageQuery, ProofQuery
from proxy.runtime.state.ordered_changes import check_change_id
from proxy.runtime.state.record_verification import proofs

JSON_LINES = "application/x-ndjson"
#: How long a question waits for a change that is still carried out.
_CHANGE_SECONDS = 5.0
#: Nobody asks later about an answer that was lost.
_LOOK_BACK_MICROSECONDS = 3_600_000_000
_LOOK_BACK_PAGES = 20


async def list_audit(parts: AdminParts, ask: Ask) -> Answer[Listed[AuditEntryDocument]]:
    query = ask.query_as(PageQuery)
    return page_answer(await parts.store.audit(query.cursor, query.limit), AuditEntry.content)


async def audit_head(parts: AdminParts, ask: Ask) -> Answer[AuditHeadShown]:
    newest = (await parts.store.audit(None, 1)).items
    if not newest:
        return Answer({"number": 0, "hash": NO_PREVIOUS, "at": None})
    head = newest[0]
    return Answer({"number": head.number, "hash": head.hash, "at": rfc3339(head.at_microseconds)})


async def get_change(parts: AdminParts, ask: Ask) -> Answer[ChangeShown]:
    """What became of a change whose answer was lost: as this process remembers it, else by the audit log.

    `by` is `process` or `audit`; the log does not tell of later facts about runs. `unknown` is never `not_changed`: it goes on
    still, the store is away, something is not entered yet, or too much was changed since.
    """
    change_id = check_change_id(ask.path["id"])
    ended = await parts.ordered_changes.ended(change_id, _CHANGE_SECONDS)
    found = await _entries_of(parts, change_id)
    told: list[ChangeEntryShown] = [
        {"number": entry.number, "what": entry.what, "subject": entry.subject} for entry in found or ()
    ]
    if ended in ("changed", "not_changed"):
        return Answer({"id": change_id, "result": ended, "by": "process", "entries": told})
    is_all = found is not None and ended != "goes_on" and not parts.standby.journal.entries
    result = "changed" if found else "not_changed" if is_all else "unknown"
    return Answer({"id": change_id, "result": result, "by": "audit", "entries": told})


async def _entries_of(parts: AdminParts, change_id: str) -> list[AuditEntry] | None:
    """The audit entries of an order, oldest first; None where the log cannot be read, or not far enough back to say that there is
    none."""
    found: list[AuditEntry] = []
    since, cursor = parts.clock.now_microseconds() - _LOOK_BACK_MICROSECONDS, None
    for _ in range(_LOOK_BACK_PAGES):
        try:
            page = await parts.store.audit(cursor, MAX_PAGE)
        except Unavailable:
            return None
        for entry in page.items:
            if any(change_id_of(item) == change_id for item in entry.evidence):
                found.insert(0, entry)
        cursor = page.next_cursor
        if found or cursor is None or all(entry.at_microseconds < since for entry in page.items):
            return found
    return None


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

"""The audit log, its proof, and what became of a change whose answer was lost."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Literal

from proxy.core.errors import Unavailable
from proxy.core.pages import MAX_PAGE, Page
from proxy.core.proof.audit import AuditEntry, change_id_of
from proxy.core.proof.audit_proof import AuditHead
from proxy.core.proof.record_proof import RecordProof
from proxy.runtime.process.clock import Clock
from proxy.runtime.state.journal import Journal
from proxy.runtime.state.ordered_changes import OrderedChanges, check_change_id
from proxy.runtime.state.record_verification import proofs
from proxy.store.ports.audit import AuditStore

#: How long a question waits for a change that is still carried out.
_CHANGE_SECONDS = 5.0
#: Nobody asks later about an answer that was lost.
_LOOK_BACK_MICROSECONDS = 3_600_000_000
_LOOK_BACK_PAGES = 20


@dataclass(frozen=True, slots=True)
class ChangeEnd:
    """What became of a change, who knows it, and the audit entries it made, oldest first."""

    id: str
    result: Literal["changed", "not_changed", "unknown"]
    by: Literal["process", "audit"]
    entries: Sequence[AuditEntry]


class AuditReader:
    """The log as the store has it."""

    def __init__(self, store: AuditStore, ordered: OrderedChanges, journal: Journal, clock: Clock) -> None:
        self._store = store
        self._ordered = ordered
        self._journal = journal
        self._clock = clock

    async def page(self, cursor: str | None, limit: int) -> Page[AuditEntry]:
        """The newest first. Raises BadInput(`bad_cursor`), Unavailable."""
        return await self._store.audit(cursor, limit)

    async def head(self) -> AuditEntry | None:
        """The newest entry. Raises Unavailable."""
        newest = (await self._store.audit(None, 1)).items
        return newest[0] if newest else None

    async def stretches(self) -> AsyncGenerator[Sequence[AuditEntry]]:
        """All of it, oldest first; the next stretch is read when it is asked for. Raises Unavailable."""
        number = 0
        while entries := await self._store.audit_after(number, MAX_PAGE):
            yield entries
            number = entries[-1].number

    def proofs(self, known_head: AuditHead | None) -> AsyncGenerator[RecordProof]:
        """The proof of the log and of every row it speaks about, after each stretch; the last one is finished."""
        return proofs(self._store, known_head)

    async def change(self, change_id: str) -> ChangeEnd:
        """What became of a change, as this process remembers it, else by the audit log. Raises BadInput(`bad_change_id`).

        The log does not tell of later facts about runs. `unknown` is never `not_changed`: it goes on still, the store is away,
        something is not entered yet, or too much was changed since.
        """
        ended = await self._ordered.ended(check_change_id(change_id), _CHANGE_SECONDS)
        found = await self._entries_of(change_id)
        if ended in ("changed", "not_changed"):
            return ChangeEnd(change_id, ended, "process", found or ())
        is_all = found is not None and ended != "goes_on" and not self._journal.entries
        result = "changed" if found else "not_changed" if is_all else "unknown"
        return ChangeEnd(change_id, result, "audit", found or ())

    async def _entries_of(self, change_id: str) -> list[AuditEntry] | None:
        """The entries of an order, oldest first; None where the log cannot be read, or not far enough back to say that there is
        none."""
        found: list[AuditEntry] = []
        since, cursor = self._clock.now_microseconds() - _LOOK_BACK_MICROSECONDS, None
        for _ in range(_LOOK_BACK_PAGES):
            try:
                page = await self._store.audit(cursor, MAX_PAGE)
            except Unavailable:
                return None
            for entry in page.items:
                if any(change_id_of(item) == change_id for item in entry.evidence):
                    found.insert(0, entry)
            cursor = page.next_cursor
            if found or cursor is None or all(entry.at_microseconds < since for entry in page.items):
                return found
        return None

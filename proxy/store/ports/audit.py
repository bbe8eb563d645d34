"""The audit log, and the proof of it and of the rows it speaks about."""

from collections.abc import Sequence
from typing import Protocol

from proxy.core.pages import DEFAULT_PAGE, Page
from proxy.core.proof.audit import AuditEntry
from proxy.core.proof.record_proof import RecordProof


class AuditStore(Protocol):
    """Only changes append to it (ports/changes.py)."""

    async def audit(self, cursor: str | None = None, limit: int = DEFAULT_PAGE) -> Page[AuditEntry]:
        """Newest first."""
        ...

    async def audit_after(self, number: int, limit: int = DEFAULT_PAGE) -> Sequence[AuditEntry]:
        """Oldest first."""
        ...

    async def prove(self, proof: RecordProof) -> RecordProof:
        """Look at the next stretch of the append-only rows and give the proof as far as it then is. Rows that cannot even be
        read are part of the verdict, not an error."""
        ...

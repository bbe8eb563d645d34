"""Making the store small now instead of in its own time: audited, beside traffic."""

from typing import Protocol

from proxy.runtime.retention import RetentionDocument
from proxy.runtime.state.changes import Changes


class Compacts(Protocol):
    """Does what retention would do, to its end, and gives space back; what it did, as a document."""

    async def compacted(self) -> RetentionDocument: ...


class RetentionCommands:
    """What an operator can order of retention."""

    def __init__(self, changes: Changes, retention: Compacts) -> None:
        self._changes = changes
        self._retention = retention

    async def compact(self, who: str, why: str) -> RetentionDocument:
        """What was done. Raises Unavailable, and what was done until then stays done. The audit entry comes first: what is removed
        was announced by whom and why."""
        async with self._changes.begin() as work:
            await work.audit(who, "store.compacted", "store", why)
        return await self._retention.compacted()

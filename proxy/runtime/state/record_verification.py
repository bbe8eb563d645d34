"""Proving the store's own memory: the audit chain and every row it speaks about, and the head that is kept outside.

The rule is core's (record_proof.py), reading is the store's, one bounded stretch after the other, so that neither traffic nor
lists wait for a long log.
"""

from collections.abc import AsyncGenerator, Callable

from proxy.core.proof.audit_proof import AuditHead
from proxy.core.proof.record_proof import RecordProof, begin_proof
from proxy.core.times import rfc3339
from proxy.runtime.process.clock import Clock
from proxy.runtime.process.event_line import event_line
from proxy.store.ports.audit import AuditStore

_DAY_MICROSECONDS = 86_400_000_000


async def proofs(store: AuditStore, known_head: AuditHead | None = None) -> AsyncGenerator[RecordProof]:
    """The proof after each stretch; the last one is finished. Raises Unavailable where the store is away."""
    proof = begin_proof(known_head)
    while not proof.is_finished:
        proof = await store.prove(proof)
        if not proof.is_finished:
            yield proof
    yield proof


class HeadLog:
    """Logs the audit log's head once a day, for a log collector that its owner cannot rewrite."""

    def __init__(self, store: AuditStore, write: Callable[[bytes], object], clock: Clock) -> None:
        self._store = store
        self._write = write
        self._clock = clock
        self._day: int | None = None

    async def beat(self) -> None:
        """Log the head on the first beat of each day in UTC. Raises Unavailable, and tries again on the next beat then."""
        now = self._clock.now_microseconds()
        if now // _DAY_MICROSECONDS == self._day:
            return
        newest = (await self._store.audit(None, 1)).items
        self._day = now // _DAY_MICROSECONDS
        if newest:
            head = newest[0]
            at = rfc3339(head.at_microseconds)
            self._write(event_line(now, "info", "audit_head", number=head.number, hash=head.hash, at=at))

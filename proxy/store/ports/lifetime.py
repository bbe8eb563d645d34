"""A store itself: opened, looked after, copied, closed."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol, TypedDict

from proxy.core.proof.audit_proof import AuditHead
from proxy.core.shapes import Count


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreCopy:
    """A whole copy, made; what is not read of `pieces` is given up when they are closed."""

    audit_head: AuditHead
    size_bytes: int
    pieces: AsyncGenerator[bytes]


class StoreFacts(TypedDict):
    """What a store says of itself, also while it is away. `warnings` are for people; while it was never open, `installation`
    is empty and `revision` 0."""

    kind: str
    path: str
    schema_version: int
    library_version: str
    size_bytes: Count
    installation: str
    revision: Count
    warnings: list[str]


class StoreLifetime(Protocol):
    """Opened by the composition root, closed last."""

    async def open(self) -> None:
        """Open, migrate, and take ownership. Raises Unavailable(`store_unavailable`, `store_too_new`, `store_in_use`)."""
        ...

    async def close(self) -> None: ...
    @property
    def openings(self) -> int:
        """How often its database was opened: what was written to the last one may be missing in this one."""
        ...

    async def ping(self) -> None:
        """Raises Unavailable where a write could not succeed now."""
        ...

    async def scrub(self) -> None:
        """Look through a little more of what is kept, so that damage is known before it is needed; from then on the store is
        unavailable. To be called once a second or so. Raises Unavailable."""
        ...


class DescribedStore(Protocol):
    """What a store says of itself."""

    async def diagnostics(self) -> StoreFacts:
        """Facts for `GET /status`."""
        ...


class BackupStore(Protocol):
    """What can be copied while it is in use."""

    async def backup(self) -> StoreCopy:
        """One moment of everything, as a file that another store can be made of. Raises Unavailable(`store_unavailable`)."""
        ...

"""The ledger of releases."""

from typing import Protocol

from proxy.core.pages import DEFAULT_PAGE, Page
from proxy.core.releasing.releases import Release


class ReleaseStore(Protocol):
    """Of an agent, or of one of its labels."""

    async def releases(
        self, agent: str, label: str | None = None, cursor: str | None = None, limit: int = DEFAULT_PAGE
    ) -> Page[Release]: ...

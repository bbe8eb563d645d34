"""Agents and their versions."""

from typing import Protocol

from proxy.core.pages import DEFAULT_PAGE, Page
from proxy.core.snapshot import Agent
from proxy.core.versions.versions import Version, VersionSummary


class VersionSource(Protocol):
    """Where single versions come from."""

    async def version(self, agent: str, number: int) -> Version | None: ...


class VersionStore(VersionSource, Protocol):
    """The same, and lists of agents and of their versions."""

    async def agents(self, cursor: str | None = None, limit: int = DEFAULT_PAGE) -> Page[Agent]: ...
    async def versions(
        self, agent: str, cursor: str | None = None, limit: int = DEFAULT_PAGE
    ) -> Page[VersionSummary]: ...

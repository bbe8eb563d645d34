"""Who may move a label, and what waits for a second person."""

from collections.abc import Sequence
from typing import Protocol

from proxy.core.pages import DEFAULT_PAGE, Page
from proxy.core.releasing.proposals import Proposal, ProposalState
from proxy.core.releasing.protection import Protection


class ProposalStore(Protocol):
    """Protections and proposals of an agent's labels."""

    async def protections(self, agent: str) -> Sequence[Protection]:
        """By label."""
        ...

    async def proposals(
        self, agent: str, state: ProposalState | None = None, cursor: str | None = None, limit: int = DEFAULT_PAGE
    ) -> Page[Proposal]: ...
    async def proposal(self, agent: str, proposal_id: str) -> Proposal | None: ...

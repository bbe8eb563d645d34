"""The release ledger of an agent, its rollouts, and its proposals with what each would change."""

from typing import Protocol

from proxy.core.errors import NotFound
from proxy.core.pages import Page
from proxy.core.releasing.proposals import Proposal, ProposalState
from proxy.core.releasing.releases import Release
from proxy.core.rollouts.progress import ProgressDocument
from proxy.core.rollouts.watching import WatchDocument
from proxy.core.snapshot import AgentState, Rollout
from proxy.core.versions.diffing import VersionDiffDocument
from proxy.runtime.reports.versions import difference
from proxy.store.ports.proposals import ProposalStore
from proxy.store.ports.releases import ReleaseStore
from proxy.store.ports.rollouts import RolloutStore
from proxy.store.ports.versions import VersionSource


class Judging(Protocol):
    """What whoever judges rollouts tells of one of them, also of one that ended; None where there is nothing."""

    async def standing(self, agent: str, rollout_id: str) -> ProgressDocument | None: ...
    async def watch(self, agent: str, rollout_id: str) -> WatchDocument | None: ...


class StoredReleases(ReleaseStore, RolloutStore, Protocol):
    """The ledger, and the rollouts it tells of."""


class ReleaseReader:
    """Releases and rollouts."""

    def __init__(self, store: StoredReleases, judging: Judging) -> None:
        self._store = store
        self._judging = judging

    async def page(self, state: AgentState, label: str | None, cursor: str | None, limit: int) -> Page[Release]:
        """The newest first, of one label or of all. Raises BadInput(`bad_cursor`), Unavailable."""
        return await self._store.releases(state.agent.name, label, cursor, limit)

    async def rollouts(self, state: AgentState, cursor: str | None, limit: int) -> Page[Rollout]:
        """The newest first. Raises BadInput(`bad_cursor`), Unavailable."""
        return await self._store.rollouts(state.agent.name, cursor, limit)

    async def rollout(self, state: AgentState, rollout_id: str) -> Rollout:
        """One that runs, or one that ended. Raises NotFound(`rollout_not_found`), Unavailable."""
        active = (rollout for rollout in state.rollouts.values() if rollout.id == rollout_id)
        found = next(active, None) or await self._store.rollout(state.agent.name, rollout_id)
        if found is None:
            problem = f"agent {state.agent.name!r} has no rollout {rollout_id!r}"
            raise NotFound("rollout_not_found", problem, param="rollout")
        return found

    async def progress(self, rollout: Rollout) -> ProgressDocument | None:
        """How far it has come, and what was decided last."""
        return await self._judging.standing(rollout.agent, rollout.id)

    async def watch(self, rollout: Rollout) -> WatchDocument | None:
        """What was seen of the label since the candidate was taken away."""
        return await self._judging.watch(rollout.agent, rollout.id)


class StoredProposals(ProposalStore, VersionSource, Protocol):
    """Proposals, and the versions they are about."""


class ProposalReader:
    """What waits, or waited, for a second person."""

    def __init__(self, store: StoredProposals) -> None:
        self._store = store

    async def page(
        self, state: AgentState, wanted: ProposalState | None, cursor: str | None, limit: int
    ) -> Page[Proposal]:
        """The newest first. Raises BadInput(`bad_cursor`), Unavailable."""
        return await self._store.proposals(state.agent.name, wanted, cursor, limit)

    async def proposal(self, state: AgentState, proposal_id: str) -> Proposal:
        """Raises NotFound(`proposal_not_found`), Unavailable."""
        found = await self._store.proposal(state.agent.name, proposal_id)
        if found is None:
            problem = f"agent {state.agent.name!r} has no proposal {proposal_id!r}"
            raise NotFound("proposal_not_found", problem, param="proposal")
        return found

    async def difference(self, proposal: Proposal) -> VersionDiffDocument:
        """From what the label served, or nothing, to the version that is proposed. Raises Unavailable."""
        after = await self._store.version(proposal.agent, proposal.version)
        before = None if proposal.before is None else await self._store.version(proposal.agent, proposal.before)
        assert after is not None
        return await difference(before, after)

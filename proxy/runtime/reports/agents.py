"""Agents as they are now: of the live snapshot, which has those in service at once, else of the store."""

from typing import Protocol

from proxy.core.calls.identity import required_agent
from proxy.core.pages import Page
from proxy.core.releasing.protection import Protection
from proxy.core.snapshot import Agent, AgentState
from proxy.runtime.state.live_snapshot import LiveSnapshot
from proxy.store.ports.proposals import ProposalStore
from proxy.store.ports.snapshots import SnapshotStore
from proxy.store.ports.versions import VersionStore


class StoredAgents(SnapshotStore, VersionStore, ProposalStore, Protocol):
    """Agents, and who may move their labels."""


class AgentReader:
    """Agents, their labels and the rules of these."""

    def __init__(self, live: LiveSnapshot, store: StoredAgents) -> None:
        self._live = live
        self._store = store

    async def known(self, name: str) -> AgentState:
        """The agent of that name, also an archived one. Raises NotFound(`agent_not_found`), Unavailable."""
        return required_agent(self._live.agent(name) or await self._store.agent_state(name), name)

    def now(self, agent: Agent) -> AgentState:
        """What an agent that was just changed serves now."""
        return self._live.agent(agent.name) or AgentState(agent)

    async def page(self, cursor: str | None, limit: int) -> Page[Agent]:
        """By name. Raises BadInput(`bad_cursor`), Unavailable."""
        return await self._store.agents(cursor, limit)

    async def protections(self, name: str) -> dict[str, Protection]:
        """The rules of an agent's labels, by label. Raises NotFound(`agent_not_found`), Unavailable."""
        state = await self.known(name)
        return {one.label: one for one in await self._store.protections(state.agent.name)}

"""The snapshot traffic is decided on right now, swapped whole, with indexes so that a call looks at its own few entries.

Also the bounded cache of versions that only a pin reaches. Who builds a new snapshot is release_commands' matter.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from proxy.core.snapshot import AgentState, Snapshot
from proxy.core.spending.caps import Cap
from proxy.core.switches import Switch
from proxy.core.tokens import Token
from proxy.core.versions.versions import Version
from proxy.runtime.state.answered_names import AnsweredNames
from proxy.store.ports.versions import VersionSource

_MAX_CACHED_VERSIONS: Final = 1024
Entry = TypeVar("Entry", Cap, Switch)


class LiveSnapshot:
    """Holds the current snapshot. Reads never wait; only a pinned version outside it is loaded."""

    def __init__(self, source: VersionSource) -> None:
        self._source = source
        self._pinned: OrderedDict[tuple[str, int], Version] = OrderedDict()
        self._listeners: list[Callable[[Snapshot], None]] = []
        #: What names in switches and caps mean beside what they say.
        self.answered_names = AnsweredNames()
        #: False until the first snapshot: an empty beginning is not what anybody ordered.
        self.is_loaded = False
        self._swap(Snapshot(revision=0))

    @property
    def current(self) -> Snapshot:
        return self._current

    def on_change(self, listener: Callable[[Snapshot], None]) -> None:
        """Call `listener` with every new snapshot, before the change that made it is answered."""
        self._listeners.append(listener)

    def replace(self, snapshot: Snapshot) -> None:
        """Swap the whole snapshot. An older revision than the current one is ignored."""
        if snapshot.revision >= self._current.revision:
            self.start_from(snapshot)

    def start_from(self, snapshot: Snapshot) -> None:
        """Swap the whole snapshot for what the store (or, while it is away, its last known good state) says, whatever revision
        the current one has."""
        self.is_loaded = True
        self._swap(snapshot)
        for listener in self._listeners:
            listener(snapshot)

    def is_reachable(self, agent: str, version: int) -> bool:
        """Whether labels, rollouts or fallbacks of the agent reach this version."""
        state = self.agent(agent)
        return state is not None and version in state.versions

    def agent(self, name: str) -> AgentState | None:
        return self._current.agents.get(name)

    def token(self, sha256: str) -> Token | None:
        """The admin token with this hash, unless it is revoked."""
        return self._current.tokens.get(sha256)

    def caps_for(self, agent: str) -> tuple[Cap, ...]:
        """Caps that may touch a call of this agent: those of the agent and those that name none."""
        return self._caps.get(agent, self._caps_of_all)

    def switches_for(self, agent: str) -> tuple[Switch, ...]:
        return self._switches.get(agent, self._switches_of_all)

    async def version(self, state: AgentState, number: int) -> Version | None:
        """A pinned version: from the snapshot, else through the bounded cache. Raises Unavailable."""
        found = state.versions.get(number)
        if found is not None:
            return found
        key = (state.agent.name, number)
        cached = self._pinned.get(key)
        if cached is None:
            if not 1 <= number <= state.agent.newest:
                return None
            cached = await self._source.version(*key)
            if cached is None:
                return None
            self._pinned[key] = cached
            if len(self._pinned) > _MAX_CACHED_VERSIONS:
                self._pinned.popitem(last=False)
        self._pinned.move_to_end(key)
        return cached

    def _swap(self, snapshot: Snapshot) -> None:
        self._current = snapshot
        self._caps_of_all = tuple(cap for cap in snapshot.caps if cap.scope.agent is None)
        self._caps = _by_agent({cap.scope.agent for cap in snapshot.caps}, snapshot.caps)
        self._switches_of_all = tuple(switch for switch in snapshot.switches if switch.scope.agent is None)
        self._switches = _by_agent({switch.scope.agent for switch in snapshot.switches}, snapshot.switches)


def _by_agent(agents: set[str | None], entries: tuple[Entry, ...]) -> Mapping[str, tuple[Entry, ...]]:
    return {
        agent: tuple(entry for entry in entries if entry.scope.agent in (None, agent))
        for agent in agents
        if agent is not None
    }

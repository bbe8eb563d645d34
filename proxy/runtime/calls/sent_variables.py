"""Which variables an agent's last calls brought along: what a preflight knows a new version's needs by.

In memory, of this process, names alone; a restart begins with nothing, which says nothing.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

_CALLS_KEPT: Final = 50
_AGENTS_KEPT: Final = 1000
_NONE: Final[frozenset[str]] = frozenset()


class SentVariables:
    """The names, call by call."""

    def __init__(self) -> None:
        self._by_agent: dict[str, deque[frozenset[str]]] = {}

    def note(self, agent: str, variables: Mapping[str, str]) -> None:
        """A call of an agent that a version is in force on."""
        calls = self._by_agent.get(agent)
        if calls is None:
            if len(self._by_agent) >= _AGENTS_KEPT:
                del self._by_agent[next(iter(self._by_agent))]
            calls = self._by_agent[agent] = deque(maxlen=_CALLS_KEPT)
        calls.append(frozenset(variables) if variables else _NONE)

    def recent(self, agent: str) -> Sequence[frozenset[str]]:
        """The last calls, oldest first; empty where none was seen."""
        return tuple(self._by_agent.get(agent, ()))

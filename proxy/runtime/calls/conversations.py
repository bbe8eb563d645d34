"""Which arm a conversation began on: a bounded table in memory, so that no conversation changes version midway.

An entry lives for a day after its last call. An eviction is counted; the conversation then falls back to its bucket.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_LIFETIME_MICROSECONDS: Final = 24 * 3_600_000_000
_MAX_ENTRIES: Final = 200_000


@dataclass(slots=True)
class _Began:
    arm: str
    seen_at_microseconds: int


class Conversations:
    """Arms by (agent, rollout, conversation), oldest use first."""

    def __init__(self, max_entries: int = _MAX_ENTRIES) -> None:
        self._max_entries = max_entries
        self._entries: OrderedDict[tuple[str, str, str], _Began] = OrderedDict()
        self.evictions = 0

    def arm(self, agent: str, rollout: str, conversation: str, now_microseconds: int) -> str | None:
        """The arm this conversation began on in this rollout, None where it is new."""
        key = (agent, rollout, conversation)
        entry = self._entries.get(key)
        if entry is None:
            return None
        if now_microseconds - entry.seen_at_microseconds > _LIFETIME_MICROSECONDS:
            del self._entries[key]
            return None
        entry.seen_at_microseconds = now_microseconds
        self._entries.move_to_end(key)
        return entry.arm

    def seen_at(self, agent: str, rollout: str, conversation: str) -> int | None:
        """When its last call came, UTC microseconds; None where it is new."""
        entry = self._entries.get((agent, rollout, conversation))
        return None if entry is None else entry.seen_at_microseconds

    def entries(self) -> Iterator[tuple[tuple[str, str, str], str, int]]:
        """Every entry with its arm and the time of its last call, oldest use first. Not to be changed meanwhile."""
        return ((key, entry.arm, entry.seen_at_microseconds) for key, entry in self._entries.items())

    def remember(self, agent: str, rollout: str, conversation: str, arm: str, now_microseconds: int) -> None:
        """Note where a conversation began."""
        self._entries[(agent, rollout, conversation)] = _Began(arm, now_microseconds)
        if len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)
            self.evictions += 1

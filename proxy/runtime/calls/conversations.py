"""Which arm a conversation began on, and which version a chain of responses: bounded tables in memory, so that nobody changes version midway.

A conversation is one that the caller names. Its entry lives for a day after its last call. A chain is one that the provider keeps and
names by ids of its own; an entry lives for thirty days, as long as what it names, and whoever keeps it beyond this process is told of it. An
eviction is counted; the conversation then falls back to its bucket, and who goes on with a chain gets what anybody gets.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from proxy.core.calls.chains import ChainBeginning
from proxy.wires.wire import AnswerFacts, AnswerReader

_LIFETIME_MICROSECONDS: Final = 24 * 3_600_000_000
_MAX_ENTRIES: Final = 200_000
CHAIN_LIFETIME_MICROSECONDS: Final = 30 * 24 * 3_600_000_000
MAX_CHAINS: Final = 100_000
#: An entry that is still gone on with is noted anew when it is this old.
_AGAIN_MICROSECONDS: Final = 24 * 3_600_000_000

ChainEntry = tuple[ChainBeginning, int]


@dataclass(slots=True)
class _Began:
    arm: str
    seen_at_microseconds: int


class Conversations:
    """Arms by (agent, rollout, conversation), oldest use first."""

    def __init__(self, max_entries: int = _MAX_ENTRIES, chains: "Chains | None" = None) -> None:
        self._max_entries = max_entries
        self._entries: OrderedDict[tuple[str, str, str], _Began] = OrderedDict()
        #: Those that a provider keeps, and on which version they began.
        self.chains = Chains() if chains is None else chains
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


class Chains:
    """Beginnings by (agent, id), oldest first."""

    def __init__(self, max_entries: int = MAX_CHAINS) -> None:
        self._max_entries = max_entries
        self._entries: OrderedDict[tuple[str, str], ChainEntry] = OrderedDict()
        #: Many chains begin alike: each kind is kept once.
        self._kinds: dict[ChainBeginning, ChainBeginning] = {}
        self._listeners: list[Callable[[str, ChainBeginning, int], None]] = []
        self.evictions = 0

    def on_beginning(self, listener: Callable[[str, ChainBeginning, int], None]) -> None:
        """Call `listener` with the id of each chain that is noted, where it began, and when that was, UTC microseconds."""
        self._listeners.append(listener)

    def beginning(self, agent: str, chain: str, now_microseconds: int) -> ChainBeginning | None:
        """Where it began; None: nobody here knows."""
        entry = self._entries.get((agent, chain))
        if entry is None:
            return None
        if now_microseconds - entry[1] > CHAIN_LIFETIME_MICROSECONDS:
            del self._entries[(agent, chain)]
            return None
        return entry[0]

    def note(self, chain: str, began: ChainBeginning, now_microseconds: int) -> None:
        """Note where it began, unless that is known and no old news."""
        entry = self._entries.get((began.agent, chain))
        if entry is None or entry[0] != began or now_microseconds - entry[1] > _AGAIN_MICROSECONDS:
            self.heard(chain, began, now_microseconds)
            for listener in self._listeners:
                listener(chain, began, now_microseconds)

    def heard(self, chain: str, began: ChainBeginning, at_microseconds: int) -> None:
        """Take over what was noted elsewhere. Older news than is known says nothing."""
        key = (began.agent, chain)
        entry = self._entries.get(key)
        if entry is not None and entry[1] > at_microseconds:
            return
        self._entries[key] = (self._kind(began), at_microseconds)
        self._entries.move_to_end(key)
        if len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)
            self.evictions += 1

    async def find(self, agent: str, chain: str, now_microseconds: int) -> ChainBeginning | None:
        """As `beginning`, and whoever else may know is asked."""
        return self.beginning(agent, chain, now_microseconds)

    def _kind(self, began: ChainBeginning) -> ChainBeginning:
        kind = self._kinds.get(began)
        if kind is None:
            if len(self._kinds) >= self._max_entries:
                self._kinds.clear()
            kind = self._kinds[began] = began
        return kind


class ChainOfCall:
    """The chain that a call begins, or goes on with."""

    __slots__ = ("_at_microseconds", "_began", "_chain", "_chains")

    def __init__(self, chains: Chains, began: ChainBeginning, chain: str | None, at_microseconds: int) -> None:
        """`chain`: what it goes on with."""
        self._chains = chains
        self._began = began
        self._chain = chain
        self._at_microseconds = at_microseconds

    def reading(self, reader: AnswerReader) -> "NotingReader":
        """What reads as `reader` does, and notes what the provider calls the answer, before a client can go on with it."""
        return NotingReader(reader, self)

    def goes_on_as(self, response: str) -> None:
        """Note an answer's id, and that what it goes on with belongs to the same chain."""
        self._chains.note(response, self._began, self._at_microseconds)
        if self._chain is not None:
            self._chains.note(self._chain, self._began, self._at_microseconds)


class NotingReader:
    """An AnswerReader that reads as another one does."""

    __slots__ = ("_call", "_reader", "facts")

    def __init__(self, reader: AnswerReader, call: ChainOfCall) -> None:
        self._reader = reader
        self._call: ChainOfCall | None = call
        self.facts: AnswerFacts = reader.facts

    @property
    def is_stream(self) -> bool:
        """As the other one says."""
        return self._reader.is_stream

    def feed(self, piece: bytes) -> bytes:
        """As the other one does."""
        passed = self._reader.feed(piece)
        if self._call is not None:
            self._note()
        return passed

    def finish(self) -> bytes:
        """As the other one does."""
        passed = self._reader.finish()
        self._note()
        return passed

    def held_back(self) -> bytes:
        """As the other one says."""
        return self._reader.held_back()

    @property
    def takes_event(self) -> bool:
        """As the other one says."""
        return self._reader.takes_event

    def _note(self) -> None:
        if self._call is not None and self.facts.response_id is not None:
            self._call.goes_on_as(self.facts.response_id)
            self._call = None

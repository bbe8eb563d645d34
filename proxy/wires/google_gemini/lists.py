"""Streams that are one JSON list, an answer an item, as `streamGenerateContent` sends them where no events are asked for.

Belongs here: cutting such a list into its items, however it arrives in pieces, and telling it from a stream of events. Does not belong
here: what an item says (google_gemini/answer.py). Nothing is held back: what goes on is what came.

A list without its last bracket is broken, whatever its items have said: no reader of JSON takes it.
"""

import re
from typing import Final

from proxy.wires.google_gemini.answer import GeminiAnswer
from proxy.wires.shared.answer_reading import StreamReader
from proxy.wires.shared.event_stream import BYTE_ORDER_MARK, MAX_EVENT_BYTES

_STRUCTURE: Final = re.compile(rb'["\[\]{}]')
_TEXT_ENDS: Final = re.compile(rb'["\\]')
_QUOTE: Final = ord('"')
_OPENING: Final = b"[{"
_LIST: Final = b"["


class ListSplitter:
    """Cuts one list into its items that are objects or lists. Each byte is looked at once."""

    __slots__ = ("_depth", "_is_escaped", "_is_in_text", "_item", "_limit", "is_closed", "lost_bytes")

    def __init__(self, max_item_bytes: int = MAX_EVENT_BYTES) -> None:
        self._depth = 0
        self._is_in_text = False
        self._is_escaped = False
        self._item = bytearray()
        self._limit = max_item_bytes
        self.is_closed = False
        #: Of items too large to be read.
        self.lost_bytes = 0

    def feed(self, piece: bytes) -> list[bytes]:
        """The items that have become whole with this piece."""
        items: list[bytes] = []
        start = 0 if self._depth > 1 else -1
        position, size = 0, len(piece)
        while position < size and not self.is_closed:
            if self._is_in_text:
                position = self._past_text(piece, position)
                continue
            found = _STRUCTURE.search(piece, position)
            if found is None:
                break
            at, position = found.start(), found.end()
            if piece[at] == _QUOTE:
                self._is_in_text = True
            elif piece[at] in _OPENING:
                self._depth += 1
                if self._depth == 2:
                    start = at
            else:
                self._depth -= 1
                if self._depth == 1:
                    items += self._closed(piece[start:position])
                    start = -1
                self.is_closed = self._depth <= 0
        if self._depth > 1 and start >= 0:
            self._keep(piece[start:])
        return items

    def _past_text(self, piece: bytes, position: int) -> int:
        if self._is_escaped:
            self._is_escaped = False
            return position + 1
        found = _TEXT_ENDS.search(piece, position)
        if found is None:
            return len(piece)
        if piece[found.start()] == _QUOTE:
            self._is_in_text = False
        else:
            self._is_escaped = True
        return found.end()

    def _closed(self, rest: bytes) -> list[bytes]:
        self._keep(rest)
        item = bytes(self._item)
        self._item.clear()
        return [item] if item else []

    def _keep(self, part: bytes) -> None:
        self._item += part
        if len(self._item) > self._limit:
            self.lost_bytes += len(self._item)
            self._item.clear()


class GeminiStream:
    """An AnswerReader for streams of either framing, told by their first byte."""

    __slots__ = ("_answer", "_events", "_list", "facts", "is_stream")

    def __init__(self) -> None:
        self._answer = GeminiAnswer()
        self._events: StreamReader | None = None
        self._list: ListSplitter | None = None
        self.facts = self._answer.facts
        #: Whether an item or an event came.
        self.is_stream = False

    def feed(self, piece: bytes) -> bytes:
        """Read a piece; return it."""
        if self._events is None and self._list is None:
            begins = piece.removeprefix(BYTE_ORDER_MARK).lstrip()
            if not begins:
                return piece
            if begins.startswith(_LIST):
                self._list = ListSplitter()
            else:
                self._events = StreamReader(self._answer, removes_usage_event=False)
        if self._events is not None:
            self._events.feed(piece)
            self.is_stream = self._events.is_stream
        elif self._list is not None:
            self._read_items(self._list, piece)
        return piece

    def finish(self) -> bytes:
        """The answer ended cleanly: settle the facts."""
        if self._events is not None:
            self._events.finish()
            self.is_stream = self._events.is_stream
        elif self._list is not None:
            if not self._list.is_closed:
                self.facts.finish = None
                self.facts.usage = None
            self._answer.settle()
        return b""

    def held_back(self) -> bytes:
        """Nothing ever is."""
        return b""

    @property
    def takes_event(self) -> bool:
        """Whether what was passed on so far ends between two events; a list has no place for one of ours."""
        return self._events is not None and self._events.takes_event

    def _read_items(self, splitter: ListSplitter, piece: bytes) -> None:
        self.is_stream = True
        lost = splitter.lost_bytes
        for item in splitter.feed(piece):
            self._answer.read_event(item)
        if splitter.lost_bytes > lost:
            self.facts.unreadable += 1
            self.facts.output_bytes += splitter.lost_bytes - lost
        if splitter.is_closed:
            self._answer.settle()

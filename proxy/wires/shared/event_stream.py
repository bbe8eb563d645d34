"""Server-sent events: cutting a byte stream into events, exactly, however it arrives in pieces.

Belongs here: the framing of the event stream format (WHATWG HTML, section 9.2): lines end with LF, CR or CRLF, an event
ends with an empty line, `:` begins a comment, a byte order mark may open the stream. Does not belong here: what the data
says (the wires), when it is passed on (answer_reading.py).

The chunks handed out are a partition of the stream: joined again they are the bytes that came in. Each byte is searched
once, also when it arrives alone. An empty line that ends with a bare CR is only sure once the next byte is there, for a LF
would belong to it; that event is handed out one piece later, or by `finish`.
"""

import re
from typing import Final

#: An event larger than this is passed on in fragments, unread, so that one answer cannot fill the memory.
MAX_EVENT_BYTES: Final = 20 * 1024 * 1024

#: Bytes of the stream, and whether they are one whole event (else: empty lines, lines of comments, or part of an event).
Chunk = tuple[bytes, bool]

#: As a number: looking for one in bytes takes a tenth of the time of looking for bytes, which are tried as a number first.
_CR: Final = ord("\r")
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_LINE_END: Final = rb"(?:\r\n|\n|\r(?=[^\n]))"
#: As many as stand together: a stream of nothing else is read as fast as it comes.
_EMPTY_LINES: Final = re.compile(_LINE_END + rb"++")
_EVENT_END: Final = re.compile(_LINE_END + _LINE_END)
_DATA: Final = b"data: "
#: Of one event, for each to be looked at: it takes 2 ms.
_MOST_LINES: Final = 10_000
_MOST_LINES_AT_ONCE: Final = 200_000
_ANY_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
#: The end of a comment's line, sure without the byte behind it.
_COMMENT_END: Final = re.compile(rb"\r\n|\n|\r(?=[^\n])")
_COLON: Final = ord(":")
#: How far an event's end may begin before the newest byte: CR LF CR, waiting for the last LF.
_OVERLAP: Final = 3


class EventSplitter:
    """Cuts one stream. `held_bytes` of an event that is not complete yet wait inside."""

    __slots__ = ("_has_carriage_return", "_in_fragment", "_limit", "_tail")

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._tail = bytearray()
        self._has_carriage_return = False
        self._in_fragment = False
        self._limit = max_event_bytes

    @property
    def held_bytes(self) -> int:
        return len(self._tail)

    @property
    def is_in_fragment(self) -> bool:
        """Whether the beginning of an event that is not complete yet was handed out."""
        return self._in_fragment

    def feed(self, piece: bytes) -> list[Chunk]:
        """What has become complete with this piece, in order."""
        if not self._has_carriage_return and _CR in piece:
            self._has_carriage_return = True
        searched = len(self._tail)
        if not searched and not self._has_carriage_return and not self._in_fragment:
            chunks = self._split(piece)
            if chunks is not None:
                return chunks
        if searched:
            self._tail += piece
            if self._end_of_event(self._tail, max(0, searched - _OVERLAP)) < 0:
                return self._shed(searched)
            piece = bytes(self._tail)
        chunks, start = self._cut(piece, max(0, searched - _OVERLAP))
        if searched or start < len(piece):
            self._tail = bytearray(piece[start:])
            chunks += self._shed()
        return chunks

    def _split(self, piece: bytes) -> list[Chunk] | None:
        """The events of a piece with nothing before it and no line end but LF; None where empty lines stand between them."""
        if piece.startswith(b"\n") or piece.find(b"\n\n\n") >= 0:
            return None
        events = piece.split(b"\n\n")
        rest = events.pop()
        chunks: list[Chunk] = [(event + b"\n\n", True) for event in events]
        if rest:
            self._tail = bytearray(rest)
            chunks += self._shed()
        return chunks

    def finish(self) -> list[Chunk]:
        """What was held when the stream ended: an event whose empty line ended with CR, else an incomplete rest."""
        if not self._tail:
            return []
        rest = bytes(self._tail)
        self._tail.clear()
        is_whole = not self._in_fragment and re.search(rb"[\r\n]\r\Z", rest) is not None
        return [(rest, is_whole)]

    def _cut(self, data: bytes, search_from: int) -> tuple[list[Chunk], int]:
        chunks: list[Chunk] = []
        start, size = 0, len(data)
        while start < size:
            if data[start] in b"\r\n" and not self._in_fragment:
                empty = _EMPTY_LINES.match(data, start)
                if empty is not None:
                    chunks.append((data[start : empty.end()], False))
                    start = empty.end()
                    continue
            end = self._end_of_event(data, max(start, search_from))
            if end < 0:
                break
            chunks.append((data[start:end], not self._in_fragment))
            self._in_fragment = False
            start = end
        return chunks, start

    def _end_of_event(self, data: bytes | bytearray, search_from: int) -> int:
        if not self._has_carriage_return:
            found = data.find(b"\n\n", search_from)
            return found if found < 0 else found + 2
        match = _EVENT_END.search(data, search_from)
        return -1 if match is None else match.end()

    def _shed(self, searched: int = 0) -> list[Chunk]:
        """What may not wait: comments before an event, and, unread, what is too much for one event, but for the bytes its
        end may begin with. `searched`: how much of what waits was there before."""
        tail = self._tail
        chunks: list[Chunk] = []
        if tail and tail[0] == _COLON and not self._in_fragment:
            chunks = self._comments(max(0, searched - _OVERLAP))
        if len(tail) > self._limit:
            self._in_fragment = True
            chunks.append((bytes(tail[:-_OVERLAP]), False))
            del tail[:-_OVERLAP]
        return chunks

    def _comments(self, search_from: int) -> list[Chunk]:
        """Whole lines of comments that nothing but more of an event can follow: a heartbeat that waited would be none."""
        tail, start = self._tail, 0
        while start < len(tail) and tail[start] == _COLON:
            end = _COMMENT_END.search(tail, max(start, search_from))
            if end is None:
                break
            start = end.end()
        if not start:
            return []
        comments = bytes(tail[:start])
        del tail[:start]
        return [(comments, False)]


def data_of(event: bytes) -> bytes | None:
    """The data of one event (its `data` lines joined by LF); None for an event without any, such as a comment, for it is none to a
    reader. The event itself, which no wire can read, where its lines are of several kinds and too many to look at each."""
    # The two shapes that providers send: one data line, and one name line before one data line.
    end = len(event) - 2
    first = event.find(b"\n")
    if _CR in event:
        return _joined_data(event)
    if first == end and event.startswith(b"data: "):
        return event[6:end] or None
    if event.startswith(b"data: ", first + 1) and event.startswith(b"event") and event.find(b"\n", first + 1) == end:
        return event[first + 7 : end] or None
    if first == end and event.startswith(b"data:"):
        return event[5:end] or None
    if first == end and event[0] == _COLON:
        return None
    return _joined_data(event)


def _joined_data(event: bytes) -> bytes | None:
    lines = event.count(b"\n")
    if lines > _MOST_LINES_AT_ONCE:
        return event
    if lines > _MOST_LINES:
        # In one go where all are alike: one by one, a million of them take half a second.
        is_alike = event.startswith(_DATA) and event.endswith(b"\n\n") and event.count(b"\n" + _DATA) == lines - 2
        return event[len(_DATA) : -2].replace(b"\n" + _DATA, b"\n") if is_alike else event
    texts = [
        line[5:].removeprefix(b" ")
        for line in _ANY_LINE_END.split(event.removeprefix(BYTE_ORDER_MARK))
        if line.startswith(b"data:") or line == b"data"
    ]
    return b"\n".join(texts) or None

"""Reading an answer beside its way to the client: one reader for streams, one for whole bodies, and sound token counts.

Belongs here: what every wire's reader does alike: passing pieces on, taking one event out, collecting a body, refusing
nonsense in usage. Does not belong here: what an event or a body says (each wire's own `..._answer` module).
Nothing is ever re-encoded: what goes on is slices of what came in, and the very same object where nothing is removed.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Protocol, cast

import msgspec

from proxy.core.spending.usage import UsageParts
from proxy.wires.shared.event_stream import BYTE_ORDER_MARK, Chunk, EventSplitter, data_of
from proxy.wires.shared.large_answers import (
    HEAD_BYTES,
    READ_AT_ONCE_BYTES,
    TAIL_BYTES,
    condensed,
    condensed_inside,
    has_too_many_parts,
)
from proxy.wires.shared.odd_answers import in_one_telling, is_told_twice, mended
from proxy.wires.shared.plain_deltas import PlainDelta, plain_delta
from proxy.wires.wire import AnswerFacts

#: A whole body larger than this passes on read at its ends alone.
MAX_BODY_BYTES: Final = 8 * 1024 * 1024
#: How a document begins, as no event does: an object, a list, a text, a page.
_DOCUMENT_STARTS: Final = (b"{", b"[", b'"', b"<")
#: How chunks begin that are no part of an event: a comment, an empty line.
_NO_PART_OF_EVENT: Final = b":\r\n"
#: Of the events of one stream that cannot be read, for so many it is tried to mend them.
_MOST_MENDED: Final = 1000
#: How often a stream may change the look of its events before all are read in full.
_MAX_LESSONS: Final = 16
#: No model reads or writes this many tokens in one call; a larger number is nonsense.
MAX_PLAUSIBLE_TOKENS: Final = 1_000_000_000
#: A plausible count, for typed decoders.
Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_PLAUSIBLE_TOKENS)]


class EventReader(Protocol):
    """What a wire knows of its streams."""

    facts: AnswerFacts
    #: Whether reading an event makes values of all its parts; then none of too many parts is read.
    builds_parts: bool
    #: The member (in quotes) of a last event that holds the whole answer; empty where none does.
    answer_member: bytes

    def read_event(self, data: bytes) -> bool:
        """Read one event's data; whether it is the usage event that exists only because the proxy asked for it."""
        ...

    def only_text(self) -> tuple[bytes, str] | None:
        """The member and the text of the event read last, where it brought nothing but that text."""
        ...

    def settle(self) -> None:
        """The stream ended cleanly: put what was read together."""
        ...

    def read_body(self, body: bytes) -> None:
        """Fill the facts from a whole answer that came in the place of a stream."""
        ...


class BodyReader(Protocol):
    """What a wire knows of its whole bodies."""

    facts: AnswerFacts

    def read_body(self, body: bytes) -> None:
        """Fill the facts from a whole answer."""
        ...


class StreamReader:
    """An AnswerReader for streams. Holds bytes back only where an event may have to be taken out.

    A document that comes in the place of a stream, such as an error under the content type of one, is read as what it is.
    """

    __slots__ = (
        "_delta",
        "_document",
        "_events",
        "_has_begun",
        "_is_between_events",
        "_is_last_unread",
        "_lessons",
        "_removes",
        "_splitter",
        "facts",
        "is_stream",
    )

    def __init__(self, events: EventReader, *, removes_usage_event: bool) -> None:
        self._events = events
        self._removes = removes_usage_event
        self._splitter = EventSplitter()
        self._delta: PlainDelta | None = None
        self._document: WholeReader | None = None
        self._lessons = _MAX_LESSONS
        self._has_begun = False
        self._is_between_events = True
        #: The newest event was too large to be read.
        self._is_last_unread = False
        self.facts: AnswerFacts = events.facts
        #: Whether an event came.
        self.is_stream = False

    def feed(self, piece: bytes) -> bytes:
        """Read a piece; return the bytes to pass on now."""
        if self._delta is not None and self._is_between_events:
            size = self._delta.text_bytes(piece)
            if size >= 0:
                self.facts.output_bytes += size
                return piece
        return self._feed_any(piece)

    def _feed_any(self, piece: bytes) -> bytes:
        if self._document is not None:
            return self._document.feed(piece)
        if not self._has_begun and self._begins_document(piece):
            return self.held_back() + self._open_document().feed(piece)
        held = self._splitter.held_bytes
        chunks = self._splitter.feed(piece)
        holds = self._splitter.held_bytes
        self._is_between_events = not holds and not self._splitter.is_in_fragment
        if not self._removes:
            for chunk in chunks:
                self._read(chunk)
            return piece
        kept = [chunk[0] for chunk in chunks if not self._read(chunk)]
        if len(kept) == len(chunks) and not held and not holds:
            return piece
        return b"".join(kept)

    def finish(self) -> bytes:
        """The answer ended cleanly: return held-back bytes, and settle the facts."""
        if self._document is not None:
            self._document.finish()
            # What is no sound document either may be a broken stream.
            self.facts.is_complete = not self.facts.unreadable
            return b""
        given_back = b""
        if self._is_last_unread and not self._splitter.is_in_fragment:
            # It may have been the stream's end, as the event is that holds a whole answer.
            self.facts.is_complete = True
        for raw, is_whole in self._splitter.finish():
            # Some providers leave out the last empty line; what such an end says counts, but it is never taken out.
            data = data_of(raw)
            is_usage_event = data is not None and self._read_data(data)
            given_back += b"" if is_usage_event and is_whole else raw
        self._events.settle()
        return given_back if self._removes else b""

    def held_back(self) -> bytes:
        """What came and was not passed on yet; nothing is fed to this splitter after that."""
        rest = b"".join([raw for raw, _ in self._splitter.finish()])
        return rest if self._removes else b""

    @property
    def takes_event(self) -> bool:
        """Whether what was passed on so far ends between two events of a stream, the last of them not the stream's end."""
        is_between = not self._splitter.is_in_fragment and (self._removes or not self._splitter.held_bytes)
        return is_between and self._document is None and not self.facts.is_complete

    def _begins_document(self, piece: bytes) -> bool:
        """Whether the first byte that is no white space begins a document, which no event begins with."""
        text = piece.removeprefix(BYTE_ORDER_MARK).lstrip()
        self._has_begun = bool(text)
        return text.startswith(_DOCUMENT_STARTS)

    def _open_document(self) -> "WholeReader":
        self._document = WholeReader(self._events)
        return self._document

    def _read(self, chunk: Chunk) -> bool:
        raw, is_whole = chunk
        if not is_whole:
            if len(raw) > 2 and raw[0] not in _NO_PART_OF_EVENT:
                self._is_last_unread = True
                self.facts.unreadable += 1  # part of an event too large to read
                self.facts.output_bytes += len(raw)
            return False
        if self._delta is not None:
            size = self._delta.text_bytes(raw)
            if size >= 0:
                self.facts.output_bytes += size
                return False
        data = data_of(raw)
        if data is None:
            return False
        is_usage_event = self._read_data(data)
        if self.facts.is_complete:
            self._delta = None
        elif self._lessons and not (self._delta is not None and self._delta.looks_like(raw)):
            self._learn(raw)
        return is_usage_event

    def _read_data(self, data: bytes) -> bool:
        self.is_stream = True
        self._is_last_unread = False
        is_large = len(data) > READ_AT_ONCE_BYTES
        if is_large and self._takes_long(data):
            self._read_ends(data)
            return False
        before = self.facts.unreadable
        is_usage_event = self._events.read_event(in_one_telling(data))
        if before < self.facts.unreadable <= _MOST_MENDED:
            if is_large:
                self._read_ends(data)
            elif (again := mended(data)) is not None:
                is_usage_event = self._events.read_event(again)
        return is_usage_event

    def _takes_long(self, data: bytes) -> bool:
        if len(data) > MAX_BODY_BYTES or is_told_twice(data):
            return True
        return self._events.builds_parts and has_too_many_parts(data)

    def _read_ends(self, data: bytes) -> None:
        head, tail, member = data[:HEAD_BYTES], data[-TAIL_BYTES:], self._events.answer_member
        ends = condensed_inside(head, tail, member) if member else condensed(head, tail)
        self.facts.output_bytes += len(data)
        if ends is None:
            self.facts.unreadable += 1
            self._is_last_unread = True
        else:
            self._events.read_event(in_one_telling(ends))

    def _learn(self, event: bytes) -> None:
        """Let the events that follow be recognised by this one, if it brought only text."""
        text = self._events.only_text()
        delta = None if text is None else plain_delta(event, *text)
        if delta is not None:
            self._delta = delta
            self._lessons -= 1


class WholeReader:
    """An AnswerReader for bodies that are one JSON document: pieces pass at once, a copy is read at the end.

    Of a document that is too large only both ends are kept; what it cost is told there.
    """

    __slots__ = ("_body", "_pieces", "_rest", "_size", "facts")

    def __init__(self, body: BodyReader) -> None:
        self._body = body
        self._pieces: list[bytes] = []
        #: What came behind the first piece; of a document that is too large, its latest bytes.
        self._rest: bytearray | None = None
        self._size = 0
        self.facts: AnswerFacts = body.facts

    def feed(self, piece: bytes) -> bytes:
        """Keep a copy of the piece for reading; return it."""
        self._size += len(piece)
        if not self._pieces:
            self._pieces.append(piece)
            return piece
        if self._rest is None:
            self._rest = bytearray()
        self._rest += piece
        if self._size > MAX_BODY_BYTES and len(self._rest) > 2 * TAIL_BYTES:
            self._shorten(self._rest)
        return piece

    def finish(self) -> bytes:
        """The answer ended cleanly: read it."""
        self.facts.is_complete = True
        document = self._pieces[0] if self._pieces else b""
        if self._rest is not None:
            document += self._rest
        is_large = self._size > READ_AT_ONCE_BYTES
        if self._size > MAX_BODY_BYTES or (is_large and (has_too_many_parts(document) or is_told_twice(document))):
            self._read_ends(document)
            return b""
        before = self.facts.unreadable
        self._body.read_body(in_one_telling(document))
        if self.facts.unreadable > before:
            if is_large:
                self._read_ends(document)
            elif (again := mended(document)) is not None:
                self._body.read_body(again)
        return b""

    def _shorten(self, rest: bytearray) -> None:
        """Keep both ends: what stands between them is not read any more."""
        head = self._pieces[0]
        self._pieces[0] = head[:HEAD_BYTES] if len(head) >= HEAD_BYTES else (head + rest[:HEAD_BYTES])[:HEAD_BYTES]
        del rest[:-TAIL_BYTES]

    def _read_ends(self, document: bytes) -> None:
        ends = condensed(document[:HEAD_BYTES], document[-TAIL_BYTES:])
        if ends is None:
            self.facts.unreadable += 1
        else:
            self._body.read_body(in_one_telling(ends))
        self.facts.output_bytes += self._size

    def held_back(self) -> bytes:
        """Nothing ever is."""
        return b""

    @property
    def is_stream(self) -> bool:
        """Never: a document is none."""
        return False

    @property
    def takes_event(self) -> bool:
        """Never: a document has no events."""
        return False


class TokenCounts:
    """A usage object read with suspicion: what is no plausible count is left out and makes `is_sound` False."""

    __slots__ = ("_content", "is_sound")

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._content = content
        self.is_sound = True

    def get(self, name: str) -> int | None:
        """The count of that name, None where absent, null or nonsense (text, fraction, negative, absurdly large)."""
        value = self._content.get(name)
        if value is None:
            return None
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # some servers count in floats
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_PLAUSIBLE_TOKENS:
            return value
        self.is_sound = False
        return None

    def dollars(self, name: str) -> float | None:
        """The amount of that name, None where it is absent or no number."""
        value = self._content.get(name)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    def flag(self, name: str) -> bool | None:
        """The flag of that name, None where it is absent or none."""
        value = self._content.get(name)
        return value if isinstance(value, bool) else None

    def inner(self, name: str) -> "TokenCounts":
        """The counts of a nested object; an empty one where it is absent or no object."""
        value = self._content.get(name)
        if isinstance(value, dict):
            return TokenCounts(cast("dict[str, Any]", value))
        self.is_sound = self.is_sound and value is None
        return TokenCounts({})


def parts_of(
    audio_in: int, image_in: int, audio_out: int, image_out: int, web_searches: int = 0, told_nanodollars: int = 0
) -> UsageParts | None:
    """What of a usage may have a rate of its own, or says what all of it costs; None where there is nothing of it."""
    if audio_in or image_in or audio_out or image_out or web_searches or told_nanodollars:
        return UsageParts(audio_in, image_in, audio_out, image_out, web_searches, told_nanodollars=told_nanodollars)
    return None


def text_bytes(text: Any) -> int:
    """UTF-8 length of a text an answer holds; 0 for anything else."""
    if not isinstance(text, str):
        return 0
    return len(text) if text.isascii() else len(text.encode())


def error_type_of(error: Any) -> str:
    """The stable type of an error object inside an answer: its `type`, else its `code`, else `error`."""
    if isinstance(error, dict):
        members = cast("dict[str, Any]", error)
        for name in ("type", "code"):
            if isinstance(members.get(name), str) and members[name]:
                return str(members[name])[:64]
    return "error"

"""A copy of an answer that is to be judged, taken while its wire's reader sees it pass; bounded one by one and together.

An answer that is too large, or that finds no room beside others, is not kept, and passes all the same.
"""

from typing import Final, Literal

from proxy.core.versions.validators import MAX_ANSWER_BYTES
from proxy.wires.wire import AnswerFacts, AnswerReader

#: Of all answers of this process together, those that wait to be judged included.
ROOM_BYTES: Final = 64 * 1024 * 1024
LossReason = Literal["too_large", "no_room"]


class AnswerRoom:
    """The bytes that copies of answers may take in this process."""

    def __init__(self, size_bytes: int = ROOM_BYTES) -> None:
        self._left = size_bytes

    @property
    def left_bytes(self) -> int:
        return self._left

    def take(self, size: int) -> bool:
        """Take so many bytes; False where they are not there."""
        if size > self._left:
            return False
        self._left -= size
        return True

    def give_back(self, size: int) -> None:
        """Let others have them."""
        self._left += size


class KeptAnswer:
    """The copy of one answer. It holds room until it is let go."""

    def __init__(self, room: AnswerRoom) -> None:
        self._room = room
        self._pieces: list[bytes] = []
        self._size = 0
        #: Whether its wire's reader saw any of it.
        self.was_read = False
        #: Why it is not whole; None while it is.
        self.lost: LossReason | None = None

    def reading(self, reader: AnswerReader) -> "KeepingReader":
        """What reads as `reader` does, and keeps what it sees here."""
        self.was_read = True
        return KeepingReader(reader, self)

    def add(self, piece: bytes) -> None:
        """Keep a piece, while there is room for all of it."""
        if self.lost is not None:
            return
        if self._size + len(piece) > MAX_ANSWER_BYTES:
            self._lose("too_large")
        elif not self._room.take(len(piece)):
            self._lose("no_room")
        else:
            self._size += len(piece)
            self._pieces.append(piece)

    def whole(self) -> bytes:
        """Everything that came."""
        return b"".join(self._pieces)

    def let_go(self) -> None:
        """Give the room back; to be called once nobody needs it. Nothing happens the second time."""
        self._pieces.clear()
        self._room.give_back(self._size)
        self._size = 0

    def _lose(self, reason: LossReason) -> None:
        self.lost = reason
        self.let_go()


class KeepingReader:
    """An AnswerReader that reads as another one does."""

    __slots__ = ("_kept", "_reader", "facts")

    def __init__(self, reader: AnswerReader, kept: KeptAnswer) -> None:
        self._reader = reader
        self._kept = kept
        self.facts: AnswerFacts = reader.facts

    @property
    def is_stream(self) -> bool:
        """As the other one says."""
        return self._reader.is_stream

    def feed(self, piece: bytes) -> bytes:
        """Keep the piece as it came; what goes on is the other one's to say."""
        self._kept.add(piece)
        return self._reader.feed(piece)

    def finish(self) -> bytes:
        """As the other one does."""
        return self._reader.finish()

    def held_back(self) -> bytes:
        """As the other one says."""
        return self._reader.held_back()

    @property
    def takes_event(self) -> bool:
        """As the other one says."""
        return self._reader.takes_event

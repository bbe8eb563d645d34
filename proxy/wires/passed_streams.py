"""Where a stream ends that no wire reads: with the event after which clients of known families close.

Belongs here: the last events of the event streams that pass through untouched, whatever the path. What streams say otherwise is
their wires' business. An event that only a stream with several answers has more than once (a picture that is finished) is not the
last one, and what cannot be read is no end.

Sources: the event types of the official SDKs (openai 3.52, anthropic 2.11) as of 2026-11; `[DONE]` ends all older ones.
"""

import re
from typing import Any, Final

import msgspec

from proxy.wires.shared.event_stream import EventSplitter, data_of
from proxy.wires.wire import AnswerFacts

_DONE: Final = b"[DONE]"
_LAST_TYPES: Final = frozenset(
    {
        "message_stop",
        "response.completed",
        "response.failed",
        "response.incomplete",
        "speech.audio.done",
        "transcript.text.done",
    }
)
#: Only of events that hold one of these the type is read.
_MAY_BE_LAST: Final = re.compile(b"|".join(re.escape(name.encode()) for name in sorted(_LAST_TYPES)))


class _Typed(msgspec.Struct, gc=False):
    type: Any = None


_TYPED: Final = msgspec.json.Decoder(_Typed)


class PassedStream:
    """Watches one stream for its end. Implements AnswerReader; passes on everything as it came."""

    is_stream = True
    #: Nothing of ours is put into it.
    takes_event = False

    def __init__(self) -> None:
        self.facts = AnswerFacts()
        self._events = EventSplitter()

    def feed(self, piece: bytes) -> bytes:
        """The piece itself; `facts.is_complete` once the last event was in it."""
        if not self.facts.is_complete:
            for event, is_whole in self._events.feed(piece):
                if is_whole and _is_last(event):
                    self.facts.is_complete = True
        return piece

    def finish(self) -> bytes:
        """Nothing was held back."""
        return b""

    def held_back(self) -> bytes:
        """Nothing was held back."""
        return b""


def _is_last(event: bytes) -> bool:
    data = data_of(event)
    if data is None:
        return False
    if data.strip() == _DONE:
        return True
    if not _MAY_BE_LAST.search(data):
        return False
    try:
        return _TYPED.decode(data).type in _LAST_TYPES
    except (msgspec.MsgspecError, ValueError, RecursionError, TypeError):
        return False

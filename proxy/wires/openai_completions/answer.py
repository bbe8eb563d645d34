"""Reading answers of OpenAI Completions: usage, finish, errors, the end marker.

Belongs here: what one chunk or one completion says. How a stream is cut and passed on is answer_reading.py. Counterpart:
openai_chat/answer.py, with which the framing and the rules of usage are shared: `data: [DONE]` at the end, one chunk with an empty
`choices` list for a usage that was asked for, a running usage with every chunk from some servers.
"""

import sys
from typing import Any, Final

import msgspec

from proxy.core.calls.runs import Finish
from proxy.core.spending.usage import Usage, larger_usage
from proxy.wires.openai_completions.shapes import TextChoice, TextCompletion, TextFrame
from proxy.wires.shared.answer_reading import error_type_of, text_bytes
from proxy.wires.shared.openai_usage import suspicious_usage
from proxy.wires.shared.plain_deltas import MAX_PLAIN_BYTES
from proxy.wires.wire import AnswerFacts

_DONE: Final = b"[DONE]"
_NONE_YET: Final = sys.maxsize
_FINISHES: Final[dict[str, Finish]] = {"stop": "stop", "length": "length", "content_filter": "filtered"}

_completion: Final[msgspec.json.Decoder[TextCompletion]] = msgspec.json.Decoder(TextCompletion)
_frame: Final[msgspec.json.Decoder[TextFrame]] = msgspec.json.Decoder(TextFrame)


class _Completions:
    """What chunks and completions have in common."""

    __slots__ = ("_finished_choice", "facts")

    def __init__(self) -> None:
        self.facts = AnswerFacts()
        self._finished_choice = _NONE_YET

    def read(self, data: bytes) -> TextCompletion | None:
        """Take in one JSON document; None where it could not be read."""
        facts = self.facts
        try:
            completion = _completion.decode(data)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            facts.unreadable += 1
            found = self._without_choices(data)
            if found is None:
                return None
            completion = found
        if isinstance(completion.service_tier, str):
            facts.service_tier = completion.service_tier
        if facts.model is None and isinstance(completion.model, str) and completion.model:
            facts.model = completion.model
        if completion.error:
            facts.error_type = error_type_of(completion.error)
        for choice in completion.choices or ():
            facts.output_bytes += text_bytes(choice.text)
            if choice.finish_reason is not None:
                self._read_finish(choice)
        return completion

    def usage_of(self, completion: TextCompletion) -> Usage | None:
        """The usage a document carries, where it makes sense; what is told of it is kept in any case."""
        if not completion.has_usage:
            return None
        usage, is_whole, is_sound = suspicious_usage(completion.usage)
        self.facts.unreadable += not is_sound
        if usage is not None:
            self.facts.told_usage = larger_usage(self.facts.told_usage, usage)
        return usage if is_whole else None

    def read_body(self, body: bytes) -> None:
        """Fill the facts from the body."""
        completion = self.read(body)
        if completion is not None:
            self.facts.usage = self.usage_of(completion)

    def settle(self) -> None:
        """Nothing is left to be put together."""

    def _without_choices(self, data: bytes) -> TextCompletion | None:
        """One of them is odd: what it cost is told all the same."""
        try:
            frame = _frame.decode(data)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        return TextCompletion(frame.model, frame.service_tier, None, frame.usage, frame.error)

    def _read_finish(self, choice: TextChoice) -> None:
        # Of several answers the first one speaks for the run.
        index: Any = choice.index
        position = index if isinstance(index, int) else 0
        reason: Any = choice.finish_reason
        if position <= self._finished_choice and isinstance(reason, str) and reason:
            self._finished_choice = position
            self.facts.finish = _FINISHES.get(reason, "other")
        if choice.error:
            self.facts.error_type = error_type_of(choice.error)


class CompletionEvents(_Completions):
    """Reads the events of one stream (an EventReader)."""

    __slots__ = ("_has_whole_usage", "_last", "_running", "_text_bytes")

    builds_parts: bool = True
    answer_member: bytes = b""

    def __init__(self) -> None:
        super().__init__()
        self._last: TextCompletion | None = None
        self._has_whole_usage = False
        #: A usage that was told while the answer was written, and how much text there was then.
        self._running: Usage | None = None
        self._text_bytes = 0

    def read_event(self, data: bytes) -> bool:
        """Read one event; whether it is the usage chunk: `choices` is empty and `usage` is not null."""
        self._last = None
        facts = self.facts
        if len(data) < 16 and data.strip() == _DONE:
            facts.is_complete = True
            if facts.usage is None and self._text_bytes == facts.output_bytes:
                # Nothing was written behind it, so it was the last.
                facts.usage = self._running
            return False
        if facts.is_complete:
            return False
        completion = self.read(data)
        self._last = completion if len(data) <= MAX_PLAIN_BYTES else None
        if completion is None or not completion.has_usage:
            return False
        usage = self.usage_of(completion)
        if usage is not None:
            self._has_whole_usage = True
        # A running usage only counts once the answer is through, else a broken stream would look exactly metered.
        if self._has_whole_usage and (not completion.choices or facts.finish is not None):
            facts.usage = facts.told_usage
        elif self._has_whole_usage:
            self._running, self._text_bytes = facts.told_usage, facts.output_bytes
        return completion.choices is not None and not completion.choices

    def only_text(self) -> tuple[bytes, str] | None:
        """The member and the text of the event read last, where it brought nothing but that text."""
        last = self._last
        if last is None or last.choices is None or len(last.choices) != 1 or last.error is not None or last.has_usage:
            return None
        choice = last.choices[0]
        if choice.finish_reason is not None or not isinstance(choice.text, str):
            return None
        return b"text", choice.text


class CompletionBody(_Completions):
    """Reads one whole completion (a BodyReader)."""

    __slots__ = ()

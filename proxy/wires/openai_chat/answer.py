"""Reading answers of OpenAI Chat Completions: usage, finish, refusals, tool calls, errors, the end marker.

Belongs here: what one chunk or one completion says. Its usage is openai_chat/usage.py, how a stream is cut and passed on
answer_reading.py. Counterpart: anthropic_messages/answer.py.

Protocol facts: a stream ends with `data: [DONE]`; with `stream_options.include_usage` one extra chunk with an empty
`choices` list carries the usage, all others `usage: null`; some servers send a running usage with every chunk. An empty
`choices` list alone is not the usage chunk: Azure opens its streams with one. Groq tells it in `x_groq` with the finish reason.

Decision: a whole answer of the usual kind (one text, a sound usage) is read by a typed decoder, any other by the general one:
3 µs, not 6.
"""

import sys
from typing import Any, Final, cast

import msgspec

from proxy.core.calls.runs import Finish
from proxy.core.spending.usage import Usage, larger_usage
from proxy.wires.json.values import ABSENT, RawJson
from proxy.wires.openai_chat.shapes import Beside, Completion, Frame, Function, Message, PlainCompletion
from proxy.wires.openai_chat.usage import usage_of, usage_of_sound
from proxy.wires.shared.answer_reading import error_type_of, text_bytes
from proxy.wires.shared.plain_deltas import MAX_PLAIN_BYTES
from proxy.wires.wire import AnswerFacts

_DONE: Final = b"[DONE]"
_NONE_YET: Final = sys.maxsize
_FINISHES: Final[dict[str, Finish]] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_call",
    "function_call": "tool_call",
    "content_filter": "filtered",
}


_completion: Final[msgspec.json.Decoder[Completion]] = msgspec.json.Decoder(Completion)
_frame: Final[msgspec.json.Decoder[Frame]] = msgspec.json.Decoder(Frame)
_beside: Final[msgspec.json.Decoder[Beside]] = msgspec.json.Decoder(Beside)
_plain_completion: Final[msgspec.json.Decoder[PlainCompletion]] = msgspec.json.Decoder(PlainCompletion)


class _Completions:
    """What chunks and completions have in common."""

    __slots__ = ("_finished_choice", "_seen_calls", "facts")

    def __init__(self) -> None:
        self.facts = AnswerFacts()
        self._seen_calls: set[tuple[Any, Any]] = set()
        self._finished_choice = _NONE_YET

    def read(self, data: bytes) -> Completion | None:
        """Take in one JSON document; None where it could not be read."""
        try:
            completion = _completion.decode(data)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            self.facts.unreadable += 1
            completion = self._frame(data)
            if completion is None:
                return None
        if len(completion.x_groq) and not completion.has_usage:
            completion.usage = _usage_beside(completion.x_groq)
        if completion.service_tier is not None and isinstance(completion.service_tier, str):
            self.facts.service_tier = completion.service_tier
        if self.facts.model is None and isinstance(completion.model, str) and completion.model:
            self.facts.model = completion.model
        if completion.error:
            self.facts.error_type = error_type_of(completion.error)
        for choice in completion.choices or ():
            message = choice.delta if choice.delta is not None else choice.message
            if message is not None:
                self._read_message(choice.index, message)
            if choice.finish_reason is not None:
                self._read_finish(choice.index, choice.finish_reason)
                if choice.error:
                    self.facts.error_type = error_type_of(choice.error)
        return completion

    def _frame(self, data: bytes) -> Completion | None:
        """A document without its choices, one of which is odd: what it cost is told all the same."""
        try:
            frame = _frame.decode(data)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        return Completion(frame.model, frame.service_tier, None, frame.usage, frame.error)

    def usage_of(self, completion: Completion) -> Usage | None:
        """The usage a document carries, where it makes sense; what is told of it is kept in any case."""
        if not completion.has_usage:
            return None
        usage, is_whole, is_sound = usage_of(completion.usage)
        self.facts.unreadable += not is_sound
        if usage is not None:
            self.facts.told_usage = larger_usage(self.facts.told_usage, usage)
        return usage if is_whole else None

    def read_body(self, body: bytes) -> None:
        """Fill the facts from the body."""
        try:
            plain = _plain_completion.decode(body)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            plain = None
        if plain is not None and len(plain.choices) == 1:
            facts, choice = self.facts, plain.choices[0]
            facts.model = plain.model or None
            facts.service_tier = plain.service_tier
            facts.output_bytes = text_bytes(choice.message.content)
            facts.finish = _FINISHES.get(choice.finish_reason, "other") if choice.finish_reason else None
            facts.usage = usage_of_sound(plain.usage)
            return
        completion = self.read(body)
        if completion is not None:
            self.facts.usage = self.usage_of(completion)
        self.settle()

    def settle(self) -> None:
        """A refusal in words ends with `stop`; the run says what it was."""
        if self.facts.refusal and self.facts.finish == "stop":
            self.facts.finish = "refused"

    def _read_message(self, choice: Any, message: Message) -> None:
        facts = self.facts
        if message.content is not None:
            facts.output_bytes += _content_bytes(message.content)
        if message.refusal:
            facts.refusal = True
            facts.output_bytes += text_bytes(message.refusal)
        if message.reasoning_content is not None:
            facts.output_bytes += text_bytes(message.reasoning_content)
        for position, call in enumerate(message.tool_calls or ()):
            self._read_call((_key(choice), _key(call.index, position)), call.function or call.custom)
        if message.function_call is not None:
            self._read_call((_key(choice), "function_call"), message.function_call)

    def _read_call(self, key: tuple[Any, Any], function: Function | None) -> None:
        if function is None:
            return
        self.facts.output_bytes += text_bytes(function.arguments) + text_bytes(function.input)
        if isinstance(function.name, str) and function.name and key not in self._seen_calls:
            self._seen_calls.add(key)
            self.facts.tool_calls.append(function.name)

    def _read_finish(self, choice: Any, reason: Any) -> None:
        # Of several answers the first one speaks for the run.
        position = choice if isinstance(choice, int) else 0
        if position <= self._finished_choice and isinstance(reason, str) and reason:
            self._finished_choice = position
            self.facts.finish = _FINISHES.get(reason, "other")


class ChatEvents(_Completions):
    """Reads the events of one stream (an EventReader)."""

    __slots__ = ("_has_whole_usage", "_last", "_running", "_text_bytes")

    builds_parts: bool = True
    answer_member: bytes = b""

    def __init__(self) -> None:
        super().__init__()
        self._last: Completion | None = None
        self._has_whole_usage = False
        #: A usage that was told while the answer was written, and how much text there was then.
        self._running: Usage | None = None
        self._text_bytes = 0

    def read_event(self, data: bytes) -> bool:
        """Read one event; whether it is the usage chunk: `choices` is empty and `usage` is not null."""
        if len(data) < 16 and data.strip() == _DONE:
            self.facts.is_complete = True
            if self.facts.usage is None and self._text_bytes == self.facts.output_bytes:
                # Nothing was written behind it, so it was the last.
                self.facts.usage = self._running
            return False
        if self.facts.is_complete:
            return False
        completion = self.read(data)
        self._last = completion if len(data) <= MAX_PLAIN_BYTES else None
        if completion is None or not completion.has_usage:
            return False
        usage = self.usage_of(completion)
        is_usage_chunk = completion.choices is not None and not completion.choices
        if usage is not None:
            self._has_whole_usage = True
        # A running usage only counts once the answer is through, else a broken stream would look exactly metered.
        if self._has_whole_usage and (not completion.choices or self.facts.finish is not None):
            self.facts.usage = self.facts.told_usage
        elif self._has_whole_usage:
            self._running, self._text_bytes = self.facts.told_usage, self.facts.output_bytes
        return is_usage_chunk

    def only_text(self) -> tuple[bytes, str] | None:
        """The member and the text of the event read last, where it brought nothing but that text."""
        last = self._last
        if last is None or last.choices is None or len(last.choices) != 1 or last.error is not None or last.has_usage:
            return None
        delta, reason = last.choices[0].delta, last.choices[0].finish_reason
        if delta is None or reason is not None or delta.refusal or delta.function_call is not None:
            return None
        texts = {b"content": delta.content, b"reasoning_content": delta.reasoning_content}
        given = [(member, text) for member, text in texts.items() if text is not None]
        if delta.tool_calls:
            call = delta.tool_calls[0].function
            if len(delta.tool_calls) > 1 or call is None or call.name is not None or call.input is not None:
                return None
            given.append((b"arguments", call.arguments))
        return given[0] if len(given) == 1 and isinstance(given[0][1], str) else None


class ChatBody(_Completions):
    """Reads one whole completion (a BodyReader)."""

    __slots__ = ()


def _usage_beside(raw: RawJson) -> msgspec.Raw:
    """The usage that stands in a member of the server's own, with the last text of a stream; empty where there is none."""
    try:
        return _beside.decode(raw).usage
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ABSENT


def _key(index: Any, otherwise: int = 0) -> int:
    return index if isinstance(index, int) else otherwise


def _content_bytes(content: Any) -> int:
    if isinstance(content, list):
        parts = cast("list[Any]", content)
        return sum(text_bytes(cast("dict[str, Any]", part).get("text")) for part in parts if isinstance(part, dict))
    return text_bytes(content)

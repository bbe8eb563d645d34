"""Reading answers of OpenAI Chat Completions: usage, finish, refusals, tool calls, errors, the end marker.

Belongs here: what one chunk or one completion says. How a stream is cut and passed on is answer_reading.py. Counterpart:
anthropic_messages_answer.py.

Protocol facts: a stream ends with `data: [DONE]`; with `stream_options.include_usage` one extra chunk with an empty
`choices` list carries the usage, all others `usage: null`; some servers send a running usage with every chunk. An empty
`choices` list alone is not the usage chunk: Azure opens its streams with one.
"""

from typing import Any, cast

import msgspec

from proxy.core.runs import Finish
from proxy.core.spend import Usage
from proxy.wires.answer_reading import TokenCounts, error_type_of, text_bytes
from proxy.wires.wire import AnswerFacts

_DONE = b"[DONE]"
_FINISHES: dict[str, Finish] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_call",
    "function_call": "tool_call",
    "content_filter": "filtered",
}


class _Function(msgspec.Struct):
    name: Any = None
    arguments: Any = None
    input: Any = None


class _ToolCall(msgspec.Struct):
    index: Any = None
    id: Any = None
    function: _Function | None = None
    custom: _Function | None = None


class _Message(msgspec.Struct):
    """A whole message or the delta of one; the members are the same."""

    content: Any = None
    refusal: Any = None
    reasoning_content: Any = None
    tool_calls: list[_ToolCall] | None = None
    function_call: _Function | None = None


class _Choice(msgspec.Struct):
    index: Any = 0
    delta: _Message | None = None
    message: _Message | None = None
    finish_reason: Any = None


class _Completion(msgspec.Struct):
    model: Any = None
    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None


_completion: msgspec.json.Decoder[_Completion] = msgspec.json.Decoder(_Completion)


class _Completions:
    """What chunks and completions have in common."""

    def __init__(self) -> None:
        self.facts = AnswerFacts()
        self._seen_calls: set[tuple[Any, Any]] = set()
        self._finished_choice: float = float("inf")

    def read(self, data: bytes) -> _Completion | None:
        """Take in one JSON document; None where it could not be read."""
        try:
            completion = _completion.decode(data)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            self.facts.unreadable += 1
            return None
        if self.facts.model is None and isinstance(completion.model, str) and completion.model:
            self.facts.model = completion.model
        if completion.error is not None:
            self.facts.error_type = error_type_of(completion.error)
        for choice in completion.choices or ():
            message = choice.delta if choice.delta is not None else choice.message
            if message is not None:
                self._read_message(choice.index, message)
            if choice.finish_reason is not None:
                self._read_finish(choice.index, choice.finish_reason)
        return completion

    def usage_of(self, completion: _Completion) -> Usage | None:
        """The usage a document carries, where it makes sense."""
        if completion.usage is None:
            return None
        usage = _usage(completion.usage)
        if usage is None:
            self.facts.unreadable += 1
            return None
        if not usage[1]:
            self.facts.unreadable += 1
        return usage[0]

    def settle(self) -> None:
        """A refusal in words ends with `stop`; the run says what it was."""
        if self.facts.refusal and self.facts.finish == "stop":
            self.facts.finish = "refused"

    def _read_message(self, choice: Any, message: _Message) -> None:
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

    def _read_call(self, key: tuple[Any, Any], function: _Function | None) -> None:
        if function is None:
            return
        self.facts.output_bytes += text_bytes(function.arguments) + text_bytes(function.input)
        if isinstance(function.name, str) and function.name and key not in self._seen_calls:
            self._seen_calls.add(key)
            self.facts.tool_calls.append(function.name)

    def _read_finish(self, choice: Any, reason: Any) -> None:
        # Of several answers the first one speaks for the run.
        position = choice if isinstance(choice, int) else 0
        if position <= self._finished_choice and isinstance(reason, str):
            self._finished_choice = position
            self.facts.finish = _FINISHES.get(reason, "other")


class ChatEvents(_Completions):
    """Reads the events of one stream (an EventReader)."""

    def read_event(self, data: bytes) -> bool:
        """Read one event; whether it is the usage chunk: `choices` is empty and `usage` is not null."""
        if len(data) < 16 and data.strip() == _DONE:
            self.facts.is_complete = True
            return False
        if self.facts.is_complete:
            return False
        completion = self.read(data)
        if completion is None or completion.usage is None:
            return False
        usage = self.usage_of(completion)
        is_usage_chunk = completion.choices is not None and not completion.choices
        # A running usage only counts once the answer is through, else a broken stream would look exactly metered.
        if usage is not None and (is_usage_chunk or self.facts.finish is not None):
            self.facts.usage = usage
        return is_usage_chunk


class ChatBody(_Completions):
    """Reads one whole completion (a BodyReader)."""

    def read_body(self, body: bytes) -> None:
        """Fill the facts from the body."""
        completion = self.read(body)
        if completion is not None:
            self.facts.usage = self.usage_of(completion)
        self.settle()


def _key(index: Any, otherwise: int = 0) -> int:
    return index if isinstance(index, int) else otherwise


def _content_bytes(content: Any) -> int:
    if isinstance(content, list):
        parts = cast("list[Any]", content)
        return sum(text_bytes(cast("dict[str, Any]", part).get("text")) for part in parts if isinstance(part, dict))
    return text_bytes(content)


def _usage(content: Any) -> tuple[Usage, bool] | None:
    """Tokens and whether every count was sound; None where the totals are missing or nonsense.

    `prompt_tokens` includes cached ones, `completion_tokens` includes reasoning.
    """
    if not isinstance(content, dict):
        return None
    counts = TokenCounts(cast("dict[str, Any]", content))
    prompt, completion = counts.get("prompt_tokens"), counts.get("completion_tokens")
    if prompt is None or completion is None:
        return None
    inputs, outputs = counts.inner("prompt_tokens_details"), counts.inner("completion_tokens_details")
    cached = min(inputs.get("cached_tokens") or 0, prompt)
    usage = Usage(
        input_tokens=prompt,
        cached_tokens=cached,
        cache_write_tokens=min(inputs.get("cache_write_tokens") or 0, prompt - cached),
        output_tokens=completion,
        reasoning_tokens=min(outputs.get("reasoning_tokens") or 0, completion),
    )
    return usage, counts.is_sound and inputs.is_sound and outputs.is_sound

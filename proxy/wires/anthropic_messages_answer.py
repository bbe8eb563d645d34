"""Reading answers of Anthropic Messages: usage, finish, refusals, tool calls, errors, the end marker.

Belongs here: what one event or one message says. How a stream is cut and passed on is answer_reading.py. Counterpart:
openai_chat_answer.py.

Protocol facts: `message_start` carries the input's usage and a first small output count; `message_delta.usage` holds
cumulative totals that replace what they name, never increments; `message_stop` ends the stream. `input_tokens` excludes
what was read from or written to the cache. `iterations` of a usage (a beta) lists the passes of one call; the top-level
totals leave some of them out.

Decision: a whole message's usage is read by a typed decoder, and only what it refuses by the suspicious reader: 3 µs for a
whole answer, not 9.
"""

from typing import Any, Final, cast

import msgspec

from proxy.core.runs import Finish
from proxy.core.usage import Usage
from proxy.wires.answer_reading import TokenCounts, error_type_of, text_bytes
from proxy.wires.anthropic_messages_shapes import Block, Delta, Event, Message, SoundUsage
from proxy.wires.json_values import RawJson
from proxy.wires.plain_deltas import MAX_PLAIN_BYTES
from proxy.wires.wire import AnswerFacts

_FINISHES: Final[dict[str, Finish]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_call",
    "refusal": "refused",
    "pause_turn": "paused",
}
_CALLING_BLOCKS: Final = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})
_TOTALS: Final = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")


_event: Final[msgspec.json.Decoder[Event]] = msgspec.json.Decoder(Event)
_message: Final[msgspec.json.Decoder[Message]] = msgspec.json.Decoder(Message)
_sound_usage: Final[msgspec.json.Decoder[SoundUsage]] = msgspec.json.Decoder(SoundUsage)
_anything: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder()


class _Messages:
    """What streams and whole messages have in common."""

    __slots__ = ("_usage", "facts")

    def __init__(self) -> None:
        self.facts = AnswerFacts()
        self._usage: dict[str, Any] = {}

    def read_model(self, model: Any) -> None:
        if isinstance(model, str) and model:
            self.facts.model = model

    def read_stop(self, reason: Any) -> None:
        if isinstance(reason, str) and reason:
            self.facts.finish = _FINISHES.get(reason, "other")
            self.facts.refusal = self.facts.refusal or reason == "refusal"

    def read_block(self, block: Block) -> None:
        """A content block, whole or as it begins in a stream."""
        facts = self.facts
        if block.type in _CALLING_BLOCKS and isinstance(block.name, str):
            facts.tool_calls.append(block.name)
            if block.input:
                facts.output_bytes += len(msgspec.json.encode(block.input))
        elif block.type == "fallback" and block.to is not None:
            self.read_model(block.to.model)
        facts.output_bytes += text_bytes(block.text) + text_bytes(block.thinking)

    def read_body(self, body: bytes) -> None:
        """Fill the facts from the body."""
        try:
            message = _message.decode(body)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            self.facts.unreadable += 1
            return
        if message.error:
            self.facts.error_type = error_type_of(message.error)
        self.read_model(message.model)
        for block in message.content or ():
            self.read_block(block)
        self.read_stop(message.stop_reason)
        try:
            self.facts.usage = _sound(_sound_usage.decode(message.usage))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            self.facts.usage = self.read_usage(self.content_of(message.usage))

    def content_of(self, usage: RawJson) -> Any:
        """A raw usage as an object; None where it is absent or cannot be read."""
        try:
            return _anything.decode(usage) if len(usage) else None
        except (msgspec.MsgspecError, ValueError, RecursionError):
            self.facts.unreadable += 1
            return None

    def read_usage(self, content: Any) -> Usage | None:
        """Lay these totals over the earlier ones; the usage they now make, None while a total is missing."""
        if content is None:
            return None
        if not isinstance(content, dict):
            self.facts.unreadable += 1
            return None
        newer = cast("dict[str, Any]", content)
        is_sound = self._overlay(newer)
        usage, details_are_sound = _usage(self._usage)
        if not (is_sound and details_are_sound):
            self.facts.unreadable += 1
        return usage

    def _overlay(self, newer: dict[str, Any]) -> bool:
        counts = TokenCounts(newer)
        totals = {name: counts.get(name) for name in _TOTALS}
        self._usage.update({name: value for name, value in totals.items() if value is not None})
        for name in ("cache_creation", "output_tokens_details", "iterations"):
            if newer.get(name) is not None:
                self._usage[name] = newer[name]
        return counts.is_sound


class MessageEvents(_Messages):
    """Reads the events of one stream (an EventReader)."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        super().__init__()
        self._last: Event | None = None

    def read_event(self, data: bytes) -> bool:
        """Read one event. This wire always tells its usage, so nothing is ever taken out."""
        self._last = None
        if self.facts.is_complete:
            return False
        try:
            event = _event.decode(data)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            self.facts.unreadable += 1
            return False
        self._last = event if len(data) <= MAX_PLAIN_BYTES else None
        if event.type == "content_block_delta":
            if event.delta is not None:
                self._read_delta(event.delta)
        else:
            self._read_rarer(event)
        return False

    def only_text(self) -> tuple[bytes, str] | None:
        """The member and the text of the event read last, where it brought nothing but that text."""
        last = self._last
        if last is None or last.type != "content_block_delta" or last.delta is None:
            return None
        texts = {b"text": last.delta.text, b"partial_json": last.delta.partial_json, b"thinking": last.delta.thinking}
        given = [(member, text) for member, text in texts.items() if text is not None]
        return given[0] if len(given) == 1 and isinstance(given[0][1], str) else None

    def settle(self) -> None:
        """Nothing waits: every fact is set as its event passes."""

    def _read_delta(self, delta: Delta) -> None:
        self.facts.output_bytes += text_bytes(delta.text) + text_bytes(delta.partial_json) + text_bytes(delta.thinking)

    def _read_rarer(self, event: Event) -> None:
        match event.type:
            case "content_block_start" if event.content_block is not None:
                self.read_block(event.content_block)
            case "message_start" if event.message is not None:
                self.read_model(event.message.model)
                # Not reported yet: its output count is a first one, and a stream cut here would look metered.
                self.read_usage(self.content_of(event.message.usage))
            case "message_delta":
                if event.delta is not None:
                    self.read_stop(event.delta.stop_reason)
                self.facts.usage = self.read_usage(event.usage) or self.facts.usage
            case "message_stop":
                self.facts.is_complete = True
            case "error":
                self.facts.error_type = error_type_of(event.error)
            case _:
                # ping, content_block_stop, what the provider will think of next, and errors in the shape of another wire
                if event.error:
                    self.facts.error_type = error_type_of(event.error)


class MessageBody(_Messages):
    """Reads one whole message (a BodyReader)."""

    __slots__ = ()


def _sound(usage: SoundUsage) -> Usage:
    cached, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    creation, output = usage.cache_creation, usage.output_tokens_details
    return Usage(
        input_tokens=usage.input_tokens + cached + written,
        cached_tokens=cached,
        cache_write_tokens=written,
        cache_write_1h_tokens=0 if creation is None else min(creation.ephemeral_1h_input_tokens or 0, written),
        output_tokens=usage.output_tokens,
        reasoning_tokens=0 if output is None else min(output.thinking_tokens or 0, usage.output_tokens),
    )


def _usage(merged: dict[str, Any]) -> tuple[Usage | None, bool]:
    """The usage of merged totals, and whether its details are sound; None without input or output total."""
    if "input_tokens" not in merged or "output_tokens" not in merged:
        return None, True
    totals = {name: int(merged.get(name, 0)) for name in _TOTALS}
    passes_are_sound = _include_iterations(totals, merged.get("iterations"))
    details = TokenCounts(merged)
    written = totals["cache_creation_input_tokens"]
    creation, output = details.inner("cache_creation"), details.inner("output_tokens_details")
    usage = Usage(
        input_tokens=totals["input_tokens"] + totals["cache_read_input_tokens"] + written,
        cached_tokens=totals["cache_read_input_tokens"],
        cache_write_tokens=written,
        cache_write_1h_tokens=min(creation.get("ephemeral_1h_input_tokens") or 0, written),
        output_tokens=totals["output_tokens"],
        reasoning_tokens=min(output.get("thinking_tokens") or 0, totals["output_tokens"]),
    )
    return usage, passes_are_sound and details.is_sound and creation.is_sound and output.is_sound


def _include_iterations(totals: dict[str, int], iterations: Any) -> bool:
    """Raise each total to the sum over all passes, where that is more; whether every count was sound."""
    if not isinstance(iterations, list):
        return iterations is None
    items = [cast("dict[str, Any]", item) for item in cast("list[Any]", iterations) if isinstance(item, dict)]
    passes = [TokenCounts(item) for item in items]
    for name in _TOTALS:
        totals[name] = max(totals[name], sum(counts.get(name) or 0 for counts in passes))
    return all(counts.is_sound for counts in passes)

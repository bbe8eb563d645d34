"""Reading answers of Anthropic Messages: usage, finish, refusals, tool calls, errors, the end marker.

Belongs here: what one event or one message says. How a stream is cut and passed on is answer_reading.py. Counterpart:
openai_chat/answer.py.

Protocol facts: `message_start` carries the input's usage and a first small output count; `message_delta.usage` holds
cumulative totals that replace what they name, never increments; `message_stop` ends the stream. `input_tokens` excludes
what was read from or written to the cache. `iterations` of a usage (a beta) lists the passes of one call; the top-level
totals leave some of them out.

Decision: a whole message's usage is read by a typed decoder, and only what it refuses by the suspicious reader: 3 µs for a
whole answer, not 9.
"""

from collections.abc import Sequence
from typing import Any, Final, cast

import msgspec

from proxy.core.calls.runs import Finish
from proxy.core.spending.usage import Usage
from proxy.wires.anthropic_messages.shapes import Block, Delta, Event, Frame, Message, SoundUsage
from proxy.wires.json.values import RawJson
from proxy.wires.shared.answer_reading import TokenCounts, error_type_of, parts_of, text_bytes
from proxy.wires.shared.plain_deltas import MAX_PLAIN_BYTES
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
_ORDINARY: Final = frozenset({"standard", "default", "auto"})
#: The details of a usage, each an object of its own.
_DETAILS: Final[dict[str, tuple[str, ...]]] = {
    "cache_creation": ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"),
    "output_tokens_details": ("thinking_tokens",),
    "server_tool_use": ("web_search_requests",),
}
_TOTALS: Final = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")


_event: Final[msgspec.json.Decoder[Event]] = msgspec.json.Decoder(Event)
_frame: Final[msgspec.json.Decoder[Frame]] = msgspec.json.Decoder(Frame)
_message: Final[msgspec.json.Decoder[Message]] = msgspec.json.Decoder(Message)
_sound_usage: Final[msgspec.json.Decoder[SoundUsage]] = msgspec.json.Decoder(SoundUsage)
_anything: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder()


class _Messages:
    """What streams and whole messages have in common."""

    __slots__ = ("_told", "_usage", "facts")

    def __init__(self) -> None:
        self.facts = AnswerFacts()
        #: The usage of what was read as a frame alone.
        self._told: Any = None
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
            self._read_frame(body)
            self.facts.usage = self.read_usage(self._told)
            return
        if message.error:
            self.facts.error_type = error_type_of(message.error)
        self.read_model(message.model)
        for block in message.content or ():
            self.read_block(block)
        self.read_stop(message.stop_reason)
        try:
            sound = _sound_usage.decode(message.usage)
            self.facts.usage = _sound(sound)
            self.read_tier(sound.speed, sound.service_tier)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            self.facts.usage = self.read_usage(self.content_of(message.usage))

    def _read_frame(self, data: bytes) -> Any:
        """Read an event or a message but for its content, which is odd: what it cost is told all the same."""
        self.facts.unreadable += 1
        self._told = None
        try:
            frame = _frame.decode(data)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        message = frame.message
        self.read_model(frame.model if message is None else message.model)
        if frame.error:
            self.facts.error_type = error_type_of(frame.error)
        self._told = frame.usage if message is None else message.usage
        return frame.type

    def read_tier(self, speed: Any, tier: Any) -> None:
        """What was served: a speed of its own says more than the tier, which is told beside it."""
        for told in (speed, tier):
            if isinstance(told, str) and told not in _ORDINARY:
                self.facts.service_tier = told
                return
        if isinstance(speed, str):
            self.facts.service_tier = speed

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
        self.read_tier(newer.get("speed"), newer.get("service_tier"))
        is_sound = self._overlay(newer)
        usage, details_are_sound = _usage(self._usage)
        if not (is_sound and details_are_sound):
            self.facts.unreadable += 1
        self.facts.told_usage = usage
        return usage if "input_tokens" in self._usage and "output_tokens" in self._usage else None

    def _overlay(self, newer: dict[str, Any]) -> bool:
        counts = TokenCounts(newer)
        _raise(self._usage, counts, _TOTALS)
        is_sound = counts.is_sound
        for name, members in _DETAILS.items():
            details = counts.inner(name)
            _raise(self._usage.setdefault(name, {}), details, members)
            is_sound = is_sound and details.is_sound
        if newer.get("iterations") is not None:
            self._usage["iterations"] = newer["iterations"]
        return is_sound and counts.is_sound


class MessageEvents(_Messages):
    """Reads the events of one stream (an EventReader)."""

    __slots__ = ("_last",)

    builds_parts: bool = True
    answer_member: bytes = b""

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
            kind = self._read_frame(data)
            usage = self.read_usage(self._told)
            if kind == "message_delta" and usage is not None:
                self.facts.usage = usage
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


def _raise(totals: dict[str, Any], counts: TokenCounts, names: Sequence[str]) -> None:
    """Take over what is larger than what was told before: totals only grow."""
    for name in names:
        value = counts.get(name)
        if value is not None:
            totals[name] = max(value, totals.get(name, 0))


def _sound(usage: SoundUsage) -> Usage:
    cached, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    creation, output, tools = usage.cache_creation, usage.output_tokens_details, usage.server_tool_use
    if creation is not None:
        both = (creation.ephemeral_5m_input_tokens or 0) + (creation.ephemeral_1h_input_tokens or 0)
        written = max(written, both)
    return Usage(
        input_tokens=usage.input_tokens + cached + written,
        cached_tokens=cached,
        cache_write_tokens=written,
        cache_write_1h_tokens=0 if creation is None else min(creation.ephemeral_1h_input_tokens or 0, written),
        output_tokens=usage.output_tokens,
        reasoning_tokens=0 if output is None else min(output.thinking_tokens or 0, usage.output_tokens),
        parts=None if tools is None else parts_of(0, 0, 0, 0, tools.web_search_requests or 0),
    )


def _usage(merged: dict[str, Any]) -> tuple[Usage, bool]:
    """The usage of merged totals, and whether its details are sound; a total that was not told is 0."""
    totals = {name: int(merged.get(name, 0)) for name in _TOTALS}
    passes_are_sound = _include_iterations(totals, merged.get("iterations"))
    creation: dict[str, int] = merged.get("cache_creation", {})
    thinking: int = merged.get("output_tokens_details", {}).get("thinking_tokens", 0)
    searches: int = merged.get("server_tool_use", {}).get("web_search_requests", 0)
    written = max(totals["cache_creation_input_tokens"], sum(creation.values()))
    usage = Usage(
        input_tokens=totals["input_tokens"] + totals["cache_read_input_tokens"] + written,
        cached_tokens=totals["cache_read_input_tokens"],
        cache_write_tokens=written,
        cache_write_1h_tokens=min(creation.get("ephemeral_1h_input_tokens", 0), written),
        output_tokens=totals["output_tokens"],
        reasoning_tokens=min(thinking, totals["output_tokens"]),
        parts=parts_of(0, 0, 0, 0, searches),
    )
    return usage, passes_are_sound


def _include_iterations(totals: dict[str, int], iterations: Any) -> bool:
    """Raise each total to the sum over all passes, where that is more; whether every count was sound."""
    if not isinstance(iterations, list):
        return iterations is None
    items = [cast("dict[str, Any]", item) for item in cast("list[Any]", iterations) if isinstance(item, dict)]
    passes = [TokenCounts(item) for item in items]
    for name in _TOTALS:
        totals[name] = max(totals[name], sum(counts.get(name) or 0 for counts in passes))
    return all(counts.is_sound for counts in passes)

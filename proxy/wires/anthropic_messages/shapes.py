"""The shapes that answers of Anthropic Messages are decoded into; other members are skipped unread.

Only declarations: what they mean is anthropic_messages/answer.py.
"""

from typing import Any

import msgspec

from proxy.wires.json.values import ABSENT
from proxy.wires.shared.answer_reading import Count


class Answering(msgspec.Struct, gc=False):
    """Which model goes on after another declined."""

    model: Any = None


class Block(msgspec.Struct, gc=False):
    type: Any = None
    name: Any = None
    text: Any = None
    thinking: Any = None
    input: Any = None
    to: Answering | None = None


class Delta(msgspec.Struct, gc=False):
    text: Any = None
    partial_json: Any = None
    thinking: Any = None
    stop_reason: Any = None


class Message(msgspec.Struct, gc=False):
    type: Any = None
    model: Any = None
    content: list[Block] | None = None
    stop_reason: Any = None
    usage: msgspec.Raw = ABSENT
    error: Any = None


class Event(msgspec.Struct, gc=False):
    type: str = ""
    message: Message | None = None
    content_block: Block | None = None
    delta: Delta | None = None
    usage: Any = None
    error: Any = None


class FrameMessage(msgspec.Struct, gc=False):
    model: Any = None
    usage: Any = None


class Frame(msgspec.Struct, gc=False):
    """An event or a message without its content, for one whose content cannot be read."""

    type: Any = None
    model: Any = None
    message: FrameMessage | None = None
    usage: Any = None
    error: Any = None


class ServerTools(msgspec.Struct, gc=False):
    web_search_requests: Count | None = None


class CacheCreation(msgspec.Struct, gc=False):
    ephemeral_5m_input_tokens: Count | None = None
    ephemeral_1h_input_tokens: Count | None = None


class OutputDetails(msgspec.Struct, gc=False):
    thinking_tokens: Count | None = None


class SoundUsage(msgspec.Struct, gc=False):
    """The usage of a whole message without nonsense, and of one pass."""

    input_tokens: Count
    output_tokens: Count
    cache_read_input_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    cache_creation: CacheCreation | None = None
    output_tokens_details: OutputDetails | None = None
    server_tool_use: ServerTools | None = None
    service_tier: Any = None
    speed: Any = None
    iterations: None = None

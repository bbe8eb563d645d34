"""The shapes that answers of OpenAI Responses are decoded into; other members are skipped unread.

Only declarations: what they mean is openai_responses/answer.py and openai_responses/usage.py. What one odd part must not make
unreadable stays raw until it is needed.
"""

from typing import Any

import msgspec

from proxy.wires.json.values import ABSENT, RAW_NULL
from proxy.wires.shared.answer_reading import Count


class _InputDetails(msgspec.Struct, gc=False):
    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None
    audio_tokens: Count | None = None
    image_tokens: Count | None = None


class _OutputDetails(msgspec.Struct, gc=False):
    reasoning_tokens: Count | None = None
    audio_tokens: Count | None = None
    image_tokens: Count | None = None


class SoundUsage(msgspec.Struct, gc=False):
    """A usage without nonsense."""

    input_tokens: Count
    output_tokens: Count
    total_tokens: Count | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None


class _WebSearch(msgspec.Struct, gc=False):
    num_requests: Count | None = None


class _ImageGeneration(msgspec.Struct, gc=False):
    total_tokens: Count | None = None


class ToolUsage(msgspec.Struct, gc=False):
    """What the provider's own tools were used for, told beside the tokens."""

    web_search: _WebSearch | None = None
    image_gen: _ImageGeneration | None = None


class Part(msgspec.Struct, gc=False):
    """A part of a message's content."""

    type: Any = None
    text: Any = None
    refusal: Any = None


class Item(msgspec.Struct, gc=False):
    """One item of the output, whole or as it begins in a stream."""

    type: Any = None
    id: Any = None
    name: Any = None
    arguments: Any = None
    input: Any = None
    content: msgspec.Raw = ABSENT


class Response(msgspec.Struct, gc=False):
    """A whole response, or what a stream tells of it."""

    id: Any = None
    #: Whether the provider keeps it.
    store: Any = None
    model: Any = None
    status: Any = None
    background: Any = None
    service_tier: Any = None
    error: Any = None
    incomplete_details: Any = None
    output: msgspec.Raw = ABSENT
    usage: msgspec.Raw = ABSENT
    tool_usage: msgspec.Raw = ABSENT

    @property
    def has_usage(self) -> bool:
        return len(self.usage) > 0 and self.usage != RAW_NULL


class Event(msgspec.Struct, gc=False):
    """An event of a stream."""

    type: Any = None
    delta: Any = None
    output_index: Any = None
    code: Any = None
    error: Any = None
    item: msgspec.Raw = ABSENT
    response: msgspec.Raw = ABSENT

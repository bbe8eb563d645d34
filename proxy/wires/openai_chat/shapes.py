"""The shapes that answers of OpenAI Chat Completions are decoded into; other members are skipped unread.

Only declarations: what they mean is openai_chat/answer.py and openai_chat/usage.py.
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


class _ServerTools(msgspec.Struct, gc=False):
    web_search_requests: Count | None = None


class _CostDetails(msgspec.Struct, gc=False):
    upstream_inference_cost: float | None = None


class SoundUsage(msgspec.Struct, gc=False):
    """A usage without nonsense."""

    prompt_tokens: Count
    completion_tokens: Count
    total_tokens: Count | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    server_tool_use: _ServerTools | None = None
    prompt_cache_hit_tokens: Count | None = None
    cost: float | None = None
    cost_details: _CostDetails | None = None
    is_byok: bool | None = None


class Function(msgspec.Struct, gc=False):
    name: Any = None
    arguments: Any = None
    input: Any = None


class ToolCall(msgspec.Struct, gc=False):
    index: Any = None
    id: Any = None
    function: Function | None = None
    custom: Function | None = None


class Message(msgspec.Struct, gc=False):
    """A whole message or the delta of one; the members are the same."""

    content: Any = None
    refusal: Any = None
    reasoning_content: Any = None
    tool_calls: list[ToolCall] | None = None
    function_call: Function | None = None


class Choice(msgspec.Struct, gc=False):
    index: Any = 0
    delta: Message | None = None
    message: Message | None = None
    finish_reason: Any = None
    #: Of one answer that failed behind a gateway, beside a finish reason that says so.
    error: Any = None


class Beside(msgspec.Struct, gc=False):
    """What a server tells beside the members that all have."""

    usage: msgspec.Raw = ABSENT


class Frame(msgspec.Struct, gc=False):
    """A completion without its choices, for one whose choices cannot be read."""

    model: Any = None
    service_tier: Any = None
    usage: msgspec.Raw = ABSENT
    error: Any = None


class Completion(msgspec.Struct, gc=False):
    model: Any = None
    service_tier: Any = None
    choices: list[Choice] | None = None
    usage: msgspec.Raw = ABSENT
    error: Any = None
    x_groq: msgspec.Raw = ABSENT

    @property
    def has_usage(self) -> bool:
        return len(self.usage) > 0 and self.usage != RAW_NULL


class PlainMessage(msgspec.Struct, gc=False):
    content: str | None = None
    refusal: None = None
    reasoning_content: None = None
    tool_calls: None = None
    function_call: None = None


class PlainChoice(msgspec.Struct, gc=False):
    message: PlainMessage
    finish_reason: str
    delta: None = None
    error: None = None


class PlainCompletion(msgspec.Struct, gc=False):
    """A whole answer of the usual kind: text, and a usage without nonsense."""

    model: str
    choices: list[PlainChoice]
    usage: SoundUsage
    service_tier: str | None = None
    error: None = None

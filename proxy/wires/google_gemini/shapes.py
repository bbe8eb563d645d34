"""The shapes that Gemini answers are decoded into; other members are skipped unread.

Only declarations, under the format's own names: what they mean is google_gemini/answer.py.
"""

from typing import Any

import msgspec


class Called(msgspec.Struct, gc=False):
    name: Any = None
    args: Any = None


class Code(msgspec.Struct, gc=False):
    code: Any = None


class Inline(msgspec.Struct, gc=False):
    data: Any = None


class Part(msgspec.Struct, gc=False):
    text: Any = None
    function_call: Called | None = msgspec.field(name="functionCall", default=None)
    executable_code: Code | None = msgspec.field(name="executableCode", default=None)
    inline_data: Inline | None = msgspec.field(name="inlineData", default=None)


class Content(msgspec.Struct, gc=False):
    parts: list[Part] | None = None


class Grounding(msgspec.Struct, gc=False):
    web_search_queries: list[Any] | None = msgspec.field(name="webSearchQueries", default=None)


class Candidate(msgspec.Struct, gc=False):
    content: Content | None = None
    index: Any = None
    finish_reason: Any = msgspec.field(name="finishReason", default=None)
    grounding_metadata: Grounding | None = msgspec.field(name="groundingMetadata", default=None)


class Feedback(msgspec.Struct, gc=False):
    block_reason: Any = msgspec.field(name="blockReason", default=None)


class Response(msgspec.Struct, gc=False):
    candidates: list[Candidate] | None = None
    prompt_feedback: Feedback | None = msgspec.field(name="promptFeedback", default=None)
    usage_metadata: Any = msgspec.field(name="usageMetadata", default=None)
    model_version: Any = msgspec.field(name="modelVersion", default=None)
    error: Any = None


class Frame(msgspec.Struct, gc=False):
    """An answer without its content, for one whose content cannot be read."""

    usage_metadata: Any = msgspec.field(name="usageMetadata", default=None)
    model_version: Any = msgspec.field(name="modelVersion", default=None)
    error: Any = None

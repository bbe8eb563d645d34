"""The shapes that answers of OpenAI Completions are decoded into; other members are skipped unread.

Only declarations: what they mean is openai_completions/answer.py.
"""

from typing import Any

import msgspec

from proxy.wires.json.values import ABSENT, RAW_NULL


class TextChoice(msgspec.Struct, gc=False):
    """One text, or a piece of one."""

    index: Any = 0
    text: Any = None
    finish_reason: Any = None
    error: Any = None


class TextFrame(msgspec.Struct, gc=False):
    """A completion without its choices, for one whose choices cannot be read."""

    model: Any = None
    service_tier: Any = None
    usage: msgspec.Raw = ABSENT
    error: Any = None


class TextCompletion(msgspec.Struct, gc=False):
    """A whole answer, or one event of a stream."""

    model: Any = None
    service_tier: Any = None
    choices: list[TextChoice] | None = None
    usage: msgspec.Raw = ABSENT
    error: Any = None

    @property
    def has_usage(self) -> bool:
        return len(self.usage) > 0 and self.usage != RAW_NULL

"""How much input an OpenAI Chat Completions request can be at most, for the hold that is placed before it is sent.

Belongs here: the allow-list of members and content that are nothing but text. Whatever else there is (images, files, audio,
web search) the provider counts in ways the proxy cannot see, and the answer is None. Counterpart:
anthropic_messages/input.py.

Formula: every token stands for at least one byte of UTF-8 text, and JSON never writes a text in fewer bytes than that; so
the body's length bounds it, the names of its members cover the few tokens each message adds.

Decision: what is not looked at stays raw, and what is decoded is kept out of the garbage collector's sight: 5 MB of tool calls
take 22 ms instead of 56, as many bytes of content parts 22 instead of 34.
"""

from typing import Literal

import msgspec

from proxy.core.errors import BadInput
from proxy.wires.json.edits import MemberEdits
from proxy.wires.json.values import ABSENT, decode

#: Tokens the format adds to a call as a whole.
_OVERHEAD_TOKENS = 64

#: Members that bring no input of their own, or only text that stands in the body.
_TEXT_MEMBERS = frozenset(
    {
        "function_call",
        "functions",
        "logit_bias",
        "messages",
        "metadata",
        "model",
        "prompt_cache_key",
        "prompt_cache_retention",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "service_tier",
        "stop",
        "stream_options",
        "tool_choice",
        "tools",
        "user",
        "verbosity",
    }
)


class _Part(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    type: Literal["text", "refusal"]
    text: str | None = None
    refusal: str | None = None
    cache_control: msgspec.Raw = ABSENT


class _ToolCall(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    type: Literal["function", "custom"] = "function"
    id: msgspec.Raw = ABSENT
    index: msgspec.Raw = ABSENT
    function: msgspec.Raw = ABSENT
    custom: msgspec.Raw = ABSENT


class TextMessage(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A message that is nothing but text."""

    role: str
    content: str | list[_Part] | None = None
    name: msgspec.Raw = ABSENT
    tool_calls: list[_ToolCall] | None = None
    tool_call_id: msgspec.Raw = ABSENT
    refusal: str | None = None
    function_call: msgspec.Raw = ABSENT
    reasoning_content: str | None = None


class _Tool(msgspec.Struct, gc=False):
    type: Literal["function", "custom"]


_messages: msgspec.json.Decoder[list[TextMessage]] = msgspec.json.Decoder(list[TextMessage])
_tools: msgspec.json.Decoder[list[_Tool]] = msgspec.json.Decoder(list[_Tool])


def text_messages(raw: bytes) -> list[TextMessage] | None:
    """The messages of a list in which all are nothing but text; None for any other value."""
    try:
        return _messages.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def first_role(raw: bytes) -> str | None:
    """The role of the first message in a list of nothing but text; None for any other list, and for an empty one."""
    messages = text_messages(raw)
    return messages[0].role if messages else None


def input_bound(edits: MemberEdits, body_bytes: int, *, messages_are_text: bool) -> int | None:
    """An upper bound of the input tokens of an edited body that long; None where there is more to read than text.

    `messages_are_text`: what the caller sent as messages is known to be nothing else.
    """
    try:
        if edits.has_repeated_names or not edits.brings_only(_TEXT_MEMBERS):
            return None
        if not messages_are_text:
            messages = edits.given("messages")
            if messages is not None and text_messages(messages) is None:
                return None
        tools = edits.given("tools") if edits.has("tools") else None
        if tools is not None:
            decode(tools, _tools, "tools", "functions")
    except BadInput:
        return None
    return body_bytes + _OVERHEAD_TOKENS

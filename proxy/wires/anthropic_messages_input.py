"""How much input an Anthropic Messages request can be at most, for the hold that is placed before it is sent.

Belongs here: the allow-list of members and content that are nothing but text. Whatever else there is (images, documents,
server tools, containers, threads) the provider counts in ways the proxy cannot see, and the answer is None. Counterpart:
openai_chat_input.py, which also has the formula.

Protocol fact: with tools or an output format the provider adds a system prompt of its own, of some hundred tokens.
"""

from typing import Any, Literal

import msgspec

from proxy.core.errors import BadInput
from proxy.wires.json_members import MemberEdits, decode

#: Tokens the format adds to a call as a whole, and what the provider's own instructions for tools may add.
_OVERHEAD_TOKENS = 64
_INSTRUCTED_OVERHEAD_TOKENS = 1024

#: Members that bring no input of their own, or only text that stands in the body.
_TEXT_MEMBERS = frozenset(
    {
        "cache_control",
        "inference_geo",
        "messages",
        "metadata",
        "model",
        "output_config",
        "output_format",
        "service_tier",
        "speed",
        "stop_sequences",
        "system",
        "thinking",
        "tool_choice",
        "tools",
    }
)


class _Text(msgspec.Struct, tag_field="type", tag="text", forbid_unknown_fields=True):
    text: str
    cache_control: Any = None
    citations: Any = None


class _ToolUse(msgspec.Struct, tag_field="type", tag="tool_use", forbid_unknown_fields=True):
    id: Any = None
    name: Any = None
    input: Any = None
    caller: Any = None
    cache_control: Any = None


class _ToolResult(msgspec.Struct, tag_field="type", tag="tool_result", forbid_unknown_fields=True):
    tool_use_id: Any = None
    content: str | list[_Text] | None = None
    is_error: Any = None
    cache_control: Any = None


class _Thinking(msgspec.Struct, tag_field="type", tag="thinking", forbid_unknown_fields=True):
    thinking: str = ""
    signature: str = ""


class _RedactedThinking(msgspec.Struct, tag_field="type", tag="redacted_thinking", forbid_unknown_fields=True):
    data: str = ""


_Block = _Text | _ToolUse | _ToolResult | _Thinking | _RedactedThinking


class _Message(msgspec.Struct, forbid_unknown_fields=True):
    role: str
    content: str | list[_Block]


class _Tool(msgspec.Struct):
    type: Literal["custom"] | None = None


_messages: msgspec.json.Decoder[list[_Message]] = msgspec.json.Decoder(list[_Message])
_tools: msgspec.json.Decoder[list[_Tool]] = msgspec.json.Decoder(list[_Tool])
_system: msgspec.json.Decoder[str | list[_Text]] = msgspec.json.Decoder(str | list[_Text])


def input_bound(members: MemberEdits, body_bytes: int) -> int | None:
    """An upper bound of the input tokens of an edited body that long; None where there is more to read than text."""
    try:
        if members.has_repeated_names or not members.brings_only(_TEXT_MEMBERS):
            return None
        messages, tools, system = members.given("messages"), members.given("tools"), members.given("system")
        if messages is not None:
            decode(messages, _messages, "messages", "text")
        if tools is not None:
            decode(tools, _tools, "tools", "functions")
        if system is not None:
            decode(system, _system, "system", "text")
    except BadInput:
        return None
    is_instructed = not members.names.isdisjoint(("tools", "output_config", "output_format"))
    return body_bytes + _OVERHEAD_TOKENS + (_INSTRUCTED_OVERHEAD_TOKENS if is_instructed else 0)

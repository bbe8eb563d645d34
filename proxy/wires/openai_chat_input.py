"""How much input an OpenAI Chat Completions request can be at most, for the hold that is placed before it is sent.

Belongs here: the allow-list of members and content that are nothing but text. Whatever else there is (images, files, audio,
web search) the provider counts in ways the proxy cannot see, and the answer is None. Counterpart:
anthropic_messages_input.py.

Formula: every token stands for at least one byte of UTF-8 text, and JSON never writes a text in fewer bytes than that; so
the body's length bounds it, the names of its members cover the few tokens each message adds.
"""

from typing import Any, Literal

import msgspec

from proxy.core.errors import BadInput
from proxy.wires.json_members import MemberEdits, decode

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


class _Part(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["text", "refusal"]
    text: str | None = None
    refusal: str | None = None
    cache_control: Any = None


class _ToolCall(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["function", "custom"] = "function"
    id: Any = None
    index: Any = None
    function: Any = None
    custom: Any = None


class _Message(msgspec.Struct, forbid_unknown_fields=True):
    role: str
    content: str | list[_Part] | None = None
    name: Any = None
    tool_calls: list[_ToolCall] | None = None
    tool_call_id: Any = None
    refusal: str | None = None
    function_call: Any = None
    reasoning_content: str | None = None


class _Tool(msgspec.Struct):
    type: Literal["function", "custom"]


_messages: msgspec.json.Decoder[list[_Message]] = msgspec.json.Decoder(list[_Message])
_tools: msgspec.json.Decoder[list[_Tool]] = msgspec.json.Decoder(list[_Tool])


def input_bound(members: MemberEdits, body_bytes: int) -> int | None:
    """An upper bound of the input tokens of an edited body that long; None where there is more to read than text."""
    try:
        if members.has_repeated_names or not members.brings_only(_TEXT_MEMBERS):
            return None
        messages, tools = members.given("messages"), members.given("tools")
        if messages is not None:
            decode(messages, _messages, "messages", "text")
        if tools is not None:
            decode(tools, _tools, "tools", "functions")
    except BadInput:
        return None
    return body_bytes + _OVERHEAD_TOKENS

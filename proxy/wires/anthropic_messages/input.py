"""How much input an Anthropic Messages request can be at most, for the hold that is placed before it is sent.

Belongs here: the allow-list of members and content that are nothing but text. Whatever else there is (images, documents,
server tools, containers, threads) the provider counts in ways the proxy cannot see, and the answer is None. Counterpart:
openai_chat/input.py, which also has the formula.

Protocol fact: with tools or an output format the provider adds a system prompt of its own, of some hundred tokens.
"""

from typing import Any, Literal

import msgspec

from proxy.core.errors import BadInput
from proxy.wires.json.edits import MemberEdits
from proxy.wires.json.values import ABSENT, decode

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


class _Text(msgspec.Struct, tag_field="type", tag="text", forbid_unknown_fields=True, gc=False):
    text: str
    cache_control: msgspec.Raw = ABSENT
    citations: msgspec.Raw = ABSENT


class _ToolUse(msgspec.Struct, tag_field="type", tag="tool_use", forbid_unknown_fields=True, gc=False):
    id: msgspec.Raw = ABSENT
    name: msgspec.Raw = ABSENT
    input: msgspec.Raw = ABSENT
    caller: msgspec.Raw = ABSENT
    cache_control: msgspec.Raw = ABSENT


class _ToolResult(msgspec.Struct, tag_field="type", tag="tool_result", forbid_unknown_fields=True, gc=False):
    tool_use_id: msgspec.Raw = ABSENT
    content: str | list[_Text] | None = None
    is_error: msgspec.Raw = ABSENT
    cache_control: msgspec.Raw = ABSENT


class _Thinking(msgspec.Struct, tag_field="type", tag="thinking", forbid_unknown_fields=True, gc=False):
    thinking: str = ""
    signature: str = ""


class _RedactedThinking(
    msgspec.Struct, tag_field="type", tag="redacted_thinking", forbid_unknown_fields=True, gc=False
):
    data: str = ""


_Block = _Text | _ToolUse | _ToolResult | _Thinking | _RedactedThinking


class _Message(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    role: str
    content: str | list[_Block]


class _Tool(msgspec.Struct, gc=False):
    type: Literal["custom"] | None = None


class _ServerTool(msgspec.Struct, gc=False):
    type: str | None = None
    max_uses: int | None = None


#: How the type of the provider's own search begins; a date follows.
_SEARCH = "web_search_"

_server_tools: msgspec.json.Decoder[list[_ServerTool]] = msgspec.json.Decoder(list[_ServerTool])
_messages: msgspec.json.Decoder[list[_Message]] = msgspec.json.Decoder(list[_Message])
#: What each member that brings content may hold.
_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    "messages": _messages,
    "tools": msgspec.json.Decoder(list[_Tool]),
    "system": msgspec.json.Decoder(str | list[_Text]),
}
#: Members for which the provider adds instructions of its own.
_INSTRUCTING_MEMBERS = ("tools", "output_config", "output_format")


def first_role(raw: bytes) -> str | None:
    """The role of the first message in a list of nothing but text; None for any other list, and for an empty one."""
    try:
        messages = _messages.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return messages[0].role if messages else None


def input_bound(edits: MemberEdits, body_bytes: int) -> int | None:
    """An upper bound of the input tokens of an edited body that long; None where there is more to read than text."""
    try:
        if edits.has_repeated_names or not edits.brings_only(_TEXT_MEMBERS):
            return None
        for name, kind in _DECODERS.items():
            raw = edits.given(name) if edits.has(name) else None
            if raw is not None:
                decode(raw, kind, name, "nothing but text")
    except BadInput:
        return None
    is_instructed = any(edits.has(name) for name in _INSTRUCTING_MEMBERS)
    return body_bytes + _OVERHEAD_TOKENS + (_INSTRUCTED_OVERHEAD_TOKENS if is_instructed else 0)


def searches_bound(edits: MemberEdits) -> int | None:
    """How often the provider's own tool may search the web; None: nothing bounds that. Raises BadInput(`wrong_kind`)."""
    raw = edits.given("tools") if edits.has("tools") else None
    if raw is None:
        return 0
    tools = decode(raw, _server_tools, "tools", "a list of tools")
    most = [tool.max_uses for tool in tools if (tool.type or "").startswith(_SEARCH)]
    return None if None in most else sum(count or 0 for count in most)

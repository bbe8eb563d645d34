"""How much input an OpenAI Responses request can be at most, for the hold that is placed before it is sent.

Belongs here: the allow-list of members and items that are nothing but text. Whatever else there is (a conversation that the provider
keeps, a prompt that it keeps, images, files, encrypted reasoning, its own tools) the provider counts in ways the proxy cannot see,
and the answer is None. Counterpart: openai_chat/input.py, which also has the formula.
"""

from typing import Final, Literal

import msgspec

from proxy.core.errors import BadInput
from proxy.wires.json.edits import MemberEdits
from proxy.wires.json.values import ABSENT, decode, first_byte
from proxy.wires.shared.version_parts import MAX_OUTPUT_TOKENS, WHOLE_NUMBER

#: Tokens the format adds to a call as a whole.
_OVERHEAD_TOKENS: Final = 64
_QUOTE: Final = ord('"')

#: Members that bring no input of their own, or only text that stands in the body.
_TEXT_MEMBERS: Final = frozenset(
    {
        "include",
        "input",
        "instructions",
        "metadata",
        "model",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning",
        "safety_identifier",
        "service_tier",
        "stream_options",
        "text",
        "tool_choice",
        "tools",
        "truncation",
        "user",
    }
)
#: The provider's own tools that can be used again and again within one call, and have no fee beside tokens.
_FREE_TOOLS: Final = frozenset({"mcp", "tool_search", "programmatic_tool_calling"})
#: Tools that the caller runs: the model's turn ends with them.
_CALLERS_TOOLS: Final = frozenset(
    {"function", "custom", "namespace", "local_shell", "apply_patch", "computer", "computer_use_preview"}
)


class _Part(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    type: Literal["input_text", "output_text", "refusal"]
    text: str | None = None
    refusal: str | None = None
    annotations: msgspec.Raw = ABSENT
    logprobs: msgspec.Raw = ABSENT
    prompt_cache_breakpoint: msgspec.Raw = ABSENT


class TextItem(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """An item that is nothing but text: a message, a call of a tool of the caller's, or what came of it."""

    type: Literal["message", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output"] = (
        "message"
    )
    role: str = ""
    content: str | list[_Part] | None = None
    output: str | list[_Part] | None = None
    id: msgspec.Raw = ABSENT
    status: msgspec.Raw = ABSENT
    phase: msgspec.Raw = ABSENT
    call_id: msgspec.Raw = ABSENT
    name: msgspec.Raw = ABSENT
    namespace: msgspec.Raw = ABSENT
    arguments: msgspec.Raw = ABSENT
    input: msgspec.Raw = ABSENT


class _TextTool(msgspec.Struct, gc=False):
    type: Literal["function", "custom"]


class _AnyTool(msgspec.Struct, gc=False):
    type: str | None = None


_items: Final[msgspec.json.Decoder[list[TextItem]]] = msgspec.json.Decoder(list[TextItem])
_text_tools: Final[msgspec.json.Decoder[list[_TextTool]]] = msgspec.json.Decoder(list[_TextTool])
_any_tools: Final[msgspec.json.Decoder[list[_AnyTool]]] = msgspec.json.Decoder(list[_AnyTool])


def text_items(raw: bytes) -> list[TextItem] | None:
    """The items of a list in which all are nothing but text; None for any other value."""
    try:
        return _items.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def first_role(raw: bytes) -> str | None:
    """The role of the first item in a list of nothing but text, empty for one that is no message; None for any other list, and for
    an empty one."""
    items = text_items(raw)
    return items[0].role if items else None


def input_bound(edits: MemberEdits, body_bytes: int) -> int | None:
    """An upper bound of the input tokens of an edited body that long; None where there is more to read than text."""
    try:
        if edits.has_repeated_names or not edits.brings_only(_TEXT_MEMBERS):
            return None
        given = edits.given("input")
        if given is not None and first_byte(given) != _QUOTE and text_items(given) is None:
            return None
        tools = edits.given("tools") if edits.has("tools") else None
        if tools is not None:
            decode(tools, _text_tools, "tools", "functions")
    except BadInput:
        return None
    return body_bytes + _OVERHEAD_TOKENS


def own_tools(edits: MemberEdits) -> list[str]:
    """The types of those tools that the provider runs itself, in the middle of a call. Raises BadInput(`wrong_kind`)."""
    tools = edits.given("tools") if edits.has("tools") else None
    kinds = [] if tools is None else [tool.type or "" for tool in decode(tools, _any_tools, "tools", "a list of tools")]
    return [kind for kind in kinds if kind not in _CALLERS_TOOLS]


def most_uses(edits: MemberEdits) -> int | None:
    """How often the provider's own tools may be used in the call, in all; None: nothing bounds it."""
    raw = edits.given("max_tool_calls") if edits.has("max_tool_calls") else None
    try:
        uses = None if raw is None else WHOLE_NUMBER.decode(raw)
    except (ValueError, RecursionError):
        return None
    return uses if uses is not None and 0 <= uses <= MAX_OUTPUT_TOKENS else None


def is_search(tool: str) -> bool:
    """Whether a tool of the provider's searches the web, for a fee that some price lists know."""
    return tool.startswith("web_search")


def is_file_search(tool: str) -> bool:
    """Whether a tool of the provider's searches stored files, for a fee that some price lists know."""
    return tool == "file_search"


def has_no_fee(tool: str) -> bool:
    """Whether a tool of the provider's costs nothing but tokens."""
    return tool in _FREE_TOOLS

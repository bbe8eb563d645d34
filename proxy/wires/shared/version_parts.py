"""What injecting a version is on every wire: which model, which output bound, which parameters, which tools.

Belongs here: the rules of a version meeting a caller's request, wherever a format keeps the members. Does not belong here:
member names and shapes of one provider (the wires), writing the version's own content as JSON (version_bytes.py).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import msgspec

from proxy.core.calls.identity import MODEL_PREFIX
from proxy.core.errors import BadInput
from proxy.core.versions.components import Bundle
from proxy.core.versions.tool_labels import PLAIN_TYPES
from proxy.wires.json.edits import Change, MemberEdits
from proxy.wires.json.items import JsonItems, parse_items
from proxy.wires.json.members import JsonMembers, parse_members
from proxy.wires.json.values import JsonDecoder, decode, wrong_kind
from proxy.wires.shared.version_bytes import ToolShape, WrittenModel, WrittenParameter, written_tools

#: Providers take no more; a larger number is a mistake, and the ledger could not price it.
MAX_OUTPUT_TOKENS = 2**31 - 1
_MAX_MODEL_CHARACTERS = 256
_MAX_SWITCHBACK_BYTES = 1024 * 1024
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

TEXT: JsonDecoder[str | None] = msgspec.json.Decoder(str | None)
_IDENTIFIER: JsonDecoder[str | int | None] = msgspec.json.Decoder(str | int | None)
FLAG: JsonDecoder[bool | None] = msgspec.json.Decoder(bool | None)
WHOLE_NUMBER: JsonDecoder[int | None] = msgspec.json.Decoder(int | None)
OBJECT: JsonDecoder[dict[str, Any] | None] = msgspec.json.Decoder(dict[str, Any] | None)


def read_model(members: JsonMembers) -> str | None:
    """The caller's `model`. Raises BadInput(`wrong_kind`) for anything but a short text without control characters."""
    model = members.decoded("model", TEXT, "a text")
    if model is None:
        return None
    if len(model) > _MAX_MODEL_CHARACTERS or (not model.isprintable() and _CONTROL.search(model)):
        raise wrong_kind("model", f"a text of at most {_MAX_MODEL_CHARACTERS} characters")
    return model


def read_identifier(members: JsonMembers, name: str) -> str | None:
    """An id of the caller's: a text, or a whole number, which stands for its digits; None where there is none, or an empty one. Raises
    BadInput(`wrong_kind`) for anything else: `42.0` has more than one spelling, and `true` is nobody."""
    return identifier_text(members.decoded(name, _IDENTIFIER, "a text or a whole number"))


def identifier_text(given: str | int | None) -> str | None:
    """As `read_identifier`, of what was decoded already."""
    return (str(given) if isinstance(given, int) else given) or None


def read_whole_number(members: JsonMembers, name: str, least: int, most: int) -> int | None:
    """A count the price depends on. Raises BadInput(`wrong_kind`) outside `least`..`most` and for 1.5, "5", 1e9, true."""
    if name not in members.values:
        return None
    try:
        number = members.decoded(name, WHOLE_NUMBER, "a whole number")
    except BadInput as refusal:
        if refusal.code != "wrong_kind":
            raise
    else:
        if number is None or least <= number <= most:
            return number
    raise wrong_kind(name, f"a whole number from {least} to {most}")


def read_switchback_member(members: JsonMembers) -> Mapping[str, Any] | None:
    """The caller's `switchback` object. Raises BadInput(`wrong_kind`)."""
    raw = members.given("switchback")
    if raw is not None and len(raw) > _MAX_SWITCHBACK_BYTES:
        raise wrong_kind("switchback", f"an object of at most {_MAX_SWITCHBACK_BYTES} bytes")
    return members.decoded("switchback", OBJECT, "an object")


def final_model(bundle: Bundle | None, asked: str | None) -> str | None:
    """The model that answers. Raises BadInput(`model_missing`) where only an agent is named, or nothing at all."""
    if bundle is not None and bundle.model.name is not None:
        return bundle.model.name
    if asked is not None and not asked.startswith(MODEL_PREFIX):
        return asked
    if asked is None and bundle is None:
        return None
    raise BadInput(
        "model_missing",
        "the agent's version names no model, so the request must name one of the provider's",
        param="model",
    )


def output_bound(bundle: Bundle | None, asked: int | None, ceiling: int | None) -> int | None:
    """The output bound in tokens that holds: the version's, else the caller's, else its default, else the ceiling.

    The policy's bound is never exceeded. None: nobody bounds the output.
    """
    parameter = None if bundle is None else bundle.model.parameters.get("max_output_tokens")
    wanted = asked
    if parameter is not None and (parameter.enforced or asked is None):
        wanted = int(parameter.value)
    limit = None if bundle is None else bundle.policy.max_output_tokens
    if limit is not None:
        return limit if wanted is None else min(wanted, limit)
    return ceiling if wanted is None else wanted


def ignored_variables(bundle: Bundle | None, variables: Mapping[str, str]) -> int:
    """How many variables the caller sent that the prompt does not declare."""
    if bundle is None or variables.keys() <= bundle.prompt.variables.keys():
        return 0
    return len(variables.keys() - bundle.prompt.variables.keys())


ToolChoiceKind = Literal["auto", "none", "required", "tool", "raw"]


def tool_choice_of(value: Any) -> tuple[ToolChoiceKind, str]:
    """A neutral tool choice as (kind, tool name): `auto`, `none`, `required`, a tool's name or `{name}`; else `raw`."""
    if isinstance(value, str):
        match value:
            case "auto" | "none":
                return value, ""
            case "required" | "any":
                return "required", ""
            case _:
                return "tool", value
    members = cast("dict[str, Any]", value)
    function = members.get("function")
    name = cast("dict[str, Any]", function).get("name") if isinstance(function, dict) else members.get("name")
    is_named_tool = members.get("type") in (None, "function", "tool") and members.keys() <= {"type", "name", "function"}
    return ("tool", name) if is_named_tool and isinstance(name, str) else ("raw", "")


class _Function(msgspec.Struct, gc=False):
    name: str | None = None


class ToolName(msgspec.Struct, gc=False):
    """What a tool in a request goes by."""

    name: str | None = None
    type: str | None = None
    function: _Function | None = None
    custom: _Function | None = None
    #: Of a server of tools, which has no name but this.
    server_label: str | None = None
    connector_id: str | None = None


_tool_names: msgspec.json.Decoder[list[ToolName]] = msgspec.json.Decoder(list[ToolName])


def names_of_tools(raw: bytes | None, param: str = "tools") -> list[str]:
    """The names of the caller's tools, in order. Raises BadInput(`wrong_kind`) for anything but a list of tools."""
    if raw is None:
        return []
    return [_name_of(tool) for tool in decode(raw, _tool_names, param, f"a list of {param}")]


def labels_of_tools(raw: bytes | None, param: str = "tools") -> list[str]:
    """All that they go by, in no order: a search with a name of its own is one by its type, too. Raises as `names_of_tools`."""
    return [] if raw is None else labels_of(decode(raw, _tool_names, param, f"a list of {param}"))


def labels_of(tools: Sequence[ToolName]) -> list[str]:
    """As `labels_of_tools`, of tools that were decoded."""
    labels: list[str] = []
    for tool in tools:
        labels.append(_name_of(tool))
        if tool.type is not None and tool.type not in PLAIN_TYPES:
            labels.append(tool.type)
        if tool.server_label is not None or tool.connector_id is not None:
            labels += [label for label in (tool.server_label, tool.connector_id) if label]
        if tool.name is not None and (inner := _inner_name(tool)):
            labels.append(inner)
    return labels


def _name_of(tool: ToolName) -> str:
    return tool.name or _inner_name(tool) or tool.server_label or tool.type or ""


def _inner_name(tool: ToolName) -> str | None:
    function = tool.function or tool.custom
    return None if function is None else function.name


def set_tools(
    edits: MemberEdits,
    bundle: Bundle,
    callers: frozenset[str],
    shape: ToolShape,
    spoken_of: Sequence[str] = ("tool_choice",),
) -> None:
    """Put in the version's tools. `callers`: the names of theirs; `spoken_of`: members that speak of tools, which a provider
    refuses where there are none.

    Raises BadInput(`wrong_kind`) where the caller's tools have to be merged and are no list of tools.
    """
    if bundle.tools.mode != "replace" and (bundle.tools.mode != "merge" or not bundle.tools.items):
        return
    raw = edits.given("tools")
    tools = _edited_tools(raw, callers, bundle, shape)
    if tools is not None:
        edits.set("tools", tools)
    elif raw is not None:
        for member in ("tools", *spoken_of):
            edits.remove(member)


def _edited_tools(raw: bytes | None, callers: frozenset[str], bundle: Bundle, shape: ToolShape) -> Change:
    """What becomes of the `tools` member; None: no tools."""
    ours = written_tools(bundle, shape)
    if bundle.tools.mode == "replace" or raw is None:
        return b"[" + b",".join(ours.values()) + b"]" if ours else None
    items = parse_items(raw, "tools")
    if callers.isdisjoint(ours):
        return items.insert(len(items.values), b",".join(ours.values()))
    return _merged(items, names_of_tools(raw), ours)


def _merged(callers: JsonItems, names: list[str], ours: Mapping[str, bytes]) -> bytes:
    """The caller's list with the tools of the same name replaced in place, and the others added behind."""
    raw = memoryview(callers.raw)
    parts: list[bytes | memoryview] = []
    position = 0
    for index, name in enumerate(names):
        if name in ours:
            start, end = callers.span(index)
            parts += (raw[position:start], ours[name])
            position = end
    start, end, new = callers.insert(len(names), b",".join(item for name, item in ours.items() if name not in names))
    return b"".join((*parts, raw[position:start], new if len(new) > 1 else b"", raw[end:]))


def drop_members(edits: MemberEdits, refused: Sequence[str]) -> tuple[str, ...]:
    """Take out the caller's members that the version's model refuses; the names of those that were there."""
    dropped: tuple[str, ...] = ()
    for name in refused:
        if edits.has(name):
            edits.remove(name)
            dropped += (name,)
    return dropped


def joined_names(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    """Both, each name once."""
    return first + tuple(name for name in second if name not in first) if first else second


def set_extra(edits: MemberEdits, written: WrittenModel) -> None:
    """Put in the raw members the version carries for its wire."""
    for name, raw in written.extra:
        edits.set(name, raw)


def set_parameters(edits: MemberEdits, parameters: tuple[WrittenParameter, ...]) -> tuple[str, ...]:
    """Put in the neutral parameters; the names of those this model or wire does not take, which are left out."""
    dropped: tuple[str, ...] = ()
    for parameter in parameters:
        is_sure = parameter.is_enforced and parameter.raw is not None
        if not is_sure and _given_at(edits, parameter) is not None and not parameter.is_enforced:
            continue
        if parameter.raw is None:
            dropped += (parameter.name,)
        else:
            _set_at(edits, parameter, parameter.raw)
    return dropped


def _given_at(edits: MemberEdits, parameter: WrittenParameter) -> bytes | None:
    """What the request already says where this parameter lives."""
    raw = edits.given(parameter.member) if parameter.member else None
    return (
        raw if raw is None or parameter.inner is None else parse_members(raw, parameter.member).given(parameter.inner)
    )


def _set_at(edits: MemberEdits, parameter: WrittenParameter, raw: bytes) -> None:
    if parameter.inner is None:
        edits.set(parameter.member, raw)
        return
    inside = MemberEdits(parse_members(edits.given(parameter.member) or b"{}", parameter.member))
    inside.set(parameter.inner, raw)
    edits.set(parameter.member, inside.render())


#: Members that choose a tier, and the values that mean the ordinary price.
_TIER_MEMBERS = ("service_tier", "speed")
_ORDINARY_TIERS = frozenset({"auto", "default", "standard", "standard_only"})


def service_tier_of(edits: MemberEdits) -> str | None:
    """The tier an edited body asks for, where it has a price of its own. Raises BadInput(`wrong_kind`)."""
    for name in _TIER_MEMBERS:
        raw = edits.given(name) if edits.has(name) else None
        if raw is not None:
            tier = decode(raw, TEXT, name, "a text")
            if tier is not None and tier not in _ORDINARY_TIERS:
                return tier
    return None

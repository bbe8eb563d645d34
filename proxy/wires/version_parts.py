"""What injecting a version is on every wire: which model, which output bound, which prompt text, which tools.

Belongs here: the rules of a version meeting a caller's request, wherever a format keeps the members. Does not belong here:
member names and shapes of one provider (the wires). The rendered parts are byte-stable, so that provider prompt caches
keep hitting: fixed order, no time, nothing random.
"""

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import msgspec
import orjson

from proxy.core.components import Bundle, Parameter, Tools, tool_name
from proxy.core.errors import BadInput
from proxy.core.identity import MODEL_PREFIX
from proxy.wires.json_members import JsonItems, JsonMembers, MemberEdits, decode, parse_items, wrong_kind

#: Providers take no more; a larger number is a mistake, and the ledger could not price it.
MAX_OUTPUT_TOKENS = 2**31 - 1
_MAX_MODEL_CHARACTERS = 256
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

TEXT: msgspec.json.Decoder[str] = msgspec.json.Decoder(str)
FLAG: msgspec.json.Decoder[bool] = msgspec.json.Decoder(bool)
WHOLE_NUMBER: msgspec.json.Decoder[int] = msgspec.json.Decoder(int)
OBJECT: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any])

#: How a neutral tool definition is written on a wire.
ToolShape = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def read_model(members: JsonMembers) -> str | None:
    """The caller's `model`. Raises BadInput(`wrong_kind`) for anything but a short text without control characters."""
    model = members.decoded("model", TEXT, "a text")
    if model is not None and (len(model) > _MAX_MODEL_CHARACTERS or _CONTROL.search(model)):
        raise wrong_kind("model", f"a text of at most {_MAX_MODEL_CHARACTERS} characters")
    return model


def read_whole_number(members: JsonMembers, name: str, least: int, most: int) -> int | None:
    """A count the price depends on. Raises BadInput(`wrong_kind`) outside `least`..`most` and for 1.5, "5", 1e9, true."""
    wanted = f"a whole number from {least} to {most}"
    number = members.decoded(name, WHOLE_NUMBER, wanted)
    if number is not None and not least <= number <= most:
        raise wrong_kind(name, wanted)
    return number


def read_switchback_member(members: JsonMembers) -> Mapping[str, Any] | None:
    """The caller's `switchback` object. Raises BadInput(`wrong_kind`)."""
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


def applies(parameter: Parameter, callers: bytes | None) -> bool:
    """Whether the version's value goes in: always when enforced, a default only where the caller says nothing."""
    return parameter.enforced or callers is None


def prompt_text(bundle: Bundle, variables: Mapping[str, str]) -> str:
    """The version's prompt with its variables filled in. Raises BadInput (`variable_missing`, `variable_too_large`)."""
    return bundle.prompt.template.render(variables, bundle.prompt.variables)


def ignored_variables(bundle: Bundle | None, variables: Mapping[str, str]) -> int:
    """How many variables the caller sent that the prompt does not declare."""
    return 0 if bundle is None else sum(1 for name in variables if name not in bundle.prompt.variables)


def set_extra(edits: MemberEdits, bundle: Bundle) -> None:
    """Put in the raw members the version carries for its wire."""
    for name in sorted(bundle.model.extra):
        edits.set(name, orjson.dumps(bundle.model.extra[name]))


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


@dataclass(frozen=True, slots=True)
class _ToolsKey:
    """Tools by their content hash: what the cache of rendered definitions is keyed by."""

    hash: str
    shape: ToolShape
    tools: Tools = field(compare=False)


@functools.lru_cache(maxsize=256)
def _rendered_tools(key: _ToolsKey) -> Mapping[str, bytes]:
    rendered: dict[str, bytes] = {}
    for item in key.tools.items:
        is_neutral = "name" in item and not {"type", "function", "input_schema"} & item.keys()
        rendered[tool_name(item) or ""] = orjson.dumps(key.shape(item) if is_neutral else item)
    return rendered


class _ToolName(msgspec.Struct):
    name: str | None = None
    type: str | None = None
    function: "_Function | None" = None


class _Function(msgspec.Struct):
    name: str | None = None


_tool_names: msgspec.json.Decoder[list[_ToolName]] = msgspec.json.Decoder(list[_ToolName])


def names_of_tools(raw: bytes | None) -> list[str]:
    """The names of the caller's tools, in order. Raises BadInput(`wrong_kind`) for anything but a list of tools."""
    if raw is None:
        return []
    return [
        tool.name or (tool.function.name if tool.function is not None else None) or tool.type or ""
        for tool in decode(raw, _tool_names, "tools", "a list of tools")
    ]


def edited_tools(
    raw: bytes | None, callers: frozenset[str], bundle: Bundle, shape: ToolShape
) -> tuple[bytes | None, frozenset[str]]:
    """The `tools` member that is to be sent (None: none) and the names in it; the same `raw` where nothing changes.

    Raises BadInput(`wrong_kind`) where the caller's tools have to be merged and are no list of tools.
    """
    tools = bundle.tools
    if tools.mode == "keep" or (tools.mode == "merge" and not tools.items):
        return raw, callers
    ours = _rendered_tools(_ToolsKey(bundle.hashes["tools"], shape, tools))
    if tools.mode == "replace" or raw is None:
        return (b"[" + b",".join(ours.values()) + b"]" if ours else None), frozenset(ours)
    return _merged(parse_items(raw, "tools"), names_of_tools(raw), ours), callers | frozenset(ours)


def _merged(callers: JsonItems, names: list[str], ours: Mapping[str, bytes]) -> bytes:
    """The caller's list with the tools of the same name replaced in place, and the others added behind."""
    parts: list[bytes] = []
    position = 0
    for name, (start, end) in zip(names, callers.spans, strict=True):
        if name in ours:
            parts += (callers.raw[position:start], ours[name])
            position = end
    if callers.spans:
        end = callers.spans[-1][1]
        parts.append(callers.raw[position:end])
        parts += [b"," + item for name, item in ours.items() if name not in names]
        return b"".join((*parts, callers.raw[end:]))
    return b"[" + b",".join(ours.values()) + b"]"


_text: msgspec.json.Decoder[str] = msgspec.json.Decoder(str)
#: Members that choose a tier, and the values that mean the ordinary price.
_TIER_MEMBERS = ("service_tier", "speed")
_ORDINARY_TIERS = frozenset({"auto", "default", "standard", "standard_only"})


def service_tier_of(edits: MemberEdits) -> str | None:
    """The tier an edited body asks for, where it has a price of its own. Raises BadInput(`wrong_kind`)."""
    for name in _TIER_MEMBERS:
        raw = edits.given(name)
        if raw is not None:
            tier = decode(raw, _text, name, "a text")
            if tier not in _ORDINARY_TIERS:
                return tier
    return None

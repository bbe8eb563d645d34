"""Putting a version into an Anthropic Messages request.

Belongs here: which member of this format holds what. The rules that hold on every wire are version_parts.py. Counterpart:
openai_chat/request.py.

Protocol facts: the system prompt is the top-level `system`, a text or a list of text blocks (messages with role `system`
in the middle of a conversation are part of the conversation). `max_tokens` is required. From API version 2026-10-21 on, and
with newer models at any version (model_rules.py), sampling parameters are refused; there is no `seed` and no JSON mode
without a schema. A call may mark at most four cache breakpoints, so injecting never adds one.
"""

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from proxy.core.versions.components import NEUTRAL_PARAMETERS, Bundle
from proxy.wires.anthropic_messages.model_rules import most_output, refused_members
from proxy.wires.anthropic_messages.thinking import fit_to_bound, fit_to_model, fit_together
from proxy.wires.json.edits import MemberEdits
from proxy.wires.json.items import JsonItems, inserted_first, is_empty_list, parse_items
from proxy.wires.json.members import JsonMembers
from proxy.wires.json.values import ABSENT, RAW_NULL, Splice, decode, first_byte, json_text, wrong_kind
from proxy.wires.shared.version_bytes import (
    Remembered,
    WrittenModel,
    WrittenParameter,
    following_items,
    prompt_json,
    written_extra,
)
from proxy.wires.shared.version_parts import (
    drop_members,
    final_model,
    ignored_variables,
    joined_names,
    output_bound,
    service_tier_of,
    set_extra,
    set_parameters,
    set_tools,
    tool_choice_of,
)
from proxy.wires.wire import Injection, InjectionPlan, RequestFacts

#: The first API version that refuses sampling parameters (versions are dates and compare as text).
_WITHOUT_SAMPLING_SINCE = "2026-10-21"
#: Efforts of this wire under their neutral names; others (`none`) do not exist here.
_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}
_LIST = ord("[")
#: What does not go with everything that a caller may send.
_GOING_TOGETHER = ("temperature", "top_p", "tool_choice")
#: Where each neutral parameter lives: a member, and a member inside it.
_PLACES: dict[str, tuple[str, str | None]] = {
    "temperature": ("temperature", None),
    "top_p": ("top_p", None),
    "stop": ("stop_sequences", None),
    "reasoning_effort": ("output_config", "effort"),
    "response_format": ("output_config", "format"),
    "tool_choice": ("tool_choice", None),
}


def inject_version(request: RequestFacts, plan: InjectionPlan) -> Injection:
    """The body with the version in it. Raises BadInput."""
    bundle = plan.bundle
    edits = MemberEdits(cast("JsonMembers", request.document))
    edits.remove("switchback")
    model = final_model(bundle, request.model)
    dropped: tuple[str, ...] = ()
    most: int | None = None
    if bundle is not None:
        written = _written_model(bundle, model or "", plan.wire_version)
        if model is not None and model != request.model:
            edits.set("model", written.name)
            dropped = drop_members(edits, refused_members(model, is_strict=_is_strict(plan.wire_version)))
            dropped += fit_to_model(edits, model)
            most = most_output(model)
        set_extra(edits, written)
        _set_prompt(edits, bundle, plan.variables)
        dropped = joined_names(dropped, set_parameters(edits, written.parameters))
        set_tools(edits, bundle, request.tool_names, _tool_shape)
    bound = output_bound(bundle, request.max_output_tokens, plan.output_ceiling)
    if bound is not None and most is not None and bound > most:
        bound, dropped = most, joined_names(dropped, ("max_tokens",))
    if bound is not None and bound != request.max_output_tokens:
        edits.set("max_tokens", b"%d" % bound)
    if bound is not None and (bound != request.max_output_tokens or (bundle and "thinking" in bundle.model.extra)):
        dropped = joined_names(dropped, fit_to_bound(edits, bound))
    if bundle is not None and (
        model != request.model or not bundle.model.parameters.keys().isdisjoint(_GOING_TOGETHER)
    ):
        dropped = joined_names(dropped, fit_together(edits, model or "", bundle.model.parameters))
    return Injection(
        body=edits.render(),
        model=model,
        max_output_tokens=bound,
        dropped_parameters=dropped,
        ignored_variables=ignored_variables(bundle, plan.variables),
        service_tier=service_tier_of(edits),
        document=edits,
    )


class _SystemBlock(msgspec.Struct, gc=False):
    cache_control: msgspec.Raw = ABSENT


_system_block: msgspec.json.Decoder[_SystemBlock] = msgspec.json.Decoder(_SystemBlock)
_system_blocks: msgspec.json.Decoder[list[_SystemBlock]] = msgspec.json.Decoder(list[_SystemBlock])


def _set_prompt(edits: MemberEdits, bundle: Bundle, variables: Mapping[str, str]) -> None:
    prompt = bundle.prompt
    if not prompt.is_set:
        return
    raw = edits.given("system") if edits.has("system") else None
    blocks = None
    if raw is not None:
        kind = first_byte(raw)
        if kind not in b'"[':
            raise wrong_kind("system", "a text or a list of text blocks")
        blocks = parse_items(raw, "system") if kind == _LIST else None
    is_absent = raw is None or (len(raw) == 2 if blocks is None else not blocks.values)
    if prompt.mode == "if_absent" and not is_absent:
        return
    if prompt.following:
        _set_following(edits, following_items(bundle, variables))
    if not prompt.text:
        return
    text = prompt_json(bundle, variables)
    if raw is None or is_absent or (blocks is None and prompt.mode == "replace"):
        edits.set("system", text)
    elif blocks is not None:
        edits.set("system", _beside_blocks(blocks, text, prompt.mode))
    else:
        theirs = bytes(raw)
        both = (_block(text), _block(theirs)) if prompt.mode == "prepend" else (_block(theirs), _block(text))
        edits.set("system", b"[" + b",".join(both) + b"]")


def _set_following(edits: MemberEdits, ours: bytes) -> None:
    """Ours before the caller's messages."""
    raw = edits.given("messages")
    if raw is None or first_byte(raw) != _LIST:
        raise wrong_kind("messages", "a list of messages")
    edits.set("messages", inserted_first(raw, ours, is_empty=is_empty_list(raw)))


def _beside_blocks(blocks: JsonItems, text: bytes, mode: str) -> Splice:
    """Ours before, after, or instead of the caller's list of blocks; the block structure stays."""
    if mode == "prepend":
        return blocks.insert(0, _block(text))
    if mode == "append":
        return blocks.insert(len(blocks.values), _block(text))
    # The caller's last cache breakpoint stays where it was meant: behind the system prompt.
    try:
        theirs = _system_blocks.decode(blocks.raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):  # one of them is none: the refusal says which
        theirs = [
            decode(item, _system_block, f"system[{index}]", "a text block") for index, item in enumerate(blocks.values)
        ]
    marks = (block.cache_control for block in reversed(theirs))
    mark = next((bytes(mark) for mark in marks if len(mark) and mark != RAW_NULL), b"")
    return blocks.replace_leading(len(blocks.values), _block(text, mark))


def _block(text: bytes, cache_control: bytes = b"") -> bytes:
    mark = b',"cache_control":' + cache_control if cache_control else b""
    return b'{"type":"text","text":' + text + mark + b"}"


_written_models: Remembered[tuple[str, str, bool], WrittenModel] = Remembered(512)


def _written_model(bundle: Bundle, model: str, wire_version: str | None) -> WrittenModel:
    """The model component for a final model and API version, which decide about the parameters they take."""
    is_strict = _is_strict(wire_version)
    key = bundle.hashes["model"], model, is_strict
    return _written_models.get(key) or _written_models.keep(key, _write_model(bundle, model, is_strict=is_strict))


def _is_strict(wire_version: str | None) -> bool:
    return wire_version is not None and wire_version >= _WITHOUT_SAMPLING_SINCE


def _write_model(bundle: Bundle, model: str, *, is_strict: bool) -> WrittenModel:
    refused = refused_members(model, is_strict=is_strict)
    parameters: list[WrittenParameter] = []
    for name in NEUTRAL_PARAMETERS:
        parameter = bundle.model.parameters.get(name)
        if parameter is None or name == "max_output_tokens":
            continue
        written = _written(name, parameter.value)
        is_taken = written is not None and name not in refused
        raw = msgspec.json.encode(written) if is_taken else None
        parameters.append(WrittenParameter(name, *_PLACES.get(name, ("", None)), raw, parameter.enforced))
    return WrittenModel(json_text(model), written_extra(bundle), tuple(parameters))


def _written(parameter: str, value: Any) -> Any:
    """A neutral value in this wire's shape; None where the wire has nothing like it."""
    match parameter:
        case "seed":
            return None
        case "stop":
            return [value] if isinstance(value, str) else value
        case "reasoning_effort":
            return _EFFORTS.get(value)
        case "response_format":
            return _written_format(value)
        case "tool_choice":
            return _written_tool_choice(value)
        case _:
            return value


def _written_format(value: Mapping[str, Any]) -> Any:
    if value.get("type") != "json_schema":
        return None
    schema = value.get("schema", cast("Mapping[str, Any]", value.get("json_schema") or {}).get("schema"))
    return None if schema is None else {"type": "json_schema", "schema": schema}


def _written_tool_choice(value: Any) -> Any:
    kind, name = tool_choice_of(value)
    match kind:
        case "auto" | "none":
            return {"type": kind}
        case "required":
            return {"type": "any"}
        case "tool":
            return {"type": "tool", "name": name}
        case "raw":
            return value


def _tool_shape(item: Mapping[str, Any]) -> Mapping[str, Any]:
    shaped = {key: item[key] for key in ("name", "description") if key in item}
    shaped["input_schema"] = item.get("parameters", {"type": "object", "properties": {}})
    return {**shaped, **{key: value for key, value in item.items() if key not in shaped and key != "parameters"}}

"""Putting a version into an OpenAI Chat Completions request.

Belongs here: which member of this format holds what. The rules that hold on every wire are version_parts.py. Counterpart:
anthropic_messages_request.py.

Protocol facts: the system prompt is the leading run of messages with role `system` or `developer`; `max_tokens` is the
deprecated name of `max_completion_tokens` and sending both is an error; `stop` is refused by o3 and o4-mini, sampling
parameters by the reasoning models listed below; a stream tells its usage only when asked by `stream_options`.
"""

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from proxy.core.components import NEUTRAL_PARAMETERS, Bundle
from proxy.core.errors import BadInput
from proxy.wires.json_members import JsonItems, JsonMembers, MemberEdits, decode, json_text, parse_items, parse_members
from proxy.wires.version_parts import (
    FLAG,
    MAX_OUTPUT_TOKENS,
    applies,
    edited_tools,
    final_model,
    ignored_variables,
    output_bound,
    prompt_text,
    read_whole_number,
    service_tier_of,
    set_extra,
    tool_choice_of,
)
from proxy.wires.wire import Injection, InjectionPlan, RequestFacts

#: Models that answer 400 to `temperature` and `top_p`: reasoning models, whose sampling is fixed.
_FIXED_SAMPLING = ("o1", "o3", "o4-mini", "gpt-5-mini", "gpt-5-nano", "gpt-5-2025")
_FIXED_SAMPLING_NAMES = frozenset({"gpt-5"})
#: Models that answer 400 to `stop`.
_WITHOUT_STOP = ("o3", "o4-mini")

_SYSTEM_ROLES = frozenset({"system", "developer"})
_BOUND_MEMBERS = ("max_tokens", "max_completion_tokens")


def read_output_bound(members: JsonMembers) -> int | None:
    """The caller's output bound. Raises BadInput(`wrong_kind`), also for both of its names at once."""
    bounds = [read_whole_number(members, name, 1, MAX_OUTPUT_TOKENS) for name in _BOUND_MEMBERS]
    if None not in bounds:
        raise BadInput("wrong_kind", "send max_completion_tokens or max_tokens, not both", param="max_tokens")
    return bounds[0] if bounds[0] is not None else bounds[1]


def inject_version(request: RequestFacts, plan: InjectionPlan) -> Injection:
    """The body with the version in it. Raises BadInput."""
    bundle = plan.bundle
    edits = cast("JsonMembers", request.document).edit()
    edits.remove("switchback")
    model = final_model(bundle, request.model)
    dropped: tuple[str, ...] = ()
    tool_names = request.tool_names
    if bundle is not None:
        if model != request.model:
            edits.set("model", json_text(model or ""))
        set_extra(edits, bundle)
        _set_prompt(edits, bundle, plan.variables)
        dropped = _set_parameters(edits, bundle, model or "")
        tool_names = _set_tools(edits, bundle, request.tool_names)
    bound = output_bound(bundle, request.max_output_tokens, plan.output_ceiling)
    if bound is not None and bound != request.max_output_tokens:
        edits.set(_bound_member(edits), msgspec.json.encode(bound))
    asks_usage = request.streamed and _ask_for_usage(edits)
    return Injection(
        body=edits.render(),
        model=model,
        max_output_tokens=bound,
        dropped_parameters=dropped,
        removes_usage_event=asks_usage,
        ignored_variables=ignored_variables(bundle, plan.variables),
        tool_names=tool_names,
        service_tier=service_tier_of(edits),
        document=edits,
    )


def _bound_member(edits: MemberEdits) -> str:
    """The name the output bound goes under: the caller's, so that never both are sent."""
    for name in _BOUND_MEMBERS:
        if edits.given(name) is not None:
            return name
    return next((name for name in _BOUND_MEMBERS if edits.has(name)), "max_completion_tokens")


class _Role(msgspec.Struct):
    role: str


_role: msgspec.json.Decoder[_Role] = msgspec.json.Decoder(_Role)


def _set_prompt(edits: MemberEdits, bundle: Bundle, variables: Mapping[str, str]) -> None:
    prompt = bundle.prompt
    if not prompt.is_set:
        return
    raw = edits.given("messages")
    if raw is None:
        raise BadInput("wrong_kind", "messages must be a list of messages", param="messages")
    messages = parse_items(raw, "messages")
    leading, role = _leading_system_messages(messages)
    if prompt.mode == "if_absent" and leading:
        return
    content = json_text(prompt_text(bundle, variables))
    message = b'{"role":"' + role.encode() + b'","content":' + content + b"}"
    match prompt.mode:
        case "replace":
            edits.set("messages", messages.replace_leading(leading, message))
        case "append":
            edits.set("messages", messages.insert(leading, message))
        case "prepend" | "if_absent":
            edits.set("messages", messages.insert(0, message))


def _leading_system_messages(messages: JsonItems) -> tuple[int, str]:
    """How many messages the caller's system prompt is, and the role it uses (`system` where there is none)."""
    first = "system"
    for index in range(len(messages.spans)):
        role = decode(messages.item(index), _role, f"messages[{index}]", "a message with a role").role
        if role not in _SYSTEM_ROLES:
            return index, first
        first = role if index == 0 else first
    return len(messages.spans), first


def _set_parameters(edits: MemberEdits, bundle: Bundle, model: str) -> tuple[str, ...]:
    """Put in the neutral parameters; the names of those the model does not take, which are left out."""
    dropped: list[str] = []
    for name in NEUTRAL_PARAMETERS:
        parameter = bundle.model.parameters.get(name)
        if parameter is None or name == "max_output_tokens" or not applies(parameter, edits.given(name)):
            continue
        if _is_refused(name, model):
            dropped.append(name)
        else:
            edits.set(name, msgspec.json.encode(_written(name, parameter.value)))
    return tuple(dropped)


def _is_refused(parameter: str, model: str) -> bool:
    if parameter in ("temperature", "top_p"):
        return model.startswith(_FIXED_SAMPLING) or model in _FIXED_SAMPLING_NAMES
    return parameter == "stop" and model.startswith(_WITHOUT_STOP)


def _written(parameter: str, value: Any) -> Any:
    """A neutral value in this wire's shape."""
    if parameter == "tool_choice":
        kind, name = tool_choice_of(value)
        if kind == "raw":
            return value
        return {"type": "function", "function": {"name": name}} if kind == "tool" else kind
    if parameter == "response_format" and value.get("type") == "json_schema" and "schema" in value:
        rest = {key: item for key, item in value.items() if key not in ("type", "name", "schema")}
        return {
            "type": "json_schema",
            "json_schema": {"name": value.get("name", "answer"), "schema": value["schema"], **rest},
        }
    return value


def _tool_shape(item: Mapping[str, Any]) -> Mapping[str, Any]:
    function = {key: item[key] for key in ("name", "description", "parameters") if key in item}
    return {"type": "function", "function": {**function, **{k: v for k, v in item.items() if k not in function}}}


def _set_tools(edits: MemberEdits, bundle: Bundle, callers: frozenset[str]) -> frozenset[str]:
    raw = edits.given("tools")
    tools, names = edited_tools(raw, callers, bundle, _tool_shape)
    if bundle.tools.mode == "replace":
        for member in ("functions", "function_call"):  # what tools were called before
            edits.remove(member)
    if tools is None and raw is not None:
        # Without tools the provider refuses what speaks of them.
        for member in ("tools", "tool_choice", "parallel_tool_calls"):
            edits.remove(member)
    elif tools is not None and tools is not raw:
        edits.set("tools", tools)
    return names


def _ask_for_usage(edits: MemberEdits) -> bool:
    """Ask for the stream's usage where the caller did not; whether that was so. Raises BadInput(`wrong_kind`)."""
    raw = edits.given("stream_options")
    if raw is None:
        edits.set("stream_options", b'{"include_usage":true}')
        return True
    options = parse_members(raw, "stream_options")
    if options.decoded("include_usage", FLAG, "true or false"):
        return False
    inner = options.edit()
    inner.set("include_usage", b"true")
    edits.set("stream_options", inner.render())
    return True

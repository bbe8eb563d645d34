"""Putting a version into an OpenAI Chat Completions request.

Belongs here: which member of this format holds what. The rules that hold on every wire are version_parts.py. Counterpart:
anthropic_messages/request.py.

Protocol facts: the system prompt is the leading run of messages with role `system` or `developer`; `max_tokens` is the
deprecated name of `max_completion_tokens` and sending both is an error; a stream tells its usage only when asked by
`stream_options`. What a model refuses is model_rules.py.
"""

import re
from collections.abc import Mapping
from typing import Any, cast

import msgspec
import orjson

from proxy.core.errors import BadInput
from proxy.core.versions.components import NEUTRAL_PARAMETERS, Bundle
from proxy.wires.json.edits import MemberEdits
from proxy.wires.json.items import (
    LARGE_BYTES,
    JsonItems,
    inserted_first,
    is_empty_list,
    is_list,
    leading_spans,
    parse_items,
)
from proxy.wires.json.members import JsonMembers
from proxy.wires.json.values import RawJson, decode, first_byte, json_text, wrong_kind
from proxy.wires.openai_chat.input import TextMessage, text_messages
from proxy.wires.openai_chat.model_rules import always_searches, needs_newer_bound, refused_members
from proxy.wires.shared.openai_models import most_output
from proxy.wires.shared.openai_parameters import ask_for_usage, fit_effort
from proxy.wires.shared.version_bytes import (
    Remembered,
    WrittenModel,
    WrittenParameter,
    following_items,
    prompt_json,
    written_extra,
)
from proxy.wires.shared.version_parts import (
    MAX_OUTPUT_TOKENS,
    drop_members,
    final_model,
    ignored_variables,
    joined_names,
    output_bound,
    read_whole_number,
    service_tier_of,
    set_extra,
    set_parameters,
    set_tools,
    tool_choice_of,
)
from proxy.wires.wire import Injection, InjectionPlan, RequestFacts

#: How a message of each system role begins.
_MESSAGE_STARTS = {role: b'{"role":"%b","content":' % role.encode() for role in ("system", "developer")}
#: How libraries write the beginning of a list with such a message.
_WAYS_TO_WRITE = {
    role: (b"[" + start, b'[{"role": "%b", "content": ' % role.encode()) for role, start in _MESSAGE_STARTS.items()
}
SYSTEM_ROLES = frozenset(_MESSAGE_STARTS)
#: Up to this size a list is copied as a whole where its beginning is looked at.
_SMALL = 4096
_LIST = ord("[")
#: A list whose first message is another one, to be seen at a glance.
_OTHER_FIRST = re.compile(rb'\[\s*\{\s*"role"\s*:\s*"(?:user|assistant|tool)"')
#: Where the first message that is another one begins, behind messages of the system.
_OTHER_NEXT = re.compile(rb'\}\s*,\s*\{\s*"role"\s*:\s*"(?:user|assistant|tool)"')
_BEGINNING = 64 * 1024
#: With this member the model searches the web once for each call; its usage does not tell.
SEARCH_MEMBER = "web_search_options"
_BOUND_MEMBERS = ("max_tokens", "max_completion_tokens")


class EditedChat(msgspec.Struct, frozen=True):
    """An edited body, for the input bound."""

    edits: MemberEdits
    #: The caller's messages were looked at and are nothing but text.
    messages_are_text: bool


def read_output_bound(members: JsonMembers) -> int | None:
    """The caller's output bound. Raises BadInput(`wrong_kind`), also for both of its names at once."""
    older = read_whole_number(members, "max_tokens", 1, MAX_OUTPUT_TOKENS)
    newer = read_whole_number(members, "max_completion_tokens", 1, MAX_OUTPUT_TOKENS)
    if older is not None and newer is not None:
        raise BadInput("wrong_kind", "send max_completion_tokens or max_tokens, not both", param="max_tokens")
    return newer if older is None else older


def inject_version(request: RequestFacts, plan: InjectionPlan) -> Injection:
    """The body with the version in it. Raises BadInput."""
    bundle = plan.bundle
    edits = MemberEdits(cast("JsonMembers", request.document))
    edits.remove("switchback")
    model = final_model(bundle, request.model)
    dropped: tuple[str, ...] = ()
    most: int | None = None
    messages_are_text = False
    if bundle is not None:
        written = _written_model(bundle, model or "")
        if model is not None and model != request.model:
            edits.set("model", written.name)
            most = most_output(model)
            dropped = drop_members(edits, refused_members(model)) + fit_effort(edits, model, "reasoning_effort")
            if needs_newer_bound(model):
                _rename_bound(edits)
        set_extra(edits, written)
        messages_are_text = _set_prompt(edits, bundle, plan.variables)
        dropped = joined_names(dropped, set_parameters(edits, written.parameters))
        _set_tools(edits, bundle, request.tool_names)
    bound = output_bound(bundle, request.max_output_tokens, plan.output_ceiling)
    if bound is not None and most is not None and bound > most:
        bound, dropped = most, joined_names(dropped, (_bound_member(edits),))
    if bound is not None and bound != request.max_output_tokens:
        edits.set(_bound_member(edits), b"%d" % bound)
    asks_usage = request.streamed and plan.asks_usage and ask_for_usage(edits)
    return Injection(
        body=edits.render(),
        model=model,
        max_output_tokens=bound,
        dropped_parameters=dropped,
        removes_usage_event=asks_usage,
        ignored_variables=ignored_variables(bundle, plan.variables),
        service_tier=service_tier_of(edits),
        web_searches=1 if edits.has(SEARCH_MEMBER) or (model is not None and always_searches(model)) else 0,
        document=EditedChat(edits, messages_are_text),
    )


def _rename_bound(edits: MemberEdits) -> None:
    """The caller's bound under the name that the version's model knows."""
    raw = edits.given("max_tokens")
    edits.remove("max_tokens")
    if raw is not None:
        edits.set("max_completion_tokens", bytes(raw))


def _bound_member(edits: MemberEdits) -> str:
    """The name the output bound goes under: the caller's, so that never both are sent."""
    for name in _BOUND_MEMBERS:
        if edits.given(name) is not None:
            return name
    return next((name for name in _BOUND_MEMBERS if edits.has(name)), "max_completion_tokens")


class _Role(msgspec.Struct, gc=False):
    role: str


_role: msgspec.json.Decoder[_Role] = msgspec.json.Decoder(_Role)


def _set_prompt(edits: MemberEdits, bundle: Bundle, variables: Mapping[str, str]) -> bool:
    """Put in the prompt; whether the caller's messages turned out to be nothing but text."""
    prompt = bundle.prompt
    if not prompt.is_set:
        return False
    raw = edits.given("messages")
    if raw is None:
        raise BadInput("wrong_kind", "messages must be a list of messages", param="messages")
    if prompt.following or len(raw) > LARGE_BYTES:
        _set_by_leading(edits, raw, bundle, variables)
        return False
    messages = text_messages(raw)
    items = None
    if messages is None:
        items = parse_items(raw, "messages")
        leading, role, is_empty = *_leading_of_any(items), not items.values
    else:
        leading, is_empty = _leading_of_texts(messages), not messages
        role = messages[0].role if leading else ""
    if prompt.mode == "if_absent" and leading:
        return messages is not None
    message = _MESSAGE_STARTS[role or prompt.role] + prompt_json(bundle, variables) + b"}"
    if not leading or prompt.mode in ("prepend", "if_absent"):
        edits.set("messages", inserted_first(raw, message, is_empty=is_empty))
        return messages is not None
    end = _end_of_plain(raw, messages[0]) if leading == 1 and messages is not None else 0
    if not end:
        items = items or parse_items(raw, "messages")
        is_append = prompt.mode == "append"
        splice = items.insert(leading, message) if is_append else items.replace_leading(leading, message)
    elif prompt.mode == "append":
        splice = end, end, b"," + message
    else:
        splice = 1, end, message
    edits.set("messages", splice)
    return messages is not None


def _set_by_leading(edits: MemberEdits, raw: bytes, bundle: Bundle, variables: Mapping[str, str]) -> None:
    """As `_set_prompt`, where reading all messages would take long, or the prompt has several: only the leading ones are looked at."""
    first_bytes = bytes(memoryview(raw)[:_SMALL])
    roles: list[str] = []
    if first_byte(raw) != _LIST:
        raise wrong_kind("messages", "a list of objects")

    def is_leading(item: RawJson) -> bool:
        role = decode(item, _role, f"messages[{len(roles)}]", "a message with a role").role
        roles.append(role)
        return role in SYSTEM_ROLES

    is_other = _OTHER_FIRST.match(first_bytes) is not None
    spans = [] if is_other else leading_spans(_leading_alone(raw) or raw, "messages", is_leading)
    prompt = bundle.prompt
    if prompt.mode == "if_absent" and spans:
        return
    role = roles[0] if spans else prompt.role
    message = _MESSAGE_STARTS[role] + prompt_json(bundle, variables) + b"}" if prompt.text else b""
    stays = bool(spans) and (prompt.mode != "replace" or not message)
    theirs = bytes(memoryview(raw)[spans[0][0] : spans[-1][1]]) if stays else b""
    leading = (theirs, message) if prompt.mode == "append" else (message, theirs)
    ours = b",".join(filter(None, (*leading, following_items(bundle, variables))))
    if spans:
        edits.set("messages", (spans[0][0], spans[-1][1], ours))
    else:
        edits.set("messages", inserted_first(raw, ours, is_empty=is_empty_list(raw)))


def _leading_alone(raw: bytes) -> bytes:
    """A list of the messages before the first that is another one; empty where the first 64 KB do not tell."""
    beginning = bytes(memoryview(raw)[:_BEGINNING])
    other = _OTHER_NEXT.search(beginning)
    if other is None:
        return b""
    # Valid only where whole messages stand before that place: in a text, or in a list of parts, something is left open.
    alone = beginning[: other.start() + 1] + b"]"
    return alone if is_list(alone) else b""


def _end_of_plain(raw: bytes, first: TextMessage) -> int:
    """Where the first message ends in a list that begins with it, written as most do; 0 where it is written otherwise."""
    if not isinstance(first.content, str):
        return 0
    content = orjson.dumps(first.content)
    beginning = bytes(raw if len(raw) < _SMALL else memoryview(raw)[: 2 * len(content) + _SMALL])
    for start in _WAYS_TO_WRITE[first.role]:
        written = start + content + b"}"
        if beginning.startswith(written):
            return len(written)
    return 0


def _leading_of_texts(messages: list[TextMessage]) -> int:
    """How many messages the caller's system prompt is."""
    leading = 0
    for message in messages:
        if message.role not in SYSTEM_ROLES:
            break
        leading += 1
    return leading


def _leading_of_any(items: JsonItems) -> tuple[int, str]:
    """How many messages the caller's system prompt is, and the role it uses, empty where there is none."""
    first = ""
    for index, item in enumerate(items.values):
        role = decode(item, _role, f"messages[{index}]", "a message with a role").role
        if role not in SYSTEM_ROLES:
            return index, first
        first = role if index == 0 else first
    return len(items.values), first


_written_models: Remembered[tuple[str, str], WrittenModel] = Remembered(512)


def _written_model(bundle: Bundle, model: str) -> WrittenModel:
    """The model component for a final model, which decides about the parameters it takes."""
    key = bundle.hashes["model"], model
    return _written_models.get(key) or _written_models.keep(key, _write_model(bundle, model))


def _write_model(bundle: Bundle, model: str) -> WrittenModel:
    parameters: list[WrittenParameter] = []
    for name in NEUTRAL_PARAMETERS:
        parameter = bundle.model.parameters.get(name)
        if parameter is not None and name != "max_output_tokens":
            raw = None if name in refused_members(model) else msgspec.json.encode(_written(name, parameter.value))
            parameters.append(WrittenParameter(name, name, None, raw, parameter.enforced))
    return WrittenModel(json_text(model), written_extra(bundle), tuple(parameters))


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


def _set_tools(edits: MemberEdits, bundle: Bundle, callers: frozenset[str]) -> None:
    if bundle.tools.mode == "replace":
        for member in ("functions", "function_call"):  # what tools were called before
            edits.remove(member)
    set_tools(edits, bundle, callers, _tool_shape, ("tool_choice", "parallel_tool_calls"))

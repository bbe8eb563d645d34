"""Putting a version into an OpenAI Responses request.

Belongs here: which member of this format holds what. The rules that hold on every wire are version_parts.py. Counterpart:
openai_chat/request.py.

Protocol facts: the system prompt is `instructions`, a text that a later turn of the same conversation does not inherit, and behind
it the leading items of `input` with role `system` or `developer`, which become part of what the provider keeps; `input` may be a
plain text. There is no `stop` and no `seed`. What a model refuses is model_rules.py.

Decision: a version's prompt goes into `instructions` wherever its mode lets it, because it then is put in anew with every turn: a
conversation that the provider keeps never holds the prompt of a version that is in force no more. Only behind leading items of the
caller's own, and where nothing else would be left of its input, it stands as such an item.

Decision: messages of a prompt that stand before the caller's are items of `input`, which the provider keeps; so a turn behind
`previous_response_id`, or one in a `conversation` that is known here, does not bring them again, or a long conversation would hold them
once a turn. Where such a turn says nothing of its own they are the turn.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from proxy.core.calls.caller import PromptClaim
from proxy.core.versions.components import NEUTRAL_PARAMETERS, Bundle
from proxy.wires.json.edits import MemberEdits
from proxy.wires.json.escapes import may_hold
from proxy.wires.json.items import inserted_first, is_empty_list, leading_spans
from proxy.wires.json.members import JsonMembers
from proxy.wires.json.values import COMMA, RawJson, decode, first_byte, json_text, past, spliced, wrong_kind
from proxy.wires.openai_responses.model_rules import refused_members
from proxy.wires.shared.large_answers import has_too_many_parts
from proxy.wires.shared.openai_models import most_output
from proxy.wires.shared.openai_parameters import fit_inside
from proxy.wires.shared.version_bytes import (
    Remembered,
    WrittenModel,
    WrittenParameter,
    following_items,
    prompt_json,
    written_extra,
)
from proxy.wires.shared.version_parts import (
    FLAG,
    TEXT,
    ToolName,
    drop_members,
    final_model,
    identifier_text,
    ignored_variables,
    joined_names,
    labels_of,
    output_bound,
    service_tier_of,
    set_extra,
    set_parameters,
    set_tools,
    tool_choice_of,
)
from proxy.wires.wire import Injection, InjectionPlan, RequestFacts

SYSTEM_ROLES = frozenset({"system", "developer"})
#: Where each neutral parameter lives: a member, and a member inside it.
_PLACES: dict[str, tuple[str, str | None]] = {
    "temperature": ("temperature", None),
    "top_p": ("top_p", None),
    "reasoning_effort": ("reasoning", "effort"),
    "response_format": ("text", "format"),
    "tool_choice": ("tool_choice", None),
}
_LIST, _CLOSING = b"[]"
_QUOTE = ord('"')
_EMPTY_TEXT = b'""'
#: What gives a model something to answer.
_INPUTS = ("input", "previous_response_id", "conversation")
_BETWEEN_PROMPTS = b"\\n\\n"
_LATER = "its usage is told when the response is asked for later (take `background` out)"


def inject_version(request: RequestFacts, plan: InjectionPlan) -> Injection:
    """The body with the version in it. Raises BadInput."""
    bundle = plan.bundle
    edits = MemberEdits(cast("JsonMembers", request.document))
    edits.remove("switchback")
    names_prompt = request.claims.prompt is not None
    if names_prompt:
        edits.remove("prompt")
    model = final_model(bundle, request.model)
    dropped: tuple[str, ...] = ()
    most: int | None = None
    if bundle is not None:
        written = _written_model(bundle, model or "")
        if model is not None and model != request.model:
            edits.set("model", written.name)
            most = most_output(model)
            dropped = drop_members(edits, refused_members(model)) + fit_inside(edits, model)
        set_extra(edits, written)
        _set_prompt(edits, bundle, plan.variables, is_continued=plan.is_continued)
        if names_prompt:
            _fill_input(edits)
        dropped = joined_names(dropped, set_parameters(edits, written.parameters))
        set_tools(edits, bundle, request.tool_names, _tool_shape)
    bound = output_bound(bundle, request.max_output_tokens, plan.output_ceiling)
    if bound is not None and most is not None and bound > most:
        bound, dropped = most, joined_names(dropped, ("max_output_tokens",))
    if bound is not None and bound != request.max_output_tokens:
        edits.set("max_output_tokens", b"%d" % bound)
    return Injection(
        body=edits.render(),
        model=model,
        max_output_tokens=bound,
        dropped_parameters=dropped,
        ignored_variables=ignored_variables(bundle, plan.variables),
        service_tier=service_tier_of(edits),
        unbounded_because=_LATER if _is_made_later(edits) else None,
        document=edits,
    )


def _is_made_later(edits: MemberEdits) -> bool:
    raw = edits.given("background") if edits.has("background") else None
    return raw is not None and decode(raw, FLAG, "background", "true or false") is True


class _Leading(msgspec.Struct, gc=False):
    role: str | None = None


_leading: msgspec.json.Decoder[_Leading] = msgspec.json.Decoder(_Leading)


def _set_prompt(edits: MemberEdits, bundle: Bundle, variables: Mapping[str, str], *, is_continued: bool) -> None:
    prompt = bundle.prompt
    if not prompt.is_set:
        return
    theirs = edits.given("instructions") if edits.has("instructions") else None
    if theirs is not None:
        decode(theirs, TEXT, "instructions", "a text")
        theirs = None if bytes(theirs) == _EMPTY_TEXT else bytes(theirs)
    raw = edits.given("input") if edits.has("input") else None
    spans, role = _leading_items(raw)
    if prompt.mode == "if_absent" and (theirs is not None or spans):
        return
    if prompt.text:
        text = prompt_json(bundle, variables)
        if prompt.mode == "append" and raw is not None and spans:
            end = spans[-1][1]
            edits.set("input", (end, end, b"," + _item(role, text)))
        elif theirs is None or prompt.mode == "replace":
            _set_alone(edits, raw, spans, role, text, replaces=prompt.mode == "replace")
        elif prompt.mode == "append":
            edits.set("instructions", _joined(theirs, text))
        else:
            edits.set("instructions", _joined(text, theirs))
    is_kept = is_continued or _is_given(edits, "previous_response_id")
    if prompt.following and not (is_kept and _is_given(edits, "input")):
        _set_following(edits, following_items(bundle, variables))


def _set_following(edits: MemberEdits, ours: bytes) -> None:
    """Ours behind the leading items, and before all others; a plain text becomes the item that it stands for."""
    raw = edits.given("input") if edits.has("input") else None
    if raw is None:
        edits.set("input", b"[" + ours + b"]")
        return
    plain, kind = bytes(raw), first_byte(raw)
    if kind == _QUOTE:
        edits.set("input", b"[" + ours + b"," + _item("user", plain) + b"]")
    elif kind == _LIST:
        spans, _ = _leading_items(plain)
        end = spans[-1][1] if spans else 0
        change = (end, end, b"," + ours) if spans else inserted_first(plain, ours, is_empty=is_empty_list(plain))
        edits.set("input", spliced(plain, change))
    else:
        raise wrong_kind("input", "a text or a list of items")


def _is_given(edits: MemberEdits, name: str) -> bool:
    return edits.has(name) and edits.given(name) is not None


def _set_alone(
    edits: MemberEdits, raw: bytes | None, spans: list[tuple[int, int]], role: str, text: bytes, *, replaces: bool
) -> None:
    """Ours as the only instructions, and, where it `replaces` them, without the caller's leading items."""
    if not replaces or raw is None or not spans:
        edits.set("instructions", text)
        return
    rest = past(COMMA, raw, spans[-1][1])
    if memoryview(raw)[rest] == _CLOSING:
        # An empty input is an error.
        edits.remove("instructions")
        edits.set("input", (spans[0][0], spans[-1][1], _item(role, text)))
    else:
        edits.set("instructions", text)
        edits.set("input", (spans[0][0], rest, b""))


def _fill_input(edits: MemberEdits) -> None:
    """Where a prompt that the provider kept was all there was to answer, the version's stands as the input."""
    if any(_is_given(edits, name) for name in _INPUTS):
        return
    text = edits.given("instructions") if edits.has("instructions") else None
    if text is not None:
        edits.remove("instructions")
        edits.set("input", b"[" + _item("developer", bytes(text)) + b"]")


def _leading_items(raw: bytes | None) -> tuple[list[tuple[int, int]], str]:
    """Where the caller's own leading items of the system lie, and the first one's role (`developer` where there is none)."""
    roles: list[str] = []
    if raw is None or first_byte(raw) != _LIST:
        return [], "developer"

    def is_leading(item: RawJson) -> bool:
        role = decode(item, _leading, f"input[{len(roles)}]", "an item").role or ""
        roles.append(role)
        return role in SYSTEM_ROLES

    spans = leading_spans(raw, "input", is_leading)
    return spans, roles[0] if spans else "developer"


def _item(role: str, text: bytes) -> bytes:
    return b'{"role":"%b","content":%b}' % (role.encode(), text)


def _joined(first: bytes, second: bytes) -> bytes:
    """Two JSON texts as one, with an empty line between them."""
    return first[:-1] + _BETWEEN_PROMPTS + second[1:]


_written_models: Remembered[tuple[str, str], WrittenModel] = Remembered(512)


def _written_model(bundle: Bundle, model: str) -> WrittenModel:
    """The model component for a final model, which decides about the parameters it takes."""
    key = bundle.hashes["model"], model
    return _written_models.get(key) or _written_models.keep(key, _write_model(bundle, model))


def _write_model(bundle: Bundle, model: str) -> WrittenModel:
    refused = refused_members(model)
    parameters: list[WrittenParameter] = []
    for name in NEUTRAL_PARAMETERS:
        parameter = bundle.model.parameters.get(name)
        if parameter is None or name == "max_output_tokens":
            continue
        member, inner = _PLACES.get(name, ("", None))
        is_taken = bool(member) and member not in refused
        raw = msgspec.json.encode(_written(name, parameter.value)) if is_taken else None
        parameters.append(WrittenParameter(name, member, inner, raw, parameter.enforced))
    return WrittenModel(json_text(model), written_extra(bundle), tuple(parameters))


def _written(parameter: str, value: Any) -> Any:
    """A neutral value in this wire's shape."""
    if parameter == "tool_choice":
        kind, name = tool_choice_of(value)
        if kind == "raw":
            return value
        return {"type": "function", "name": name} if kind == "tool" else kind
    if parameter == "response_format" and value.get("type") == "json_schema":
        nested = value.get("json_schema")
        rest = {key: item for key, item in value.items() if key not in ("type", "json_schema")}
        flat = {**cast("dict[str, Any]", nested), **rest} if isinstance(nested, dict) else rest
        return {"type": "json_schema", "name": "answer", **flat}
    return value


def _tool_shape(item: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"type": "function", **item}


class _Conversation(msgspec.Struct, gc=False):
    id: str | int | None = None


_conversation: msgspec.json.Decoder[str | int | _Conversation | None] = msgspec.json.Decoder(
    str | int | _Conversation | None
)


def conversation_of(members: JsonMembers) -> str | None:
    """The conversation that the provider keeps, by its id. Raises BadInput(`wrong_kind`)."""
    given = members.decoded("conversation", _conversation, "an id, or an object with one")
    return identifier_text(given.id if isinstance(given, _Conversation) else given)


#: A prompt here declares fewer, and a decoder takes 20 ms for a megabyte of small ones.
_MAX_VARIABLES = 10_000
_MAX_PROMPT_BYTES = 1024 * 1024


class _PromptPart(msgspec.Struct, gc=False):
    type: str | None = None
    text: str | None = None


class _HostedPrompt(msgspec.Struct, gc=False):
    id: str | None = None
    prompt_id: str | None = None
    version: str | int | None = None
    variables: dict[str, str | _PromptPart] | None = None


_hosted_prompt: msgspec.json.Decoder[_HostedPrompt | None] = msgspec.json.Decoder(_HostedPrompt | None)


def prompt_of(members: JsonMembers) -> PromptClaim | None:
    """The prompt that the body names by an id. Raises BadInput(`wrong_kind`), also for a variable that is no text."""
    raw = members.given("prompt")
    if raw is not None and len(raw) > _MAX_PROMPT_BYTES:
        raise wrong_kind("prompt", f"an object of at most {_MAX_PROMPT_BYTES} bytes")
    given = members.decoded("prompt", _hosted_prompt, "an object with an id, a version and variables of texts")
    if given is None:
        return None
    identifier = given.id or given.prompt_id
    if not identifier:
        raise wrong_kind("prompt.id", "the id of a prompt")
    if len(given.variables or ()) > _MAX_VARIABLES:
        raise wrong_kind("prompt.variables", f"at most {_MAX_VARIABLES} variables")
    variables: dict[str, str] = {}
    for name, value in (given.variables or {}).items():
        if isinstance(value, _PromptPart):
            if value.type != "input_text" or value.text is None:
                raise wrong_kind(f"prompt.variables.{name}", "a text, for no prompt here holds images or files")
            value = value.text
        variables[name] = value
    return PromptClaim(identifier, None if given.version is None else str(given.version), variables)


class _ToolList(msgspec.Struct, gc=False):
    tools: list[ToolName] | None = None


_tool_list: msgspec.json.Decoder[_ToolList] = msgspec.json.Decoder(_ToolList)
_raw_items: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])
#: What brings tools in the middle of a conversation, and what holds several.
_NESTING: Mapping[str, Sequence[bytes]] = {
    "tools": (b'"namespace"',),
    "input": (b'"additional_tools"', b'"tool_search_output"'),
}
NESTING_MARKS = tuple((member, words) for member, marks in _NESTING.items() for words in marks)


def nested_tool_names(members: JsonMembers) -> list[str]:
    """The names of tools that stand inside of others, and in the conversation. Raises BadInput(`wrong_kind`)."""
    names: list[str] = []
    for member, marks in _NESTING.items():
        if not any(members.may_mention(member, words) for words in marks):
            continue
        raw = members.given(member)
        if raw is None or first_byte(raw) != _LIST:
            continue
        for item in map(bytes, decode(raw, _raw_items, member, "a list of objects")):
            if any(may_hold(item, words) for words in marks):
                names += _names_inside(item, member)
    return names


def _names_inside(item: bytes, member: str) -> list[str]:
    if has_too_many_parts(item):
        # What cannot be looked through in time may offer anything.
        raise wrong_kind(member, "a list of objects of fewer parts")
    holder = decode(item, _tool_list, member, "a list of objects")
    return labels_of(holder.tools or ())

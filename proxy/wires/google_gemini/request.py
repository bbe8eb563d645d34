"""Putting a version into a Gemini request.

Belongs here: the prompt, the model in the path, the output bound, and what of a request is looked at first. Parameters are
parameters.py, tools tools.py. Counterpart: anthropic_messages/request.py.

Protocol facts: the system prompt is `systemInstruction`, an object with `parts`, which may be a list or a single one. What
`cachedContent` names brings a system prompt and tools of its own; a request that names one may have neither. To count a prompt and
tools the Gemini API takes the whole request in `generateContentRequest`, which names its model; Vertex AI takes them as they are.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from proxy.core.errors import BadInput
from proxy.core.versions.components import Bundle
from proxy.wires.google_gemini.parameters import config_of, put_config, set_config, written_config
from proxy.wires.google_gemini.places import ModelPath, plain_model
from proxy.wires.google_gemini.spelling import Spelled
from proxy.wires.google_gemini.tools import set_tools
from proxy.wires.json.items import inserted_first, is_empty_list, parse_items
from proxy.wires.json.members import JsonMembers, parse_members
from proxy.wires.json.values import RawJson, decode, first_byte, json_text, spliced, wrong_kind
from proxy.wires.shared.version_bytes import following_json, prompt_json
from proxy.wires.shared.version_parts import TEXT, final_model, ignored_variables, joined_names, output_bound
from proxy.wires.wire import Injection, InjectionPlan, RequestFacts

_INSTRUCTION: Final = "systemInstruction"
_COUNTED: Final = "generateContentRequest"
_ORDINARY_TIERS: Final = frozenset({"", "standard", "default", "unspecified", "service_tier_unspecified"})
_OBJECT: Final = ord("{")


class GeminiRequest:
    """What was read of a request: where it goes, and its members; of a count, those of what is to be counted."""

    __slots__ = ("members", "outer", "place")

    def __init__(self, place: ModelPath | None, members: JsonMembers, outer: JsonMembers | None = None) -> None:
        self.place = place
        self.members = members
        #: The body around a `generateContentRequest`.
        self.outer = outer


def counted_request(place: ModelPath | None, members: JsonMembers) -> GeminiRequest:
    """The request of which the tokens are to be counted. Raises BadInput(`wrong_kind`, `duplicate_key`)."""
    raw = Spelled(members).given(_COUNTED)
    return GeminiRequest(place, members) if raw is None else GeminiRequest(place, parse_members(raw, _COUNTED), members)


def inject_version(request: RequestFacts, plan: InjectionPlan) -> Injection:
    """The body with the version in it, and the target with its model. Raises BadInput."""
    asked: GeminiRequest = request.document
    body = Spelled(asked.members)
    body.edits.remove("switchback")
    model, dropped = _with_version(body, request, plan)
    bound = output_bound(plan.bundle, request.max_output_tokens, plan.output_ceiling)
    if bound is not None and bound != request.max_output_tokens:
        config = config_of(body)
        config.set("maxOutputTokens", b"%d" % bound)
        put_config(body, config)
    return Injection(
        body=body.edits.render(),
        model=model,
        max_output_tokens=bound,
        dropped_parameters=dropped,
        ignored_variables=ignored_variables(plan.bundle, plan.variables),
        service_tier=_service_tier(body),
        target=_target(asked.place, request.model, model),
        document=body,
    )


def inject_into_count(request: RequestFacts, plan: InjectionPlan, *, takes_bare: bool) -> Injection:
    """As `inject_version`, of a request to count. `takes_bare`: prompt and tools may stand beside `contents`. Raises BadInput."""
    asked: GeminiRequest = request.document
    body = Spelled(asked.members)
    model, dropped = _with_version(body, request, plan, counts=True)
    if asked.outer is None:
        body.edits.remove("switchback")
    inner, sent = body.edits.render(), None
    if asked.outer is not None:
        outer = Spelled(asked.outer)
        outer.edits.remove("switchback")
        if model != request.model or inner is not asked.members.body:
            outer.set(_COUNTED, _with_model(body, model))
        sent = outer.edits.render()
    elif not takes_bare and any(body.has(name) for name in (_INSTRUCTION, "tools", "toolConfig", "generationConfig")):
        sent = b'{"%b":%b}' % (_COUNTED.encode(), _with_model(body, model))
    return Injection(
        body=inner if sent is None else sent,
        model=model,
        max_output_tokens=None,
        dropped_parameters=dropped,
        ignored_variables=ignored_variables(plan.bundle, plan.variables),
        target=_target(asked.place, request.model, model),
        document=body,
    )


def _with_version(
    body: Spelled, request: RequestFacts, plan: InjectionPlan, *, counts: bool = False
) -> tuple[str | None, tuple[str, ...]]:
    """Put prompt, tools and parameters in; the model that answers, and the parameters that are left out."""
    bundle = plan.bundle
    model = final_model(bundle, request.model)
    if model is not None:
        model = plain_model(model)
    if bundle is None:
        return model, ()
    if body.given("cachedContent") is not None:
        _check_cached(body, bundle)
    dropped: tuple[str, ...] = ()
    if not counts:
        # What is counted is content: how it is answered says nothing of it.
        written = written_config(bundle, model or "")
        if written != ((), (), ()):
            config = config_of(body)
            dropped = joined_names((), set_config(body, config, written))
            put_config(body, config)
    set_prompt(body, bundle, plan.variables)
    set_tools(body, bundle)
    return model, dropped


def _with_model(body: Spelled, model: str | None) -> bytes:
    if model is not None:
        body.set("model", model_json(model))
    return body.edits.render()


def model_json(model: str) -> bytes:
    """A model as a body names it: with its collection."""
    return json_text(model if "/" in model else f"models/{model}")


def _target(place: ModelPath | None, asked: str | None, model: str | None) -> bytes | None:
    return None if place is None or model is None or model == asked else place.target(model)


def _check_cached(body: Spelled, bundle: Bundle) -> None:
    brings_tools = bundle.tools.mode == "replace" or (bundle.tools.mode == "merge" and bundle.tools.items)
    if (bundle.prompt.is_set and bundle.prompt.mode != "if_absent") or brings_tools:
        raise BadInput(
            "version_not_applicable",
            "cachedContent brings a prompt and tools of its own, beside which the version's cannot stand: send the contents, or name "
            "a version without prompt and tools",
            param=body.name("cachedContent"),
        )


def _service_tier(body: Spelled) -> str | None:
    """The tier that is asked for, where it has a price of its own. Raises BadInput(`wrong_kind`)."""
    raw = body.given("serviceTier")
    tier = None if raw is None else decode(raw, TEXT, "serviceTier", "a text")
    return None if tier is None or tier.lower() in _ORDINARY_TIERS else tier.lower()


class _Instruction(msgspec.Struct, gc=False):
    parts: msgspec.Raw = msgspec.Raw(b"")


_instruction: Final[msgspec.json.Decoder[_Instruction]] = msgspec.json.Decoder(_Instruction)


def set_prompt(body: Spelled, bundle: Bundle, variables: Mapping[str, str]) -> None:
    """Put the version's prompt in the place of the caller's, or beside it. Raises BadInput."""
    prompt = bundle.prompt
    if not prompt.is_set or (prompt.mode == "if_absent" and body.given("cachedContent") is not None):
        return
    raw = body.given(_INSTRUCTION)
    parts = None if raw is None else _parts_of(raw)
    if prompt.mode == "if_absent" and parts is not None:
        return
    if prompt.following:
        _set_following(body, bundle, variables)
    if not prompt.text:
        return
    part = b'{"text":%b}' % prompt_json(bundle, variables)
    if raw is None or parts is None or prompt.mode == "replace":
        body.set(_INSTRUCTION, b'{"parts":[%b]}' % part)
        return
    inside = Spelled(parse_members(raw, _INSTRUCTION))
    items = parse_items(parts, f"{_INSTRUCTION}.parts")
    splice = items.insert(0 if prompt.mode == "prepend" else len(items.values), part)
    inside.set("parts", spliced(items.raw, splice))
    body.set(_INSTRUCTION, inside.edits.render())


def _set_following(body: Spelled, bundle: Bundle, variables: Mapping[str, str]) -> None:
    """The messages of the version's prompt before the caller's contents. Raises BadInput."""
    raw = body.given("contents")
    if raw is None or first_byte(raw) not in b"[{":
        raise wrong_kind("contents", "a list of contents")
    listed = b"[" + bytes(raw) + b"]" if first_byte(raw) == _OBJECT else raw
    ours = b",".join(
        b'{"role":"%b","parts":[{"text":%b}]}' % (b"model" if role == "assistant" else b"user", text)
        for role, text in following_json(bundle, variables)
    )
    body.set("contents", spliced(listed, inserted_first(listed, ours, is_empty=is_empty_list(listed))))


def _parts_of(raw: RawJson) -> bytes | None:
    """The parts of a system prompt as a list; None where it has none. Raises BadInput(`wrong_kind`)."""
    if first_byte(raw) != _OBJECT:
        raise wrong_kind(_INSTRUCTION, "an object with parts")
    parts = bytes(decode(raw, _instruction, _INSTRUCTION, "an object with parts").parts)
    if not parts or parts == b"null":
        return None
    if first_byte(parts) == _OBJECT:
        return b"[" + parts + b"]"
    return parts if parse_items(parts, f"{_INSTRUCTION}.parts").values else None

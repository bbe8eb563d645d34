"""A version's parameters as a Gemini request has them: members of `generationConfig`, and the choice of tools.

Belongs here: what each neutral parameter is called, and what goes out when it comes in. Does not belong here: the prompt and the tools
(request.py). Protocol facts: a schema is said with `responseMimeType`, once as `responseSchema` (Google's own dialect) and once as
`responseJsonSchema`, never both; `thinkingConfig` says how much is thought and whether thoughts are shown, of which only the first is a
version's.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, cast

import orjson

from proxy.core.versions.components import NEUTRAL_PARAMETERS, Bundle
from proxy.wires.google_gemini.model_rules import thinking_of
from proxy.wires.google_gemini.spelling import Spelled
from proxy.wires.json.members import parse_members
from proxy.wires.json.values import wrong_kind
from proxy.wires.shared.version_bytes import Remembered
from proxy.wires.shared.version_parts import tool_choice_of

CONFIG: Final = "generationConfig"
THINKING: Final = "thinkingConfig"
_THINKING_MEMBERS: Final = ("thinkingBudget", "thinkingLevel")
_FORMAT_MEMBERS: Final = ("responseMimeType", "responseSchema", "responseJsonSchema")
_CHOICE: Final = "functionCallingConfig"
_PLAIN: Final = {"temperature": "temperature", "top_p": "topP", "stop": "stopSequences", "seed": "seed"}
#: What of `generationConfig` raw members of a version cannot set: it would cost more than was held.
_BOUNDED: Final = frozenset({"maxOutputTokens", "max_output_tokens", "candidateCount", "candidate_count"})


class WrittenSetting(NamedTuple):
    """One neutral parameter: the members that say it, below `place`, and what becomes of them; None: the model or wire has none."""

    name: str
    place: str
    members: Mapping[str, bytes | None] | None
    is_enforced: bool


class WrittenConfig(NamedTuple):
    """All of a model component for one model."""

    settings: tuple[WrittenSetting, ...]
    #: Raw members of the body, and of `generationConfig`, in their order.
    extra: tuple[tuple[str, bytes], ...]
    extra_config: tuple[tuple[str, bytes], ...]


_written: Final[Remembered[tuple[str, str], WrittenConfig]] = Remembered(512)


def written_config(bundle: Bundle, model: str) -> WrittenConfig:
    """The version's parameters for a final model."""
    key = bundle.hashes["model"], model
    return _written.get(key) or _written.keep(key, _write(bundle, model))


def set_config(body: Spelled, config: Spelled, written: WrittenConfig) -> tuple[str, ...]:
    """Put the parameters in; the names of those that are left out. Raises BadInput(`wrong_kind`)."""
    for name, raw in written.extra:
        body.set(name, raw)
    for name, raw in written.extra_config:
        config.set(name, raw)
    dropped: tuple[str, ...] = ()
    for setting in written.settings:
        if setting.place == _CHOICE:
            is_left_out = _set_choice(body, setting)
        elif setting.place == THINKING:
            is_left_out = _set_thinking(config, setting)
        else:
            is_left_out = _set_members(config, setting)
        if is_left_out:
            dropped += (setting.name,)
    return dropped


def config_of(body: Spelled) -> Spelled:
    """`generationConfig`, an empty one where there is none. Raises BadInput(`wrong_kind`)."""
    return _inside(body, CONFIG)


def put_config(body: Spelled, config: Spelled) -> None:
    """Put an edited `generationConfig` back where it differs."""
    raw = config.edits.render()
    if raw is not config.members.body:
        body.set(CONFIG, raw)


def _inside(outer: Spelled, name: str) -> Spelled:
    return Spelled(parse_members(outer.given(name) or b"{}", name))


def _set_members(config: Spelled, setting: WrittenSetting) -> bool:
    """Whether it is left out because nothing here says it."""
    members = setting.members
    said = members if members is not None else ()
    if not setting.is_enforced and any(config.given(name) is not None for name in said):
        return False
    if members is None:
        return True
    for name, raw in members.items():
        if raw is None:
            config.remove(name)
        else:
            config.set(name, raw)
    return False


def _set_thinking(config: Spelled, setting: WrittenSetting) -> bool:
    thinking = _inside(config, THINKING)
    if not setting.is_enforced and any(thinking.given(name) is not None for name in _THINKING_MEMBERS):
        return False
    if setting.members is None:
        return True
    for name, raw in setting.members.items():
        if raw is None:
            thinking.remove(name)
        else:
            thinking.set(name, raw)
    config.set(THINKING, thinking.edits.render())
    return False


def _set_choice(body: Spelled, setting: WrittenSetting) -> bool:
    tools = _inside(body, "toolConfig")
    if not setting.is_enforced and tools.given(_CHOICE) is not None:
        return False
    if setting.members is None:
        return True
    raw = setting.members[_CHOICE]
    assert raw is not None
    tools.set(_CHOICE, raw)
    body.set("toolConfig", tools.edits.render())
    return False


def _write(bundle: Bundle, model: str) -> WrittenConfig:
    settings: list[WrittenSetting] = []
    for name in NEUTRAL_PARAMETERS:
        parameter = bundle.model.parameters.get(name)
        if parameter is not None and name != "max_output_tokens":
            place, members = _members_of(name, parameter.value, model)
            settings.append(WrittenSetting(name, place, members, parameter.enforced))
    extra = {name: bundle.model.extra[name] for name in sorted(bundle.model.extra) if name != CONFIG}
    return WrittenConfig(
        tuple(settings),
        tuple((name, orjson.dumps(value)) for name, value in extra.items()),
        tuple((name, orjson.dumps(value)) for name, value in _extra_config(bundle).items()),
    )


def _extra_config(bundle: Bundle) -> Mapping[str, Any]:
    """Raises BadInput(`wrong_kind`)."""
    raw = bundle.model.extra.get(CONFIG, {})
    if not isinstance(raw, Mapping):
        raise wrong_kind(f"model.parameters.extra.{CONFIG}", "an object")
    members = cast("Mapping[str, Any]", raw)
    return {name: members[name] for name in sorted(members) if name not in _BOUNDED}


def _members_of(name: str, value: Any, model: str) -> tuple[str, Mapping[str, bytes | None] | None]:
    """Where a neutral parameter lives, and as what."""
    match name:
        case "reasoning_effort":
            return THINKING, _thinking(model, value)
        case "response_format":
            return CONFIG, _format(value)
        case "tool_choice":
            return _CHOICE, {_CHOICE: orjson.dumps(_choice(value))}
        case "stop":
            return CONFIG, {_PLAIN[name]: orjson.dumps([value] if isinstance(value, str) else value)}
        case _:
            return CONFIG, {_PLAIN[name]: orjson.dumps(value)}


def _thinking(model: str, effort: str) -> Mapping[str, bytes | None] | None:
    found = thinking_of(model, effort)
    if found is None:
        return None
    members: dict[str, bytes | None] = dict.fromkeys(_THINKING_MEMBERS)
    members[found[0]] = orjson.dumps(found[1])
    return members


def _format(value: Mapping[str, Any]) -> Mapping[str, bytes | None] | None:
    members: dict[str, bytes | None] = dict.fromkeys(_FORMAT_MEMBERS)
    match value.get("type"):
        case "text":
            members["responseMimeType"] = b'"text/plain"'
        case "json_object":
            members["responseMimeType"] = b'"application/json"'
        case "json_schema":
            schema = value.get("schema", cast("Mapping[str, Any]", value.get("json_schema") or {}).get("schema"))
            if schema is None:
                return None
            members["responseMimeType"] = b'"application/json"'
            members["responseJsonSchema"] = orjson.dumps(schema)
        case _:
            return None
    return members


def _choice(value: Any) -> Any:
    kind, name = tool_choice_of(value)
    match kind:
        case "auto" | "none":
            return {"mode": kind.upper()}
        case "required":
            return {"mode": "ANY"}
        case "tool":
            return {"mode": "ANY", "allowedFunctionNames": [name]}
        case "raw":
            return value

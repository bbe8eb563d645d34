"""The five components of a version: prompt, model, tools, retrieval, policy. Parsed once, frozen, content-addressed.

What an author wrote (a plain JSON object per component) is checked here, and only here, with every problem named by its
path. The content that is hashed and stored is the normal form `content()` gives, so that two spellings of the same
behaviour are one component.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args

from proxy.core.canonical import content_hash
from proxy.core.errors import BadInput
from proxy.core.nearest import nearest_of
from proxy.core.versions.content_checks import bad_version, check_known, choice, object_at, typed
from proxy.core.versions.prompt_content import Prompt, parse_prompt
from proxy.core.versions.validators import Validator, read_validators

ComponentKind = Literal["prompt", "model", "tools", "retrieval", "policy"]
COMPONENT_KINDS: tuple[ComponentKind, ...] = get_args(ComponentKind)

ToolsMode = Literal["replace", "merge", "keep"]

#: Parameters with one neutral name on every wire (design: the agent file's words).
NEUTRAL_PARAMETERS = (
    "temperature",
    "top_p",
    "max_output_tokens",
    "stop",
    "reasoning_effort",
    "response_format",
    "tool_choice",
    "seed",
)
_PROVIDER_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}\Z")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One generation parameter. `enforced`: the version wins; otherwise it is a default that yields to the caller."""

    value: Any
    enforced: bool


@dataclass(frozen=True, slots=True)
class Model:
    """Which model answers, at which configured provider, with which parameters; unset members leave the caller's."""

    provider: str | None = None
    name: str | None = None
    parameters: Mapping[str, Parameter] = field(default_factory=dict[str, Parameter])
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    #: The model that makes embeddings; None: whichever the caller names, and the version is not in force there.
    embeddings: str | None = None

    def content(self) -> dict[str, Any]:
        parameters: dict[str, Any] = {
            name: (parameter.value if parameter.enforced else {"default": parameter.value})
            for name, parameter in self.parameters.items()
        }
        if self.extra:
            parameters["extra"] = dict(self.extra)
        content: dict[str, Any] = {"provider": self.provider, "name": self.name, "parameters": parameters}
        if self.embeddings is not None:  # what has none keeps its hash
            content["embeddings"] = self.embeddings
        return content


@dataclass(frozen=True, slots=True)
class Tools:
    """Tool definitions as JSON objects, provider-neutral or raw, and how they meet the caller's."""

    mode: ToolsMode = "keep"
    items: tuple[Mapping[str, Any], ...] = ()

    def content(self) -> dict[str, Any]:
        return {"mode": self.mode, "items": [dict(item) for item in self.items]}


@dataclass(frozen=True, slots=True)
class Policy:
    """Limits the proxy enforces, and whatever else the author records (kept, diffed, not interpreted)."""

    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    other: Mapping[str, Any] = field(default_factory=dict[str, Any])
    #: What finished answers are judged by, as `other` has it.
    validators: tuple[Validator, ...] = field(default=(), compare=False)

    def content(self) -> dict[str, Any]:
        content = dict(self.other)
        if self.max_output_tokens is not None:
            content["max_output_tokens"] = self.max_output_tokens
        if self.max_tool_calls is not None:
            content["max_tool_calls"] = self.max_tool_calls
        return content


@dataclass(frozen=True, slots=True)
class Bundle:
    """The behaviour of one version: five components, each with its own hash, and one hash over the five."""

    prompt: Prompt
    model: Model
    tools: Tools
    retrieval: Mapping[str, Any]
    policy: Policy
    hashes: Mapping[ComponentKind, str]
    bundle_hash: str

    def content(self, kind: ComponentKind) -> dict[str, Any]:
        """The normal form of one component: what is hashed, stored, shown and diffed."""
        match kind:
            case "prompt":
                return self.prompt.content()
            case "model":
                return self.model.content()
            case "tools":
                return self.tools.content()
            case "retrieval":
                return dict(self.retrieval)
            case "policy":
                return self.policy.content()


def component_hash(kind: ComponentKind, content: Mapping[str, Any]) -> str:
    """SHA-256 over the canonical JSON of `{"component": kind, "content": content}`."""
    return content_hash({"component": kind, "content": content})


@dataclass(frozen=True, slots=True)
class Component:
    """One parsed component with its hash. Versions that have it in common may share the object."""

    value: Prompt | Model | Tools | Policy | Mapping[str, Any]
    hash: str


def parse_component(kind: ComponentKind, content: Any) -> Component:
    """Check one component (None is empty) and address it by content. Raises BadInput as `parse_bundle`."""
    given = object_at(kind, content)
    value: Prompt | Model | Tools | Policy
    match kind:
        case "prompt":
            value = parse_prompt(given)
        case "model":
            value = _parse_model(given)
        case "tools":
            value = _parse_tools(given)
        case "retrieval":
            return Component(given, component_hash(kind, given))
        case "policy":
            value = _parse_policy(given)
    return Component(value, component_hash(kind, value.content()))


def bundle_of(components: Mapping[ComponentKind, Component]) -> Bundle:
    """The bundle of one component of each kind."""
    hashes: dict[ComponentKind, str] = {kind: components[kind].hash for kind in COMPONENT_KINDS}
    return Bundle(
        cast("Prompt", components["prompt"].value),
        cast("Model", components["model"].value),
        cast("Tools", components["tools"].value),
        cast("Mapping[str, Any]", components["retrieval"].value),
        cast("Policy", components["policy"].value),
        hashes,
        content_hash(hashes),
    )


def parse_bundle(components: Mapping[str, Any]) -> Bundle:
    """Check the five components (absent ones are empty) and address them by content.

    Raises BadInput(`bad_version`) that names the path of the first problem.
    """
    unknown = sorted(set(components) - set(COMPONENT_KINDS))
    if unknown:
        raise bad_version(unknown[0], f"is not a component; there are {', '.join(COMPONENT_KINDS)}")
    return bundle_of({kind: parse_component(kind, components.get(kind)) for kind in COMPONENT_KINDS})


def _parse_model(content: Mapping[str, Any]) -> Model:
    check_known(content, "model", ("provider", "name", "parameters", "embeddings"))
    provider = typed(content, "model", "provider", str, None)
    if provider is not None and not _PROVIDER_NAME.match(provider):
        raise bad_version("model.provider", "is not a provider name of the settings")
    name = _model_name(content, "name")
    embeddings = _model_name(content, "embeddings")
    given = dict(object_at("model.parameters", content.get("parameters")))
    extra = object_at("model.parameters.extra", given.pop("extra", None))
    parameters: dict[str, Parameter] = {}
    for key, value in given.items():
        path = f"model.parameters.{key}"
        if key not in NEUTRAL_PARAMETERS:
            near = nearest_of(key, NEUTRAL_PARAMETERS)
            what = f"is not one of {', '.join(NEUTRAL_PARAMETERS)}; raw members of a wire go to `extra`{near}"
            raise bad_version(path, what)
        parameters[key] = _parse_parameter(path, key, value)
    for key in extra:
        if key in _NEVER_EXTRA:
            raise bad_version(f"model.parameters.extra.{key}", "is set by the proxy or by another component")
    return Model(provider, name, parameters, extra, embeddings)


def _model_name(content: Mapping[str, Any], key: str) -> str | None:
    name: str | None = typed(content, "model", key, str, None)
    if name is not None and (not name.strip() or name.startswith("agent:")):
        raise bad_version(f"model.{key}", "must be a model of the provider")
    return name


#: Raw members that would let a version steer the proxy itself, undo another component, or cost more than was held.
_NEVER_EXTRA = frozenset(
    {
        "model",
        "messages",
        "system",
        "input",
        "instructions",
        "contents",
        "systemInstruction",
        "system_instruction",
        "stream",
        "stream_options",
        "switchback",
        "tools",
        "n",
        "max_tokens",
        "max_completion_tokens",
    }
)


def _parse_parameter(path: str, key: str, value: Any) -> Parameter:
    enforced = True
    if isinstance(value, dict) and set(cast("dict[str, Any]", value)) == {"default"}:
        value, enforced = cast("dict[str, Any]", value)["default"], False
    if value is None or not _PARAMETER_CHECKS[key](value):
        raise bad_version(path, f"has a value of the wrong kind: {_PARAMETER_KINDS[key]} is wanted")
    return Parameter(value, enforced)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_stop(value: Any) -> bool:
    items = cast("list[Any]", value) if isinstance(value, list) else [value]
    return bool(items) and all(isinstance(item, str) for item in items)


_PARAMETER_CHECKS: dict[str, Callable[[Any], bool]] = {
    "temperature": _is_number,
    "top_p": _is_number,
    "max_output_tokens": lambda value: _is_integer(value) and value > 0,
    "stop": _is_stop,
    "reasoning_effort": lambda value: isinstance(value, str),
    "response_format": lambda value: isinstance(value, dict),
    "tool_choice": lambda value: isinstance(value, str | dict),
    "seed": _is_integer,
}
_PARAMETER_KINDS = {
    "temperature": "a number",
    "top_p": "a number",
    "max_output_tokens": "a whole number above 0",
    "stop": "a text or a list of texts",
    "reasoning_effort": "a text",
    "response_format": "an object",
    "tool_choice": "a text or an object",
    "seed": "a whole number",
}


def _parse_tools(content: Mapping[str, Any]) -> Tools:
    check_known(content, "tools", ("mode", "items"))
    mode = choice(content, "tools", "mode", get_args(ToolsMode), "keep")
    items: list[Any] = typed(content, "tools", "items", list, [])
    for index, item in enumerate(items):
        if not isinstance(item, dict) or tool_name(cast("dict[str, Any]", item)) is None:
            raise bad_version(f"tools.items[{index}]", "must be an object with a name (or a raw tool with a type)")
    return Tools(cast("ToolsMode", mode), tuple(items))


def tool_name(item: Mapping[str, Any]) -> str | None:
    """The name a tool is merged by: `name`, `function.name` where a wire keeps it there, the `server_label` of a server
    of tools, else `type` of a built-in tool; None without one."""
    function = item.get("function")
    candidates = (
        item.get("name"),
        cast("dict[str, Any]", function).get("name") if isinstance(function, dict) else None,
        item.get("server_label"),
        item.get("type"),
    )
    return next((name for name in candidates if isinstance(name, str) and name), None)


def _parse_policy(content: Mapping[str, Any]) -> Policy:
    other = dict(content)
    limits: dict[str, int | None] = {}
    for key, least in (("max_output_tokens", 1), ("max_tool_calls", 0)):
        value = other.pop(key, None)
        if value is not None and (not _is_integer(value) or value < least):
            raise bad_version(f"policy.{key}", f"must be a whole number of at least {least}")
        limits[key] = value
    return Policy(limits["max_output_tokens"], limits["max_tool_calls"], other, _validators_of(other))


def _validators_of(policy: Mapping[str, Any]) -> tuple[Validator, ...]:
    """None where an older version has something else under that name."""
    try:
        return read_validators(policy.get("validators"))
    except BadInput:
        return ()

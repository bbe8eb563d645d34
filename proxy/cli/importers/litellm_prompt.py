"""LiteLLM `.prompt` files: YAML between `---` lines, then a Jinja text with `System:`, `User:` and `Assistant:` lines.

Of the template language `{{name}}` alone is taken over; everything else of it is refused, because a version has no template
language. Line ends and outer blanks are treated as LiteLLM does; indentation, which LiteLLM strips from each line of a message, is
kept. Front matter beside `model`, `input` and `output` are parameters of the call, as there.
"""

import re
from typing import Any, cast

from proxy.cli.importers.imported import (
    CannotImport,
    Document,
    Draft,
    ImportedVersion,
    take_messages,
    take_parameters,
    take_text,
)

_FRONT_MATTER = re.compile(r"---[^\S\n]*\n(.*?)\n?---[^\S\n]*(?:\n|\Z)(.*)\Z", re.DOTALL)
_ROLE = re.compile(r"[^\S\n]*(System|User|Assistant):")
_TEMPLATE = re.compile(r"\{%.*?%\}|\{#.*?#\}|\{%|\{#", re.DOTALL)
_BRACES = re.compile(r"\{\{(?!\s*[A-Za-z_][A-Za-z0-9_]*\s*\}\})[^\n]{0,40}")
#: Prefixes of model names that are also providers here by the same name.
_PROVIDERS = ("openai", "anthropic")


def import_litellm(content: str, file_name: str) -> ImportedVersion:
    """A `.prompt` file as the body of a version. Raises CannotImport."""
    text = content.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    draft = Draft("litellm", file_name)
    front, body = _parts(text, file_name)
    declared = _take_input(draft, front.pop("input", None))
    _take_output(draft, front.pop("output", None))
    _take_model(draft, front.pop("model", None))
    name = front.pop("name", None)
    take_parameters(draft, "", front)
    prompt, following = _messages_of(draft, body.strip())
    for one in (prompt, *(message["text"] for message in following)):
        draft.problems += [f"the text uses the template language: {found[:40]}" for found in _TEMPLATE.findall(one)]
        draft.problems += [f"the text uses the template language: {found}" for found in _BRACES.findall(one)]
    if not draft.problems:
        take_text(draft, "the text", prompt, declared, following)
    return draft.done(name or re.sub(r"(\.v[0-9]+)?\.prompt\Z", "", file_name))


def _parts(text: str, file_name: str) -> tuple[Document, str]:
    # Heavy: the strict reader stands in settings, which brings pydantic; only this format needs it.
    from yaml import YAMLError  # noqa: PLC0415

    from proxy.settings_file import load_yaml  # noqa: PLC0415

    match = _FRONT_MATTER.match(text)
    if match is None:
        return {}, text
    try:
        front: Any = load_yaml(match[1])
    except YAMLError as error:
        raise CannotImport(f"{file_name}: its front matter is not YAML: {error}") from None
    if front is not None and not isinstance(front, dict):
        raise CannotImport(f"{file_name}: its front matter is not a mapping")
    members = cast("dict[Any, Any]", front or {})
    return {str(key): value for key, value in members.items()}, match[2]


def _messages_of(draft: Draft, body: str) -> tuple[str, list[Document]]:
    """The text of the leading system messages, and the messages behind them; without any role line the whole text is the user's."""
    messages: list[tuple[str, list[str]]] = []
    for line in body.split("\n"):
        role = _ROLE.match(line)
        if role is not None:
            messages.append((role[1].lower(), [line[role.end() :].strip()]))
        elif messages:
            messages[-1][1].append(line)
        else:
            messages.append(("", [line]))
    found = [{"role": role or "user", "content": "\n".join(lines).strip()} for role, lines in messages]
    text, following = take_messages(draft, "message", list[Any](found))
    if not text and not following:
        draft.problems.append("there is no text")
    return text, following


def _take_model(draft: Draft, model: Any) -> None:
    if model is None:
        return
    if not isinstance(model, str):
        draft.unknown["model"] = "is not the name of a model"
        return
    provider, separator, rest = model.partition("/")
    if separator and provider in _PROVIDERS:
        draft.model = {"provider": provider, "name": rest}
        return
    draft.model = {"name": model}
    if separator:
        draft.notes.append(
            f"model: {model} is taken as it stands; name a provider of your settings and its own model name"
        )
    else:
        draft.notes.append("model: no provider is named; the wire's default one will be used")


def _take_input(draft: Draft, value: Any) -> dict[str, Document]:
    """Names of the schema and defaults. Values are texts here, whatever type the schema names."""
    members = cast("Document", value) if isinstance(value, dict) else {}
    if value is not None and not isinstance(value, dict):
        draft.unknown["input"] = "is not a mapping"
    declared: dict[str, Document] = {}
    for name, kind in _mapping(draft, "input.schema", members.get("schema")).items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            draft.unknown[f"input.schema.{name}"] = "its name is none that a placeholder can have"
            continue
        declared[name] = {}
        if kind not in ("string", "str"):
            draft.unknown[f"input.schema.{name}"] = f"its type ({kind}) is not kept; values are texts here"
    for name, default in _mapping(draft, "input.default", members.get("default")).items():
        if isinstance(default, str) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            declared[name] = {"default": default}
        else:
            draft.unknown[f"input.default.{name}"] = "is no text, or its name none that a placeholder can have"
    for key in members:
        if key not in ("schema", "default"):
            draft.unknown[f"input.{key}"] = "is not known here"
    return declared


def _mapping(draft: Draft, path: str, value: Any) -> Document:
    if value is not None and not isinstance(value, dict):
        draft.unknown[path] = "is not a mapping"
    return {str(key): item for key, item in cast("dict[Any, Any]", value).items()} if isinstance(value, dict) else {}


def _take_output(draft: Draft, value: Any) -> None:
    members = cast("Document", value) if isinstance(value, dict) else {"": value}
    for key, item in members.items():
        if item is not None:
            path = f"output.{key}".rstrip(".")
            draft.unknown[path] = "LiteLLM sends it to no model; set model.parameters.response_format if it is meant"

"""What every importer gives back, and the words they share: placeholders, parameters, tools, names.

Parameters become enforced ones, because the version is to decide what the foreign prompt decided. Counterparts: the formats,
one module each; importing.py, which has the command.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast, get_args

from proxy.core.errors import BadInput
from proxy.core.versions.components import parse_bundle
from proxy.core.versions.new_versions import check_new_version
from proxy.core.versions.prompt_content import LEADING_ROLES, PromptRole

Document = dict[str, Any]

_BRACES = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_NO_VARIABLE = re.compile(r"[{}\"':\n]")
_NOT_SLUG = re.compile(r"[^a-z0-9._-]+")
#: Raw members of chat wires that a version may carry as they are.
_EXTRA = ("frequency_penalty", "presence_penalty", "logit_bias", "parallel_tool_calls", "top_k", "service_tier")
_SAME_NAME = ("temperature", "top_p", "max_output_tokens", "stop", "reasoning_effort", "tool_choice", "seed")
_OTHER_NAMES = {
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "stop_sequences": "stop",
}


#: The role that stands for the messages that the app puts in.
APPS_MESSAGES = "placeholder"


class CannotImport(Exception):
    """The content cannot become a version without changing its meaning; `problems` has one line for each reason."""

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = list(problems)


@dataclass(frozen=True, slots=True)
class ImportedVersion:
    """A version's body in the words of the API (without parent).

    `unknown` maps the path of each member that was not taken over to the reason; `notes` are things taken over that mean
    something slightly different here.
    """

    body: Document
    agent_name_hint: str | None
    unknown: Mapping[str, str]
    notes: tuple[str, ...] = ()


Importer = Callable[[str, str], ImportedVersion]


@dataclass(slots=True)
class Draft:
    """An import under way: what was taken over so far, and what is to be said about the rest."""

    source_format: str
    file_name: str
    text: str = ""
    #: What stands before the caller's messages, behind the text.
    messages: list[Document] = field(default_factory=list[Document])
    variables: dict[str, Document] = field(default_factory=dict[str, Document])
    model: Document = field(default_factory=Document)
    parameters: Document = field(default_factory=Document)
    tools: list[Any] = field(default_factory=list[Any])
    message: str = ""
    source: Document = field(default_factory=Document)
    unknown: dict[str, str] = field(default_factory=dict[str, str])
    notes: list[str] = field(default_factory=list[str])
    problems: list[str] = field(default_factory=list[str])

    def done(self, name: Any) -> ImportedVersion:
        """The result. Raises CannotImport with every problem."""
        prompt: Document = {"text": self.text, "mode": "replace", "variables": self.variables}
        if self.messages:
            prompt |= {"messages": self.messages}
            self.notes.append(
                "user and assistant messages of the prompt stand before what the app sends, which is to send them no more"
            )
        body: Document = {
            "prompt": prompt,
            "model": {**self.model, "parameters": self.parameters},
            "tools": {"mode": "merge", "items": self.tools} if self.tools else {},
        }
        if not self.problems:
            try:
                check_new_version(body)
                parse_bundle(body)
            except BadInput as bad:
                self.problems.append(bad.message)
        if self.problems:
            raise CannotImport(*self.problems)
        source = {"format": self.source_format, "file": self.file_name, **self.source}
        body |= {"message": self.message or f"imported from {self.file_name}", "source": {"import": source}}
        return ImportedVersion(body, slug(name), self.unknown, tuple(self.notes))


def take_text(
    draft: Draft,
    path: str,
    text: str,
    declared: Mapping[str, Document] | None = None,
    messages: Sequence[Document] = (),
) -> None:
    """The prompt's text, the messages behind it, and the variables they use, each with what `declared` says of it.

    The source knows `{{name}}` only; anything else of that look is a problem, because here it would be plain text, and so is
    a backslash before it, which here makes it plain.
    """
    known = declared or {}
    variables = {name: dict(declaration) for name, declaration in known.items()}

    def replaced(match: re.Match[str]) -> str:
        name = match[1].strip()
        if _NAME.match(name):
            if match.start() and match.string[match.start() - 1] == "\\":
                draft.problems.append(
                    f"{path}: \\{{{{{name}}}}} has a backslash before it, which here makes it plain text"
                )
            variables.setdefault(name, {})
            return "{{" + name + "}}" if name != match[1].strip(" ") else match[0]
        if not _NO_VARIABLE.search(match[1]):
            draft.problems.append(f"{path}: {{{{{match[1]}}}}} is not a plain {{{{name}}}}")
        return match[0]

    draft.text = _BRACES.sub(replaced, text)
    draft.messages = [{**message, "text": _BRACES.sub(replaced, message["text"])} for message in messages]
    draft.variables = variables


def take_variables(draft: Draft, path: str, value: Any) -> dict[str, Document]:
    """Declared variables: a list of names, a list of `{name, default}`, or a mapping of names to values."""
    found: dict[str, Document] = {}
    entries: list[tuple[str, Any, Any]] = []
    if isinstance(value, dict):
        entries = [(f"{path}.{name}", name, default) for name, default in cast("Document", value).items()]
    elif isinstance(value, list):
        for index, item in enumerate(cast("list[Any]", value)):
            members = cast("Document", item) if isinstance(item, dict) else {"name": item}
            default = next((members[key] for key in ("default", "default_value", "value") if key in members), None)
            entries.append((f"{path}[{index}]", members.get("name"), default))
            for key in members:
                if key not in ("name", "default", "default_value", "value"):
                    draft.unknown[f"{path}[{index}].{key}"] = "variables have a name and a default only"
    elif value is not None:
        draft.unknown[path] = "is neither a list nor an object of variables"
    for place, name, default in entries:
        if not isinstance(name, str) or not _NAME.match(name):
            draft.unknown[place] = "its name is none that a placeholder can have"
        elif default is None or isinstance(default, str):
            found[name] = {} if default is None else {"default": default}
        elif isinstance(default, int | float):
            found[name] = {"default": str(default).lower() if isinstance(default, bool) else str(default)}
            draft.notes.append(f"{place}: the default is a text now: {found[name]['default']}")
        else:
            found[name] = {}
            draft.unknown[place] = "its default is no text"
    return found


def take_parameters(draft: Draft, prefix: str, members: Mapping[str, Any]) -> None:
    """Generation parameters under any of their names; the rest is unknown. Empty members say nothing."""
    for key, value in members.items():
        path = f"{prefix}{key}"
        if value is None or value == {} or value == []:
            continue
        name = _OTHER_NAMES.get(key, key)
        if name in _SAME_NAME:
            if name in draft.parameters and draft.parameters[name] != value:
                draft.problems.append(f"{path}: contradicts another member, which also sets {name}")
            draft.parameters[name] = value
        elif key in _EXTRA:
            draft.parameters.setdefault("extra", {})[key] = value
        elif key == "response_format":
            take_format(draft, path, value)
        elif key == "reasoning":
            take_reasoning(draft, path, value)
        elif key == "tools":
            take_tools(draft, path, value)
        else:
            draft.unknown[path] = "is not known here"


def take_format(draft: Draft, path: str, value: Any) -> None:
    """An output format, in the chat spelling; the Responses API writes the members of `json_schema` beside `type`."""
    if not isinstance(value, dict) or not isinstance(cast("Document", value).get("type"), str):
        draft.unknown[path] = "is not an object with a type"
        return
    members = dict(cast("Document", value))
    if members["type"] == "json_schema" and "json_schema" not in members:
        kind = members.pop("type")
        members = {"type": kind, "json_schema": members}
    # Plain text is what every model answers without being told.
    if members != {"type": "text"}:
        draft.parameters["response_format"] = members


def take_reasoning(draft: Draft, path: str, value: Any) -> None:
    """`{effort: …}` of the Responses API."""
    members = cast("Document", value) if isinstance(value, dict) else {"": value}
    for key, item in members.items():
        if key == "effort" and isinstance(item, str):
            draft.parameters["reasoning_effort"] = item
        elif item is not None:
            draft.unknown[f"{path}.{key}".rstrip(".")] = "is not known here"


def take_tools(draft: Draft, path: str, value: Any) -> None:
    """Tool definitions as they are; names alone define nothing."""
    for index, item in enumerate(cast("list[Any]", value) if isinstance(value, list) else [value]):
        if isinstance(item, dict):
            draft.tools.append(item)
        else:
            draft.unknown[f"{path}[{index}]"] = "names a tool that is defined elsewhere"


def take_messages(draft: Draft, path: str, messages: list[Any]) -> tuple[str, list[Document]]:
    """The texts of the leading system and developer messages, parted by a blank line; and the user and assistant messages behind
    them, up to a placeholder for those of the app."""
    texts: list[str] = []
    following: list[Document] = []
    is_behind_the_apps = False
    for index, item in enumerate(messages):
        place = f"{path}[{index}]"
        message = cast("Document", item) if isinstance(item, dict) else {}
        role = message.get("role")
        if role == APPS_MESSAGES:
            is_behind_the_apps = True
            continue
        if role not in get_args(PromptRole):
            what = f"a {role} message" if isinstance(role, str) else "an item without a role"
            draft.unknown[place] = f"is {what}, of which a version holds none"
            continue
        text = _content_text(draft, place, message.get("content"))
        if text is not None and is_behind_the_apps:
            draft.unknown[place] = "stands behind the app's messages, where a version has no place"
        elif text is not None and role not in LEADING_ROLES:
            _take_following(draft, place, cast("str", role), text, following)
        elif text is not None and following:
            draft.unknown[place] = "is a system message behind other messages, where a version has no place"
        elif text is not None:
            texts.append(text)
        for key in message:
            if key not in ("role", "content", "type", "id", "status"):
                draft.unknown[f"{place}.{key}"] = "is not known here"
    return "\n\n".join(texts), following


def _take_following(draft: Draft, place: str, role: str, text: str, following: list[Document]) -> None:
    if text.strip():
        following.append({"role": role, "text": text})
    else:
        draft.unknown[place] = "has no text"


def _content_text(draft: Draft, path: str, content: Any) -> str | None:
    if isinstance(content, str):
        return content
    texts: list[str] = []
    for index, part in enumerate(cast("list[Any]", content) if isinstance(content, list) else [content]):
        members = cast("Document", part) if isinstance(part, dict) else {}
        if members.get("type") in ("text", "input_text", "output_text") and isinstance(members.get("text"), str):
            texts.append(members["text"])
        else:
            draft.unknown[f"{path}.content[{index}]"] = "is no text"
    return "".join(texts) if texts else None


def slug(name: Any) -> str | None:
    """An agent's name made of a foreign one, None where nothing is left of it."""
    made = _NOT_SLUG.sub("-", name.lower()).strip("-._")[:64] if isinstance(name, str) else ""
    return made or None

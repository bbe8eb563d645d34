"""The prompt of a version: one text, or a list of messages with roles, and the variables that stand in them.

What an author wrote is checked here, and only here. The short form is a text. A list may begin with `system` and `developer`
messages, which go where a prompt goes; `user` and `assistant` messages follow, and stand before the caller's own: examples, or the
template of a user's turn. The normal form of a list that is one `system` message is the text, so that both are one component.

Decision: the leading messages of a list are one text in the place of the prompt, with an empty line between them. Of the formats that
calls come in two have a single place for it, and a version means the same on all of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast, get_args

from proxy.core.versions.content_checks import bad_version, check_known, choice, object_at, typed
from proxy.core.versions.prompts import VARIABLE_NAME, Template, parse_template

PromptMode = Literal["replace", "prepend", "append", "if_absent"]
PromptRole = Literal["system", "developer", "user", "assistant"]
LEADING_ROLES: Final[tuple[PromptRole, ...]] = ("system", "developer")
#: Of all texts of a prompt together.
MAX_PROMPT_BYTES = 4 * 1024 * 1024
MAX_PROMPT_MESSAGES: Final = 500
_BETWEEN: Final = "\n\n"
_NO_TEMPLATE: Final = Template(("",), ())


@dataclass(frozen=True, slots=True)
class PromptMessage:
    """One message of a prompt."""

    role: PromptRole
    text: str
    template: Template = field(default=_NO_TEMPLATE, compare=False)

    def content(self) -> dict[str, Any]:
        return {"role": self.role, "text": self.text}


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a version says before anybody else does, how it meets the caller's own, and the declared variables with their defaults."""

    #: What stands where a prompt goes: the short form, or the leading messages with an empty line between them.
    text: str = ""
    mode: PromptMode = "replace"
    variables: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    template: Template = field(default=_NO_TEMPLATE, compare=False)
    #: All messages as the author wrote them; none for the short form.
    messages: tuple[PromptMessage, ...] = ()
    #: Those of them that stand before the caller's messages.
    following: tuple[PromptMessage, ...] = field(default=(), compare=False)

    @property
    def is_set(self) -> bool:
        """False for a version that says nothing about the prompt: the caller's own stays untouched."""
        return bool(self.text) or bool(self.following)

    @property
    def says_something(self) -> bool:
        """False also where all it has is white space."""
        return bool(self.text.strip()) or bool(self.following)

    @property
    def role(self) -> PromptRole:
        """Of what stands where a prompt goes, where the caller does not say how it writes its own."""
        return "developer" if self.messages and self.messages[0].role == "developer" else "system"

    @property
    def names(self) -> tuple[str, ...]:
        """The variables that are used, in their order."""
        names = list(self.template.names)
        for message in self.following:
            names += message.template.names
        return tuple(dict.fromkeys(names))

    def content(self) -> dict[str, Any]:
        variables = {name: ({} if value is None else {"default": value}) for name, value in self.variables.items()}
        if self.messages:
            messages = [message.content() for message in self.messages]
            return {"messages": messages, "mode": self.mode, "variables": variables}
        return {"text": self.text, "mode": self.mode, "variables": variables}


def parse_prompt(content: Mapping[str, Any]) -> Prompt:
    """Check one prompt: known members, declared variables, no undeclared name in a text. `text` beside `messages` is the `system`
    message before them. Raises BadInput(`bad_version`)."""
    check_known(content, "prompt", ("text", "messages", "mode", "variables"))
    text: str = typed(content, "prompt", "text", str, "")
    messages = _messages_of(typed(content, "prompt", "messages", list, []), text)
    mode = cast("PromptMode", choice(content, "prompt", "mode", get_args(PromptMode), "replace"))
    if sum(_size(message.text) for message in messages) > MAX_PROMPT_BYTES or _size(text) > MAX_PROMPT_BYTES:
        path = "prompt.messages" if messages else "prompt.text"
        raise bad_version(path, f"is larger than {MAX_PROMPT_BYTES} bytes")
    variables = _variables_of(content.get("variables"))
    _check_names("prompt.text", () if messages else parse_template(text).names, variables)
    for index, message in enumerate(messages):
        _check_names(f"prompt.messages[{index}].text", message.template.names, variables)
    if len(messages) == 1 and messages[0].role == "system":
        text, messages = messages[0].text, ()
    if messages:
        text = _BETWEEN.join(message.text for message in messages if message.role in LEADING_ROLES)
    following = tuple(message for message in messages if message.role not in LEADING_ROLES)
    return Prompt(text, mode, variables, parse_template(text), messages, following)


def _messages_of(items: Sequence[Any], text: str) -> tuple[PromptMessage, ...]:
    if len(items) > MAX_PROMPT_MESSAGES:
        raise bad_version("prompt.messages", f"has more than {MAX_PROMPT_MESSAGES} messages")
    messages: list[PromptMessage] = []
    for index, item in enumerate(items):
        message = _message_of(item, f"prompt.messages[{index}]")
        if message.role in LEADING_ROLES and messages and messages[-1].role not in LEADING_ROLES:
            raise bad_version(
                f"prompt.messages[{index}].role",
                f"is {message.role} behind a message of the conversation: messages of the system stand before all others",
            )
        messages.append(message)
    if text and messages:
        if messages[0].role in LEADING_ROLES:
            raise bad_version("prompt.text", f"stands beside a {messages[0].role} message; give one of them")
        if not text.strip():
            raise bad_version("prompt.text", "holds white space alone, which providers refuse in a message")
        messages.insert(0, PromptMessage("system", text, parse_template(text)))
    return tuple(messages)


def _message_of(item: Any, path: str) -> PromptMessage:
    if not isinstance(item, dict):
        raise bad_version(path, "must be an object with a role and a text")
    members = cast("dict[str, Any]", item)
    check_known(members, path, ("role", "text"))
    if "role" not in members:
        raise bad_version(f"{path}.role", f"is missing; it is one of {', '.join(get_args(PromptRole))}")
    role = cast("PromptRole", choice(members, path, "role", get_args(PromptRole), "system"))
    text: str = typed(members, path, "text", str, "")
    if not text.strip():
        raise bad_version(
            f"{path}.text", "must be a text with more than white space, which providers refuse in a message"
        )
    return PromptMessage(role, text, parse_template(text))


def _variables_of(declared: Any) -> dict[str, str | None]:
    variables: dict[str, str | None] = {}
    for name, said in object_at("prompt.variables", declared).items():
        path = f"prompt.variables.{name}"
        if not VARIABLE_NAME.match(name):
            raise bad_version(path, "is not a name: letters, digits and _ only, not beginning with a digit")
        declaration = object_at(path, said)
        check_known(declaration, path, ("default",))
        variables[name] = typed(declaration, path, "default", str, None)
    return variables


def _check_names(path: str, names: Sequence[str], variables: Mapping[str, str | None]) -> None:
    for name in names:
        if name not in variables:
            raise bad_version(path, f"uses {{{{{name}}}}}, which prompt.variables does not declare")


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))

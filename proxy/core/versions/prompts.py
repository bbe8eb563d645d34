"""Prompt text with {{name}} placeholders: checked once when a version is made, rendered in one literal pass per call.

`{{ name }}` may have spaces inside the braces; `\\{{` is a literal `{{`. Anything else in braces (`{{ 7*7 }}`, `{x}`) is
plain text. Values are never scanned again, so no value can inject a placeholder. There is no template language, by
design: prompt stores with one have been a way to run code.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from proxy.core.errors import BadInput

MAX_VALUE_BYTES = 64 * 1024
_OPENING = "{{"
_PLACEHOLDER = re.compile(r"\{\{ *([A-Za-z_][A-Za-z0-9_]*) *\}\}")
VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


@dataclass(frozen=True, slots=True)
class Template:
    """A prompt cut into literal texts and names: texts[0] name[0] texts[1] name[1] ... texts[-1]."""

    texts: tuple[str, ...]
    names: tuple[str, ...]

    def render(self, values: Mapping[str, str], defaults: Mapping[str, str | None]) -> str:
        """The prompt with every name replaced by its value, else its default.

        Raises BadInput(`variable_missing`) or BadInput(`variable_too_large`).
        """
        if not self.names:
            return self.texts[0]
        parts = [self.texts[0]]
        for name, text in zip(self.names, self.texts[1:], strict=True):
            parts.append(_value_of(name, values, defaults))
            parts.append(text)
        return "".join(parts)


def parse_template(text: str) -> Template:
    """Cut `text` at its placeholders; `\\{{` becomes `{{`.

    Decision: braces are searched for, at memory speed; a pattern tried at each character took 32 ms for 4 MB, in which no call was served.
    """
    texts: list[str] = []
    names: list[str] = []
    literal: list[str] = []
    position = 0
    at = text.find(_OPENING)
    while at >= 0:
        if at > position and text[at - 1] == "\\":
            literal += (text[position : at - 1], _OPENING)
            position = at + len(_OPENING)
        elif match := _PLACEHOLDER.match(text, at):
            literal.append(text[position:at])
            texts.append("".join(literal))
            names.append(match[1])
            literal = []
            position = match.end()
        at = text.find(_OPENING, max(position, at + 1))
    literal.append(text[position:])
    texts.append("".join(literal))
    return Template(tuple(texts), tuple(names))


#: What parse_template reads.
_KNOWN = re.compile(r"\\\{\{|\{\{ *+([A-Za-z_][A-Za-z0-9_]*+) *+\}\}")
#: Braces that a template language would read: an expression, a section, a partial, a statement, a comment. JSON in double braces
#: begins with a quote, a bracket or a brace, and is text.
_LOOK_ALIKE = re.compile(
    r"\{\{[^{}\"':\n]*\}\}|\{\{\{?\s*+[#/^>!&~*$@.(-]*+\s*+[A-Za-z_][^{}]*\}\}|\{\{\s*+[\"'][^{}:|\n]*+\|[^{}:\n]*+\}\}"
    r"|\{%(?:[^{}]|\{[^{}]*\})*%\}|\{#[^{}]*#\}"
)


def look_alike(text: str) -> str | None:
    """The first thing in a prompt that looks like a placeholder or a template and is none, at most 60 characters of it."""
    rest = _KNOWN.sub(lambda match: "\0" if match[1] is None or not _is_in_three(text, match) else match[0], text)
    found = _LOOK_ALIKE.search(rest)
    return None if found is None else found[0][:60]


def _is_in_three(text: str, match: re.Match[str]) -> bool:
    """Whether a placeholder stands in three braces, which other languages take for a raw value."""
    return text[max(0, match.start() - 1)] == "{" and match.start() > 0 and text[match.end() : match.end() + 1] == "}"


def _value_of(name: str, values: Mapping[str, str], defaults: Mapping[str, str | None]) -> str:
    value = values.get(name)
    if value is None:
        value = defaults.get(name)
    if value is None:
        raise BadInput(
            "variable_missing",
            f"the prompt needs a value for the variable {name!r} and it has no default",
            param=f"variables.{name}",
        )
    if len(value) * 4 > MAX_VALUE_BYTES and len(value.encode("utf-8", "surrogatepass")) > MAX_VALUE_BYTES:
        raise BadInput(
            "variable_too_large",
            f"the value of the variable {name!r} is larger than {MAX_VALUE_BYTES} bytes",
            param=f"variables.{name}",
        )
    return value

"""The parts of a version as bytes that are ready to go into a body: prompt, model and parameters, tool definitions.

Belongs here: writing a version's content as JSON once, and remembering it by its content hash. Does not belong here: whether
and where a part goes in (version_parts.py and the wires). What is written is byte-stable, so that provider prompt caches keep
hitting: fixed order, no time, nothing random.

Decision: remembered by hash, because a call then only looks up and joins: a prompt with a variable takes 0.6 µs instead of
1.7, parameters 0.2 instead of 2.1; injecting as a whole 7 µs instead of 13.
"""

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import msgspec
import orjson

from proxy.core.versions.components import Bundle, tool_name
from proxy.core.versions.prompt_content import PromptRole
from proxy.core.versions.prompts import Template
from proxy.wires.json.values import json_text

K = TypeVar("K")
V = TypeVar("V")

#: Longer prompts are written anew for every call, so that what is remembered stays small.
_REMEMBERED_CHARACTERS = 32 * 1024
#: No value that short is too large in UTF-8 (the prompt's own check is for the longer ones).
_SAFE_VALUE_CHARACTERS = 16 * 1024

#: How a neutral tool definition is written on a wire.
ToolShape = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class Remembered(Generic[K, V]):
    """Values worked out from content, by a key that stands for it; beyond `limit` the one kept longest goes."""

    __slots__ = ("_kept", "_limit", "get")

    def __init__(self, limit: int) -> None:
        self._kept: dict[K, V] = {}
        self._limit = limit
        #: The value of a key, None where it is not kept.
        self.get: Callable[[K], V | None] = self._kept.get

    def keep(self, key: K, value: V) -> V:
        """Remember `value`; returns it."""
        if key not in self._kept and len(self._kept) >= self._limit:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = value
        return value

    def forget(self, key: K) -> None:
        """Keep it no longer."""
        self._kept.pop(key, None)


class _WrittenText(msgspec.Struct, frozen=True):
    """A text of a prompt as a JSON string cut at its variables: its first text, then each name, its default, the text behind."""

    first: bytes
    rest: tuple[tuple[str, bytes | None, bytes], ...]


_prompts: Remembered[str, _WrittenText] = Remembered(256)
_followings: Remembered[str, tuple[_WrittenText, ...]] = Remembered(256)
Defaults = Mapping[str, str | None]


def prompt_json(bundle: Bundle, variables: Mapping[str, str]) -> bytes:
    """The version's prompt with its variables filled in, as a JSON string.

    Raises BadInput (`variable_missing`, `variable_too_large`, `malformed_text`).
    """
    prompt = bundle.prompt
    written = _prompts.get(bundle.hashes["prompt"])
    if written is None:
        if len(prompt.text) > _REMEMBERED_CHARACTERS:
            return _rendered(prompt.template, variables, prompt.variables)
        written = _prompts.keep(bundle.hashes["prompt"], _written_text(prompt.template, prompt.variables))
    if not written.rest:
        return written.first
    return _filled(written, prompt.template, variables, prompt.variables)


def following_json(bundle: Bundle, variables: Mapping[str, str]) -> list[tuple[PromptRole, bytes]]:
    """The messages of the version's prompt that stand before the caller's, each with its role and its text as `prompt_json` has it.
    Raises as that does."""
    prompt = bundle.prompt
    written = _followings.get(bundle.hashes["prompt"])
    if written is None:
        if sum(len(message.text) for message in prompt.following) > _REMEMBERED_CHARACTERS:
            return [
                (message.role, _rendered(message.template, variables, prompt.variables)) for message in prompt.following
            ]
        texts = tuple(_written_text(message.template, prompt.variables) for message in prompt.following)
        written = _followings.keep(bundle.hashes["prompt"], texts)
    return [
        (message.role, _filled(text, message.template, variables, prompt.variables))
        for message, text in zip(prompt.following, written, strict=True)
    ]


def following_items(bundle: Bundle, variables: Mapping[str, str]) -> bytes:
    """Those messages as items of a list in which a message is its role and its content; empty where there are none. Raises as
    `prompt_json`."""
    if not bundle.prompt.following:
        return b""
    messages = following_json(bundle, variables)
    return b",".join(b'{"role":"%b","content":%b}' % (role.encode(), text) for role, text in messages)


def _filled(written: _WrittenText, template: Template, variables: Mapping[str, str], defaults: Defaults) -> bytes:
    parts = [written.first]
    for name, default, text in written.rest:
        value = variables.get(name)
        filled = default
        if value is not None:
            filled = json_text(value)[1:-1] if len(value) <= _SAFE_VALUE_CHARACTERS else None
        if filled is None:
            return _rendered(template, variables, defaults)
        parts += (filled, text)
    return b"".join(parts)


def _rendered(template: Template, variables: Mapping[str, str], defaults: Defaults) -> bytes:
    return json_text(template.render(variables, defaults))


def _written_text(template: Template, defaults: Defaults) -> _WrittenText:
    texts = [json_text(text)[1:-1] for text in template.texts]
    texts[0] = b'"' + texts[0]
    texts[-1] += b'"'
    rest: list[tuple[str, bytes | None, bytes]] = []
    for name, text in zip(template.names, texts[1:], strict=True):
        default = defaults.get(name)
        is_safe = default is not None and len(default) <= _SAFE_VALUE_CHARACTERS
        rest.append((name, json_text(default or "")[1:-1] if is_safe else None, text))
    return _WrittenText(texts[0], tuple(rest))


class WrittenParameter(msgspec.Struct, frozen=True):
    """One neutral parameter where a wire keeps it: `member`, or `inner` inside of it. `raw` None: it is not taken there."""

    name: str
    member: str
    inner: str | None
    raw: bytes | None
    is_enforced: bool


class WrittenModel(msgspec.Struct, frozen=True):
    """The model component of a version for one final model: its name, raw members, parameters in their fixed order."""

    name: bytes
    extra: tuple[tuple[str, bytes], ...]
    parameters: tuple[WrittenParameter, ...]


def written_extra(bundle: Bundle) -> tuple[tuple[str, bytes], ...]:
    """The raw members the version carries for its wire."""
    return tuple((name, orjson.dumps(bundle.model.extra[name])) for name in sorted(bundle.model.extra))


_tools: Remembered[tuple[str, ToolShape], Mapping[str, bytes]] = Remembered(256)


def written_tools(bundle: Bundle, shape: ToolShape) -> Mapping[str, bytes]:
    """The version's tool definitions by name, in their order."""
    key = bundle.hashes["tools"], shape
    return _tools.get(key) or _tools.keep(key, _written_tools(bundle, shape))


def _written_tools(bundle: Bundle, shape: ToolShape) -> Mapping[str, bytes]:
    written: dict[str, bytes] = {}
    for item in bundle.tools.items:
        is_neutral = "name" in item and not {"type", "function", "input_schema"} & item.keys()
        written[tool_name(item) or ""] = orjson.dumps(shape(item) if is_neutral else item)
    return written

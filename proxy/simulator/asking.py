"""What a caller asked, in words common to both wires, and the ways a request can be refused.

Filled by `openai.py` and `anthropic.py`, read by `answering.py`. Also here: the shape checks of parsed JSON and the token
count, which is one token for every four UTF-8 bytes of all texts together, rounded up, at least one. Counted are the
texts of messages, system prompts and tool results, names and arguments of tool calls, and, as compact JSON, every part
that is no text and the tool definitions.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import orjson

from proxy.simulator.models import Model

JsonObject = dict[str, Any]
BYTES_PER_TOKEN = 4


class Refused(Exception):
    """The request breaks a rule of the wire. `kind` overrides the error type that follows from `status`."""

    def __init__(
        self, status: int, message: str, *, kind: str = "", param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.param = param
        self.code = code


@dataclass(frozen=True, slots=True)
class Ask:
    """One call for generation, checked. `counted_bytes` is the size of everything the input token count covers."""

    model: Model
    system: str
    user: str
    counted_bytes: int
    stream: bool = False
    tool_result: str | None = None
    """Text of the tool results that end the conversation; None where something else ends it."""
    max_output_tokens: int | None = None
    choices: int = 1
    stop: tuple[str, ...] = ()
    tools: Mapping[str, JsonObject] = field(default_factory=dict[str, JsonObject])
    """Name to JSON schema of the arguments."""
    tool_choice: str = "auto"
    """`auto`, `none`, `any`, or `tool` with the name in `tool_named`."""
    tool_named: str = ""
    parallel_tools: bool = True
    searches_web: bool = False
    """Whether the provider's own search of the web may be used."""
    include_usage: bool = False
    obfuscate: bool = False

    @property
    def input_tokens(self) -> int:
        """All input tokens, cached ones included."""
        return tokens_of(self.counted_bytes)


def names(text: str) -> frozenset[str]:
    """The words of `text`, as a set of member names."""
    return frozenset(text.split())


def is_object(value: Any) -> TypeGuard[JsonObject]:
    """Whether parsed JSON is an object."""
    return isinstance(value, dict)


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """Whether parsed JSON is an array."""
    return isinstance(value, list)


def is_count(value: Any) -> TypeGuard[int]:
    """Whether parsed JSON is a whole number (true and false are none)."""
    return isinstance(value, int) and not isinstance(value, bool)


def tokens_of(size_bytes: int) -> int:
    """Tokens of a text of `size_bytes`: a quarter, rounded up, at least one."""
    return max(1, -(-size_bytes // BYTES_PER_TOKEN))


def text_of(content: Any) -> str:
    """The text of a message's content: a string, or the texts of its parts run together."""
    if isinstance(content, str):
        return content
    if not is_list(content):
        return ""
    return "".join(str(part.get("text", "")) for part in content if is_object(part) and _is_text(part))


def counted_bytes(content: Any) -> int:
    """Size of a content: texts as UTF-8, every other part as compact JSON."""
    if content is None:
        return 0
    if isinstance(content, str):
        return len(content.encode())
    if is_list(content):
        return sum(map(counted_bytes, content))
    if is_object(content) and _is_text(content):
        return len(str(content.get("text", "")).encode())
    return len(orjson.dumps(content))


def _is_text(part: JsonObject) -> bool:
    return part.get("type") in ("text", "input_text", "output_text")

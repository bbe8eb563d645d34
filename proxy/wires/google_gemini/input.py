"""How much input a Gemini request can be at most, and what it may be billed beside text.

Belongs here: the allow-list of members and parts that are nothing but text. Whatever else there is (files, pictures, cached contents,
the provider's own tools) the provider counts in ways the proxy cannot see. Counterpart: anthropic_messages/input.py.

Protocol facts: pictures and sound are answers of models made for that, or asked for with `responseModalities`; they have rates of
their own. A tool of the provider's own reads and writes as often as the model likes, and what it brings is input.
"""

import re
from typing import Any, Final

import msgspec

from proxy.core.errors import BadInput
from proxy.wires.google_gemini.model_rules import searches_by_prompt
from proxy.wires.google_gemini.parameters import CONFIG
from proxy.wires.google_gemini.spelling import Spelled, snake_of
from proxy.wires.google_gemini.tools import own_tools
from proxy.wires.json.values import ABSENT, decode
from proxy.wires.wire import BilledApart

_OVERHEAD_TOKENS: Final = 64
#: Of a call with tools or a schema: what the provider's own instructions may add.
_INSTRUCTED_OVERHEAD_TOKENS: Final = 1024
_CAMEL: Final = (
    "contents",
    "generateContentRequest",
    "generationConfig",
    "labels",
    "model",
    "safetySettings",
    "serviceTier",
    "systemInstruction",
    "toolConfig",
    "tools",
)
#: Members that bring no input of their own, or only text that stands in the body.
_TEXT_MEMBERS: Final = frozenset((*_CAMEL, *map(snake_of, _CAMEL)))
#: Models whose answers are more than text.
_OTHER_ANSWERS: Final = re.compile(r"image|tts|audio|live|banana|omni", re.IGNORECASE)
_SOUNDS: Final = (b"audio", b"AUDIO", b"Audio", b"video", b"VIDEO", b"Video", b"\\u", b"file")
SOUND_MARKS: Final = tuple(("contents", word) for word in _SOUNDS)


class _Called(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    id: msgspec.Raw = ABSENT
    name: msgspec.Raw = ABSENT
    args: msgspec.Raw = ABSENT


class _Responded(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    id: msgspec.Raw = ABSENT
    name: msgspec.Raw = ABSENT
    response: msgspec.Raw = ABSENT


class _Part(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A part that is nothing but text."""

    text: str | None = None
    thought: bool | None = None
    thoughtSignature: str | None = None  # noqa: N815 the format's name
    thought_signature: str | None = None
    functionCall: _Called | None = None  # noqa: N815 the format's name
    function_call: _Called | None = None
    functionResponse: _Responded | None = None  # noqa: N815 the format's name
    function_response: _Responded | None = None


class _TextContent(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    role: str | None = None
    parts: msgspec.Raw = ABSENT


class _Config(msgspec.Struct, gc=False):
    """What of `generationConfig` asks for more than text."""

    responseModalities: list[str] | None = None  # noqa: N815 the format's name
    response_modalities: list[str] | None = None
    speechConfig: Any = None  # noqa: N815 the format's name
    speech_config: Any = None


_contents: Final[msgspec.json.Decoder[list[_TextContent]]] = msgspec.json.Decoder(list[_TextContent])
_content: Final[msgspec.json.Decoder[_TextContent]] = msgspec.json.Decoder(_TextContent)
_parts: Final[msgspec.json.Decoder[list[_Part]]] = msgspec.json.Decoder(list[_Part])
_part: Final[msgspec.json.Decoder[_Part]] = msgspec.json.Decoder(_Part)
_config: Final[msgspec.json.Decoder[_Config]] = msgspec.json.Decoder(_Config)


def input_bound(body: Spelled, model: str | None, body_bytes: int) -> int | None:
    """An upper bound of the input tokens of an edited body that long; None where there is more than text, also to be answered."""
    try:
        is_text = _is_text(body, model or "")
    except (BadInput, msgspec.MsgspecError, ValueError, RecursionError):
        return None
    if not is_text:
        return None
    is_instructed = body.has("tools") or body.has(CONFIG)
    return body_bytes + _OVERHEAD_TOKENS + (_INSTRUCTED_OVERHEAD_TOKENS if is_instructed else 0)


def billed_apart(body: Spelled, model: str | None) -> BilledApart:
    """What such a body may be billed beside text."""
    tools = own_tools(body.given("tools"))
    unpriced = sorted(tools - {"googleSearch", "googleSearchRetrieval", "codeExecution", "urlContext"})
    searches = not tools.isdisjoint(("googleSearch", "googleSearchRetrieval"))
    return BilledApart(
        has_audio=any(map(body.edits.may_mention, _SOUNDS)),
        web_searches=0 if not searches else 1 if searches_by_prompt(model or "") else None,
        rounds=None if tools else 1,
        unpriced=unpriced[0] if unpriced else None,
    )


def is_text_content(raw: bytes | None) -> bool:
    """Whether a content is nothing but text. Raises what a decoder raises for some that are not."""
    if raw is not None:
        _check_parts(_content.decode(raw))
    return True


def _is_text(body: Spelled, model: str) -> bool:
    edits = body.edits
    if edits.has_repeated_names or not edits.brings_only(_TEXT_MEMBERS) or _OTHER_ANSWERS.search(model):
        return False
    if own_tools(body.given("tools")):
        return False
    raw = body.given(CONFIG)
    config = None if raw is None else decode(raw, _config, CONFIG, "an object")
    if config is not None and (config.speechConfig or config.speech_config or _asks_for_more(config)):
        return False
    _check_contents(body.given("contents"))
    instruction = body.given("systemInstruction")
    if instruction is not None:
        _check_parts(_content.decode(instruction))
    return True


def _asks_for_more(config: _Config) -> bool:
    wanted = (*(config.responseModalities or ()), *(config.response_modalities or ()))
    return any(one.upper() != "TEXT" for one in wanted)


def _check_contents(raw: bytes | None) -> None:
    """Raises what a decoder raises for anything but text. A single content may stand for a list of one."""
    if raw is None:
        return
    single = memoryview(raw)[0] != ord("[")
    for content in [_content.decode(raw)] if single else _contents.decode(raw):
        _check_parts(content)


def _check_parts(content: _TextContent) -> None:
    parts = bytes(content.parts)
    if not parts or parts == b"null":
        return
    if parts[:1] == b"[":
        _parts.decode(parts)
    else:
        _part.decode(parts)

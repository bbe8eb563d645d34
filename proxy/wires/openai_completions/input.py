"""How much input an OpenAI Completions request can be at most, for the hold that is placed before it is sent.

Belongs here: how many prompts there are, and the allow-list of members and content that are nothing but text or token numbers.
Counterpart: openai_chat/input.py, with the formula.
"""

from typing import Final

import msgspec

from proxy.core.errors import BadInput
from proxy.wires.json.counting import has_more_than
from proxy.wires.json.edits import MemberEdits
from proxy.wires.json.members import JsonMembers
from proxy.wires.json.values import JsonDecoder, decode, first_byte, wrong_kind

#: Tokens the format adds to a call as a whole.
_OVERHEAD_TOKENS: Final = 64
#: Members that bring no input of their own, or only text that stands in the body.
_TEXT_MEMBERS: Final = frozenset(
    {
        "logit_bias",
        "metadata",
        "model",
        "prompt",
        "prompt_cache_key",
        "response_format",
        "safety_identifier",
        "service_tier",
        "stop",
        "stream_options",
        "suffix",
        "user",
    }
)
#: So many values take a decoder a few milliseconds.
_MOST_VALUES: Final = 200_000
_OPENING: Final = ord("[")
_QUOTE: Final = ord('"')
_items: Final[JsonDecoder[list[msgspec.Raw]]] = msgspec.json.Decoder(list[msgspec.Raw])


def count_prompts(members: JsonMembers) -> int:
    """How many prompts are gone on with: one of a text or a list of token numbers, else as many as the list has. Raises
    BadInput(`wrong_kind`)."""
    raw = members.given("prompt")
    if raw is None or first_byte(raw) != _OPENING:
        return 1
    text = bytes(raw)
    if text[1:64].lstrip()[:1].isdigit():
        return 1  # token numbers
    if has_more_than(text, b",", _MOST_VALUES, 0, len(text)):
        raise wrong_kind("prompt", f"a text, or a list with fewer than {_MOST_VALUES} values")
    return max(1, len(decode(text, _items, "prompt", "a text, texts, or token numbers")))


def input_bound(edits: MemberEdits, body_bytes: int) -> int | None:
    """An upper bound of the input tokens of a body that long; None where there is more to read than text."""
    try:
        if edits.has_repeated_names or not edits.brings_only(_TEXT_MEMBERS):
            return None
        raw = edits.given("prompt")
        if raw is not None and not _is_text(bytes(raw)):
            return None
    except BadInput:
        return None
    return body_bytes + _OVERHEAD_TOKENS


def _is_text(raw: bytes) -> bool:
    """Whether a prompt is nothing but texts and numbers: some servers take pictures and vectors as objects."""
    if raw[0] == _QUOTE or b"{" not in raw:
        return True
    return raw[0] == _OPENING and all(first_byte(item) == _QUOTE for item in _items.decode(raw))

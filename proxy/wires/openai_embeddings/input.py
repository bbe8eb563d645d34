"""How much input an OpenAI Embeddings request can be at most, for the hold that is placed before it is sent.

Belongs here: the allow-list of members and of what `input` may be: texts, or lists of token numbers. What some servers take beside
them (pictures, documents, messages) is counted in ways the proxy cannot see, and the answer is None.

Formula: every token stands for at least one byte of UTF-8 text, and JSON never writes a text in fewer bytes than that; a token number
has at least one digit and a comma. So the body's length bounds it, the quotes around each text cover the few tokens that some models
add to it.
"""

from typing import Final, cast

import msgspec

from proxy.core.errors import BadInput
from proxy.wires.json.counting import has_more_than
from proxy.wires.json.edits import MemberEdits
from proxy.wires.json.values import JsonDecoder, decode
from proxy.wires.wire import Injection

#: Tokens the format adds to a call as a whole.
_OVERHEAD_TOKENS: Final = 64
#: Members that bring no input of their own, or only text that stands in the body.
_TEXT_MEMBERS: Final = frozenset(
    {
        "encoding_format",
        "input",
        "input_type",
        "metadata",
        "model",
        "output_dtype",
        "safety_identifier",
        "service_tier",
        "task",
        "truncate",
        "user",
    }
)
#: So many values take a decoder a few milliseconds.
_MOST_VALUES: Final = 200_000
_Inputs = str | list[str | int | list[int]]
_INPUT: Final[JsonDecoder[_Inputs]] = msgspec.json.Decoder(_Inputs)


def input_bound(injection: Injection) -> int | None:
    """An upper bound of the input tokens of an injected body; None where there is more to read than text and token numbers."""
    edits = cast("MemberEdits", injection.document)
    try:
        if edits.has_repeated_names or not edits.brings_only(_TEXT_MEMBERS):
            return None
        raw = edits.given("input")
        if raw is not None and not _is_text(bytes(raw)):
            return None
    except BadInput:
        return None
    return len(injection.body) + _OVERHEAD_TOKENS


def _is_text(raw: bytes) -> bool:
    """Whether an input is nothing but texts and numbers. Raises BadInput for some that are not."""
    if b"{" not in raw:
        return True  # whatever it is, it holds no object that could point elsewhere
    if has_more_than(raw, b",", _MOST_VALUES, 0, len(raw)):
        return False
    decode(raw, _INPUT, "input", "texts or token numbers")
    return True

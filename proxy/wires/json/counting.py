"""Counting what JSON holds without building it.

Belongs here: how often a byte occurs, how many objects a list has, whether bytes are one object. Does not belong here: how many there
may be (shared/request_bounds.py).
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from proxy.core.errors import BadInput
from proxy.core.steps import Steps
from proxy.wires.json.values import JsonDecoder, RawJson

#: How much is gone through between two turns of others, and how many finds there may be in it.
_STEP_BYTES: Final = 1024 * 1024
_STEP_FINDS: Final = 2048


def has_more_than(body: bytes, byte: bytes, most: int, start: int, end: int) -> bool:
    """Whether a byte occurs more than `most` times between two positions. Stops there, and skips the rest at memory speed."""
    position = start
    for _ in range(most + 1):
        position = body.find(byte, position, end) + 1
        if not position:
            return False
    return True


def count_up_to(body: bytes, byte: bytes, most: int) -> Steps[int]:
    """How often a byte occurs, `most` at most; in steps."""
    count, position, end, size = 0, 0, min(_STEP_BYTES, len(body)), len(body)
    while count < most:
        found = body.find(byte, position, end)
        if found >= 0:
            position = found + 1
            count += 1
            if count % _STEP_FINDS == 0:
                yield
        elif end < size:
            position, end = end, min(end + _STEP_BYTES, size)
            yield
        else:
            break
    return count


class _TooMany(Exception):
    """The bound is reached."""


_left = 0


class _Object(msgspec.Struct, gc=False):
    """An object of which nothing is kept."""

    def __post_init__(self) -> None:
        global _left  # noqa: PLW0603 msgspec makes these objects itself, and nothing runs between them
        _left -= 1
        if _left < 0:
            raise _TooMany


_objects: Final[JsonDecoder[list[_Object]]] = msgspec.json.Decoder(list[_Object])


def check_count(raw: RawJson, most: int, param: str) -> bool:
    """Whether a value is a list of objects. Raises BadInput(`too_many_...`) where it has more than `most`."""
    global _left  # noqa: PLW0603 as above
    _left = most
    try:
        _objects.decode(raw)
    except _TooMany:
        raise BadInput(f"too_many_{param}", f"the request has more than {most} {param}", param=param) from None
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return True


_left_by_name: Final[dict[str, int]] = {}


def _count(name: str) -> None:
    _left_by_name[name] -= 1
    if _left_by_name[name] < 0:
        raise BadInput(f"too_many_{name}", f"the request has too many {name}", param=name)


class _CountedMessage(msgspec.Struct, gc=False):
    def __post_init__(self) -> None:
        _count("messages")


class _CountedTool(msgspec.Struct, gc=False):
    def __post_init__(self) -> None:
        _count("tools")


class _CountedFunction(msgspec.Struct, gc=False):
    def __post_init__(self) -> None:
        _count("functions")


class _Input(msgspec.Struct, gc=False):
    def __post_init__(self) -> None:
        _count("input")


class _Lists(msgspec.Struct, gc=False):
    """A request of which nothing is kept."""

    messages: list[_CountedMessage] = []
    tools: list[_CountedTool] = []
    functions: list[_CountedFunction] = []


class _InputLists(msgspec.Struct, gc=False):
    """As above, where the conversation has another name."""

    input: list[_Input] | str = ""
    tools: list[_CountedTool] = []
    functions: list[_CountedFunction] = []


class _CountedContent(msgspec.Struct, gc=False):
    def __post_init__(self) -> None:
        _count("contents")


class _ContentLists(msgspec.Struct, gc=False):
    """As above."""

    contents: list[_CountedContent] = []
    tools: list[_CountedTool] = []


_lists: Final[JsonDecoder[_Lists]] = msgspec.json.Decoder(_Lists)
_input_lists: Final[JsonDecoder[_InputLists]] = msgspec.json.Decoder(_InputLists)
_content_lists: Final[JsonDecoder[_ContentLists]] = msgspec.json.Decoder(_ContentLists)


def check_counts(body: bytes, most: Mapping[str, int]) -> None:
    """Stop at the first object beyond the most there may be of `messages` (or `input`, or `contents`), `tools` and `functions`, whatever comes
    behind it.

    Raises BadInput(`too_many_...`). A body that is not valid, or has other things there, is not judged here.
    """
    _left_by_name.update(most)
    try:
        if "input" in most:
            _input_lists.decode(body)
        elif "contents" in most:
            _content_lists.decode(body)
        else:
            _lists.decode(body)
    except BadInput as refusal:
        bound = most[refusal.param or ""]
        message = f"the request has more than {bound} {refusal.param}"
        raise BadInput(refusal.code, message, param=refusal.param) from None
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return


class _Anything(msgspec.Struct, gc=False):
    """An object of which nothing is kept, and which is not counted."""


_object: Final[JsonDecoder[_Anything]] = msgspec.json.Decoder(_Anything)


def is_object(data: bytes) -> bool:
    """Whether bytes are one valid JSON object."""
    try:
        _object.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return True

"""Counting what JSON holds without building it.

Belongs here: how often a byte occurs, how many objects a list has, whether bytes are one object. Does not belong here: how many there
may be (shared/request_bounds.py).
"""

from typing import Final

import msgspec

from proxy.core.errors import BadInput
from proxy.wires.json.values import JsonDecoder, RawJson


def has_more_than(body: bytes, byte: bytes, most: int, start: int, end: int) -> bool:
    """Whether a byte occurs more than `most` times between two positions. Stops there, and skips the rest at memory speed."""
    position = start
    for _ in range(most + 1):
        position = body.find(byte, position, end) + 1
        if not position:
            return False
    return True


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

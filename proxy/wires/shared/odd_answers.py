"""Answers that strict readers take for something else, or do not take at all: a member told twice, halves of letters, NaN.

Belongs here: making of such a document the one that tells the most and that every decoder reads the same. Does not belong here: what it
means (the wires). Only what is read is made anew; what goes on to the client is what came.

Decision: of a member that stands twice in one object a decoder keeps the last, which may be the smaller count. Where the bytes show that
a usage or a count of it may be told twice, the document is read by a slower decoder that keeps every number at its largest: one search a
document, 0.1 us, instead of that decoder for all.
"""

import json
from collections.abc import Sequence
from typing import Any, Final, cast

from proxy.wires.json.counting import is_object

_USAGE: Final = b'"usage"'
#: The counts that every usage has.
_TOTALS: Final = (b'"prompt_tokens"', b'"completion_tokens"', b'"input_tokens"', b'"output_tokens"')


def is_told_twice(document: bytes) -> bool:
    """Whether the usage of a document or a count of it may stand there more than once: to read it then takes a slower decoder."""
    times = document.count(_USAGE)
    return times > 1 or (times == 1 and is_any_told_twice(document, _TOTALS))


def in_one_telling(document: bytes) -> bytes:
    """The document itself, or where its usage or a count of it is told twice, one that tells the larger."""
    if not is_told_twice(document):
        return document
    again = _anew(document)
    return document if again is None else again


def is_any_told_twice(document: bytes, names: Sequence[bytes]) -> bool:
    """Whether one of these names (in quotes) may stand in a document more than once."""
    for name in names:  # noqa: SIM110 a loop costs half of any() on the path of every answer
        if document.count(name) > 1:
            return True
    return False


def told_at_largest(document: bytes) -> bytes | None:
    """A document of the same members, each told once and at its largest; None where it cannot be read at all."""
    return _anew(document)


def mended(document: bytes) -> bytes | None:
    """A document that decoders take in the place of one that is none by their rules; None where it is one, or cannot be read at all."""
    return None if is_object(document) else _anew(document)


def _anew(document: bytes) -> bytes | None:
    try:
        content = json.loads(
            document.decode("utf-8", "replace"),
            strict=False,
            object_pairs_hook=_with_the_largest,
            parse_constant=lambda _: None,
        )
        if isinstance(content, list) and len(cast("list[Any]", content)) == 1:
            content = cast("list[Any]", content)[0]  # as some servers send their errors
        if not isinstance(content, dict):
            return None
        # Half a letter is no text to a decoder; it is worth no more than a mark in its place.
        return json.dumps(content, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
    except (ValueError, RecursionError):
        return None


def _with_the_largest(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        members[name] = _larger(members[name], value) if name in members else value
    return members


def _larger(one: Any, other: Any) -> Any:
    """What two tellings of one member come to: counts at their largest, objects before anything else, else the later that says something."""
    if isinstance(one, dict) and isinstance(other, dict):
        first, second = cast("dict[str, Any]", one), cast("dict[str, Any]", other)
        both = {name: _larger(first[name], value) if name in first else value for name, value in second.items()}
        return first | both
    if isinstance(one, int | float) and isinstance(other, int | float):
        return max(one, other)
    if other is None or (isinstance(one, dict) and not isinstance(other, dict)):
        return cast("Any", one)
    return cast("Any", other)

"""Canonical JSON and content hashes: equal content, equal bytes, equal hash.

Rule (published, so that others can verify offline): UTF-8 JSON without spaces, object members sorted by their UTF-8
bytes at every depth, strings escaped only where JSON demands it, numbers in their shortest round-trip form; the hash
is the lower-case hex SHA-256 of those bytes. Text is hashed as given: no Unicode normalisation, no newline changes.
"""

import hashlib
import math
from collections.abc import Iterable
from typing import Any, cast

import orjson

from proxy.core.errors import BadInput

_FINITE = frozenset({str, int, bool, type(None)})


def canonical_json(value: Any) -> bytes:
    """`value` as canonical JSON bytes. Raises BadInput(`unrepresentable`) for what JSON cannot carry exactly."""
    try:
        written = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except (orjson.JSONEncodeError, TypeError) as error:
        raise BadInput("unrepresentable", f"this content cannot be written as JSON exactly: {error}") from error
    if b"null" in written:
        _check_finite(value)
    return written


def content_hash(value: Any) -> str:
    """Lower-case hex SHA-256 over the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def _check_finite(value: Any) -> None:
    """The encoder writes a NaN or an infinity as null, silently. Looking costs several times what writing does, so only where
    a null was written."""
    if isinstance(value, float) and not math.isfinite(value):
        raise BadInput("unrepresentable", "this content holds a number that JSON cannot carry")
    items: Iterable[Any] = ()
    if isinstance(value, dict):
        items = cast("dict[Any, Any]", value).values()
    elif isinstance(value, list | tuple):
        items = cast("list[Any]", value)
    for item in items:
        # Most items are texts and numbers, for which no call is worth its cost.
        if type(item) not in _FINITE:
            _check_finite(item)

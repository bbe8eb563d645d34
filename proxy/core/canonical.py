"""Canonical JSON and content hashes: equal content, equal bytes, equal hash.

Rule (published, so that others can verify offline): UTF-8 JSON without spaces, object members sorted by their UTF-8
bytes at every depth, strings escaped only where JSON demands it, numbers in their shortest round-trip form; the hash
is the lower-case hex SHA-256 of those bytes. Text is hashed as given: no Unicode normalisation, no newline changes.
"""

import hashlib
import math
from typing import Any, cast

import orjson

from proxy.core.errors import BadInput


def canonical_json(value: Any) -> bytes:
    """`value` as canonical JSON bytes. Raises BadInput(`unrepresentable`) for what JSON cannot carry exactly."""
    _check_finite(value)
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except (orjson.JSONEncodeError, TypeError) as error:
        raise BadInput("unrepresentable", f"this content cannot be written as JSON exactly: {error}") from error


def content_hash(value: Any) -> str:
    """Lower-case hex SHA-256 over the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def _check_finite(value: Any) -> None:
    """The encoder would write a NaN or an infinity as null, silently."""
    if isinstance(value, float) and not math.isfinite(value):
        raise BadInput("unrepresentable", "this content holds a number that JSON cannot carry")
    if isinstance(value, dict):
        for item in cast("dict[Any, Any]", value).values():
            _check_finite(item)
    elif isinstance(value, list | tuple):
        for item in cast("list[Any]", value):
            _check_finite(item)

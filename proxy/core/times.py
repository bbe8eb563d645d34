"""Moments: UTC integer microseconds inside, RFC 3339 outside."""

import functools
import re
from datetime import UTC, datetime, timedelta
from typing import Final

from proxy.core.errors import BadInput

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SHAPE: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?([Zz]|[+-]\d\d:\d\d)\Z")


def rfc3339(microseconds: int) -> str:
    """As people and programs outside read it, exact: 2026-11-20T14:03:00.125000Z."""
    seconds, rest = divmod(microseconds, 1_000_000)
    return f"{_second(seconds)}.{rest:06d}Z"


@functools.lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()[: -len("+00:00")]


def parse_rfc3339(text: str, param: str) -> int:
    """Microseconds of a moment with a zone, seconds optional. Raises BadInput(`bad_time`)."""
    try:
        if not _SHAPE.match(text):
            raise ValueError
        moment = datetime.fromisoformat(text.upper().replace("Z", "+00:00"))
    except ValueError:
        raise BadInput(
            "bad_time", f"{param} must be a time with a zone, such as 2026-11-20T14:03:00Z", param=param
        ) from None
    return (moment - _EPOCH) // timedelta(microseconds=1)

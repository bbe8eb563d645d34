"""Moments: UTC integer microseconds inside, RFC 3339 outside."""

import functools
import re
from datetime import UTC, datetime, timedelta
from typing import Final

from proxy.core.errors import BadInput

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SHAPE: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d{1,30})?)?([Zz]|[+-]\d\d:\d\d)\Z")


def rfc3339(microseconds: int) -> str:
    """As people and programs outside read it, exact: 2026-11-20T14:03:00.125000Z."""
    seconds, rest = divmod(microseconds, 1_000_000)
    return f"{_second(seconds)}.{rest:06d}Z"


@functools.lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()[: -len("+00:00")]


def parse_rfc3339(text: str, param: str) -> int:
    """Microseconds of a moment with a zone, seconds optional; what a fraction says beyond them is cut off. Raises
    BadInput(`bad_time`)."""
    try:
        if not _SHAPE.match(text):
            raise ValueError
        moment = datetime.fromisoformat(text.upper().replace("Z", "+00:00"))
    except ValueError:
        raise BadInput(
            "bad_time", f"{param} must be a time with a zone, such as 2026-11-20T14:03:00Z", param=param
        ) from None
    return (moment - _EPOCH) // timedelta(microseconds=1)


def parse_period(start: str | None, end: str | None) -> tuple[int | None, int | None]:
    """Microseconds of `from` and `to`, each where it is given. Raises BadInput: `bad_time`, and `bad_filter` where the end
    comes before the beginning, so that nothing could lie between."""
    first = None if start is None else parse_rfc3339(start, "from")
    before = None if end is None else parse_rfc3339(end, "to")
    if first is not None and before is not None and before < first:
        raise BadInput("bad_filter", f"`to` ({rfc3339(before)}) is before `from` ({rfc3339(first)})", param="to")
    return first, before


_SPAN: Final = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)(s|m|h|d|w)\Z")
_MOST_SECONDS: Final = 1e9 - 1
_UNIT_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}


def parse_span(value: object, param: str) -> float:
    """Seconds, to the millisecond, of a span such as `45s`, `15m`, `1.5h`, `7d`, `2w`, or of a plain number of seconds; less
    than 30 years. Raises BadInput(`bad_span`)."""
    seconds = -1.0
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = value
    elif isinstance(value, str) and (found := _SPAN.match(value)) is not None:
        seconds = float(found[1]) * _UNIT_SECONDS[found[2]]
    if not 0 <= seconds < _MOST_SECONDS:
        raise BadInput("bad_span", f"{param} must be a span of time such as 45s, 15m, 2h or 7d", param=param)
    return round(float(seconds), 3)


def span_text(seconds: float) -> str:
    """The shortest exact way to write a span that `parse_span` reads: 900 is `15m`."""
    for unit in ("w", "d", "h", "m"):
        if seconds >= _UNIT_SECONDS[unit] and seconds % _UNIT_SECONDS[unit] == 0:
            return f"{seconds / _UNIT_SECONDS[unit]:.0f}{unit}"
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"

"""Times as people type them: a moment, or a span from now on (`--expires 15m`) or back (`--from 15m`).

A moment is RFC 3339 with any fraction, a date (its first moment in UTC), or `now`. The command line is the outside: here a
person's "in 15 minutes" meets the wall clock. Every option that takes a time takes all of these.
"""

import re
import time

from proxy.cli.failures import EXIT_USAGE, CommandFailed
from proxy.core.errors import BadInput
from proxy.core.times import parse_rfc3339, parse_span, rfc3339

_NOW = "now"
_DATE = re.compile(r"\d{4}-\d\d-\d\d")

#: Characters of a time up to its seconds.
_SECONDS = len("2026-11-20T14:03:00")


def time_from_now(text: str) -> str:
    """The moment that is meant, in RFC 3339; a span is ahead. Raises CommandFailed."""
    return _moved(text, 1, "15m, 2h or 90d from now")


def time_ago(text: str) -> str:
    """The moment that is meant, in RFC 3339; a span is back. Raises CommandFailed."""
    return _moved(text, -1, "15m, 2h or 7d ago")


def _moved(text: str, direction: int, spans: str) -> str:
    seconds = 0.0
    try:
        if text != _NOW:
            seconds = parse_span(text, "the time")
    except BadInput:
        return _moment(text, spans)
    now = time.time_ns() // 1_000_000_000
    return f"{rfc3339((now + direction * round(seconds)) * 1_000_000)[:_SECONDS]}Z"


def _moment(text: str, spans: str) -> str:
    moment = f"{text}T00:00:00Z" if _DATE.fullmatch(text) else text
    try:
        parse_rfc3339(moment, "the time")
    except BadInput:
        raise CommandFailed(
            f"{text!r} is no time: write {spans}, {_NOW}, a date such as 2026-11-20 (its beginning in UTC), or "
            "2026-11-20T14:03:00Z",
            EXIT_USAGE,
        ) from None
    return moment

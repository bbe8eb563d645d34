"""Times as people type them: a moment in RFC 3339, or a span from now on (`--expires 15m`) or back (`--from 15m`).

The command line is the outside: here a person's "in 15 minutes" meets the wall clock. What is no span is a time already, for the
server to judge.
"""

import time

from proxy.core.errors import BadInput
from proxy.core.times import parse_span, rfc3339

#: Characters of a time up to its seconds.
_SECONDS = len("2026-11-20T14:03:00")


def time_from_now(text: str) -> str:
    """The moment that is a span ahead; anything else as it stands."""
    return _moved(text, 1)


def time_ago(text: str) -> str:
    """The moment that is a span back; anything else as it stands."""
    return _moved(text, -1)


def _moved(text: str, direction: int) -> str:
    try:
        seconds = parse_span(text, "the time")
    except BadInput:
        return text
    now = time.time_ns() // 1_000_000_000
    return f"{rfc3339((now + direction * round(seconds)) * 1_000_000)[:_SECONDS]}Z"

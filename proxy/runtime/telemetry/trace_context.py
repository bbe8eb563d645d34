"""W3C trace context: the trace id of a `traceparent` header, None where it is absent or not valid (never an error)."""

import re
from typing import Final

_TRACEPARENT: Final = re.compile(rb"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}\Z")


def trace_id(traceparent: bytes | None) -> str | None:
    """The 32 hex digits of a valid version 00 traceparent."""
    match = None if traceparent is None else _TRACEPARENT.match(traceparent)
    if match is None or match[1] == b"0" * 32 or match[2] == b"0" * 16:
        return None
    return match[1].decode("ascii")

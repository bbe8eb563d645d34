"""Lines of the log that tell of this process and not of a run (those are log_line.py's): one JSON object each."""

import orjson

from proxy.core.times import rfc3339


def event_line(now_microseconds: int, level: str, event: str, **more: object) -> bytes:
    """What happened, with its line break. `level`: `info`, `warning` or `error`; `more`: members after these, in order."""
    return orjson.dumps({"ts": rfc3339(now_microseconds), "level": level, "event": event, **more}) + b"\n"

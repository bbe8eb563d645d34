"""The shape of one line of the run log. What fills it is run_log.py."""

import msgspec


class LogLine(msgspec.Struct, gc=False):
    """What a line holds, in its order."""

    ts: str
    level: str
    event: str
    run_id: str
    agent: str
    version: int | None
    release: int | None
    label: str | None
    arm: str | None
    bucket: int | None
    reason: str | None
    wire: str
    operation: str
    provider: str | None
    model: str | None
    status: int
    result: str
    error_class: str | None
    finish: str | None
    streamed: bool
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    usage_source: str
    duration_ms: float
    time_to_first_byte_ms: float | None
    request_id: str | None
    trace_id: str | None

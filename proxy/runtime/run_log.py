"""One JSON line per run, for people and log collectors. No prompt text, no answer text, no key, ever.

Decision: a line is a struct that one encoder writes, 1.2 µs a run; as a dict it cost 2.9.
"""

from collections.abc import Callable, Sequence

import msgspec

from proxy.core.runs import Run
from proxy.core.times import rfc3339

_encoder = msgspec.json.Encoder()


class _Line(msgspec.Struct, gc=False):
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
    outcome: str
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


class RunLog:
    """Writes batches of runs to a binary stream, one line each, in one write."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write

    def __call__(self, runs: Sequence[Run]) -> None:
        self._write(_encoder.encode_lines([_line(run) for run in runs]))


def _line(run: Run) -> _Line:
    first_byte = run.time_to_first_byte_microseconds
    return _Line(
        rfc3339(run.started_at_microseconds),
        "error" if run.outcome == "error" else "info",
        "run",
        run.id,
        run.agent,
        run.version,
        run.release,
        run.label,
        run.arm,
        run.bucket,
        run.reason,
        run.wire,
        run.operation,
        run.provider,
        run.model_answered or run.model_asked,
        run.status,
        run.outcome,
        run.error_class,
        run.finish,
        run.streamed,
        run.input_tokens,
        run.output_tokens,
        None if run.cost_nanodollars is None else run.cost_nanodollars / 1e9,
        run.usage_source,
        run.duration_microseconds / 1000,
        None if first_byte is None else first_byte / 1000,
        run.request_id,
        run.trace_id,
    )

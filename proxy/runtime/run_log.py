"""One JSON line per run, for people and log collectors. No prompt text, no answer text, no key, ever."""

from collections.abc import Callable, Sequence
from typing import Any

import orjson

from proxy.core.runs import Run
from proxy.core.times import rfc3339


class RunLog:
    """Writes batches of runs to a binary stream, one line each, in one write."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write

    def __call__(self, runs: Sequence[Run]) -> None:
        self._write(b"".join(orjson.dumps(_line(run), option=orjson.OPT_APPEND_NEWLINE) for run in runs))


def _line(run: Run) -> dict[str, Any]:
    return {
        "ts": rfc3339(run.started_at_microseconds),
        "level": "error" if run.outcome == "error" else "info",
        "event": "run",
        "run_id": run.id,
        "agent": run.agent,
        "version": run.version,
        "release": run.release,
        "label": run.label,
        "arm": run.arm,
        "bucket": run.bucket,
        "reason": run.reason,
        "wire": run.wire,
        "operation": run.operation,
        "provider": run.provider,
        "model": run.model_answered or run.model_asked,
        "status": run.status,
        "outcome": run.outcome,
        "error_class": run.error_class,
        "finish": run.finish,
        "streamed": run.streamed,
        "input_tokens": run.input_tokens,
        "output_tokens": run.output_tokens,
        "cost_usd": None if run.cost_nanodollars is None else run.cost_nanodollars / 1e9,
        "usage_source": run.usage_source,
        "duration_ms": run.duration_microseconds / 1000,
        "time_to_first_byte_ms": (
            None if run.time_to_first_byte_microseconds is None else run.time_to_first_byte_microseconds / 1000
        ),
        "request_id": run.request_id,
        "trace_id": run.trace_id,
    }

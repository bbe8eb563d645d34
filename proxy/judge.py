"""The process that judges finished answers: reads a job, says what it thinks, reads the next. It has nothing else, and opens nothing.

Started by `runtime/validation/judging_process.py`, whose end of the pipe closing ends it. A job that takes more than a second of
CPU is interrupted, wherever in a pattern or a schema it is; more memory than 1 GB is refused. Both leave the answer unjudged. A few
loops of the matcher look at no signal: where one goes on, the kernel ends the process, and its parent starts another.
"""

import resource
import signal
import sys
from functools import lru_cache
from types import FrameType
from typing import Any, BinaryIO, Final, NoReturn

import orjson

from proxy.core.versions.judging import Unjudged, Verdict, judge
from proxy.runtime.validation.jobs import CPU_SECONDS, LENGTH_BYTES, TOO_LONG, Job, framed, job_of
from proxy.runtime.validation.schemas import NOT_INSTALLED, ready
from proxy.wires.every_wire import WIRES
from proxy.wires.shared.request_bounds import RequestBounds
from proxy.wires.wire import Wire

#: Then SIGPROF ends the process, as it does by default.
_LAST_CPU_SECONDS: Final = 2 * CPU_SECONDS
_MEMORY_BYTES: Final = 1 << 30
#: Schemas that are kept ready: checking one takes longer than judging by it.
_BUILT: Final = 32


class _TooLong(BaseException):
    """The job's time is over. No library takes it for an error of its own."""


def schema_failure(schema: Any, document: Any) -> str | None:
    """Where a document breaks a schema, as a path within the schema; None: nowhere. Raises Unjudged."""
    try:
        # Only where a version asks for it, from an extra that need not be there.
        from jsonschema.exceptions import SchemaError  # noqa: PLC0415
        from referencing.exceptions import Unresolvable  # noqa: PLC0415
    except ImportError:
        raise Unjudged(NOT_INSTALLED) from None
    try:
        failure: Any = next(iter(_built(orjson.dumps(schema)).iter_errors(document)), None)
    except (SchemaError, Unresolvable, RecursionError) as error:
        raise Unjudged(f"the schema cannot be used ({type(error).__name__})") from None
    return None if failure is None else "breaks " + "/".join(str(step) for step in failure.absolute_schema_path)


@lru_cache(maxsize=_BUILT)
def _built(schema: bytes) -> Any:
    """What finds the breaks of a schema (JSON). Raises SchemaError."""
    return ready(orjson.loads(schema))


def verdict_on(job: Job, wires: dict[str, Wire]) -> Verdict:
    """What one answer's validators say of it."""
    signal.setitimer(signal.ITIMER_VIRTUAL, CPU_SECONDS)
    signal.setitimer(signal.ITIMER_PROF, _LAST_CPU_SECONDS)
    try:
        wire = wires.get(job.wire)
        text = None if wire is None else wire.answer_text(job.answer)
        if text is None:
            return Verdict(None, "the answer's text cannot be read")
        return judge(text, job.validators, schema_failure)
    except MemoryError:
        return Verdict(None, "judging it takes more memory than is allowed")
    except RecursionError:
        return Verdict(None, "the answer is nested too deeply to be judged")
    except Exception as error:  # whatever a pattern or a schema makes a library do, the next answer is judged
        return Verdict(None, f"judging it failed ({type(error).__name__})")
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer jobs until there are no more."""
    wires = {wire.name: wire for wire in (make(RequestBounds()) for make in WIRES)}
    while len(length := source.read(LENGTH_BYTES)) == LENGTH_BYTES:
        body = source.read(int.from_bytes(length, "big"))
        try:
            verdict = verdict_on(job_of(body), wires)
        except _TooLong:
            verdict = TOO_LONG
            # Nobody knows what was interrupted in there.
            _built.cache_clear()
        sink.write(framed(verdict))
        sink.flush()


def _stop_job(_number: int, _frame: FrameType | None) -> NoReturn:
    raise _TooLong


def main() -> None:
    """Serve standard input and output."""
    signal.signal(signal.SIGVTALRM, _stop_job)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    serve(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()

"""Counts what a call costs without measuring time: instructions and calls of our code, memory while it runs and after it.

Only frames of `proxy/` count, so that another patch release of Python or asyncio does not move the figures; the bytecode of
another minor release does, so figures are kept for each. `memory_peak_bytes` is the most that was allocated at once during
one call; `blocks_kept_per_call` what each call leaves behind, which must be nothing.
"""

import gc
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from benchmarks.guard.path import GuardedPath

_ROOT = Path(__file__).resolve().parents[2]
_OURS = str(_ROOT / "proxy") + "/"
_WARM_CALLS = 20
_KEPT_CALLS = 50
#: Name, whether the provider is reached over TLS, whether the answer is a stream.
_KINDS = (("plain_call", False, False), ("plain_call_over_tls", True, False), ("stream", False, True))

Figures = dict[str, int]


def count_all() -> dict[str, Figures]:
    """Figures of one plain call, of one to a provider over TLS, and of one stream."""
    figures: dict[str, Figures] = {}
    for name, over_tls, streamed in _KINDS:
        path = GuardedPath(over_tls=over_tls)
        try:
            figures[name] = _count(path, streamed)
        finally:
            path.close()
    return figures


def instructions_by_function(*, streamed: bool) -> Counter[str]:
    """Where the instructions of one call go: `file:line name` to how many, those of callees not included."""
    path = GuardedPath()
    try:
        for _ in range(_WARM_CALLS):
            path.run(streamed=streamed)
        return _instructions(lambda: path.run(streamed=streamed))
    finally:
        path.close()


def python_version() -> str:
    """The minor release figures belong to."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _count(path: GuardedPath, streamed: bool) -> Figures:
    def call() -> None:
        path.run(streamed=streamed)

    for _ in range(_WARM_CALLS):
        call()
    python_calls, c_calls = _calls(call)
    return {
        "instructions": sum(_instructions(call).values()),
        "python_calls": python_calls,
        "c_calls": c_calls,
        "memory_peak_bytes": _memory_peak(call),
        "blocks_kept_per_call": _blocks_kept(call),
    }


def _calls(call: Callable[[], object]) -> tuple[int, int]:
    """Calls (and resumptions) of our functions, and calls of built-in functions from ours."""
    counts = {"call": 0, "c_call": 0}

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        del argument
        if event in counts and frame.f_code.co_filename.startswith(_OURS):
            counts[event] += 1

    sys.setprofile(profile)
    try:
        call()
    finally:
        sys.setprofile(None)
    return counts["call"], counts["c_call"]


def _instructions(call: Callable[[], object]) -> Counter[str]:
    found: Counter[str] = Counter()
    names: dict[Any, str] = {}

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        del event, argument
        code = frame.f_code
        if not code.co_filename.startswith(_OURS):
            return None
        if code not in names:
            names[code] = f"{code.co_filename.removeprefix(_OURS)}:{code.co_firstlineno} {code.co_qualname}"
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        name = names[code]

        def each(frame: FrameType, event: str, argument: Any) -> Any:
            del frame, argument
            if event == "opcode":
                found[name] += 1
            return each

        return each

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return found


def _memory_peak(call: Callable[[], object]) -> int:
    gc.collect()
    tracemalloc.start()
    try:
        call()
        gc.collect()
        tracemalloc.reset_peak()
        begun = tracemalloc.get_traced_memory()[0]
        call()
        return tracemalloc.get_traced_memory()[1] - begun
    finally:
        tracemalloc.stop()


def _blocks_kept(call: Callable[[], object]) -> int:
    """Whole memory blocks each call leaves behind; a few in all are caches that fill."""
    for _ in range(_KEPT_CALLS):
        call()
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(_KEPT_CALLS):
        call()
    gc.collect()
    return max(0, sys.getallocatedblocks() - before) // _KEPT_CALLS

"""Runs a coroutine that SIGTERM and Ctrl-C end in good order: its `finally` blocks run, also where they come twice, and
nothing is printed. Needs uvloop, as `stop_signals.py` does.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from proxy.stop_signals import on_stop_signal

Result = TypeVar("Result")


async def until_signal(work: Coroutine[Any, Any, Result]) -> Result | None:
    """The result of `work`, or None where a signal ended it. What `work` raises is raised."""
    task = asyncio.ensure_future(work)
    interrupted = False

    def interrupt() -> None:
        nonlocal interrupted
        interrupted = True
        task.cancel()

    on_stop_signal(interrupt)
    try:
        return await task
    except asyncio.CancelledError:
        if interrupted:
            return None
        raise

"""Runs a coroutine that SIGTERM and Ctrl-C end in good order: its `finally` blocks run, nothing is printed."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


async def until_signal(work: Coroutine[Any, Any, Result]) -> Result | None:
    """The result of `work`, or None where a signal ended it. What `work` raises is raised."""
    task = asyncio.ensure_future(work)
    interrupted = False

    def interrupt() -> None:
        nonlocal interrupted
        interrupted = True
        task.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, interrupt)
    try:
        return await task
    except asyncio.CancelledError:
        if interrupted:
            return None
        raise

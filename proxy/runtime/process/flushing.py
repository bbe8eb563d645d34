"""How what nobody waits for is written: gathered for a moment, written together, tried again where it could not be.

The path that leaves something to write wakes the writer and goes on. A short time of gathering makes one write of many; what came
meanwhile wakes it again. How fast a slow store is written to is pace.py's matter, what is written the writer's own.
"""

import asyncio
from collections.abc import Awaitable, Callable


async def write_when_woken(
    wake: asyncio.Event,
    gather: Callable[[], Awaitable[None]],
    write: Callable[[], Awaitable[bool]],
    retry_seconds: float,
) -> None:
    """Each time `wake` is set, gather, then write; until cancelled. `write`: False where it could not be, which is tried again after
    so long; who has more than one write takes sets `wake` again. What it raises ends this."""
    while True:
        await wake.wait()
        await gather()
        wake.clear()
        if not await write():
            await asyncio.sleep(retry_seconds)
            wake.set()

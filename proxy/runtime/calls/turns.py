"""Work on one large body, a step at a time, so that the calls beside it are served between two steps.

Work that knows where it can pause is a generator that yields there. Does not belong here: what is worked out.

Decision: no threads. What reads a body holds the interpreter's lock while it runs, so that another thread would only move the
wait; steps of at most a few milliseconds bound it. Only one large body is worked on at a time: two would take turns, and the
calls between them wait for two steps.
"""

import asyncio
from typing import Final, TypeVar

from proxy.core.steps import Steps

T = TypeVar("T")

#: Bodies up to this size are worked on at once.
LARGE_BYTES: Final = 256 * 1024


def is_large(body: bytes, content_encoding: bytes | None) -> bool:
    """Whether reading a body takes long enough for others to notice; a compressed one may be larger than it looks."""
    return len(body) > LARGE_BYTES or content_encoding is not None


class Turns:
    """Who works on a large body now; the others wait in the order they came."""

    def __init__(self) -> None:
        self._one_at_a_time = asyncio.Lock()

    async def take(self, steps: Steps[T]) -> T:
        """Take the steps, others having their turn before each and after the last; what they come to. Raises what they raise."""
        async with self._one_at_a_time:
            while True:
                await asyncio.sleep(0)
                try:
                    next(steps)
                except StopIteration as end:
                    result: T = end.value
                    break
        await asyncio.sleep(0)  # what comes next copies it
        return result

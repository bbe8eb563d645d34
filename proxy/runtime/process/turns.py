"""Work on one large body, a step at a time, so that the calls beside it are served between two steps.

Work that knows where it can pause is a generator that yields there. Does not belong here: what is worked out.

Decision: no threads. What reads a body holds the interpreter's lock while it runs, so that another thread would only move the
wait; steps of at most a few milliseconds bound it. Only one large body is worked on at a time: two would take turns, and the
calls between them wait for two steps.
"""

import asyncio
from collections.abc import Generator
from typing import Final, TypeVar

T = TypeVar("T")

#: Bodies up to this size are worked on at once.
LARGE_BYTES: Final = 256 * 1024


def at_once(steps: Generator[None, None, T]) -> T:
    """Take all steps now; what they come to."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result


class Turns:
    """Who works on a large body now; the others wait in the order they came."""

    def __init__(self) -> None:
        self._one_at_a_time = asyncio.Lock()

    async def take(self, steps: Generator[None, None, T]) -> T:
        """Take the steps, others having their turn before each; what they come to. Raises what they raise."""
        async with self._one_at_a_time:
            while True:
                await asyncio.sleep(0)
                try:
                    next(steps)
                except StopIteration as end:
                    result: T = end.value
                    return result

"""Work on one large body, a step at a time, so that the calls beside it are served between two steps.

Work that knows where it can pause is a generator that yields there. Does not belong here: what is worked out.

Decision: no threads. What reads a body holds the interpreter's lock while it runs, so that another thread would only move the
wait; steps of at most a few milliseconds bound it. Only one large body is worked on at a time: two would take turns, and the
calls between them wait for two steps.

Decision: a small call takes four to six passes of the event loop, and with one pass between two steps it met as many of them. So
others have the loop until a pass finds nothing to do, and at most for as long as the step took: a large body takes twice as long
where calls come without end, and 20 µs a step longer where there are none. With this, and with no step but one above half a
millisecond (the copy with the version in it: 1 to 4 ms for 5 MB), a small call beside bodies of 5 MB waits 3 ms where it waited 10;
beside Envoy it waits 3. Not taken: a timer, since uvloop's shortest is a millisecond; waiting for calls that wait for their provider,
which takes them seconds.
"""

import asyncio
from typing import Final, TypeVar

from proxy.core.steps import Steps
from proxy.runtime.process.clock import Clock

T = TypeVar("T")

#: Bodies up to this size are worked on at once.
LARGE_BYTES: Final = 256 * 1024
#: A pass of the loop that takes no longer found nothing to do.
_IDLE_PASS_MICROSECONDS: Final = 20


def is_large(body: bytes, content_encoding: bytes | None) -> bool:
    """Whether reading a body takes long enough for others to notice; a compressed one may be larger than it looks."""
    return len(body) > LARGE_BYTES or content_encoding is not None


class Turns:
    """Who works on a large body now; the others wait in the order they came."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()

    async def take(self, steps: Steps[T]) -> T:
        """Take the steps, others having their turn before each and after the last; what they come to. Raises what they raise."""
        monotonic = self._clock.monotonic_microseconds
        async with self._one_at_a_time:
            await asyncio.sleep(0)
            while True:
                begun = monotonic()
                try:
                    next(steps)
                except StopIteration as end:
                    result: T = end.value
                    break
                await self._leave(monotonic() - begun)
        await self._leave(monotonic() - begun)  # whatever comes next is a step as well
        return result

    async def _leave(self, microseconds: int) -> None:
        """Leave the loop to others as long as they have something to do, no longer than this and for one pass at least."""
        monotonic = self._clock.monotonic_microseconds
        now = monotonic()
        until = now + microseconds
        while True:
            before = now
            await asyncio.sleep(0)
            now = monotonic()
            if now >= until or now - before <= _IDLE_PASS_MICROSECONDS:
                return

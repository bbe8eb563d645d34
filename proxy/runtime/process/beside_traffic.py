"""Work on the store that is done beside traffic, in steps: four fifths of the store's thread at least are left to calls.

Does not belong here: what is done (retention, the sums of reports), when a round of it begins.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

Answer = TypeVar("Answer")

_LEAST_PAUSE_SECONDS: Final = 0.01
_PAUSE_PER_STEP: Final = 4
#: So many runs waiting to be recorded are more than one batch: the store has no time.
_BUSY_RUNS: Final = 2_000


class RunQueue(Protocol):
    """How many runs wait to be recorded."""

    @property
    def queue_length(self) -> int: ...


def is_busy(queue: RunQueue) -> bool:
    """Whether the store has no time for anything else."""
    return queue.queue_length > _BUSY_RUNS


async def step_beside_traffic(work: Callable[[], Awaitable[Answer]]) -> Answer:
    """One step of some milliseconds, and a pause of four times as long. Raises what it raises."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    answer = await work()
    await asyncio.sleep(max(_LEAST_PAUSE_SECONDS, _PAUSE_PER_STEP * (loop.time() - began)))
    return answer

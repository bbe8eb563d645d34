"""Recorded runs get into the sums beside traffic, step by step, and nothing that goes wrong ends it."""

import asyncio

from proxy.core.errors import Unavailable
from proxy.runtime.telemetry.summing import Summing
from tests.harness import PATIENCE_SECONDS


class Steps:
    """A store that gives one answer a step, or raises it; `done` when all were given."""

    def __init__(self, *answers: int | Exception) -> None:
        self._answers = list(answers)
        self.done = asyncio.Event()

    async def sum_up_runs(self) -> int:
        if not self._answers:
            self.done.set()
            return 0
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class WaitingRuns:
    """One number of waiting runs after the other, then none."""

    def __init__(self, waiting: list[int]) -> None:
        self._waiting = waiting

    @property
    def queue_length(self) -> int:
        return self._waiting.pop(0) if self._waiting else 0


async def finished(store: Steps, told: list[BaseException], waiting: list[int]) -> None:
    task = asyncio.ensure_future(Summing(store, WaitingRuns(waiting), told.append, 0.001).run())
    try:
        await asyncio.wait_for(store.done.wait(), PATIENCE_SECONDS)
    finally:
        task.cancel()


async def test_it_goes_on_after_a_store_that_was_away_and_after_what_nobody_expected():
    told: list[BaseException] = []
    broken = ValueError("a sum that cannot be read")
    await finished(
        Steps(1024, Unavailable("store_unavailable", "locked"), 3, broken, ValueError(*broken.args), 5), told, []
    )
    assert told == [broken]


async def test_it_waits_while_runs_wait_to_be_recorded():
    waiting = [5_000, 5_000, 0]
    await finished(Steps(1), [], waiting)
    assert waiting == []

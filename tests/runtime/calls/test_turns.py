"""Beside work on a large body others have the loop: until they have nothing to do, and no longer than a step of it took."""

import asyncio

import pytest

from proxy.core.steps import Steps
from proxy.runtime.calls.turns import Turns

STEP, PASS = 1000, 100


class Time:
    """Goes on only where somebody works."""

    def __init__(self) -> None:
        self.microseconds = 0

    def now_microseconds(self) -> int:
        return self.microseconds

    def monotonic_microseconds(self) -> int:
        return self.microseconds


class Work:
    """Steps of a large body and passes of a small call, in the order they came."""

    def __init__(self) -> None:
        self.time = Time()
        self.done: list[str] = []
        self.begun = asyncio.Event()

    def steps(self, count: int, name: str = "step") -> Steps[str]:
        for _ in range(count):
            self.time.microseconds += STEP
            self.done.append(name)
            self.begun.set()
            yield
        return name

    async def small_call(self, passes: int) -> None:
        for _ in range(passes):
            self.time.microseconds += PASS
            self.done.append("pass")
            await asyncio.sleep(0)


@pytest.fixture
def work() -> Work:
    return Work()


async def test_a_small_call_of_many_passes_meets_one_step(work: Work) -> None:
    turns = Turns(work.time)
    large = asyncio.create_task(turns.take(work.steps(3)))
    await work.begun.wait()
    await work.small_call(6)
    assert await large == "step"
    assert work.done == ["step", *["pass"] * 6, "step", "step"]


async def test_calls_without_end_leave_a_large_body_half_of_the_time(work: Work) -> None:
    turns = Turns(work.time)
    others = asyncio.create_task(work.small_call(10_000))
    assert await turns.take(work.steps(5)) == "step"
    others.cancel()
    begun = work.done.index("step")
    passes = work.done[begun:].count("pass")
    assert 5 * (STEP // PASS - 1) <= passes <= 5 * (STEP // PASS + 2) + 1


async def test_where_nobody_else_is_a_large_body_goes_on_at_the_next_pass(work: Work) -> None:
    passes = 0
    is_over = False

    async def count() -> None:
        nonlocal passes
        while not is_over:
            passes += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await Turns(work.time).take(work.steps(20))
    is_over = True
    await counting
    assert passes <= 20 + 5


async def test_large_bodies_are_worked_on_one_after_the_other(work: Work) -> None:
    turns = Turns(work.time)
    await asyncio.gather(turns.take(work.steps(3, "first")), turns.take(work.steps(3, "second")))
    assert work.done == ["first"] * 3 + ["second"] * 3


async def test_work_that_fails_lets_the_next_begin(work: Work) -> None:
    turns = Turns(work.time)

    def failing() -> Steps[None]:
        yield
        raise ValueError

    with pytest.raises(ValueError):
        await turns.take(failing())
    assert await turns.take(work.steps(1)) == "step"

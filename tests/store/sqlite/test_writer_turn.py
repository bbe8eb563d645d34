"""Whose turn it is to write: changes first, nobody forgotten."""

import asyncio

import pytest

from proxy.store.sqlite.opening.writer_turn import WriterTurn


async def waiting(turn: WriterTurn, log: list[str], name: str) -> "asyncio.Task[None]":
    async def take() -> None:
        await turn.acquire(is_change=name.startswith("change"))
        log.append(name)
        turn.release()

    task = asyncio.create_task(take())
    await asyncio.sleep(0)
    return task


async def test_changes_come_before_batches_and_each_in_the_order_they_came() -> None:
    turn, log = WriterTurn(), list[str]()
    await turn.acquire(is_change=False)
    tasks = [await waiting(turn, log, name) for name in ("batch 1", "batch 2", "change 1", "batch 3", "change 2")]
    turn.release()
    await asyncio.gather(*tasks)
    assert log == ["change 1", "change 2", "batch 1", "batch 2", "batch 3"]


@pytest.mark.parametrize("is_given", [False, True])
async def test_whoever_gives_up_keeps_nobody_waiting(is_given: bool) -> None:
    turn, log = WriterTurn(), list[str]()
    await turn.acquire(is_change=True)
    gives_up, stays = await waiting(turn, log, "change"), await waiting(turn, log, "batch")
    if is_given:
        # It is its turn, and it has not noticed yet.
        turn.release()
        gives_up.cancel()
    else:
        gives_up.cancel()
        await asyncio.sleep(0)
        turn.release()
    with pytest.raises(asyncio.CancelledError):
        await gives_up
    await stays
    assert log == ["batch"]
    await turn.acquire(is_change=False)

"""Runs reach the store and the log once; a full queue drops and counts; a store that is away loses nothing else."""

import asyncio
from collections.abc import Sequence

from proxy.core.calls.runs import Attempt, Run
from proxy.core.errors import Unavailable
from proxy.runtime.telemetry.recorder import Recorder
from tests.harness import PATIENCE_SECONDS


def a_run(number: int) -> Run:
    return Run(
        id=f"run_{number}",
        agent="a",
        wire="openai_chat",
        operation="chat_completions",
        status=200,
        result="ok",
        duration_microseconds=1,
        started_at_microseconds=1,
    )


class Runs:
    """What a store has taken."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.away = False
        self.took = asyncio.Event()

    async def record_runs(self, runs: Sequence[Run], attempts: Sequence[Attempt]) -> None:
        if self.away:
            raise Unavailable("store_unavailable", "away")
        self.ids += [run.id for run in runs]
        self.took.set()


async def test_queued_runs_are_written_in_order_by_the_loop() -> None:
    store, logged = Runs(), list[str]()
    recorder = Recorder(store, lambda runs: logged.extend(run.id for run in runs))
    working = asyncio.ensure_future(recorder.run())
    for number in range(3):
        recorder.record(a_run(number), ())
    async with asyncio.timeout(PATIENCE_SECONDS):
        await store.took.wait()
    working.cancel()
    assert store.ids == logged == ["run_0", "run_1", "run_2"]
    assert recorder.queue_length == 0


async def test_a_full_queue_drops_the_newest_and_counts_them() -> None:
    store = Runs()
    recorder = Recorder(store, lambda runs: None, limit=2)
    for number in range(5):
        recorder.record(a_run(number), ())
    assert recorder.dropped == 3
    await recorder.flush()
    assert store.ids == ["run_0", "run_1"]


async def test_while_the_store_is_away_runs_are_logged_once_and_kept_in_order() -> None:
    store, logged = Runs(), list[str]()
    recorder = Recorder(store, lambda runs: logged.extend(run.id for run in runs))
    store.away = True
    recorder.record(a_run(0), ())
    assert await recorder.flush() is False
    recorder.record(a_run(1), ())
    assert await recorder.flush() is False
    store.away = False
    assert await recorder.flush() is True
    assert store.ids == logged == ["run_0", "run_1"]

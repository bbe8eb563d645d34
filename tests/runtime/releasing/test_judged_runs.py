"""Verdicts on their way to become outcomes: one of each run, however often the store was away."""

import asyncio
from pathlib import Path

import pytest

from proxy.core.errors import Unavailable
from proxy.core.versions.judging import Verdict
from proxy.runtime.validation.validation import RunVerdict
from tests.edges.admin.composition import commands
from tests.runtime.telemetry.test_run_series import a_run


async def test_what_cannot_be_recorded_at_the_end_is_said_and_stays_queued_for_once(tmp_path: Path) -> None:
    async with commands(tmp_path) as made:
        run, judged = a_run(finish="stop"), made.control.judged
        await made.store.record_runs([run], [])
        recording = asyncio.create_task(judged.run(made.orders.verdicts))
        await asyncio.sleep(0)
        recording.cancel()
        judged.add(RunVerdict(run.id, run.agent, Verdict(True)))
        await made.store.close()
        with pytest.raises(Unavailable):
            await judged.write()
        await made.store.open()
        await judged.write()
        await judged.write()
        assert [outcome.value for outcome in await made.store.outcomes(run.id)] == [True]

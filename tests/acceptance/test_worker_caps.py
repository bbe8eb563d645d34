"""Caps over several workers: calls are counted once whichever worker serves them, and no limit is passed, whoever is killed."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.acceptance.caps import cap, one_hold
from tests.acceptance.several_workers import bare_call, call, caps_by_unit, many, workers
from tests.harness import PATIENCE_SECONDS, Deployment, deployed, eventually


async def test_two_hundred_parallel_calls_over_three_workers_against_a_cap_of_twenty_holds_admit_exactly_twenty(
    three: Deployment,
) -> None:
    hold = await one_hold(three, call(three))
    limit = round(hold * 20 + hold / 2, 9)
    await cap(three.operator, "usd", limit)
    three.simulator.hold_answers()
    running = asyncio.ensure_future(many(three, 200))
    await eventually(lambda: three.simulator.record.received == 21)
    await three.operator.runs(181)
    shown = (await three.operator.get("/caps"))["items"][0]
    assert shown["spent"] + shown["held"] <= limit
    three.simulator.release_answers()
    assert await running == {(200, "support@1"): 20, (402, "support@1"): 180}
    await three.operator.runs(201)
    after = (await three.operator.get("/caps"))["items"][0]
    billed = three.simulator.billed_nanodollars - three.simulator.calls[0].billed_nanodollars
    assert (after["spent"], after["held"]) == (pytest.approx(billed / 1e9), 0)


async def test_a_cap_holds_while_workers_are_killed(three: Deployment) -> None:
    limit = 0.004
    await cap(three.operator, "usd", limit)

    async def load() -> None:
        # Where the worker of a call is killed, the next call goes to another.
        while await bare_call(three.server.traffic_url) != 402:
            pass

    clients = [asyncio.ensure_future(load()) for _ in range(12)]
    for round_number in range(1, 3):
        await three.simulator.wait_for_calls(60 * round_number)
        victim = next(worker for worker in await workers(three) if worker["serving"])
        os.kill(victim["pid"], signal.SIGKILL)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await asyncio.gather(*clients)
    await three.simulator.wait_until_idle()
    await eventually(lambda: _nothing_held(three))
    shown = (await three.operator.get("/caps"))["items"][0]
    assert three.simulator.billed_nanodollars / 1e9 <= shown["spent"] <= limit
    # Close to the limit, too: what killed workers held costs the cap a few calls and no more.
    assert shown["spent"] > limit * 0.9


async def _nothing_held(deployment: Deployment) -> bool:
    return (await deployment.operator.get("/caps"))["items"][0]["held"] == 0


async def test_under_a_large_cap_workers_hold_by_themselves_and_all_of_it_is_counted_exactly_once(
    tmp_path: Path,
) -> None:
    async with deployed(tmp_path / "home", workers=3) as deployment:
        await deployment.operator.agent("support", "one")
        await cap(deployment.operator, "usd", 1000)
        await cap(deployment.operator, "calls", 100_000)
        for _ in range(6):
            assert await many(deployment, 60) == {(200, "support@1"): 60}
        # What workers were lent and did not use goes back within seconds.
        await eventually(lambda: _nothing_held(deployment))
        after = await caps_by_unit(deployment)
        assert after["usd"]["spent"] == pytest.approx(deployment.simulator.billed_nanodollars / 1e9)
        assert after["calls"]["spent"] == 360
        assert await many(deployment, 60) == {(200, "support@1"): 60}
    # A clean stop gives everything back: nothing is charged beyond what was billed.
    async with deployed(tmp_path / "home", simulator=deployment.simulator) as restarted:
        after = await caps_by_unit(restarted)
        assert after["usd"]["spent"] == pytest.approx(deployment.simulator.billed_nanodollars / 1e9)
        assert (after["calls"]["spent"], after["calls"]["held"]) == (420, 0)

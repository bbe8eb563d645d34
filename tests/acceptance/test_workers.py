"""Several workers on one port behave like one process: same versions, same switches, same counts."""

import asyncio
import os
import signal
from pathlib import Path

import aiohttp
import orjson
import pytest

from tests.acceptance.several_workers import BODY, CHAT, are_in_flight, call, is_restarted, many, series, workers
from tests.harness import PATIENCE_SECONDS, Deployment, deployed, eventually


async def test_connections_spread_evenly_over_the_workers(three: Deployment) -> None:
    three.simulator.hold_answers()
    running = asyncio.ensure_future(many(three, 300))
    await eventually(lambda: three.simulator.record.received == 300)
    await eventually(lambda: are_in_flight(three, 300))
    shares = [worker["runs_in_flight"] for worker in await workers(three)]
    three.simulator.release_answers()
    assert await running == {(200, "support@1"): 300}
    # A fair share is 100; with 300 connections one worker gets fewer than 60 in less than one of 100,000 times.
    assert min(shares) >= 60


async def test_a_label_move_and_a_switch_are_in_force_everywhere_before_they_are_answered(three: Deployment) -> None:
    for number in (2, 1, 2, 1, 2):
        moved = await three.operator.label("support", "prod", number)
        assert moved["stragglers"] == []
        assert await many(three, 20) == {(200, f"support@{number}"): 20}
        switch = await three.operator.post("/switches", scope={"agent": "support"}, mode="block", why="a test")
        assert switch["stragglers"] == []
        assert await many(three, 20) == {(403, f"support@{number}"): 20}
        await three.operator.request("DELETE", f"/switches/{switch['id']}", {"why": "a test"})


async def test_a_switch_cuts_streams_on_every_worker(three: Deployment) -> None:
    await three.operator.version("support", "[[simulate: stall_after_events=2]]", parent=2)
    await three.operator.label("support", "prod", 3)

    async def stream() -> str:
        async with three.post(CHAT, BODY | {"stream": True}) as answer:
            await answer.content.readany()
            begun.release()
            try:
                await answer.read()
            except aiohttp.ClientError:
                return "broken"
            return "whole"

    begun = asyncio.Semaphore(0)
    streams = [asyncio.ensure_future(stream()) for _ in range(12)]
    for _ in streams:
        await begun.acquire()
    await three.operator.post("/switches", scope={}, mode="block", cut_streams=True, why="now")
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await asyncio.gather(*streams) == ["broken"] * 12


async def test_a_worker_that_does_not_confirm_in_time_is_named_and_has_the_change_when_it_wakes(
    three: Deployment,
) -> None:
    (victim, *_) = await workers(three)
    os.kill(victim["pid"], signal.SIGSTOP)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            switch = await three.operator.post("/switches", scope={}, mode="block", why="a test")
        assert switch["stragglers"] == [victim["name"]]
    finally:
        os.kill(victim["pid"], signal.SIGCONT)
    confirmed = await three.operator.post("/switches", scope={"agent": "support"}, mode="observe", why="a test")
    assert confirmed["stragglers"] == []
    assert await many(three, 30) == {(403, "support@1"): 30}


async def test_metrics_and_runs_of_all_workers_are_counted_once(tmp_path: Path) -> None:
    lines: list[bytes] = []
    async with deployed(tmp_path / "home", workers=3, log=lines.append) as deployment:
        await deployment.operator.agent("support", "one")
        assert await many(deployment, 150) == {(200, "support@1"): 150}
        assert await series(deployment, "switchback_runs_total") == deployment.simulator.record.received == 150
        assert await series(deployment, "switchback_run_duration_seconds_count") == 150
        billed = deployment.simulator.billed_nanodollars / 1e9
        assert await series(deployment, "switchback_cost_usd_total") == pytest.approx(billed)
        assert await series(deployment, "switchback_runs_in_flight") == 0
        # A worker that ends keeps its counts: what it had counted is not counted twice nor lost.
        os.kill((await workers(deployment))[0]["pid"], signal.SIGTERM)
        await eventually(lambda: is_restarted(deployment, "worker-1"))
        assert await series(deployment, "switchback_runs_total") == 150
        await many(deployment, 30)
        assert await series(deployment, "switchback_runs_total") == 180
        runs = await deployment.operator.runs(180)
        assert len({run["id"] for run in runs}) == len(runs) == 180
    logged = [orjson.loads(line) for batch in lines for line in batch.splitlines()]
    assert len([line for line in logged if line["event"] == "run"]) == 180
    assert [line["worker"] for line in logged if line["event"] == "worker_ended"] == ["worker-1"]
    assert not [line for line in logged if line["event"] == "internal_error"]


async def test_a_pinned_version_that_no_label_reaches_is_found_from_every_worker(three: Deployment) -> None:
    assert await many(three, 30, "/a/support@2/v1/chat/completions") == {(200, "support@2"): 30}
    assert await many(three, 9, "/a/support@7/v1/chat/completions") == {(404, ""): 9}


async def test_a_conversation_stays_on_its_arm_whichever_worker_serves_it(three: Deployment) -> None:
    rollout = await three.operator.post(
        "/agents/support/rollouts", label="prod", candidate=2, percentage=0, why="a test"
    )
    for name in ("a", "b", "c"):
        assert await call(three, switchback_conversation=name) == (200, "support@1")
    path = f"/agents/support/rollouts/{rollout['id']}/set-percentage"
    await three.operator.post(path, percentage=100, why="a test")
    for name in ("a", "b", "c"):
        assert await many(three, 12, switchback_conversation=name) == {(200, "support@1"): 12}
    assert await many(three, 12, switchback_conversation="new") == {(200, "support@2"): 12}
    # A worker that starts later knows them too.
    os.kill((await workers(three))[0]["pid"], signal.SIGKILL)
    await eventually(lambda: is_restarted(three, "worker-1"))
    assert await many(three, 24, switchback_conversation="a") == {(200, "support@1"): 24}


async def test_a_port_that_is_taken_is_said_so_and_nothing_is_left_running(tmp_path: Path, three: Deployment) -> None:
    taken = three.server.traffic_url.removeprefix("http://")
    with pytest.raises(OSError, match="in use"):
        async with deployed(tmp_path / "other", workers=2, listen=taken):
            pass
    assert await many(three, 6) == {(200, "support@1"): 6}

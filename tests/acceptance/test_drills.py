"""Rollbacks that are rehearsed: on the real path, beside real users and providers, and remembered."""

import asyncio
import math
import os
import signal
from pathlib import Path
from typing import Any

import orjson
import pytest

from proxy.core.names import DRILL_LABEL
from proxy.runtime.rollouts.weekly_drills import WEEKLY
from proxy.simulator.app import Simulator
from tests.acceptance.absent_store import moved_away
from tests.acceptance.several_workers import BODY, CHAT, many, series, workers
from tests.harness import Deployment, Refused, deployed, eventually


async def _drill(deployment: Deployment, agent: str = "support", **body: Any) -> dict[str, Any]:
    return await deployment.operator.post(f"/agents/{agent}/drills", why="a test", **body)


async def _labels(deployment: Deployment) -> list[str]:
    return [label["label"] for label in (await deployment.operator.get("/agents/support"))["labels"]]


async def _drilled(deployment: Deployment) -> list[dict[str, Any]]:
    return (await deployment.operator.get("/agents/support/drills"))["items"]


@pytest.mark.parametrize("count", [1, 3])
async def test_every_process_is_seen_to_have_the_candidate_and_to_have_it_no_more(home: Path, count: int) -> None:
    async with deployed(home, workers=count) as deployment:
        await deployment.operator.agent("support", "one", "two")
        held = await _drill(deployment)
        assert (held["passed"], held["stable"], held["candidate"], held["failed_calls"]) == (True, 1, 2, 0)
        names = ["owner"] if count == 1 else [worker["name"] for worker in await workers(deployment)]
        assert [process["process"] for process in held["processes"]] == names
        assert all(0 < process["candidate_calls"] < process["calls"] for process in held["processes"])
        times = [process["time_ms"] for process in held["processes"] if process["time_ms"] is not None]
        # A process may have called last a moment before the order.
        assert held["time_ms"] == max(times, default=None)
        assert held["calls"] == sum(process["calls"] for process in held["processes"])
        assert await _labels(deployment) == ["prod"]
        rows = (await deployment.operator.get("/agents/support/releases"))["items"]
        assert [row["kind"] for row in rows if row["label"] == DRILL_LABEL] == [
            "label_deleted", "rolled_back", "rollout_started", "label_moved",
        ]  # fmt: skip
        assert (await deployment.operator.get("/audit/verify"))["ok"]


async def test_the_calls_of_a_drill_reach_no_provider_and_count_nowhere_but_as_drills(home: Path) -> None:
    lines: list[bytes] = []
    async with deployed(home, log=lines.append) as deployment:
        operator = deployment.operator
        await operator.agent("support", "one", "two")
        for unit, limit in (("calls", 1), ("usd", 0), ("tokens", 1)):
            await operator.post(
                "/caps", scope={"agent": "support"}, window="total", unit=unit, limit=limit, why="tight"
            )
        held = await _drill(deployment)
        assert (held["passed"], held["failed_calls"]) == (True, 0)
        assert deployment.simulator.record.received == 0
        runs = await operator.runs(held["calls"], "agent=support")
        assert {(run["kind"], run["result"], run["streamed"]) for run in runs} == {
            ("drill", "ok", False),
            ("drill", "ok", True),
        }
        assert len(runs) == held["calls"]
        assert all(cap["spent"] == 0 for cap in (await operator.get("/caps"))["items"])
        assert await series(deployment, "switchback_runs_total") == 0
        assert await series(deployment, "switchback_rollbacks_total") == 0
        report = await operator.get("/reports/versions?agent=support")
        assert (report["rows"], report["last_drill"]) == ([], held)
        events = {orjson.loads(line)["event"] for batch in lines for line in batch.splitlines() if b"run_id" in line}
        assert events == {"drill_run"}


async def test_real_users_get_what_their_label_serves_while_a_drill_is_held(three: Deployment) -> None:
    drilling = asyncio.ensure_future(_drill(three))
    answered = await many(three, 40)
    while not drilling.done():
        answered += await many(three, 40)
    assert (await drilling)["passed"]
    assert set(answered) == {(200, "support@1")}


async def test_nobody_but_a_drill_can_follow_its_label_or_name_one_so(home: Path) -> None:
    async with deployed(home) as deployment:
        await deployment.operator.agent("support", "one", "two")
        with pytest.raises(Refused) as refused:
            await deployment.operator.label("support", DRILL_LABEL, 1)
        assert refused.value.code == "bad_name"
        async with deployment.post(CHAT, BODY, Switchback_Label=DRILL_LABEL, Switchback_Kind="drill") as answer:
            assert answer.status == 404
        (run,) = await deployment.operator.runs(1)
        assert (run["kind"], run["result"]) == ("live", "refused")


async def test_prompts_that_ask_for_variables_are_drilled_too(home: Path) -> None:
    async with deployed(home) as deployment:
        await deployment.operator.agent("support", "one")
        asking = {"text": "Be kind to {{name}}", "variables": {"name": {}}}
        await deployment.operator.version("support", "", parent=1, prompt=asking)
        assert (await _drill(deployment))["failed_calls"] == 0


async def test_a_candidate_whose_provider_speaks_another_format_is_measured_and_its_failures_told(home: Path) -> None:
    async with deployed(home) as deployment:
        await deployment.operator.agent("support", "one")
        await deployment.operator.version(
            "support", "two", parent=1, model={"provider": "anthropic", "name": "claude-x"}
        )
        held = await _drill(deployment)
        assert (held["passed"], held["processes"][0]["failure"]) == (True, "wire_mismatch")
        assert held["failed_calls"] == held["processes"][0]["candidate_calls"] > 0


async def test_what_a_drill_must_not_come_between_refuses_it_and_nothing_is_left(home: Path) -> None:
    async with deployed(home) as deployment:
        operator = deployment.operator
        with pytest.raises(Refused) as refused:
            await _drill(deployment, "nobody")
        assert refused.value.code == "agent_not_found"
        await operator.agent("support", "one")
        with pytest.raises(Refused) as refused:
            await _drill(deployment)
        assert refused.value.code == "nothing_to_rehearse"
        await operator.version("support", "two", parent=1)
        with pytest.raises(Refused) as refused:
            await _drill(deployment, label="staging")
        assert refused.value.code == "label_not_set"
        rollout = await operator.post("/agents/support/rollouts", label="prod", candidate=2, percentage=5, why="try")
        with pytest.raises(Refused) as refused:
            await _drill(deployment)
        assert refused.value.code == "rollout_running"
        await operator.post(f"/agents/support/rollouts/{rollout['id']}/abort", why="over")
        switch = await operator.post("/switches", scope={"agent": "support"}, mode="block", why="stop")
        with pytest.raises(Refused) as refused:
            await _drill(deployment)
        assert refused.value.code == "switch_holds"
        await operator.request("DELETE", f"/switches/{switch['id']}", {"why": "go"})
        assert (await _labels(deployment), await _drilled(deployment)) == (["prod"], [])
        both = await asyncio.gather(_drill(deployment), _drill(deployment), return_exceptions=True)
        assert sorted(getattr(one, "code", "held") for one in both) == ["drill_running", "held"]


async def test_a_drill_without_its_store_is_refused_and_one_can_be_held_when_it_is_back(home: Path) -> None:
    async with deployed(home) as deployment:
        await deployment.operator.agent("support", "one", "two")
        async with moved_away(deployment, home):
            await eventually(lambda: _is_refused(deployment))
        await eventually(lambda: _is_held(deployment))
        assert await _labels(deployment) == ["prod"]
        assert (await _drilled(deployment))[0]["passed"]


async def _is_held(deployment: Deployment) -> bool:
    return not await _is_refused(deployment)


async def _is_refused(deployment: Deployment) -> bool:
    try:
        await _drill(deployment)
    except Refused as refused:
        return refused.status == 503
    return False


async def test_a_worker_that_stands_still_fails_the_drill_which_is_told_by_name(
    three: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in (("_LIMIT_SECONDS", 4.0), ("_BEGIN_SECONDS", 0.5), ("_TELL_SECONDS", 0.5)):
        monkeypatch.setattr(f"proxy.runtime.rollouts.drills.{name}", seconds)
    (victim, *_) = await workers(three)
    os.kill(victim["pid"], signal.SIGSTOP)
    try:
        held = await _drill(three)
    finally:
        os.kill(victim["pid"], signal.SIGCONT)
    assert (held["passed"], held["time_ms"]) == (False, None)
    told = {process["process"]: process["passed"] for process in held["processes"]}
    assert told.pop(victim["name"]) is False
    assert False not in told.values()
    assert (await _drilled(three))[0] == {name: value for name, value in held.items() if name != "stragglers"}


async def test_the_last_drill_of_each_agent_is_known_over_a_restart(home: Path, simulator: Simulator) -> None:
    async with deployed(home, simulator=simulator) as deployment:
        await deployment.operator.agent("support", "one", "two")
        await _drill(deployment)
        held = await _drill(deployment)
        assert await series(deployment, "switchback_drill_timestamp_seconds") > 0
    async with deployed(home, simulator=simulator) as deployment:
        await eventually(lambda: _knows(deployment, held["id"]))
        shown = await series(deployment, "switchback_drill_duration_seconds")
        assert math.isnan(shown) if held["time_ms"] is None else shown == held["time_ms"] / 1000
        assert await series(deployment, "switchback_drill_passed") == 1
        assert (await _drilled(deployment))[0] == held
        assert len(await _drilled(deployment)) == 2


async def _knows(deployment: Deployment, drill_id: str) -> bool:
    drills = (await deployment.operator.get("/status"))["drills"]
    return [drill["id"] for drill in drills] == [drill_id]


async def test_what_a_drill_left_that_broke_off_is_gone_after_the_next_start(home: Path, simulator: Simulator) -> None:
    async with deployed(home, simulator=simulator, workers=2) as deployment:
        await deployment.operator.agent("support", "one", "two")
        for worker in await workers(deployment):
            os.kill(worker["pid"], signal.SIGSTOP)
        drilling = asyncio.ensure_future(_drill(deployment))
        await eventually(lambda: _has_label(deployment))
        # The server ends in the middle of it, and has no time to clear away.
        drilling.cancel()
        for worker in await workers(deployment):
            os.kill(worker["pid"], signal.SIGCONT)
    async with deployed(home, simulator=simulator) as deployment:
        await eventually(lambda: _has_no_label(deployment))
        assert (await deployment.operator.get("/audit/verify"))["ok"]
        assert (await _drill(deployment))["passed"]


async def _has_label(deployment: Deployment) -> bool:
    return DRILL_LABEL in await _labels(deployment)


async def _has_no_label(deployment: Deployment) -> bool:
    return DRILL_LABEL not in await _labels(deployment)


async def test_each_agent_is_drilled_once_a_week_where_the_settings_say_so(home: Path, simulator: Simulator) -> None:
    async with deployed(home, simulator=simulator, weekly_drills=True) as deployment:
        await deployment.operator.agent("alone", "one")
        await deployment.operator.agent("busy", "one", "two")
        await deployment.operator.post("/agents/busy/rollouts", label="prod", candidate=2, percentage=5, why="try")
        await deployment.operator.agent("support", "one", "two")
        weekly = deployment.server.weekly_drills
        assert weekly is not None
        await weekly.look()
        await weekly.look()
        held = await _drilled(deployment)
        assert [(drill["who"], drill["passed"]) for drill in held] == [(WEEKLY, True)]
        assert [drill["agent"] for drill in (await deployment.operator.get("/status"))["drills"]] == ["support"]
    async with deployed(home, simulator=simulator, weekly_drills=True) as deployment:
        await eventually(lambda: _knows(deployment, held[0]["id"]))
        weekly = deployment.server.weekly_drills
        assert weekly is not None
        await weekly.look()
        assert len(await _drilled(deployment)) == 1

"""A candidate in the shadow: it answers copies that nobody gets, is judged by them, and reaches no user if it fails."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from proxy.simulator.app import Simulator
from tests.acceptance.several_workers import BODY, CHAT, series
from tests.harness import CALLER_KEY, Deployment, Refused, deployed, eventually

GOOD, FAILING = (f"Be brief. [[simulate: {order}]]" for order in ("output_tokens=2", "output_tokens=2; error_rate=0.6"))
EQUAL = f"{GOOD} And polite."
SHADOW: dict[str, Any] = {
    "percentage": 100, "cap_usd": 5, "min_duration": 0.1, "min_runs": 20, "min_users": 10, "callers_keys": True,
}  # fmt: skip
RAMP = [{"percentage": 50, "min_duration": "1h", "min_runs": 20, "min_users": 10}]


@asynccontextmanager
async def _shadowed(
    home: Path,
    candidate: str = EQUAL,
    workers: int = 1,
    guards: Any = None,
    shadow: Any = None,
    plan: Any = None,
    **options: Any,
) -> AsyncIterator[tuple[Deployment, dict[str, Any]]]:
    """A rollout that begins in the shadow."""
    async with deployed(home, workers=workers, rollout_tick_seconds=0.05, **options) as deployment:
        await deployment.operator.agent("support", GOOD, candidate)
        yield deployment, await _start(deployment, guards, plan, **(shadow or {}))


async def _start(deployment: Deployment, guards: Any = None, plan: Any = None, **shadow: Any) -> dict[str, Any]:
    # What most look at here is the comparison, not a limit that acts sooner.
    plan = {"hard_triggers": [], **(plan or {})}
    plan |= {"shadow": {**SHADOW, **shadow}, "steps": RAMP, "guards": guards or {"errors": {}}}
    return await deployment.operator.post("/agents/support/rollouts", label="prod", candidate=2, plan=plan, why="")


async def _calls(deployment: Deployment, users: Any, count: int, body: Any = BODY) -> set[tuple[int, str]]:
    """Calls of new users, one after the other's pair, so that none is dropped: statuses and versions."""

    async def call(user: int) -> tuple[int, str]:
        asked = {**body, "stream": user % 2 == 1}
        async with deployment.post(CHAT, asked, Switchback_User=f"user-{user}") as answer:
            await answer.read()
            return answer.status, answer.headers["switchback-version"]

    seen: set[tuple[int, str]] = set()
    for user in itertools.islice(users, count):
        seen.add(await call(user))
    return seen


async def _shown(deployment: Deployment, rollout: dict[str, Any]) -> dict[str, Any]:
    return await deployment.operator.get(f"/agents/support/rollouts/{rollout['id']}")


async def _is_over(deployment: Deployment, rollout: dict[str, Any]) -> bool:
    shown = await _shown(deployment, rollout)
    return shown["state"] != "running" or shown["step"] > 0


async def _until_over(deployment: Deployment, rollout: dict[str, Any]) -> tuple[dict[str, Any], set[tuple[int, str]]]:
    """Traffic until the shadow is over; the rollout then, and what users got."""
    users, seen = itertools.count(), set[tuple[int, str]]()
    async with asyncio.timeout(60):
        while not await _is_over(deployment, rollout):
            seen |= await _calls(deployment, users, 5)
    return await _shown(deployment, rollout), seen


async def _copies(deployment: Deployment, count: int) -> list[dict[str, Any]]:
    """The runs of copies, once there are so many."""
    found: list[dict[str, Any]] = []

    async def are_there() -> bool:
        found[:] = [run for run in await deployment.operator.runs(0, "agent=support") if run["kind"] == "shadow"]
        return len(found) >= count

    await eventually(are_there)
    return found


async def _results(deployment: Deployment) -> dict[str, float]:
    async with deployment.session.get(f"{deployment.server.admin_url}/metrics") as answer:
        lines = [
            line for line in (await answer.text()).splitlines() if line.startswith("switchback_shadow_copies_total")
        ]
    return {line.partition('result="')[2].partition('"')[0]: float(line.rpartition(" ")[2]) for line in lines}


@pytest.mark.parametrize("workers", [1, 3])
async def test_a_candidate_that_fails_in_the_shadow_is_taken_back_before_any_user_has_it(
    home: Path, workers: int
) -> None:
    async with _shadowed(home, FAILING, workers, shadow={"min_runs": 1000}) as (deployment, rollout):
        assert [(arm["name"], arm["percentage"]) for arm in rollout["arms"]] == [("stable", 100), ("candidate", 0)]
        ended, seen = await _until_over(deployment, rollout)
        assert (ended["state"], ended["step"]) == ("rolled_back", 0)
        assert seen == {(200, "support@1")}
        assert ended["progress"]["sentence"].startswith("candidate errors ")


async def test_a_good_candidate_goes_on_to_the_first_share_and_the_cap_of_its_copies_is_ended(home: Path) -> None:
    async with _shadowed(home) as (deployment, rollout):
        (cap,) = (await deployment.operator.get("/caps"))["items"]
        assert (cap["scope"], cap["limit"], cap["at_limit"]) == (
            {"agent": "support", "rollout": rollout["id"], "arm": "shadow"}, 5, "block",
        )  # fmt: skip
        shown, _ = await _until_over(deployment, rollout)
        assert (shown["state"], shown["step"]) == ("running", 1)
        assert [arm["percentage"] for arm in shown["arms"]] == [50, 50]
        await eventually(lambda: _has_no_cap(deployment))
        assert (await deployment.operator.get("/audit/verify"))["ok"]


async def _has_no_cap(deployment: Deployment) -> bool:
    return (await deployment.operator.get("/caps"))["items"] == []


async def test_a_copy_names_its_run_and_counts_in_no_report_no_metric_and_no_users_cap(home: Path) -> None:
    async with _shadowed(home, shadow={"min_runs": 1000}) as (deployment, _):
        await deployment.operator.post(
            "/caps", scope={"agent": "support", "user": "*"}, window="total", unit="usd", limit=1, why="each"
        )
        await _calls(deployment, itertools.count(), 6)
        copies = await _copies(deployment, 6)
        runs = await deployment.operator.runs(12, "agent=support")
        parents = {run["id"]: run for run in runs if run["kind"] == "live"}
        assert {copy["parent_run"] for copy in copies} == parents.keys()
        for copy in copies:
            parent = parents[copy["parent_run"]]
            assert (copy["version"], copy["arm"], parent["version"], parent["arm"]) == (2, "shadow", 1, "stable")
            assert (copy["user"], copy["streamed"]) == (parent["user"], parent["streamed"])
            assert copy["cost_usd"] > 0
        assert await series(deployment, "switchback_runs_total") == 6
        report = await deployment.operator.get("/reports/versions?agent=support")
        assert [(row["version"], row["runs"]) for row in report["rows"]] == [(1, 6)]
        caps = {
            cap["scope"].get("user", "copies"): cap["spent"]
            for cap in (await deployment.operator.get("/caps"))["items"]
        }
        assert caps["copies"] == pytest.approx(sum(copy["cost_usd"] for copy in copies))
        assert caps["*"] == pytest.approx(sum(run["cost_usd"] for run in parents.values()))


async def test_a_callers_key_pays_for_no_copy_unless_the_plan_says_so(home: Path) -> None:
    async with _shadowed(home, shadow={"callers_keys": False}) as (deployment, rollout):
        assert any("callers_keys: true" in notice for notice in rollout["warnings"])
        await _calls(deployment, itertools.count(), 4)
        await eventually(lambda: _has_results(deployment, {"callers_key": 4.0}))
        assert deployment.simulator.record.received == 4


async def test_a_key_of_the_settings_pays_for_copies_and_the_callers_is_not_sent_with_them(
    home: Path, simulator: Simulator
) -> None:
    providers = {"openai": {"wire": "openai", "base_url": simulator.url, "api_key": "sk-of-the-settings-0123456789"}}
    shadow = {"callers_keys": False}
    async with _shadowed(home, simulator=simulator, providers=providers, shadow=shadow) as (deployment, _):
        await _calls(deployment, itertools.count(), 4)
        await _copies(deployment, 4)
        assert CALLER_KEY not in str([dict(call.headers) for call in simulator.record.calls])
        assert simulator.record.received == 8


async def _has_results(deployment: Deployment, wanted: dict[str, float]) -> bool:
    return await _results(deployment) == wanted


TOOLS = [{"type": "function", "function": {"name": "refund", "parameters": {"type": "object"}}}]


@pytest.mark.parametrize(("are_safe", "result"), [(False, "tools"), (True, "made")])
async def test_calls_that_offer_tools_are_copied_only_where_the_plan_says_that_tools_are_safe(
    home: Path, are_safe: bool, result: str
) -> None:
    async with _shadowed(home, shadow={"tools_are_safe": are_safe}) as (deployment, _):
        await _calls(deployment, itertools.count(), 3, {**BODY, "tools": TOOLS})
        await eventually(lambda: _has_results(deployment, {result: 3.0}))


async def test_nothing_is_copied_for_a_candidate_with_tools_of_its_own(home: Path) -> None:
    async with deployed(home, rollout_tick_seconds=0.05) as deployment:
        await deployment.operator.agent("support", GOOD)
        await deployment.operator.version("support", GOOD, parent=1, tools={"mode": "merge", "items": TOOLS})
        rollout = await _start(deployment)
        assert any("tools_are_safe: true" in notice for notice in rollout["warnings"])
        await _calls(deployment, itertools.count(), 3)
        await eventually(lambda: _has_results(deployment, {"tools": 3.0}))


async def test_copies_cost_no_more_than_their_cap_and_users_are_served_all_the_same(home: Path) -> None:
    async with _shadowed(home, shadow={"cap_usd": 0.000001, "min_runs": 1000}) as (deployment, rollout):
        assert await _calls(deployment, itertools.count(), 8) == {(200, "support@1")}
        copies = await _copies(deployment, 8)
        assert {copy["error_class"] for copy in copies} == {"spend_cap_exceeded"}
        assert deployment.simulator.record.received == 8
        shown = await _shown(deployment, rollout)
        # Our own refusals say nothing of the candidate.
        assert shown["state"] == "running"


async def test_copies_beyond_so_many_at_once_are_dropped_and_no_call_waits_for_one(home: Path) -> None:
    async with _shadowed(home, f"{GOOD} [[simulate: delay_ms=60000]]", shadow={"min_runs": 1000}) as (deployment, _):
        async with asyncio.timeout(30):
            assert await _calls(deployment, itertools.count(), 20) == {(200, "support@1")}
        await eventually(lambda: _has_results(deployment, {"busy": 12.0}))


async def test_a_request_that_finds_no_room_is_not_copied(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.runtime.own_calls.shadow_copies.ROOM_BYTES", 1000)
    async with _shadowed(home) as (deployment, _):
        long = {**BODY, "messages": [{"role": "user", "content": "x" * 2000}]}
        assert await _calls(deployment, itertools.count(), 2, long) == {(200, "support@1")}
        await eventually(lambda: _has_results(deployment, {"no_room": 2.0}))


async def test_validators_judge_copies_too_and_a_candidate_whose_answers_fail_them_reaches_nobody(home: Path) -> None:
    async with deployed(home, rollout_tick_seconds=0.05) as deployment:
        judged: dict[str, Any] = {"policy": {"validators": ["json"]}}
        await deployment.operator.agent("support", "[[simulate: text={}]]", **judged)
        await deployment.operator.version("support", "[[simulate: text=sorry]]", parent=1, **judged)
        # Answers are judged behind the calls, at their own pace: the shadow is not to be over before.
        rollout = await _start(deployment, {"outcome.validation": {"kind": "rate"}}, min_runs=1000)
        ended, seen = await _until_over(deployment, rollout)
        assert (ended["state"], ended["step"], seen) == ("rolled_back", 0, {(200, "support@1")})
        assert ended["progress"]["sentence"].startswith("candidate outcome.validation ")


BY_DEFAULT = [{"metric": "errors", "rate": 0.5, "min_runs": 20, "min_bad": 10}]


async def test_an_outage_that_hits_both_takes_no_candidate_back(home: Path) -> None:
    async with _shadowed(home, shadow={"min_runs": 1000}, plan={"hard_triggers": BY_DEFAULT}) as (deployment, rollout):
        users = itertools.count()
        # No more at a time than may be copied at a time, or some are left out.
        for count in (5, 10):
            await _calls(deployment, users, 5)
            await _copies(deployment, count)
        await deployment.simulator.stop()
        for count in (15, 20, 25, 30):
            assert await _calls(deployment, users, 5) == {(502, "support@1")}
            copies = await _copies(deployment, count)
        assert sum(copy["result"] == "error" for copy in copies) == 20
        await eventually(lambda: _has_compared(deployment, rollout, 30))
        shown = await _shown(deployment, rollout)
        assert (shown["state"], shown["progress"]["phase"]) == ("running", "running")


async def _has_compared(deployment: Deployment, rollout: dict[str, Any], count: int) -> bool:
    progress = (await _shown(deployment, rollout))["progress"]
    decision = None if progress is None else progress["decision"]
    if decision is None:
        return False
    (errors,) = (one for one in decision["metrics"] if (one["metric"], one["role"]) == ("errors", "guard"))
    return errors["candidate"]["runs"] == errors["stable"]["runs"] == count


async def test_nothing_is_copied_while_the_rollout_is_paused_or_after_it_was_taken_back(home: Path) -> None:
    async with _shadowed(home) as (deployment, rollout):
        path = f"/agents/support/rollouts/{rollout['id']}"
        await deployment.operator.post(f"{path}/pause", why="lunch")
        await _calls(deployment, itertools.count(), 3)
        await deployment.operator.post(f"{path}/resume", why="back")
        await deployment.operator.post("/agents/support/rollback", why="no")
        await _calls(deployment, itertools.count(), 3)
        assert await _results(deployment) == {}
        assert deployment.simulator.record.received == 6


async def test_nothing_is_copied_before_the_schedule_lets_it_begin(home: Path) -> None:
    later = {"schedule": {"not_before": "2099-01-01T00:00:00Z"}}
    async with _shadowed(home, plan=later) as (deployment, rollout):
        assert await _calls(deployment, itertools.count(), 5) == {(200, "support@1")}
        assert await _results(deployment) == {"schedule": 5.0}
        assert deployment.simulator.record.received == 5
        await eventually(lambda: _waits_to_begin(deployment, rollout))


async def _waits_to_begin(deployment: Deployment, rollout: dict[str, Any]) -> bool:
    shown = await _shown(deployment, rollout)
    told = "it is not to begin yet, until 2099-01-01T00:00:00Z; waits to begin"
    sentence = None if shown["progress"] is None else shown["progress"]["sentence"]
    return (shown["state"], shown["step"], sentence) == ("running", 0, told)


async def test_a_rollout_goes_on_in_the_shadow_after_a_restart(home: Path, simulator: Simulator) -> None:
    async with _shadowed(home, simulator=simulator) as (deployment, rollout):
        await _calls(deployment, itertools.count(100), 10)
        await _copies(deployment, 10)
    async with deployed(home, simulator=simulator, rollout_tick_seconds=0.05) as deployment:
        shown, _ = await _until_over(deployment, rollout)
        assert (shown["state"], shown["step"]) == ("running", 1)


async def test_a_shadow_without_a_cap_is_no_plan(home: Path) -> None:
    async with deployed(home) as deployment:
        await deployment.operator.agent("support", GOOD, GOOD + " And polite.")
        with pytest.raises(Refused) as refused:
            await deployment.operator.post(
                "/agents/support/rollouts", label="prod", candidate=2, plan={"shadow": {"percentage": 5}}, why=""
            )
        assert (refused.value.code, refused.value.problem["param"]) == ("bad_plan", "shadow.cap_usd")

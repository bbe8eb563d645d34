"""Finished answers are judged by the validators of their version, off the path of calls, and the verdict is an outcome of the run."""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from proxy.simulator.app import Simulator
from tests.acceptance.several_workers import many
from tests.harness import PATIENCE_SECONDS, Deployment, Refused, deployed

SCHEMA = {"type": "object", "required": ["team"], "properties": {"team": {"type": "string", "pattern": "^[a-z]+$"}}}


async def verdicts(deployment: Deployment, count: int) -> list[dict[str, Any]]:
    """The outcomes of that name, once there are so many."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            page = await deployment.operator.get("/outcomes?name=validation")
            if len(page["items"]) >= count:
                return page["items"]
            await asyncio.sleep(0.05)


async def metric(deployment: Deployment, line: str) -> float:
    async with deployment.session.get(f"{deployment.server.admin_url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return next((float(found.rpartition(" ")[2]) for found in lines if found.startswith(line)), 0.0)


async def triage(deployment: Deployment, *validators: Any, says: str = "{}", **components: Any) -> None:
    """An agent whose version is told what to say, and whose answers are judged so."""
    await deployment.operator.agent(
        "support", f"[[simulate: text={says}]]", policy={"validators": list(validators)}, **components
    )


async def call_chat(deployment: Deployment, *, stream: bool = False, orders: str = "") -> None:
    app = deployment.openai(default_headers={"x-simulate": orders} if orders else {})
    messages: Any = [{"role": "user", "content": "hello"}]
    answer = await app.chat.completions.create(model="gpt-4o-mini", messages=messages, stream=stream)
    if stream:
        [chunk async for chunk in answer]


async def call_responses(deployment: Deployment, *, stream: bool = False) -> None:
    answer = await deployment.openai().responses.create(model="gpt-4o-mini", input="hello", stream=stream)
    if stream:
        [event async for event in answer]


async def call_messages(deployment: Deployment, *, stream: bool = False) -> None:
    answer = await deployment.anthropic().messages.create(
        model="claude-sonnet-5", max_tokens=100, messages=[{"role": "user", "content": "hello"}], stream=stream
    )
    if stream:
        [event async for event in answer]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("call", [call_chat, call_responses, call_messages])
async def test_answers_of_every_wire_are_judged_whole_and_streamed(
    deployment: Deployment, call: Any, stream: bool
) -> None:
    model: Any = {"name": "claude-sonnet-5"} if call is call_messages else {"name": "gpt-4o-mini"}
    says = orjson.dumps({"team": "billing", "note": "é" * 30}).decode()
    await triage(deployment, "json", {"json_schema": SCHEMA}, {"regex": "é{30}"}, says=says, model=model)
    await call(deployment, stream=stream)
    (good,) = await verdicts(deployment, 1)
    assert (good["value"], good["why"], good["recorded_by"], good["agent"]) == (True, "", "validators", "support")
    says = orjson.dumps({"team": "BILLING"}).decode()
    body = {"policy": {"validators": ["json", {"json_schema": SCHEMA}]}, "model": model}
    await deployment.operator.version("support", f"[[simulate: text={says}]]", parent=1, **body)
    await deployment.operator.label("support", "prod", 2)
    await call(deployment, stream=stream)
    bad, _ = await verdicts(deployment, 2)
    assert (bad["value"], bad["version"]) == (False, 2)
    assert bad["why"] == "policy.validators[1].json_schema: breaks properties/team/pattern"
    assert "BILLING" not in bad["why"]


@pytest.mark.parametrize(
    ("orders", "result"),
    [("cut_after_events=1", "error"), ("error_after_events=1", "error"), ("status=500", "error")],
)
async def test_what_is_no_finished_answer_is_not_judged(deployment: Deployment, orders: str, result: str) -> None:
    await triage(deployment, "json", says="some words that are no JSON")
    async with deployment.post(
        "/a/support/v1/chat/completions",
        {"model": "x", "messages": [{"role": "user", "content": "hi"}], "stream": True},
        x_simulate=orders,
    ) as answer:
        with suppress(aiohttp.ClientError):
            await answer.read()
    (run,) = await deployment.operator.runs(1)
    assert run["result"] == result
    await call_chat(deployment)
    (judged,) = await verdicts(deployment, 1)
    assert judged["run"] != run["id"]
    assert deployment.server._control.validation.room.left_bytes == 64 * 1024 * 1024


async def test_a_call_of_a_tool_is_not_judged_as_the_answer_that_it_is_not_yet(deployment: Deployment) -> None:
    await triage(deployment, "json", says="no JSON")
    body = {
        "model": "x",
        "messages": [{"role": "user", "content": "call lookup: use the tool lookup"}],
        "tools": [{"type": "function", "function": {"name": "lookup", "parameters": {"type": "object"}}}],
        "tool_choice": {"type": "function", "function": {"name": "lookup"}},
    }
    async with deployment.post("/a/support/v1/chat/completions", body) as answer:
        assert (await answer.json())["choices"][0]["finish_reason"] == "tool_calls"
    await call_chat(deployment)
    (judged,) = await verdicts(deployment, 1)
    runs = await deployment.operator.runs(2)
    assert judged["run"] == next(run["id"] for run in runs if run["finish"] != "tool_call")


async def test_a_pattern_that_never_ends_stops_neither_calls_nor_other_verdicts(deployment: Deployment) -> None:
    await triage(deployment, {"regex": "(a+)+$"}, says="a" * 60 + "!")
    await deployment.operator.agent("other", "[[simulate: text=short]]", policy={"validators": [{"max_chars": 10}]})
    await call_chat(deployment)
    app = deployment.openai("other")
    await app.chat.completions.create(model="x", messages=[{"role": "user", "content": "hello"}])
    found = {outcome["agent"]: outcome for outcome in await verdicts(deployment, 2)}
    assert (found["support"]["value"], found["support"]["why"]) == (None, "judging it takes more than 1 s")
    assert found["other"]["value"] is True
    named = 'switchback_answers_not_judged_total{agent="support",reason='
    assert await metric(deployment, named + '"unknown"}') == 1
    # What follows of that version is not tried for a while, and counted.
    await call_chat(deployment)
    await deployment.operator.runs(3)
    assert await metric(deployment, named + '"too_slow"}') == 1


async def test_an_answer_beyond_the_bounds_passes_and_is_told_to_be_unknown(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.runtime.validation.kept_answer.MAX_ANSWER_BYTES", 1000)
    await triage(deployment, "json", says="x" * 2000)
    await call_chat(deployment, stream=True)
    (judged,) = await verdicts(deployment, 1)
    assert judged["value"] is None
    assert judged["why"].startswith("the answer was not kept: larger than")
    assert await metric(deployment, 'switchback_answers_not_judged_total{agent="support",reason="too_large"}') == 1
    (run,) = await deployment.operator.runs(1)
    assert run["result"] == "ok"


async def test_compressed_answers_are_judged_by_what_they_hold(deployment: Deployment) -> None:
    await triage(deployment, "json", says='{"team": "billing"}')
    await call_chat(deployment, orders="gzip")
    (judged,) = await verdicts(deployment, 1)
    assert judged["value"] is True


async def test_a_judge_that_is_killed_is_started_again(deployment: Deployment) -> None:
    await triage(deployment, "json")
    await call_chat(deployment)
    await verdicts(deployment, 1)
    pid = deployment.server._control.validation._judge.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await call_chat(deployment)
    await call_chat(deployment)
    values = [outcome["value"] for outcome in await verdicts(deployment, 3)]
    assert values[-1] is True
    assert True in values[:-1]


async def test_several_workers_judge_their_answers_and_the_owner_records_them(tmp_path: Path) -> None:
    async with deployed(tmp_path / "home", workers=2) as deployment:
        await triage(deployment, "json", says="no JSON")
        await many(deployment, 12)
        found = await verdicts(deployment, 12)
        runs = {run["id"] for run in await deployment.operator.runs(12)}
    assert {outcome["run"] for outcome in found} == runs
    assert {outcome["value"] for outcome in found} == {False}


async def test_what_waits_at_the_end_is_judged_before_the_server_stops(tmp_path: Path) -> None:
    simulator = Simulator()
    await simulator.start()
    async with deployed(tmp_path / "home", simulator=simulator) as first:
        await triage(first, "json")
        await call_chat(first)
        await verdicts(first, 1)
        for _ in range(5):
            await call_chat(first)
    async with deployed(tmp_path / "home", simulator=simulator) as second:
        assert len(await verdicts(second, 6)) == 6
    await simulator.stop()


@pytest.mark.parametrize(
    ("validators", "param"),
    [
        ("json", "policy.validators"),
        ([{"regex": "("}], "policy.validators[0].regex"),
        (["json", {"max_chars": 0}], "policy.validators[1].max_chars"),
        ([{"json": True}], "policy.validators[0]"),
        ([{"json_schema": {"$ref": "https://example.com/schema"}}], "policy.validators[0].json_schema"),
        ([{"jsonschema": {}}], "policy.validators[0]"),
        (["json", {"json_schema": {"type": "no such type"}}], "policy.validators[1].json_schema"),
        ([{"json_schema": {"properties": {"a": {"pattern": "("}}}}], "policy.validators[0].json_schema"),
        ([{"json_schema": {"items": {"$ref": "#/$defs/missing"}}}], "policy.validators[0].json_schema"),
        ([{"json_schema": {"$schema": "https://example.com/mine"}}], "policy.validators[0].json_schema"),
        ([{"json_schema": {"$schema": 5}}], "policy.validators[0].json_schema"),
        ([{"json_schema": {"$id": "http://[", "items": {"$ref": "#/x"}}}], "policy.validators[0].json_schema"),
        (["json"] * 21, "policy.validators"),
    ],
)
async def test_a_validator_that_nobody_could_judge_by_makes_no_version(
    deployment: Deployment, validators: Any, param: str
) -> None:
    with pytest.raises(Refused) as refused:
        await deployment.operator.agent("support", "be brief", policy={"validators": validators})
    assert (refused.value.code, refused.value.problem["param"]) == ("bad_version", param)


async def test_a_guard_by_validation_takes_a_candidate_back_whose_answers_collapse(tmp_path: Path) -> None:
    async with deployed(tmp_path / "home", rollout_tick_seconds=0.05) as deployment:
        await triage(deployment, "json")
        policy = {"validators": ["json"]}
        await deployment.operator.version("support", "[[simulate: text=no JSON]]", parent=1, policy=policy)
        plan = {
            "steps": [{"percentage": 50, "min_duration": "1h", "min_runs": 0, "min_users": 0}],
            "guards": {"outcome.validation": {"kind": "rate"}},
            "hard_triggers": [{"metric": "outcome.validation", "rate": 0.5, "min_runs": 10, "min_bad": 5}],
        }
        started = await deployment.operator.post(
            "/agents/support/rollouts", label="prod", candidate=2, plan=plan, why="a test", force=True
        )
        path = f"/agents/support/rollouts/{started['id']}"
        async with asyncio.timeout(PATIENCE_SECONDS):
            for number in range(2000):
                async with deployment.post(
                    "/a/support/v1/chat/completions",
                    {"model": "x", "messages": [{"role": "user", "content": "hi"}]},
                    switchback_user=f"user-{number}",
                ) as answer:
                    await answer.read()
                if (await deployment.operator.get(path))["state"] != "running":
                    break
        ended = await deployment.operator.get(path)
    assert ended["state"] == "rolled_back"
    assert "validation" in ended["progress"]["sentence"]

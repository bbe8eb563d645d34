"""Releases that are certain to fail are seen before they serve: at a label's move, a rollout's start, a proposal."""

from typing import Any

import pytest

from proxy.core.calls.runs import Run
from tests.edges.admin.composition import NOON, Admin, Reply

WORKS: dict[str, Any] = {"prompt": {"text": "be brief"}, "model": {"provider": "openai", "name": "gpt-4o-mini"}}


async def version(admin: Admin, number: int, **components: Any) -> None:
    body = {**WORKS, **components, "parent": number - 1 or None, "message": f"number {number}"}
    assert (await admin.post("/agents/a/versions", body)).status == 201


@pytest.fixture
async def agent(admin: Admin) -> Admin:
    """An agent whose `prod` serves a version that works."""
    assert (await admin.post("/agents", {"agent": "a"})).status == 201
    await version(admin, 1)
    assert (await admin.call("PUT", "/agents/a/labels/prod", {"version": 1})).status == 200
    return admin


async def move(admin: Admin, number: int, **more: Any) -> Reply:
    return await admin.call("PUT", "/agents/a/labels/prod", {"version": number, **more})


def codes(reply: Reply) -> list[str]:
    assert (reply.status, reply.code) == (409, "preflight_failed")
    assert all(finding["message"] in reply["detail"] for finding in reply["findings"])
    return [finding["code"] for finding in reply["findings"]]


async def called(admin: Admin, wire: str = "openai_chat") -> None:
    """A call of the agent that was recorded."""
    run = Run(id=f"run_{wire}", agent="a", started_at_microseconds=NOON, duration_microseconds=1, wire=wire, status=200)
    await admin.commands.store.record_runs([run], [])


@pytest.mark.parametrize(
    ("components", "expected"),
    [
        ({"model": {"provider": "nobody", "name": "gpt-4o-mini"}}, ["provider_unknown"]),
        ({"prompt": {"text": " \n"}}, ["prompt_empty"]),
        ({"prompt": {}}, ["prompt_empty"]),
        ({"model": {"provider": "openai", "name": "o3", "parameters": {"temperature": 1}}}, ["parameter_refused"]),
        (
            {"model": {"provider": "anthropic", "name": "claude-opus-4-5", "parameters": {"seed": {"default": 3}}}},
            ["parameter_refused"],
        ),
        (
            {"prompt": {"text": "\t"}, "model": {"provider": "nobody", "name": "x"}},
            ["provider_unknown", "prompt_empty"],
        ),
    ],
)
async def test_every_finding_is_told_and_nothing_moves(
    agent: Admin, components: dict[str, Any], expected: list[str]
) -> None:
    await version(agent, 2, **components)
    before = await agent.audited()
    assert codes(await move(agent, 2)) == expected
    start = {"label": "prod", "candidate": 2, "percentage": 10}
    assert codes(await agent.post("/agents/a/rollouts", start)) == expected
    assert codes(await agent.post("/agents/a/proposals", {"label": "prod", "version": 2})) == expected
    assert await agent.audited() == before
    asked = await agent.get("/agents/a/versions/2/preflight")
    assert (asked["ok"], [finding["code"] for finding in asked["findings"]]) == (False, expected)


async def test_a_version_that_works_is_found_so_and_moves(agent: Admin) -> None:
    await called(agent)
    await version(agent, 2, model={"provider": "openai", "name": "gpt-4o", "parameters": {"temperature": 0.2}})
    asked = await agent.get("/agents/a/versions/latest/preflight?label=prod")
    assert asked.content == {"agent": "a", "version": 2, "label": "prod", "ok": True, "findings": []}
    assert (await move(agent, 2)).status == 200
    assert (await agent.get("/agents/a/versions/3/preflight")).code == "version_not_found"


async def test_a_version_without_a_prompt_is_no_finding_where_none_is_lost(admin: Admin) -> None:
    assert (await admin.post("/agents", {"agent": "a"})).status == 201
    await version(admin, 1, prompt=None)
    assert (await move(admin, 1)).status == 200


async def test_a_forced_release_has_the_findings_in_ledger_and_audit(agent: Admin) -> None:
    await version(agent, 2, prompt={"text": " "})
    assert (await move(agent, 2, force=True, why="the caller's prompt is enough")).status == 200
    (entry, *_) = (await agent.get("/audit"))["items"]
    assert entry["what"] == "label.moved"
    (evidence,) = entry["evidence"]
    assert (evidence["kind"], evidence["id"]) == ("preflight", "forced")
    assert [finding["code"] for finding in evidence["findings"]] == ["prompt_empty"]
    assert (await agent.get("/agents/a/releases"))["items"][0]["evidence"] == [evidence]
    assert (await agent.get("/audit/verify"))["ok"]


async def test_a_forced_rollout_and_a_forced_proposal_carry_the_findings_too(agent: Admin) -> None:
    await version(agent, 2, prompt={"text": " "})
    proposed = await agent.post("/agents/a/proposals", {"label": "prod", "version": 2, "force": True})
    assert (proposed.status, proposed["evidence"][0]["kind"]) == (201, "preflight")
    started = await agent.post("/agents/a/rollouts", {"label": "prod", "candidate": 2, "percentage": 10, "force": True})
    assert started.status == 201
    (entry, *_) = [found for found in (await agent.get("/audit"))["items"] if found["what"] == "rollout.started"]
    assert entry["evidence"][0]["kind"] == "preflight"


async def test_force_without_a_finding_leaves_no_trace(agent: Admin) -> None:
    await version(agent, 2, prompt={"text": "other"})
    assert (await move(agent, 2, force=True)).status == 200
    assert (await agent.get("/audit"))["items"][0]["evidence"] == []


async def test_the_way_back_waits_for_no_preflight(agent: Admin) -> None:
    await version(agent, 2, prompt={"text": " "})
    assert (await move(agent, 2, force=True)).status == 200
    await version(agent, 3)
    assert (await move(agent, 3)).status == 200
    back = await agent.post("/agents/a/rollback", {"label": "prod"})
    assert (back.status, back["version"]) == (200, 2)


async def test_a_wire_is_missed_only_where_calls_came_on_another(agent: Admin) -> None:
    await version(agent, 2, model={"provider": "anthropic", "name": "claude-opus-4-5"})
    assert (await agent.get("/agents/a/versions/2/preflight"))["ok"]
    await called(agent)
    assert codes(await move(agent, 2)) == ["wire_not_spoken"]
    await called(agent, "anthropic_messages")
    assert (await move(agent, 2)).status == 200


async def test_a_variable_is_missed_only_where_no_call_brought_it(agent: Admin) -> None:
    sent = agent.commands.sent_variables
    await version(agent, 2, prompt={"text": "{{name}} {{tone}}", "variables": {"name": {}, "tone": {"default": "dry"}}})
    assert (await agent.get("/agents/a/versions/2/preflight"))["ok"]
    sent.note("a", {"tone": "x"})
    sent.note("b", {"name": "x"})
    assert codes(await move(agent, 2)) == ["variable_not_sent"]
    sent.note("a", {"name": "x"})
    assert (await move(agent, 2)).status == 200


@pytest.mark.parametrize(
    ("scope", "is_found"),
    [
        ({}, True),
        ({"agent": "a"}, True),
        ({"user": "*"}, True),
        ({"agent": "a", "label": "prod"}, True),
        ({"model": "home-made"}, True),
        ({"agent": "b"}, False),
        ({"user": "u1"}, False),
        ({"tag": "tenant=x"}, False),
    ],
)
async def test_an_unpriced_model_is_found_where_a_hard_cap_in_dollars_counts_it(
    agent: Admin, scope: dict[str, Any], is_found: bool
) -> None:
    assert (await agent.post("/agents", {"agent": "b"})).status == 201
    await version(agent, 2, model={"provider": "openai", "name": "home-made"})
    for at_limit, unit in (("warn", "usd"), ("block", "calls")):
        cap = {"scope": {}, "window": "day", "unit": unit, "limit": 100, "at_limit": at_limit}
        assert (await agent.post("/caps", cap)).status == 201
    assert (await agent.get("/agents/a/versions/2/preflight"))["ok"]
    cap = {"scope": scope, "window": "month", "unit": "usd", "limit": 100}
    assert (await agent.post("/caps", cap)).status == 201
    found = (await agent.get("/agents/a/versions/2/preflight"))["findings"]
    assert [finding["code"] for finding in found] == (["model_unpriced"] if is_found else [])

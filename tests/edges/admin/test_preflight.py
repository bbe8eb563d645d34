"""Releases that are certain to fail are seen before they serve: at a label's move, a rollout's start, a proposal."""

from typing import Any

import pytest

from proxy.core.calls.runs import Run
from tests.edges.admin.composition import NOON, Admin, Reply
from tests.edges.admin.people import person

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


async def called(admin: Admin, wire: str = "openai_chat", agent: str = "a", sent: tuple[str, ...] | None = ()) -> None:
    """A call that was recorded, by whichever process served it."""
    run = Run(
        id=f"run_{agent}_{wire}_{sent}",
        agent=agent,
        started_at_microseconds=NOON,
        duration_microseconds=1,
        wire=wire,
        status=200,
        sent_variables=sent,
    )
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
    assert asked.content == {"agent": "a", "version": 2, "label": "prod", "ok": True, "findings": [], "notices": []}
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


NEEDY: dict[str, Any] = {"text": "{{name}} {{tone}}", "variables": {"name": {}, "tone": {"default": "dry"}}}


async def test_a_variable_is_missed_only_where_no_call_brought_it(agent: Admin) -> None:
    await version(agent, 2, prompt=NEEDY)
    await called(agent, sent=None)
    asked = await agent.get("/agents/a/versions/2/preflight")
    assert (asked["ok"], len(asked["notices"])) == (True, 1)
    assert "'name', which have no default, was not looked at" in asked["notices"][0]
    await called(agent, sent=("tone",))
    await called(agent, agent="b", sent=("name",))
    assert codes(await move(agent, 2)) == ["variable_not_sent"]
    await called(agent, sent=("name", "tone"))
    moved = await move(agent, 2)
    assert (moved.status, "warnings" in moved.content) == (200, False)


@pytest.mark.parametrize(
    ("wires", "is_refused"),
    [
        ((), False),
        (("openai_chat",), False),
        (("openai_responses",), True),
        (("openai_responses", "anthropic_messages"), True),
        (("openai_responses", "openai_chat"), False),
    ],
)
async def test_a_parameter_is_looked_at_on_the_wires_that_calls_speak(
    agent: Admin, wires: tuple[str, ...], is_refused: bool
) -> None:
    for wire in wires:
        await called(agent, wire)
    await version(agent, 2, model={"name": "gpt-4o-mini", "parameters": {"seed": {"default": 3}}})
    checked = await agent.get("/agents/a/versions/2/preflight")
    codes = [finding["code"] for finding in checked["findings"]]
    assert ("parameter_refused" in codes) == is_refused


async def test_what_nobody_knows_is_said_beside_what_is_done(agent: Admin) -> None:
    await version(agent, 2, prompt=NEEDY)
    start = {"label": "prod", "candidate": 2, "percentage": 10}
    rollout = await agent.post("/agents/a/rollouts", start)
    replies = [
        rollout,
        await agent.post(f"/agents/a/rollouts/{rollout['id']}/promote"),
        await agent.post("/agents/a/proposals", {"label": "staging", "version": 2}),
        await move(agent, 1),
    ]
    # Nothing has called `staging`, which serves nothing yet: that is known.
    assert [len(reply.content.get("warnings", [])) for reply in replies] == [2, 2, 0, 1]


#: A version that would fail, by what is found of it; calls come on OpenAI's wire and bring no variable.
FAILING: dict[str, dict[str, Any]] = {
    "provider_unknown": {"model": {"provider": "nobody", "name": "gpt-4o-mini"}},
    "provider_key_missing": {"model": {"provider": "keyless", "name": "gpt-4o-mini"}},
    "wire_not_spoken": {"model": {"provider": "anthropic", "name": "claude-opus-4-5"}},
    "variable_not_sent": {"prompt": NEEDY},
    "model_unpriced": {"model": {"provider": "openai", "name": "home-made"}},
    "prompt_empty": {"prompt": {"text": " "}},
    "model_retired": {"model": {"provider": "xai", "name": "grok-2-1212"}},
    "parameter_refused": {"model": {"provider": "openai", "name": "o3", "parameters": {"temperature": 1}}},
}


async def everyone_at(agent: Admin, code: str) -> list[Reply]:
    """The version asked for at every door, without force."""
    draft = {"agent": "a", **WORKS, **FAILING[code]}
    checked = await agent.post("/preflight", draft)
    assert code in [finding["code"] for finding in checked["findings"]]
    fallback = {"scope": {"agent": "a"}, "mode": "fallback", "fallback_version": 2, "why": "a test"}
    return [
        await move(agent, 2),
        await agent.post("/agents/a/rollouts", {"candidate": 2}),
        await agent.post("/agents/a/rollouts", {"candidate": 2, "percentage": 10}),
        await agent.post("/agents/a/proposals", {"label": "prod", "version": 2}),
        await agent.post("/switches", fallback),
    ]


@pytest.mark.parametrize("code", FAILING)
async def test_every_door_finds_the_same(agent: Admin, code: str) -> None:
    await called(agent)
    cap = {"scope": {"agent": "a"}, "window": "month", "unit": "usd", "limit": 100}
    assert (await agent.post("/caps", cap)).status == 201
    await version(agent, 2, **FAILING[code])
    before = await agent.audited()
    for reply in await everyone_at(agent, code):
        assert code in codes(reply)
    assert await agent.audited() == before


async def found_later(agent: Admin) -> None:
    """What was no finding when it began: version 2 needs a price from now on."""
    cap = {"scope": {}, "window": "month", "unit": "usd", "limit": 100}
    assert (await agent.post("/caps", cap)).status == 201


async def test_a_promotion_is_looked_at_too_and_what_its_start_was_forced_for_is_not_asked_again(agent: Admin) -> None:
    await version(agent, 2, prompt={"text": " "}, model={"provider": "openai", "name": "home-made"})
    start = {"candidate": 2, "percentage": 10, "force": True}
    path = f"/agents/a/rollouts/{(await agent.post('/agents/a/rollouts', start))['id']}/promote"
    await found_later(agent)
    assert codes(await agent.post(path)) == ["model_unpriced"]
    assert (await agent.post(path, {"force": True})).status == 200
    (entry, *_) = (await agent.get("/audit"))["items"]
    assert entry["what"] == "rollout.promoted"
    assert [finding["code"] for item in entry["evidence"] for finding in item["findings"]] == ["model_unpriced"]


async def test_an_approval_is_looked_at_too_and_what_its_author_forced_is_not_asked_again(agent: Admin) -> None:
    bob = await person(agent, "bob", "operator")
    await version(agent, 2, prompt={"text": " "}, model={"provider": "openai", "name": "home-made"})
    assert (await agent.post("/agents/a/proposals", {"label": "prod", "version": 2, "force": True})).status == 201
    await found_later(agent)
    assert codes(await bob.call("POST", "/agents/a/proposals/p1/approve", {})) == ["model_unpriced"]
    approved = await bob.call("POST", "/agents/a/proposals/p1/approve", {"force": True})
    assert (approved.status, approved["state"]) == (200, "approved")
    (row, *_) = (await agent.get("/agents/a/releases"))["items"]
    assert [[found["code"] for found in item["findings"]] for item in row["evidence"]] == [
        ["prompt_empty"],
        ["model_unpriced"],
    ]


async def test_a_plan_that_waits_for_what_nobody_can_tell_would_hold_for_ever(agent: Admin) -> None:
    await version(agent, 2, model={"provider": "openai", "name": "home-made"})
    refused = await agent.post("/agents/a/rollouts", {"candidate": 2})
    assert codes(refused) == ["guard_silent"]
    assert "cost_per_success" in refused["detail"]
    without = {"guards": {"errors": {"weight": 1}}}
    for started in ({"plan": without}, {"percentage": 10}, {"force": True}):
        reply = await agent.post("/agents/a/rollouts", {"candidate": 2, **started})
        assert reply.status == 201, reply.content
        await agent.post(f"/agents/a/rollouts/{reply['id']}/abort")
    assert (await move(agent, 2)).status == 200
    await version(agent, 3)
    assert codes(await agent.post("/agents/a/rollouts", {"candidate": 3})) == ["guard_silent"]


async def test_a_fallback_that_was_forced_is_in_the_audit_with_its_findings(agent: Admin) -> None:
    await version(agent, 2, prompt={"text": " "})
    fallback = {"scope": {"agent": "a"}, "mode": "fallback", "fallback_version": 2, "why": "a test"}
    assert codes(await agent.post("/switches", fallback)) == ["prompt_empty"]
    assert (await agent.post("/switches", {**fallback, "force": True})).status == 201
    (entry, *_) = (await agent.get("/audit"))["items"]
    assert entry["what"] == "switch.on"
    assert [finding["code"] for finding in entry["evidence"][0]["findings"]] == ["prompt_empty"]
    assert (await agent.get("/audit/verify"))["ok"]


async def test_a_version_that_could_not_be_made_has_no_preflight(agent: Admin) -> None:
    assert (await agent.post("/preflight", {"agent": "a", "policy": {"max_tool_cals": 3}})).code == "bad_version"
    assert (await agent.post("/preflight", {"agent": "A b"})).code == "bad_name"


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


async def test_what_calls_were_like_is_known_whatever_the_proxy_itself_called_since(agent: Admin) -> None:
    """A drill makes hundreds of calls, a shadow one for each of a share; none is a caller's."""
    await called(agent)
    own = [
        Run(
            id=f"run_{kind}_{number}",
            agent="a",
            kind=kind,
            started_at_microseconds=NOON + 1 + number,
            duration_microseconds=1,
            wire="anthropic_messages",
            status=200,
            sent_variables=("name",),
        )
        for kind in ("drill", "shadow")
        for number in range(150)
    ]
    await agent.commands.store.record_runs(own, [])
    await version(agent, 2, prompt=NEEDY, model={"provider": "anthropic", "name": "claude-opus-4-5"})
    assert codes(await move(agent, 2)) == ["wire_not_spoken", "variable_not_sent"]


async def test_calls_are_not_led_from_a_label_that_serves_to_one_that_does_not(agent: Admin) -> None:
    before = await agent.audited()
    refused = await agent.call("PATCH", "/agents/a", {"default_label": "stagin"})
    assert (refused.status, refused.code) == (404, "label_not_set")
    assert await agent.audited() == before
    assert (await agent.call("PUT", "/agents/a/labels/staging", {"version": 1})).status == 200
    refused = await agent.call("PATCH", "/agents/a", {"default_label": "stagin"})
    assert refused["detail"].endswith("set it first; did you mean staging?")
    assert (await agent.call("PATCH", "/agents/a", {"default_label": "staging"})).status == 200
    # Where nothing is served yet, nothing is lost.
    assert (await agent.post("/agents", {"agent": "b"})).status == 201
    assert (await agent.call("PATCH", "/agents/b", {"default_label": "live"})).status == 200

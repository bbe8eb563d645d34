"""The admin API of rollouts with several arms: what may be asked for, what is refused, who is asked, what is shown."""

from typing import Any

import pytest

from tests.edges.admin.composition import Admin
from tests.edges.admin.team import PROPOSALS, Team, refused

ROLLOUTS = "/agents/support/rollouts"
B: dict[str, Any] = {"name": "b", "version": 2, "percentage": 20}
C: dict[str, Any] = {"name": "c", "version": 3, "percentage": 30}
TWO: dict[str, Any] = {"label": "prod", "arms": [B, C], "why": "which is best"}


@pytest.fixture
async def three(admin: Admin) -> Admin:
    await admin.agent("support", "one", "two", "three")
    return admin


async def test_arms_begin_with_their_shares_and_stable_has_the_rest(three: Admin) -> None:
    started = await three.post(ROLLOUTS, TWO)
    assert started.status == 201, started.content
    assert [(arm["name"], arm["version"], arm["percentage"]) for arm in started["arms"]] == [
        ("stable", 1, 50),
        ("b", 2, 20),
        ("c", 3, 30),
    ]
    assert (started["plan"]["arms"], started["plan"]["steps"]) == ({"b": 20, "c": 30}, [])
    assert (await three.post(ROLLOUTS, TWO)).code == "rollout_running"
    row = (await three.get("/agents/support/releases"))["items"][0]
    assert [arm["name"] for arm in row["arms"]] == ["stable", "b", "c"]


async def test_a_named_plan_may_have_the_shares(three: Admin) -> None:
    plan = {"plan": {"arms": {"b": 10, "c": 15}, "guards": {"errors": {}}, "pinned": {"ann": "c"}}, "why": ""}
    assert (await three.call("PUT", "/plans/bake-off", plan)).status == 200
    versions = [{"name": "c", "version": 3}, {"name": "b", "version": 2}]
    started = await three.post(ROLLOUTS, {"label": "prod", "plan": "bake-off", "arms": versions})
    assert [(arm["name"], arm["version"], arm["percentage"]) for arm in started["arms"]] == [
        ("stable", 1, 75),
        ("b", 2, 10),
        ("c", 3, 15),
    ]
    assert (started["plan"]["name"], started["plan"]["pinned"]) == ("bake-off", {"ann": "c"})


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "bad_arm"),
        ({"candidate": 2, "arms": [B]}, "bad_arm"),
        ({"candidate": 2, "plan": {"arms": {"b": 5}}}, "bad_arm"),
        ({"arms": [{"name": "b", "version": 2}]}, "bad_arm"),
        ({"arms": [B, {"name": "c", "version": 3}]}, "bad_arm"),
        ({"arms": [B, {**B, "version": 3}]}, "bad_arm"),
        ({"arms": [{**B, "name": "stable"}]}, "bad_arm"),
        ({"arms": [B], "plan": {"arms": {"b": 5}}}, "bad_arm"),
        ({"arms": [{"name": "b", "version": 2}], "plan": {"arms": {"b": 5, "c": 5}}}, "bad_arm"),
        ({"arms": [{"name": "d", "version": 2}], "plan": {"arms": {"b": 5}}}, "bad_arm"),
        ({"arms": [B], "percentage": 10}, "bad_percentage"),
        ({"arms": [{**B, "percentage": 100}]}, "bad_plan"),
        ({"arms": [{**B, "percentage": 60}, {**C, "percentage": 60}]}, "bad_plan"),
        ({"arms": [B], "plan": {"steps": [{"percentage": 5}]}}, "bad_plan"),
        ({"arms": [B], "plan": {"shadow": {"cap_usd": 1}}}, "bad_plan"),
        ({"arms": [B], "plan": {"schedule": {"not_before": "2027-01-01T00:00:00Z"}}}, "bad_plan"),
        ({"arms": [B], "plan": {"at_end": "promote"}}, "bad_plan"),
        ({"arms": [B], "pinned": {"ann": "candidate"}}, "bad_plan"),
        ({"arms": [B, {**C, "version": 2}]}, "same_version"),
        ({"arms": [{**B, "version": 1}]}, "same_version"),
        ({"arms": [{**B, "version": 9}]}, "version_not_found"),
    ],
)
async def test_arms_that_cannot_be_are_refused_and_nothing_starts(
    three: Admin, body: dict[str, Any], code: str
) -> None:
    reply = await three.post(ROLLOUTS, {"label": "prod", **body})
    assert (reply.status, reply.code) == (404 if code == "version_not_found" else 400, code), reply.content
    assert (await three.get(ROLLOUTS))["items"] == []


async def test_where_there_are_several_the_arm_is_named(three: Admin) -> None:
    await three.post(ROLLOUTS, TWO)
    for verb, body in (("promote", {}), ("set-percentage", {"percentage": 5})):
        refused(await three.post(f"{ROLLOUTS}/r1/{verb}", body), 400, "arm_required")
        refused(await three.post(f"{ROLLOUTS}/r1/{verb}", {**body, "arm": "candidate"}), 404, "arm_not_found")
    refused(await three.post(f"{ROLLOUTS}/r1/set-percentage", {"percentage": 71, "arm": "b"}), 400, "bad_percentage")
    refused(await three.post(f"{ROLLOUTS}/r1/set-percentage", {"percentage": 70, "arm": "b"}), 400, "bad_percentage")
    changed = await three.post(f"{ROLLOUTS}/r1/set-percentage", {"percentage": 40, "arm": "b", "why": "more"})
    assert [arm["percentage"] for arm in changed["arms"]] == [30, 40, 30]
    promoted = await three.post(f"{ROLLOUTS}/r1/promote", {"arm": "b", "why": "best"})
    assert promoted["state"] == "promoted"
    assert (await three.get("/agents/support/labels"))["items"][0]["version"] == 2


async def test_aborted_or_rolled_back_stable_serves_everyone(three: Admin) -> None:
    for number, (path, body) in enumerate(((f"{ROLLOUTS}/r1/abort", {}), ("/agents/support/rollback", {})), start=1):
        started = await three.post(ROLLOUTS, TWO)
        # The same versions are tried again on the same users.
        assert (started["id"], started["salt"]) == (f"r{number}", "support/r1")
        assert (await three.post(path, {"why": "no", **body})).status == 200
        label = (await three.get("/agents/support/labels"))["items"][0]
        assert (label["version"], label["rollout"]) == (1, None)
    assert (await three.get("/audit/verify"))["ok"] is True


async def test_a_cap_may_be_on_one_of_them(three: Admin) -> None:
    await three.post(ROLLOUTS, TWO)
    scope = {"agent": "support", "rollout": "r1"}
    cap = {"window": "day", "unit": "usd", "limit": 5, "at_limit": "block", "why": "x"}
    assert (await three.post("/caps", {"scope": {**scope, "arm": "b"}, **cap})).status == 201
    refused(await three.post("/caps", {"scope": {**scope, "arm": "candidate"}, **cap}), 400, "bad_scope")


async def test_runs_of_an_arm_with_a_name_of_its_own_are_found_by_agent(three: Admin) -> None:
    assert (await three.get("/runs?agent=support&arm=b")).status == 200
    refused(await three.get("/runs?arm=b"), 400, "bad_filter")
    refused(await three.get("/runs?agent=support&arm=B%20"), 400, "bad_filter")


class TestAProtectedLabel:
    async def test_asks_a_second_person_about_all_arms_at_once(self, team: Team) -> None:
        await team.protect(approval_required=True)
        reply = await team.ann.post(ROLLOUTS, TWO)
        assert (reply.status, reply["action"], reply["arms"]) == (202, "start_rollout", [B, C])
        assert "percentage" not in reply.content
        assert (await team.bob.post(f"{PROPOSALS}/{reply['id']}/approve"))["state"] == "approved"
        rollout = await team.admin.get(f"{ROLLOUTS}/r1")
        assert [(arm["name"], arm["version"], arm["percentage"]) for arm in rollout["arms"]] == [
            ("stable", 1, 50),
            ("b", 2, 20),
            ("c", 3, 30),
        ]
        assert (await team.ann.post(f"{ROLLOUTS}/r1/promote", {"arm": "c"})).status == 200
        assert (await team.ledger())[-1] == ("promoted", 3, "ann", "bob")

    async def test_that_became_so_later_asks_about_the_arm_that_is_promoted(self, team: Team) -> None:
        await team.ann.post(ROLLOUTS, TWO)
        await team.protect(approval_required=True)
        grown = {"percentage": 30, "arm": "b"}
        refused(await team.ann.post(f"{ROLLOUTS}/r1/set-percentage", grown), 409, "approval_required")
        reply = await team.ann.post(f"{ROLLOUTS}/r1/promote", {"arm": "c"})
        assert (reply.status, reply["action"], reply["version"]) == (202, "promote", 3)
        assert (await team.bob.post(f"{PROPOSALS}/{reply['id']}/approve"))["state"] == "approved"
        assert team.serves == 3

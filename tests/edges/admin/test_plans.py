"""Plans under a name: kept, shared by agents, frozen with each rollout, forgotten."""

import pytest

from tests.edges.admin.composition import AN_HOUR, Admin
from tests.edges.admin.team import SHARE, Team, refused

STEPS = [{"percentage": 1, "min_duration": "1h"}, {"percentage": 20}]
CAUTIOUS = {"steps": STEPS, "at_end": "wait"}


async def test_a_rollout_keeps_the_plan_it_was_started_with_whatever_becomes_of_the_name(team: Team) -> None:
    made = await team.ann.put("/plans/cautious", {"plan": CAUTIOUS, "why": "after the outage"})
    assert (made.status, made["updated_by"], made["plan"]["at_end"]) == (200, "ann", "wait")
    begun = await team.ann.post("/agents/support/rollouts", {"candidate": 2, "plan": "cautious"})
    assert begun.status == 201, begun.content
    assert begun["arms"][1]["percentage"] == 1
    assert (begun["plan"]["name"], begun["plan"]) == ("cautious", made["plan"])
    await team.ann.put("/plans/cautious", {"plan": {"steps": [{"percentage": 90}]}})
    assert (await team.admin.get("/agents/support/rollouts/r1"))["plan"] == made["plan"]
    assert (await team.ann.call("DELETE", "/plans/cautious"))["removed"] is True
    assert (await team.admin.get("/agents/support/rollouts/r1"))["plan"] == made["plan"]
    refused(await team.admin.get("/plans/cautious"), 404, "plan_not_found")


async def test_plans_are_listed_by_name_page_by_page(team: Team) -> None:
    for name in ("slow", "cautious", "quick"):
        await team.ann.put(f"/plans/{name}", {"plan": {}})
    page = await team.admin.get("/plans?limit=2")
    assert [item["name"] for item in page["items"]] == ["cautious", "quick"]
    rest = await team.admin.get(f"/plans?limit=2&cursor={page['next']}")
    assert ([item["name"] for item in rest["items"]], rest["next"]) == (["slow"], None)


async def test_an_equal_plan_is_no_change(team: Team) -> None:
    first = await team.ann.put("/plans/cautious", {"plan": CAUTIOUS, "why": "first"})
    again = await team.bob.put("/plans/cautious", {"plan": {**CAUTIOUS, "alpha": 0.05}, "why": "second"})
    assert again.content == first.content
    entries = (await team.admin.get("/audit"))["items"]
    assert [entry["what"] for entry in entries].count("plan.set") == 1


async def test_every_change_of_a_plan_is_in_the_audit_log_and_proved_by_it(team: Team) -> None:
    await team.ann.put("/plans/cautious", {"plan": CAUTIOUS, "why": "first"})
    await team.bob.put("/plans/cautious", {"plan": {}, "why": "too slow"})
    await team.bob.put("/plans/quick", {"plan": {}})
    await team.ann.call("DELETE", "/plans/cautious", {"why": "nobody uses it"})
    deleted, _, changed, first = (await team.admin.get("/audit"))["items"][:4]
    assert [entry["what"] for entry in (deleted, changed, first)] == ["plan.deleted", "plan.set", "plan.set"]
    assert [entry["who"] for entry in (deleted, changed, first)] == ["ann", "bob", "ann"]
    assert (first["before"], changed["before"], deleted["before"]) == (None, first["after"], changed["after"])
    assert (deleted["after"], deleted["subject"], deleted["why"]) == (None, "plans/cautious", "nobody uses it")
    assert (await team.admin.get("/audit/verify"))["ok"] is True


@pytest.mark.parametrize(
    ("name", "body", "code"),
    [
        ("Cautious", {"plan": {}}, "bad_name"),
        ("-cautious", {"plan": {}}, "bad_name"),
        ("x" * 65, {"plan": {}}, "bad_name"),
        ("cautious", {}, "bad_body"),
        ("cautious", {"plan": "other"}, "bad_body"),
        ("cautious", {"plan": {"stepz": []}}, "bad_plan"),
        ("cautious", {"plan": {"steps": [{"percentage": 101}]}}, "bad_plan"),
        ("cautious", {"plan": {"steps": [{"percentage": 0.00001}]}}, "bad_percentage"),
        ("cautious", {"plan": {"guards": {"erors": {}}}}, "bad_plan"),
    ],
)
async def test_a_plan_that_could_start_no_rollout_is_not_kept(team: Team, name: str, body: dict, code: str) -> None:
    refused(await team.ann.put(f"/plans/{name}", body), 400, code)
    assert (await team.admin.get("/plans"))["items"] == []


async def test_a_rollout_by_a_name_that_no_plan_has_does_not_begin(team: Team) -> None:
    refused(await team.ann.post("/agents/support/rollouts", {"candidate": 2, "plan": "cautios"}), 404, "plan_not_found")
    refused(await team.ann.call("DELETE", "/plans/cautios"), 404, "plan_not_found")
    assert (await team.admin.get("/agents/support/rollouts"))["items"] == []


async def test_a_plan_of_ones_own_has_no_name_whatever_it_says(team: Team) -> None:
    begun = await team.ann.post("/agents/support/rollouts", {"candidate": 2, "plan": {**CAUTIOUS, "name": "quick"}})
    assert begun["plan"]["name"] is None


async def test_tags_of_the_order_go_before_those_of_the_plan(team: Team) -> None:
    await team.ann.put("/plans/free", {"plan": {**CAUTIOUS, "eligible": {"tier": "free"}}})
    order = {"candidate": 2, "plan": "free", "eligible": {"tenant": "acme"}}
    begun = await team.ann.post("/agents/support/rollouts", order)
    assert (begun["eligible"], begun["plan"]["eligible"]) == ({"tenant": "acme"}, {"tenant": "acme"})
    assert (await team.admin.get("/plans/free"))["plan"]["eligible"] == {"tier": "free"}


async def test_operators_keep_plans_authors_and_viewers_read_them(team: Team) -> None:
    await team.ann.put("/plans/cautious", {"plan": CAUTIOUS})
    for role in ("author", "viewer"):
        text = (await team.admin.post("/tokens", {"name": role, "role": role}))["token"]
        assert (await team.admin.call("GET", "/plans/cautious", token=text)).status == 200
        refused(await team.admin.call("PUT", "/plans/x", {"plan": {}}, token=text), 403, "role_insufficient")
        refused(await team.admin.call("DELETE", "/plans/cautious", token=text), 403, "role_insufficient")


async def test_what_a_second_person_approves_is_the_plan_as_it_was_proposed(team: Team) -> None:
    await team.protect(approval_required=True)
    await team.ann.put("/plans/cautious", {"plan": CAUTIOUS})
    proposed = await team.ann.post("/agents/support/rollouts", {"candidate": 2, "plan": "cautious"})
    assert (proposed.status, proposed["plan"]["name"], proposed["percentage"]) == (202, "cautious", 1)
    await team.ann.put("/plans/cautious", {"plan": {"steps": [{"percentage": 100}]}})
    await team.bob.post(f"/agents/support/proposals/{proposed['id']}/approve")
    begun = await team.admin.get("/agents/support/rollouts/r1")
    assert (begun["plan"], begun["arms"][1]["percentage"]) == (proposed["plan"], 1)


async def test_a_name_and_a_fixed_percentage_contradict_each_other(team: Team) -> None:
    await team.ann.put("/plans/cautious", {"plan": CAUTIOUS})
    refused(await team.ann.post("/agents/support/rollouts", {**SHARE, "plan": "cautious"}), 400, "bad_plan")


async def test_plans_are_there_after_a_restart(admin: Admin) -> None:
    kept = (await admin.call("PUT", "/plans/cautious", {"plan": CAUTIOUS, "why": "w"})).content
    await admin.commands.store.close()
    await admin.commands.store.open()
    assert (await admin.get("/plans/cautious")).content == kept


BERLIN = {"from": "09:00", "to": "17:00", "time_zone": "Europe/Berlin", "days": ["sat"]}


async def test_a_rollout_outside_its_schedule_begins_with_no_share_and_shows_the_schedule(team: Team) -> None:
    """Noon of 2026-11-20, a Friday."""
    await team.ann.put("/plans/weekend", {"plan": {**CAUTIOUS, "schedule": {"business_hours": BERLIN}}})
    begun = await team.ann.post("/agents/support/rollouts", {"candidate": 2, "plan": "weekend"})
    assert (begun["arms"][1]["percentage"], begun["arms"][0]["percentage"]) == (0, 100)
    await team.admin.commands.rollout_loop.tick()
    shown = await team.admin.get("/agents/support/rollouts/r1")
    assert shown["plan"]["schedule"]["business_hours"] == BERLIN
    closed = {"by": "business_hours", "why": "", "until": "2026-11-21T08:00:00.000000Z"}
    assert shown["progress"]["decision"]["schedule"] == closed
    assert "outside business hours, until 2026-11-21T08:00:00Z" in shown["progress"]["sentence"]


async def test_a_schedule_counts_from_the_approval_of_a_rollout_not_from_its_proposal(team: Team) -> None:
    await team.protect(approval_required=True)
    plan = {**CAUTIOUS, "schedule": {"not_before": "2026-11-20T13:00:00Z"}}
    proposed = await team.ann.post("/agents/support/rollouts", {"candidate": 2, "plan": plan})
    team.admin.commands.clock.now += 2 * AN_HOUR
    await team.bob.post(f"/agents/support/proposals/{proposed['id']}/approve")
    assert (await team.admin.get("/agents/support/rollouts/r1"))["arms"][1]["percentage"] == 1


async def test_a_zone_that_is_none_is_refused_when_a_rollout_or_plan_is_made(team: Team) -> None:
    plan = {"schedule": {"business_hours": {**BERLIN, "time_zone": "Mars/Olympus"}}}
    refused(await team.ann.post("/agents/support/rollouts", {"candidate": 2, "plan": plan}), 400, "bad_plan")
    refused(await team.ann.put("/plans/x", {"plan": plan}), 400, "bad_plan")


async def test_users_are_pinned_by_order_and_by_plan(team: Team) -> None:
    fixed = await team.ann.post("/agents/support/rollouts", {**SHARE, "pinned": {"ann": "candidate"}})
    assert fixed["plan"]["pinned"] == {"ann": "candidate"}
    await team.ann.post("/agents/support/rollouts/r1/abort")
    await team.ann.put("/plans/x", {"plan": {"pinned": {"bob": "stable"}}})
    named = await team.ann.post("/agents/support/rollouts", {"candidate": 2, "plan": "x"})
    assert named["plan"]["pinned"] == {"bob": "stable"}
    await team.ann.post("/agents/support/rollouts/r2/abort")
    ordered = await team.ann.post(
        "/agents/support/rollouts", {"candidate": 2, "plan": "x", "pinned": {"cid": "stable"}}
    )
    assert ordered["plan"]["pinned"] == {"cid": "stable"}
    refused(await team.ann.post("/agents/support/rollouts", {**SHARE, "pinned": {"ann": "other"}}), 400, "bad_plan")

"""Caps and kill switches through the admin API: what they accept, what they show, and that they are in force at once."""

from typing import Any

import pytest

from proxy.core.scopes import CallFacts
from proxy.core.spending.caps import CounterKey
from proxy.core.times import rfc3339
from proxy.runtime.releasing.switch_expiry import SwitchExpiry
from proxy.runtime.spending.holding import HoldBound
from tests.edges.admin.composition import AN_HOUR, NOON, Admin

TODAY = NOON - 12 * AN_HOUR


def in_an_hour(admin: Admin) -> str:
    return rfc3339(admin.commands.clock.now + AN_HOUR)


def cap_of(**changes: Any) -> dict[str, Any]:
    return {"scope": {}, "window": "day", "unit": "usd", "limit": 50} | changes


@pytest.mark.parametrize(
    ("unit", "limit", "amount"),
    [
        ("usd", 0, 0),
        ("usd", 50, 50_000_000_000),
        ("usd", 0.1, 100_000_000),
        ("usd", "12.50", 12_500_000_000),
        ("usd", "0.000000001", 1),
        ("usd", 4e9, 4_000_000_000_000_000_000),
        ("calls", 20, 20),
        ("calls", "20", 20),
        ("calls", 20.0, 20),
        ("tokens", 0, 0),
    ],
)
async def test_a_limit_is_taken_exactly(unit: str, limit: object, amount: int, admin: Admin) -> None:
    reply = await admin.post("/caps", cap_of(unit=unit, limit=limit))
    assert reply.status == 201
    assert [cap.limit_amount for cap in admin.commands.live.current.caps] == [amount]
    assert float(reply["limit"]) == float(limit)
    assert reply["remaining"] == reply["limit"]


@pytest.mark.parametrize(
    "limit",
    [
        -1,
        -0.01,
        "-1",
        1e30,
        "1e30",
        "1" * 30,
        "1" * 41,
        "1e999999",
        "NaN",
        "Infinity",
        "",
        " ",
        "5 ",
        "0x10",
        "1_0",
        "٣",
        True,
    ],
)
async def test_a_limit_that_is_no_amount_is_refused(limit: object, admin: Admin) -> None:
    await refuses_limit(admin, cap_of(limit=limit))


@pytest.mark.parametrize("limit", [None, [], {}, 10**300])
async def test_a_limit_that_is_no_number_is_refused(limit: object, admin: Admin) -> None:
    await refuses_limit(admin, cap_of(limit=limit))


@pytest.mark.parametrize("limit", [0.5, "0.5", 1e-9])
async def test_a_limit_of_things_that_cannot_be_divided_is_whole(limit: object, admin: Admin) -> None:
    await refuses_limit(admin, cap_of(unit="calls", limit=limit))


@pytest.mark.parametrize("raw", ["NaN", "Infinity", "-Infinity", "1e400"])
async def test_a_number_json_does_not_have_is_refused(raw: str, admin: Admin) -> None:
    body = f'{{"scope": {{}}, "window": "day", "unit": "usd", "limit": {raw}}}'
    assert (await admin.call("POST", "/caps", raw=body.encode())).code == "bad_json"


async def refuses_limit(admin: Admin, body: dict[str, Any]) -> None:
    reply = await admin.post("/caps", body)
    assert (reply.status, reply["param"]) == (400, "limit")
    assert reply.code in ("bad_limit", "bad_body")
    assert admin.commands.live.current.caps == ()
    assert await admin.audited() == []
    assert admin.errors == []


@pytest.mark.parametrize(
    "changes",
    [
        {"scope": {"agent": 7}},
        {"scope": {"version": 1}},
        {"scope": {"label": "prod"}},
        {"scope": {"rollout": "r1"}, "window": "rollout"},
        {"scope": {"tool": "search"}},
        {"scope": {"tag": "tenant"}},
        {"scope": {"user": ""}},
        {"scope": {"agent": "support", "version": True}},
        {"window": "week"},
        {"unit": "eur"},
        {"at_limit": "explode"},
        {"window": "rollout"},
        {"unit": "in_flight"},
    ],
)
async def test_a_cap_that_counts_nothing_is_refused(changes: dict[str, Any], admin: Admin) -> None:
    await admin.agent("support", "one")
    reply = await admin.post("/caps", cap_of(**changes))
    assert reply.status == 400
    assert reply.code in ("bad_scope", "bad_cap", "bad_body")
    assert admin.commands.live.current.caps == ()


@pytest.mark.parametrize(
    ("scope", "code"),
    [
        ({"agent": "suport"}, "agent_not_found"),
        ({"agent": "support", "version": 9}, "version_not_found"),
        ({"agent": "support", "label": "prd"}, "label_not_set"),
    ],
)
async def test_a_typing_error_makes_neither_a_switch_nor_a_cap(scope: dict[str, Any], code: str, admin: Admin) -> None:
    await admin.agent("support", "one")
    before = await admin.audited()
    for path, body in (("/switches", {"scope": scope, "mode": "block", "why": "x"}), ("/caps", cap_of(scope=scope))):
        reply = await admin.post(path, body)
        assert (reply.status, reply.code) == (404, code)
    assert await admin.audited() == before
    assert (await admin.get("/switches"))["items"] == (await admin.get("/caps"))["items"] == []


@pytest.mark.parametrize(
    ("scope", "known"),
    [
        ({"model": "gpt-4o-mni"}, False),
        ({"model": "gpt-4o-mini"}, True),
        ({"model": "GPT-4o-mini-2024-07-18"}, True),
        ({"model": "openai/gpt-4o-mini"}, True),
        ({"model": "OpenAI/gpt-4o-mini"}, True),
        ({"model": "anthropic/gpt-4o-mini"}, False),
        ({"agent": "support"}, True),
    ],
)
async def test_a_switch_or_a_cap_that_matches_nothing_known_says_so_when_it_is_made(
    scope: dict[str, Any], known: bool, admin: Admin
) -> None:
    await admin.agent("support", "Be kind")
    switch = await admin.post("/switches", {"scope": scope, "mode": "observe", "why": "a look"})
    cap = await admin.post("/caps", cap_of(scope=scope))
    assert (switch.status, cap.status) == (201, 201)
    assert len(switch["warnings"]) == len(cap["warnings"]) == (0 if known else 1)
    assert all(scope["model"] in said for said in switch["warnings"] + cap["warnings"])


async def test_a_switch_on_a_tool_that_no_version_offers_says_so(admin: Admin) -> None:
    switch = await admin.post("/switches", {"scope": {"tool": "refund"}, "mode": "block", "why": "a bug"})
    assert [("refund" in said) for said in switch["warnings"]] == [True]


async def test_a_cap_cannot_name_a_tool_and_is_told_why(admin: Admin) -> None:
    refused = await admin.post("/caps", cap_of(scope={"tool": "refund"}))
    assert (refused.status, refused.code) == (400, "bad_scope")
    assert "a switch can name a tool" in refused["detail"]


async def test_calls_that_name_no_agent_can_be_capped_and_stopped(admin: Admin) -> None:
    assert (await admin.post("/caps", cap_of(scope={"agent": "unassigned"}))).status == 201
    assert (
        await admin.post("/switches", {"scope": {"agent": "unassigned"}, "mode": "block", "why": "x"})
    ).status == 201
    reply = await admin.post(
        "/switches", {"scope": {"agent": "unassigned"}, "mode": "fallback", "why": "x", "fallback_version": 1}
    )
    assert reply.code == "agent_not_found"


async def test_a_cap_shows_what_its_current_window_has_spent_held_and_left(admin: Admin) -> None:
    made = await admin.post("/caps", cap_of(limit=1))
    cap = admin.commands.live.current.caps[0]
    ledger = admin.commands.ledger
    ledger.load(cap, CounterKey(cap.id, TODAY), 250_000_000)
    ledger.load(cap, CounterKey(cap.id, TODAY - 24 * AN_HOUR), 900_000_000)
    facts = CallFacts(agent="a", provider="openai", model="m", tags={})
    ledger.hold("attempt", (cap,), facts, HoldBound(nanodollars=500_000_000, tokens=1))
    shown = (await admin.get("/caps"))["items"][0]
    assert (shown["spent"], shown["held"], shown["remaining"], shown["limit"]) == (0.25, 0.5, 0.25, 1)
    assert shown["window_start"] == made["window_start"] == "2026-11-20T00:00:00.000000Z"
    admin.commands.clock.now += 12 * AN_HOUR
    tomorrow = (await admin.get("/caps"))["items"][0]
    assert (tomorrow["spent"], tomorrow["held"], tomorrow["remaining"]) == (0, 0, 1)
    assert tomorrow["window_start"] == "2026-11-21T00:00:00.000000Z"
    changed = await admin.call("PUT", f"/caps/{cap.id}", {"limit": "0.5", "why": "less"})
    assert (changed["limit"], changed["unit"], changed["why"]) == (0.5, "usd", "less")


async def test_a_cap_for_each_user_shows_the_hundred_fullest_and_the_sum_of_all(admin: Admin) -> None:
    await admin.post("/caps", cap_of(scope={"user": "*"}, unit="calls", limit=200))
    cap = admin.commands.live.current.caps[0]
    for number in range(150):
        admin.commands.ledger.load(cap, CounterKey(cap.id, TODAY, f"user {number}"), number)
    shown = (await admin.get("/caps"))["items"][0]
    assert [counter["user"] for counter in shown["counters"]] == [f"user {number}" for number in range(149, 49, -1)]
    assert shown["counters"][0] == {"user": "user 149", "rollout": None, "spent": 149, "held": 0, "remaining": 51}
    assert (shown["counters_in_all"], shown["spent"], shown["remaining"]) == (150, sum(range(150)), 51)


async def test_the_counters_of_a_cap_are_read_page_by_page_while_more_come(admin: Admin) -> None:
    await admin.post("/caps", cap_of(scope={"user": "*"}, unit="calls", limit=200))
    cap = admin.commands.live.current.caps[0]
    for number in range(25):
        admin.commands.ledger.load(cap, CounterKey(cap.id, TODAY, f"user {number}"), number)
    seen: list[str] = []
    page = await admin.get(f"/caps/{cap.id}/counters?limit=10")
    assert page["items"][3] == {"user": "user 3", "rollout": None, "spent": 3, "held": 0, "remaining": 197}
    admin.commands.ledger.load(cap, CounterKey(cap.id, TODAY, "user 25"), 25)
    while page["next"] is not None:
        seen += [counter["user"] for counter in page["items"]]
        page = await admin.get(f"/caps/{cap.id}/counters?limit=10&cursor={page['next']}")
    seen += [counter["user"] for counter in page["items"]]
    assert seen == [f"user {number}" for number in range(26)]
    empty = await admin.get(f"/caps/{cap.id}/counters?cursor={TODAY - AN_HOUR}.5")
    assert (empty["items"], empty["next"]) == ([], None)
    for cursor in ("5", "a.b", "1.", "-1.2", "1" * 30 + ".1", "\u0661.1"):
        assert (await admin.get(f"/caps/{cap.id}/counters?cursor={cursor}")).code == "bad_cursor"
    assert (await admin.get("/caps/cap_of_nobody/counters")).code == "cap_not_found"


async def test_a_cap_of_one_rollout_shows_its_rollout(admin: Admin) -> None:
    await admin.agent("support", "one")
    scope = {"agent": "support", "rollout": "r1", "user": "*"}
    assert (await admin.post("/caps", cap_of(scope=scope, window="rollout", unit="calls"))).status == 201
    cap = admin.commands.live.current.caps[0]
    admin.commands.ledger.load(cap, CounterKey(cap.id, 0, "support/r1/a/b"), 3)
    shown = (await admin.get("/caps"))["items"][0]
    assert (shown["counters"][0]["rollout"], shown["counters"][0]["user"], shown["window_start"]) == ("r1", "a/b", None)


async def test_an_expired_switch_is_not_listed(admin: Admin) -> None:
    await admin.post("/switches", {"scope": {}, "mode": "block", "why": "x", "expires": "2026-11-20T12:30:00Z"})
    lasting = await admin.post("/switches", {"scope": {}, "mode": "observe", "why": "x"})
    assert len((await admin.get("/switches"))["items"]) == 2
    admin.commands.clock.now += AN_HOUR
    assert [switch["id"] for switch in (await admin.get("/switches"))["items"]] == [lasting["id"]]


async def test_lists_held_in_memory_have_pages_too(admin: Admin) -> None:
    made = [(await admin.post("/switches", {"scope": {}, "mode": "observe", "why": "x"}))["id"] for _ in range(5)]
    found: list[str] = []
    cursor = ""
    while True:
        page = (await admin.get(f"/switches?limit=2{cursor}")).content
        found += [switch["id"] for switch in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert found == made


async def test_a_switch_is_taken_off_once(admin: Admin) -> None:
    switch = await admin.post("/switches", {"scope": {}, "mode": "reply", "why": "x", "reply": "We are closed"})
    assert switch["reply"] == "We are closed"
    assert (await admin.call("DELETE", f"/switches/{switch['id']}", {"why": "open again"}))["removed"] is True
    again = await admin.call("DELETE", f"/switches/{switch['id']}")
    assert (again.status, again.code) == (404, "switch_not_found")
    assert [entry["why"] for entry in (await admin.get("/audit"))["items"]] == ["open again", "x"]


async def test_a_second_cap_of_one_scope_window_and_unit_is_refused_by_the_name_of_the_first(admin: Admin) -> None:
    await admin.agent("a", "one")
    first = await admin.post("/caps", cap_of(scope={"agent": "a", "tag": "team=x"}, unit="calls", limit=2))
    for changes in ({"limit": 100}, {"limit": 2}, {"limit": 3, "at_limit": "warn"}):
        reply = await admin.post("/caps", cap_of(scope={"tag": "team=x", "agent": "a"}, unit="calls", **changes))
        assert (reply.status, reply.code) == (409, "cap_exists")
        assert first["id"] in reply["detail"]
    for others in ({"unit": "usd"}, {"unit": "calls", "window": "hour"}, {"unit": "calls", "scope": {"agent": "a"}}):
        assert (
            await admin.post("/caps", cap_of(**{"scope": {"agent": "a", "tag": "team=x"}, "limit": 9, **others}))
        ).status == 201
    assert (await admin.call("DELETE", f"/caps/{first['id']}", {})).status == 200
    again = await admin.post("/caps", cap_of(scope={"agent": "a", "tag": "team=x"}, unit="calls", limit=4))
    assert again.status == 201


async def test_a_second_cap_is_refused_in_whatever_case_its_model_is_written(admin: Admin) -> None:
    first = await admin.post("/caps", cap_of(scope={"model": "GPT-4o"}, unit="calls", limit=2))
    for model in ("gpt-4o", "GPT-4O"):
        reply = await admin.post("/caps", cap_of(scope={"model": model}, unit="calls", limit=9))
        assert (reply.status, reply.code) == (409, "cap_exists")
        assert first["id"] in reply["detail"]
    for scope in (
        {"model": "gpt-4o-2024-08-06"},
        {"model": "openai/gpt-4o"},
        {"provider": "openai", "model": "gpt-4o"},
    ):
        assert (await admin.post("/caps", cap_of(scope=scope, unit="calls", limit=9))).status == 201
    reply = await admin.post(
        "/caps", cap_of(scope={"provider": "openai", "model": "OpenAI/gpt-4o"}, unit="calls", limit=9)
    )
    assert (reply.status, reply.code) == (409, "cap_exists")


async def test_the_end_of_a_switch_tells_which_others_still_stop_its_calls(admin: Admin) -> None:
    await admin.agent("a", "one")
    await admin.agent("b", "one")
    switches = [
        {"scope": {"agent": "a", "label": "prod"}, "mode": "block"},
        {"scope": {}, "mode": "reply", "reply": "soon"},
        {"scope": {"agent": "b"}, "mode": "block"},
        {"scope": {"agent": "a"}, "mode": "observe"},
        {"scope": {"model": "gpt-4o"}, "mode": "block"},
        {"scope": {"agent": "a"}, "mode": "block", "expires": in_an_hour(admin)},
    ]
    ids = [(await admin.post("/switches", {**one, "why": "x"}))["id"] for one in switches]
    admin.commands.clock.now += 2 * AN_HOUR
    gone = (await admin.call("DELETE", f"/switches/{ids[0]}", {})).content
    assert [other["id"] for other in gone["still_on"]] == [ids[1], ids[4]]
    assert (await admin.call("DELETE", f"/switches/{ids[2]}", {}))["still_on"][0]["mode"] == "reply"


async def test_an_expired_switch_leaves_list_and_status_at_once_and_is_audited_once(admin: Admin) -> None:
    commands = admin.commands
    made = await admin.post("/switches", {"scope": {}, "mode": "block", "why": "x", "expires": in_an_hour(admin)})
    assert (await admin.get("/status"))["switches"] == 1
    commands.clock.now += AN_HOUR
    assert (await admin.get("/status"))["switches"] == 0
    assert (await admin.get("/switches"))["items"] == []
    assert (await admin.call("DELETE", f"/switches/{made['id']}", {})).code == "switch_not_found"
    expiry = SwitchExpiry(commands.live, commands.limits, commands.clock)
    for _ in range(2):
        await expiry.look()
    assert await admin.audited() == ["switch.on", "switch.expired"]
    commands.clock.now -= AN_HOUR
    assert commands.live.current.switches == (await commands.store.load_snapshot()).switches == ()
    assert (await admin.get("/audit/verify"))["ok"] is True


async def test_a_switch_whose_time_is_not_over_is_left_alone(admin: Admin) -> None:
    commands = admin.commands
    await admin.post("/switches", {"scope": {}, "mode": "block", "why": "x", "expires": in_an_hour(admin)})
    await admin.post("/switches", {"scope": {}, "mode": "observe", "why": "x"})
    commands.clock.now += AN_HOUR - 1
    await SwitchExpiry(commands.live, commands.limits, commands.clock).look()
    assert len(commands.live.current.switches) == 2


@pytest.mark.parametrize("why", [None, "", " \t\n"])
async def test_a_switch_says_why_it_is_on(admin: Admin, why: str | None) -> None:
    body = {"scope": {}, "mode": "block"} | ({} if why is None else {"why": why})
    refused = await admin.post("/switches", body)
    assert (refused.status, refused.code, refused["param"]) == (400, "why_missing", "why")
    assert admin.commands.live.current.switches == ()


@pytest.mark.parametrize(
    "named",
    [{"rollout": "r1", "arm": "candidat"}, {"rollout": "r2", "arm": "candidat"}, {"arm": "candidate"}],
)
async def test_a_cap_on_an_arm_that_is_none_is_refused(admin: Admin, named: dict[str, str]) -> None:
    await admin.agent("support", "one", "two")
    rollout = {"label": "prod", "candidate": 2, "percentage": 10}
    assert (await admin.post("/agents/support/rollouts", rollout)).status == 201
    refused = await admin.post("/caps", cap_of(scope={"agent": "support", **named}))
    assert (refused.status, refused.code, refused["param"]) == (400, "bad_scope", "scope.arm")
    assert (
        await admin.post("/caps", cap_of(scope={"agent": "support", "rollout": "r1", "arm": "candidate"}))
    ).status == 201


async def test_runs_of_an_arm_that_is_none_are_not_an_empty_list(admin: Admin) -> None:
    assert (await admin.get("/runs?arm=candidate")).status == 200
    refused = await admin.get("/runs?arm=candidat")
    assert (refused.status, refused.code) == (400, "bad_filter")
    assert (await admin.post("/runs/quarantine", {"arm": "canary"})).code == "bad_filter"

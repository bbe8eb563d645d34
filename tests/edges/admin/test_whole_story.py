"""Every operation once, as an operator would go through them, each answer looked at."""

import re
from typing import Any

import orjson

from proxy.core.calls.runs import Attempt, Run
from proxy.core.compiled import IS_COMPILED
from proxy.core.webhooks.events import WebhookEvent
from proxy.edges.admin.openapi import contents_of, with_description
from proxy.edges.admin.routes import ROUTES
from proxy.runtime.webhooks.endpoints import Endpoint
from tests.edges.admin.composition import NOON, TOKEN, Admin, Reply

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z\Z")


class Story:
    """Calls operations by name and remembers which were told."""

    def __init__(self, admin: Admin) -> None:
        self.admin = admin
        self.told: set[str] = set()
        self.routes = {route.operation: route for route in with_description(ROUTES, "1")}

    async def tell(
        self,
        operation: str,
        body: Any = None,
        query: str = "",
        status: int | None = None,
        token: str = TOKEN,
        **path: Any,
    ) -> Reply:
        route = self.routes[operation]
        reply = await self.admin.call(route.method, route.path.format(**path) + query, body, token=token)
        assert reply.status in contents_of(route), reply.content
        assert status is None or reply.status == status
        assert reply.headers["Content-Type"].startswith(route.streams or "application/json")
        if operation.startswith("list_"):
            assert set(reply.content) == {"items", "next"}
        self.told.add(operation)
        return reply


async def test_every_operation_answers_as_its_route_says(admin: Admin) -> None:
    story = Story(admin)
    await tell_of_agents_and_versions(story)
    await tell_of_labels(story)
    await tell_of_rollouts(story)
    await tell_of_plans(story)
    await tell_of_switches_and_caps(story)
    await tell_of_runs(story)
    await tell_of_memory(story)
    await tell_of_webhooks(story)
    await tell_of_second_people(story)
    archived = await story.tell("archive_agent", {"why": "over"}, agent="support")
    assert archived["archived"] is True
    assert admin.commands.live.agent("support") is None
    assert (await story.tell("get_agent", agent="support"))["archived"] is True
    again = await story.tell("unarchive_agent", {"why": "needed"}, agent="support")
    assert (again["archived"], again["labels"][0]["label"]) == (False, "prod")
    assert admin.commands.live.agent("support") is not None
    assert set(story.routes) == story.told
    assert admin.errors == []


async def tell_of_agents_and_versions(story: Story) -> None:
    made = await story.tell("create_agent", {"agent": "support", "description": "Tickets", "why": "new"}, status=201)
    assert (made["agent"], made["newest_version"], made["labels"]) == ("support", None, [])
    assert MOMENT.match(made["created_at"])
    changed = await story.tell("update_agent", {"description": "Routes tickets", "allow_latest": True}, agent="support")
    assert (changed["description"], changed["allow_latest"], changed["default_label"]) == (
        "Routes tickets",
        True,
        "prod",
    )
    assert [agent["agent"] for agent in (await story.tell("list_agents"))["items"]] == ["support"]

    first = {"message": "first", "prompt": {"text": "Be kind"}, "model": {"provider": "openai", "name": "gpt-4o-mini"}}
    one = await story.tell("create_version", {**first, "parent": None}, agent="support", status=201)
    assert (one["version"], one["author"], one["message"], one["parent"]) == (1, "admin", "first", None)
    assert one["prompt"] == {"text": "Be kind", "mode": "replace", "variables": {}}
    same = await story.tell("create_version", {**first, "parent": 1}, agent="support", status=200)
    assert same.content == one.content
    two = await story.tell("create_version", {"parent": 1, "prompt": {"text": "Be brief"}}, agent="support", status=201)
    listed = (await story.tell("list_versions", agent="support"))["items"]
    assert [version["version"] for version in listed] == [2, 1]
    assert "prompt" not in listed[0]
    assert listed[0]["hashes"] == two["hashes"]
    assert (await story.tell("get_version", agent="support", n="latest")).content == two.content
    assert (await story.tell("get_version", agent="support", n=1)).content == one.content
    diff = await story.tell("get_diff", agent="support", a=1, b="latest")
    assert (diff["before"], diff["after"], diff["changes_behavior"]) == (1, 2, True)
    assert "model.name" in [change["path"] for change in diff["behavior"]]
    assert "".join(hunk["text"] for hunk in diff["prompt"] if hunk["op"] != "delete") == "Be brief"


async def tell_of_labels(story: Story) -> None:
    set_to = {"version": 1, "if_release": 0, "why": "go", "evidence": [{"kind": "evaluation", "id": "tickets-20"}]}
    moved = await story.tell("move_label", set_to, agent="support", label="prod")
    assert moved.content == {
        "changed": True,
        "label": "prod",
        "version": 1,
        "release": 1,
        "reason": "",
        "rollout": None,
    }
    again = await story.tell("move_label", {"version": 1}, agent="support", label="prod")
    assert (again["changed"], again["release"]) == (False, 1)
    assert "already" in again["reason"]
    await story.tell("move_label", {"version": 2}, agent="support", label="staging")
    labels = (await story.tell("list_labels", agent="support"))["items"]
    assert [(label["label"], label["version"], label["rollout"]) for label in labels] == [
        ("prod", 1, None),
        ("staging", 2, None),
    ]
    gone = await story.tell("delete_label", query="?why=unused", agent="support", label="staging")
    assert gone.content == {"label": "staging", "removed": True}
    assert [label["label"] for label in (await story.tell("get_agent", agent="support"))["labels"]] == ["prod"]
    releases = (await story.tell("list_releases", agent="support", query="?label=prod"))["items"]
    assert [(row["release"], row["kind"], row["version"], row["who"]) for row in releases] == [
        (1, "label_moved", 1, "admin")
    ]
    assert releases[0]["evidence"] == [{"kind": "evaluation", "id": "tickets-20"}]


async def tell_of_rollouts(story: Story) -> None:
    share = {"label": "prod", "candidate": 2, "percentage": 10, "why": "a canary", "eligible": {"tenant": "acme"}}
    rollout = await story.tell("start_rollout", share, agent="support", status=201)
    assert (rollout["id"], rollout["state"], rollout["salt"]) == ("r1", "running", "support/r1")
    assert [(arm["name"], arm["version"], arm["percentage"]) for arm in rollout["arms"]] == [
        ("stable", 1, 90),
        ("candidate", 2, 10),
    ]
    wider = await story.tell("set_rollout_percentage", {"percentage": 25.5}, agent="support", id="r1")
    assert (wider["arms"][1]["percentage"], wider["step"]) == (25.5, 1)
    shown = (await story.tell("get_rollout", agent="support", id="r1")).content
    assert {name: value for name, value in shown.items() if name not in ("progress", "watch")} == wider.content
    assert [step["percentage"] for step in wider["plan"]["steps"]] == [10]
    assert (await story.tell("pause_rollout", {"why": "lunch"}, agent="support", id="r1"))["state"] == "paused"
    assert (await story.tell("resume_rollout", {"why": "back"}, agent="support", id="r1"))["state"] == "running"
    checked = await story.tell("check_version", agent="support", n="latest", query="?label=prod")
    assert (checked["ok"], checked["findings"], checked["notices"]) == (True, [], [])
    draft = {"agent": "newcomer", "prompt": {"text": " "}}
    drafted = await story.tell("check_draft", draft)
    assert (drafted["ok"], [finding["code"] for finding in drafted["findings"]]) == (False, ["prompt_empty"])
    served = await story.tell("get_versions_at", agent="support", query="?label=prod&time=2026-11-20T12:00:00Z")
    assert (served["rollout"], served["arms"]) == ("r1", wider["arms"])
    aborted = await story.tell("abort_rollout", {"why": "no"}, agent="support", id="r1")
    assert (aborted["state"], MOMENT.match(aborted["ended_at"]) is not None) == ("aborted", True)

    await story.tell("start_rollout", share, agent="support")
    undone = await story.tell("rollback", {"why": "bad"}, agent="support")
    assert undone.content == {
        "changed": True,
        "label": "prod",
        "version": 1,
        "release": 8,
        "reason": "",
        "undoes": 7,
    }
    await story.tell("start_rollout", share, agent="support")
    promoted = await story.tell("promote_rollout", {}, agent="support", id="r3")
    assert promoted["state"] == "promoted"
    listed = (await story.tell("list_rollouts", agent="support", query="?limit=2"))["items"]
    assert [(item["id"], item["state"]) for item in listed] == [("r3", "promoted"), ("r2", "rolled_back")]
    assert (await story.tell("get_rollout", agent="support", id="r1"))["state"] == "aborted"
    held = await story.tell("hold_drill", {"why": "before the holidays"}, agent="support", status=201)
    assert (held["passed"], held["label"], held["stable"], held["candidate"]) == (True, "prod", 2, 1)
    assert (await story.tell("list_drills", agent="support"))["items"] == [held.content]


async def tell_of_plans(story: Story) -> None:
    order = {
        "plan": {"steps": [{"percentage": 5}], "at_end": "wait"},
        "source": {"git": {"commit": "c0ffee"}},
        "why": "w",
    }
    kept = await story.tell("set_plan", order, name="cautious")
    assert [step["percentage"] for step in kept["plan"]["steps"]] == [5]
    assert MOMENT.match(kept["updated_at"])
    assert (await story.tell("get_plan", name="cautious")).content == kept.content
    assert (await story.tell("list_plans"))["items"] == [kept.content]
    gone = await story.tell("delete_plan", query="?why=over", name="cautious")
    assert gone.content == {**kept.content, "removed": True}


async def tell_of_switches_and_caps(story: Story) -> None:
    order = {
        "scope": {"agent": "support", "version": 2},
        "mode": "block",
        "why": "w",
        "expires": "2026-11-20T14:00:00+01:00",
    }
    switch = await story.tell("switch_on", order, status=201)
    assert (switch["scope"], switch["mode"], switch["expires"]) == (
        {"agent": "support", "version": 2},
        "block",
        "2026-11-20T13:00:00.000000Z",
    )
    assert [item["id"] for item in (await story.tell("list_switches"))["items"]] == [switch["id"]]
    off = await story.tell("switch_off", {"why": "fixed"}, id=switch["id"])
    assert (off["id"], off["removed"]) == (switch["id"], True)
    assert (await story.tell("list_switches"))["items"] == []

    limit = {"scope": {"agent": "support"}, "window": "day", "unit": "usd", "limit": 12.5, "why": "budget"}
    cap = await story.tell("set_cap", limit, status=201)
    assert (cap["limit"], cap["spent"], cap["held"], cap["remaining"], cap["at_limit"]) == (12.5, 0, 0, 12.5, "block")
    assert cap["window_start"] == "2026-11-20T00:00:00.000000Z"
    changed = await story.tell("change_cap", {"limit": 20, "at_limit": "warn"}, id=cap["id"])
    assert (changed["id"], changed["limit"], changed["at_limit"]) == (cap["id"], 20, "warn")
    assert (await story.tell("list_caps"))["items"] == [changed.content]
    assert (await story.tell("list_counters", id=cap["id"]))["items"] == []
    assert (await story.tell("end_cap", query="?why=over", id=cap["id"]))["removed"] is True
    assert (await story.tell("list_caps"))["items"] == []


async def tell_of_runs(story: Story) -> None:
    run = Run(
        id="run_1",
        agent="support",
        version=2,
        release=9,
        user="u1",
        wire="openai",
        operation="chat",
        status=200,
        result="ok",
        cost_nanodollars=1500,
        duration_microseconds=2500,
        started_at_microseconds=NOON,
    )
    attempt = Attempt(
        run="run_1",
        number=1,
        provider="openai",
        model="gpt-4o-mini",
        status=200,
        error_class=None,
        started_at_microseconds=NOON,
        duration_microseconds=2000,
        cost_nanodollars=1500,
    )
    await story.admin.commands.store.record_runs([run], [attempt])
    fitting = "?agent=support&version=2&release=9&user=u1&result=ok&from=2026-11-20T12:00:00Z&to=2026-11-20T12:00:01Z"
    found = (await story.tell("list_runs", query=fitting))["items"]
    assert [(item["id"], item["cost_usd"], item["duration_ms"]) for item in found] == [("run_1", 0.0000015, 2.5)]
    for other in (
        "?user=u2",
        "?to=2026-11-20T12:00:00Z",
        "?arm=candidate",
        "?agent=support&rollout=r1",
        "?conversation=c",
    ):
        assert (await story.tell("list_runs", query=other))["items"] == []
    whole = await story.tell("get_run", id="run_1")
    assert [(item["number"], item["provider"], item["duration_ms"]) for item in whole["attempts"]] == [(1, "openai", 2)]

    told = await story.tell(
        "record_outcome", {"name": "score", "value": 0.9, "why": "a good one"}, id="run_1", status=201
    )
    more = [
        {"run": "run_1", "name": "incident", "severity": "high"},
        {"run": "run_2", "name": "escalated", "value": True},
    ]
    batch = await story.tell("record_outcomes", {"outcomes": more})
    assert ([item["name"] for item in batch["items"]], batch["unknown_runs"]) == (["incident"], ["run_2"])
    outcomes = (await story.tell("get_run", id="run_1"))["outcomes"]
    assert outcomes == [told.content, *batch["items"]]
    served = {"agent": "support", "version": whole["version"], "label": whole["label"], "arm": whole["arm"]}
    for operation, query in (
        ("report_versions", ""),
        ("report_label", "&label=prod"),
        ("report_rollout", "&rollout=r1"),
    ):
        report = await story.tell(operation, query=f"?agent=support{query}")
        assert (report["agent"], report["window"]["unfilled_before"]) == ("support", None)
    compared = await story.tell("compare_versions", query="?agent=support&stable=1&candidate=2")
    assert (compared["stable"]["version"], compared["candidate"]["version"]) == (1, 2)
    listed = (await story.tell("list_outcomes", query="?agent=support&name=score"))["items"]
    assert listed == [{**told.content, **served}]
    tagged = await story.tell("quarantine_runs", {"agent": "support", "release": 9, "why": "wrong refunds"})
    assert (tagged["changed"], tagged["quarantined"]) == (1, True)
    exported = await story.tell("export_runs", query="?quarantined=true&format=jsonl")
    assert (exported.headers["Switchback-Count"], orjson.loads(exported.content)["user"]) == ("1", "u1")


async def tell_of_webhooks(story: Story) -> None:
    webhooks = story.admin.commands.control.webhooks
    webhooks.endpoints["ops"] = Endpoint(
        name="ops",
        url="https://hooks.example/a-secret-path",
        host="hooks.example",
        secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        events=("label",),
        form="standard",
        allow_private=False,
        timeout_seconds=1,
    )
    webhooks.outbox.add(WebhookEvent("msg_1", "label.moved", NOON, {"subject": "agents/support/labels/prod"}), ["ops"])
    (shown,) = (await story.tell("list_webhooks"))["items"]
    assert (shown["name"], shown["host"], shown["waiting"], shown["signed"]) == ("ops", "hooks.example", 1, True)
    assert "secret" not in str(shown)
    (delivery,) = (await story.tell("list_deliveries", query="?endpoint=ops&state=waiting"))["items"]
    assert (delivery["id"], delivery["event"]["type"]) == ("msg_1.ops", "label.moved")
    sent = await story.tell("resend_delivery", id="msg_1.ops")
    assert (sent["state"], sent["tries"]) == ("waiting", 0)


async def tell_of_memory(story: Story) -> None:
    entries = (await story.tell("list_audit", query="?limit=500"))["items"]
    head = await story.tell("get_audit_head")
    assert (head["number"], head["hash"]) == (entries[0]["number"], entries[0]["hash"])
    assert MOMENT.match(head["at"])
    lines = (await story.tell("export_audit")).content.splitlines()
    assert [orjson.loads(line) for line in lines] == entries[::-1]
    proof = await story.tell("verify_audit", query=f"?head={head['number']}:{head['hash']}")
    assert proof.content == {
        "ok": True,
        "entries": len(entries),
        "first_broken": None,
        "head": {"number": head["number"], "hash": head["hash"]},
    }
    backup = await story.tell("back_up_store")
    assert backup.headers["Switchback-Audit-Head"] == f"{head['number']}:{head['hash']}"
    assert backup.content.startswith("SQLite format 3\0")
    compacted = await story.tell("compact_store", {"why": "room"})
    assert (compacted["runs_pruned"], compacted["holds_carried"], compacted["unproven_rows"]) == (0, 0, 0)
    change = await story.tell("get_change", id="chg_nobody-sent-it")
    assert (change["result"], change["by"], change["entries"]) == ("not_changed", "audit", [])
    status = await story.tell("get_status")
    assert (status["version"], status["agents"], status["draining"]) == ("9.9.9", 1, False)
    assert status["compiled"] is IS_COMPILED
    assert (status["store"]["up"], status["store"]["kind"]) == (True, "sqlite")
    assert status["revision"] == story.admin.commands.live.current.revision
    price = await story.tell("get_price", query="?provider=openai&model=gpt-4o-mini")
    assert (price["state"], price["usd_per_million_tokens"][0]["input"]) == ("priced", 0.15)
    unknown = await story.tell("get_price", query="?provider=anthropic&model=nobody-knows")
    assert (unknown["state"], unknown["usd_per_million_tokens"]) == ("unknown", [])
    description = await story.tell("get_openapi")
    assert description["openapi"] == "3.1.0"


def unwarned(reply: Reply) -> dict[str, Any]:
    """What is kept of an answer: not what a preflight could not look at."""
    assert len(reply["warnings"]) == 1
    return {name: value for name, value in reply.content.items() if name != "warnings"}


async def tell_of_second_people(story: Story) -> None:
    bob = await story.tell("create_token", {"name": "bob", "role": "operator", "why": "on call"}, status=201)
    rules = {"approval_required": True, "why": "live"}
    protected = await story.tell("protect_label", rules, agent="support", label="prod")
    assert (protected["who_may_move"], protected["approval_required"]) == ("operator", True)
    assert (await story.tell("list_protections", agent="support"))["items"] == [protected.content]
    waits = await story.tell("move_label", {"version": 1}, agent="support", label="prod", status=202)
    assert (waits["state"], waits["diff"]["changes_behavior"]) == ("waiting", True)
    asked = await story.tell("create_proposal", {"label": "prod", "version": 1}, agent="support", token=bob["token"])
    assert (await story.tell("get_proposal", agent="support", id=asked["id"])).content == unwarned(asked)
    rejected = await story.tell("reject_proposal", {"why": "twice"}, agent="support", id=asked["id"])
    approved = await story.tell("approve_proposal", agent="support", id=waits["id"], token=bob["token"])
    listed = (await story.tell("list_proposals", agent="support"))["items"]
    assert listed == [rejected.content, unwarned(approved)]
    assert [(item["state"], item["decided_by"]) for item in listed] == [("rejected", "admin"), ("approved", "bob")]
    assert MOMENT.match(approved["decided_at"])
    gone = await story.tell("unprotect_label", query="?why=over", agent="support", label="prod")
    assert gone["removed"] is True
    revoked = await story.tell("revoke_token", query="?why=left", id=bob["id"])
    used = {"last_used_at": revoked["revoked_at"]}
    assert (await story.tell("list_tokens"))["items"] == [{**revoked.content, **used}]
    assert "token" not in revoked.content

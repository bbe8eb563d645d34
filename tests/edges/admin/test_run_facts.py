"""What is said about runs afterwards: quarantine, which is audited to the run, and outcomes, which are only ever added."""

import asyncio
import csv
import io
from typing import Any

import orjson
import pytest

from tests.edges.admin.composition import Admin
from tests.edges.admin.test_run_export import recorded, run


async def ids(admin: Admin, query: str) -> list[str]:
    return [item["id"] for item in (await admin.get(f"/runs?{query}"))["items"]]


async def last_entry(admin: Admin) -> dict[str, Any]:
    return (await admin.get("/audit?limit=1"))["items"][0]


async def test_a_quarantine_is_audited_with_its_filter_and_its_count_and_can_be_lifted(admin: Admin) -> None:
    await admin.commands.store.record_runs([run(1, release=3), run(2, release=4), run(3, release=4)], [])
    admin.commands.clock.now += 10
    body = {"agent": "support", "release": 4, "why": "wrong refunds"}
    tagged = await admin.post("/runs/quarantine", body)
    wanted = {"agent": "support", "release": 4, "to": "2026-11-20T12:00:00.000011Z", "quarantined": False}
    assert tagged.content == {"changed": 2, "quarantined": True, "filter": wanted}
    entry = await last_entry(admin)
    assert (entry["what"], entry["subject"], entry["why"]) == ("runs.quarantined", "runs", "wrong refunds")
    assert entry["after"] == {"filter": wanted, "count": 2}
    assert await ids(admin, "quarantined=true") == ["run_0000003", "run_0000002"]
    assert await ids(admin, "quarantined=false") == ["run_0000001"]

    assert (await admin.post("/runs/quarantine", body))["changed"] == 0
    assert (await last_entry(admin))["number"] == entry["number"]
    lifted = await admin.post("/runs/quarantine", {"runs": ["run_0000003", "run_0000001"], "undo": True, "why": "fine"})
    assert lifted.content == {"changed": 1, "quarantined": False, "runs": ["run_0000003", "run_0000001"]}
    assert (await last_entry(admin))["after"] == {"runs": ["run_0000003", "run_0000001"], "count": 1}
    assert await ids(admin, "quarantined=true") == ["run_0000002"]


async def test_a_large_quarantine_is_several_changes_each_with_its_own_count(admin: Admin) -> None:
    await recorded(admin, 12_001)
    admin.commands.clock.now += 1_000_000
    assert (await admin.post("/runs/quarantine", {"agent": "support", "why": "all"}))["changed"] == 12_001
    entries = (await admin.get("/audit"))["items"]
    assert [entry["after"]["count"] for entry in entries] == [2001, 5000, 5000]
    assert (await admin.get("/runs/export?quarantined=false")).content == ""


async def test_runs_that_start_later_are_not_in_the_quarantine(admin: Admin) -> None:
    await admin.commands.store.record_runs([run(0), run(60_000_000)], [])
    assert (await admin.post("/runs/quarantine", {"agent": "support"}))["changed"] == 1
    assert await ids(admin, "quarantined=true") == ["run_0000000"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "no_filter"),
        ({"why": "everything"}, 400, "no_filter"),
        ({"runs": ["run_0000001"], "agent": "support"}, 400, "bad_filter"),
        ({"runs": ["run_0000001", "run_unknown"]}, 404, "run_not_found"),
        ({"release": 4, "why": "of which agent?"}, 400, "bad_filter"),
        ({"from": "yesterday"}, 400, "bad_time"),
        ({"from_": "2026-11-20T12:00:00Z"}, 400, "bad_body"),
        ({"runs": ["x"] * 1001}, 400, "bad_body"),
        ({"agent": "support", "why": "w" * 2001}, 400, "bad_why"),
    ],
)
async def test_what_is_no_quarantine_changes_nothing(admin: Admin, body: Any, status: int, code: str) -> None:
    await admin.commands.store.record_runs([run(0), run(1)], [])
    reply = await admin.post("/runs/quarantine", body)
    assert (reply.status, reply.code) == (status, code)
    assert await ids(admin, "quarantined=true") == []
    assert await admin.audited() == []


async def test_outcomes_are_added_to_a_run_in_order_and_never_changed(admin: Admin) -> None:
    await admin.commands.store.record_runs([run(1)], [])
    told = [
        {"name": "score", "value": 0.5},
        {"name": "score", "value": 1},
        {"name": "validation", "value": False, "why": "no JSON"},
        {"name": "incident", "severity": "critical", "value": "refunded twice"},
        {"name": "reviewed.by-hand", "value": None},
    ]
    for fact in told:
        admin.commands.clock.now += 1
        assert (await admin.post("/runs/run_0000001/outcomes", fact)).status == 201
    outcomes = (await admin.get("/runs/run_0000001"))["outcomes"]
    assert [{name: outcome[name] for name in fact} for outcome, fact in zip(outcomes, told, strict=True)] == told
    assert {outcome["recorded_by"] for outcome in outcomes} == {"admin"}
    assert outcomes[0]["recorded_at"] == "2026-11-20T12:00:00.000001Z"
    assert len({outcome["id"] for outcome in outcomes}) == 5
    assert await admin.audited() == []


@pytest.mark.parametrize(
    "fact",
    [
        {"name": "score", "value": "high"},
        {"name": "score"},
        {"name": "score", "value": True},
        {"name": "escalated", "value": 1},
        {"name": "validation", "value": "passed"},
        {"name": "incident"},
        {"name": "incident", "severity": "awful"},
        {"name": "score", "value": 1, "severity": "low"},
        {"name": "Big Name", "value": 1},
        {"name": "note", "value": {"not": "scalar"}},
        {"name": "note", "value": "x" * 2001},
        {"name": "note", "value": 2**60},
    ],
)
async def test_an_outcome_of_the_wrong_kind_is_refused(admin: Admin, fact: Any) -> None:
    await admin.commands.store.record_runs([run(1)], [])
    reply = await admin.post("/runs/run_0000001/outcomes", fact)
    assert (reply.status, reply.code) == (400, "bad_outcome")
    assert reply["param"] in ("name", "value", "severity")
    batch = await admin.post(
        "/outcomes", {"outcomes": [{"run": "run_0000001", "name": "score", "value": 1}, {**fact, "run": "r"}]}
    )
    assert batch.status == 400
    assert (await admin.get("/runs/run_0000001"))["outcomes"] == []


async def test_a_batch_names_the_runs_that_nobody_knows_and_keeps_the_rest(admin: Admin) -> None:
    await admin.commands.store.record_runs([run(1), run(2)], [])
    facts = [{"run": f"run_{number:07}", "name": "score", "value": number} for number in (1, 2, 3, 3)]
    reply = await admin.post("/outcomes", {"outcomes": facts, "why": "nightly"})
    assert reply.status == 201
    assert [(item["run"], item["value"], item["why"]) for item in reply["items"]] == [
        ("run_0000001", 1, "nightly"),
        ("run_0000002", 2, "nightly"),
    ]
    assert reply["unknown_runs"] == ["run_0000003"]


async def test_an_outcome_may_come_before_the_recorder_has_written_its_run(admin: Admin) -> None:
    recorder = admin.commands.recorder
    recorder.record(run(1), ())
    recorder.record(run(2), ())
    first, second = await asyncio.gather(
        admin.post("/runs/run_0000001/outcomes", {"name": "score", "value": 1}),
        admin.post("/runs/run_0000002/outcomes", {"name": "score", "value": 2}),
    )
    assert (first.status, second.status) == (201, 201)
    assert (await admin.post("/runs/run_0000003/outcomes", {"name": "score", "value": 1})).code == "run_not_found"


async def test_outcomes_are_listed_newest_first_with_what_served_their_run(admin: Admin) -> None:
    served = {"version": 8, "label": "prod", "arm": "candidate"}
    await admin.commands.store.record_runs([run(1, **served), run(2, agent="other", version=8)], [])
    for number, name in ((1, "score"), (2, "score"), (1, "incident")):
        admin.commands.clock.now += 1_000_000
        fact = {"name": name, "severity": "high"} if name == "incident" else {"name": name, "value": number}
        assert (await admin.post(f"/runs/run_000000{number}/outcomes", fact)).status == 201

    async def found(query: str) -> list[tuple[str, str]]:
        return [(item["run"][-1], item["name"]) for item in (await admin.get(f"/outcomes?{query}"))["items"]]

    assert await found("") == [("1", "incident"), ("2", "score"), ("1", "score")]
    assert await found("name=score") == [("2", "score"), ("1", "score")]
    assert await found("run=run_0000002") == [("2", "score")]
    assert await found("agent=support&version=8&label=prod") == [("1", "incident"), ("1", "score")]
    assert await found("agent=support&version=7") == []
    assert await found("from=2026-11-20T12:00:02Z") == [("1", "incident"), ("2", "score")]
    assert await found("from=2026-11-20T12:00:02Z&to=2026-11-20T12:00:03Z") == [("2", "score")]
    assert await found("from=0001-01-01T00:00:00Z&to=9999-12-31T00:00:00Z&limit=1") == [("1", "incident")]
    item = (await admin.get("/outcomes?limit=1"))["items"][0]
    assert {name: item[name] for name in ("agent", "version", "label", "arm", "severity", "value")} == {
        "agent": "support", **served, "severity": "high", "value": None,
    }  # fmt: skip
    assert [(await admin.get(f"/outcomes?{query}")).code for query in ("version=8", "from=soon", "cursor=x", "user=u")] == [
        "bad_filter", "bad_time", "bad_cursor", "bad_query",
    ]  # fmt: skip


async def test_runs_and_outcomes_are_found_by_the_provider_s_request_id_and_by_the_caller_s_trace(admin: Admin) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    runs = [run(1, request_id="req_a", trace_id=trace), run(2, request_id="req_b", trace_id=trace), run(3)]
    await admin.commands.store.record_runs(runs, [])
    for number in (1, 2, 3):
        admin.commands.clock.now += 1
        await admin.post(f"/runs/run_000000{number}/outcomes", {"name": "score", "value": number})

    async def found(query: str) -> tuple[str, str, str]:
        listed = [item["id"][-1] for item in (await admin.get(f"/runs?{query}"))["items"]]
        told = [item["run"][-1] for item in (await admin.get(f"/outcomes?{query}"))["items"]]
        exported = (await admin.get(f"/runs/export?{query}")).content.splitlines()
        return "".join(listed), "".join(told), "".join(orjson.loads(line)["id"][-1] for line in exported)

    assert await found("request_id=req_b") == ("2", "2", "2")
    assert await found(f"trace_id={trace}") == ("21", "21", "21")
    assert await found(f"trace_id={trace}&request_id=req_a&agent=support") == ("1", "1", "1")
    assert await found("request_id=req_c") == ("", "", "")
    for path in ("/runs", "/runs/export", "/outcomes"):
        assert (await admin.get(f"{path}?trace_id=4BF9")).code == "bad_query"
    tagged = await admin.post("/runs/quarantine", {"trace_id": trace, "why": "a bad prompt"})
    assert (tagged["changed"], tagged["filter"]["trace_id"]) == (2, trace)


async def test_a_run_carries_its_outcomes_in_lists_and_exports(admin: Admin) -> None:
    await admin.commands.store.record_runs([run(1), run(2)], [])
    for value in (0.5, 0.9):
        admin.commands.clock.now += 1
        await admin.post("/runs/run_0000001/outcomes", {"name": "score", "value": value, "why": "=1+1"})
    whole = await admin.get("/runs/run_0000001")
    without, told = (await admin.get("/runs"))["items"]
    assert (without["outcome_count"], without["outcomes"]) == (0, [])
    assert (told["outcome_count"], told["outcomes"]) == (2, whole["outcomes"])
    lines = (await admin.get("/runs/export")).content.splitlines()
    assert [orjson.loads(line) for line in lines] == [without, told]
    rows = list(csv.DictReader(io.StringIO((await admin.get("/runs/export?format=csv")).content, newline="")))
    assert [row["outcome_count"] for row in rows] == ["0", "2"]
    assert [outcome["value"] for outcome in orjson.loads(rows[1]["outcomes"])] == [0.5, 0.9]


async def test_outcomes_name_their_run_by_request_trace_or_conversation_too(admin: Admin) -> None:
    trace = "4bf9" * 8
    runs = [
        run(1, request_id="req_1", trace_id=trace, conversation="c"),
        run(2, trace_id=trace, conversation="c"),
        run(3, agent="sales", conversation="c"),
    ]
    await admin.commands.store.record_runs(runs, [])
    told = [
        {"request_id": "req_1", "name": "a"},
        {"trace_id": trace, "name": "b"},
        {"conversation": "c", "name": "c"},
        {"conversation": "c", "agent": "support", "name": "d"},
        {"run": "run_0000001", "name": "e"},
        {"run": "run_x", "name": "f"},
        {"request_id": "req_2", "name": "g"},
        {"conversation": "c", "agent": "nobody", "name": "h"},
    ]
    reply = await admin.post("/outcomes", {"outcomes": told})
    assert reply.status == 201
    found = {item["name"]: item["run"] for item in reply["items"]}
    one, two, three = (f"run_000000{number}" for number in (1, 2, 3))
    assert found == {"a": one, "b": two, "c": three, "d": two, "e": one}
    assert reply["unknown_runs"] == ["run_x", "req_2", "c"]


@pytest.mark.parametrize(
    ("named", "code"),
    [
        ({}, "bad_outcome"),
        ({"run": "r", "conversation": "c"}, "bad_outcome"),
        ({"run": "r", "agent": "support"}, "bad_outcome"),
        ({"agent": "support"}, "bad_outcome"),
        ({"request_id": ""}, "bad_body"),
        ({"conversation": 5}, "bad_body"),
        ({"conversation": "c" * 513}, "bad_body"),
    ],
)
async def test_an_outcome_names_its_run_in_one_way(admin: Admin, named: dict[str, Any], code: str) -> None:
    reply = await admin.post(
        "/outcomes", {"outcomes": [{"run": "r", "name": "a"}, {**named, "name": "score", "value": 1}]}
    )
    assert (reply.status, reply.code) == (400, code)

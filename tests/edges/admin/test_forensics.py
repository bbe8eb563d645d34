"""What was served when, what changed between two versions, and the proof of the log, as the admin API tells them."""

import orjson
import pytest

from proxy.core.proof.audit_proof import AuditHead, verify_lines
from tests.edges.admin.composition import NOON, TOKEN, Admin

MINUTE = 60_000_000


async def tell(admin: Admin) -> None:
    """prod: 1, a canary of 2 at 10 then 50 %, promoted, rolled back; a minute between each."""
    clock = admin.commands.clock
    await admin.agent("support", "one", "two", "three")
    steps = [
        ("POST", "/rollouts", {"label": "prod", "candidate": 2, "percentage": 10, "why": "canary"}),
        ("POST", "/rollouts/r1/set-percentage", {"percentage": 50}),
        ("POST", "/rollouts/r1/promote", {}),
        ("POST", "/rollback", {"why": "bad"}),
        ("PUT", "/labels/staging", {"version": 3}),
        ("DELETE", "/labels/staging", {}),
    ]
    for method, path, body in steps:
        clock.now += MINUTE
        assert (await admin.call(method, f"/agents/support{path}", body)).status in (200, 201)


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [
        (0, [("stable", 1, 100)]),
        (0.99, [("stable", 1, 100)]),
        (1, [("stable", 1, 90), ("candidate", 2, 10)]),
        (2.5, [("stable", 1, 50), ("candidate", 2, 50)]),
        (3, [("stable", 2, 100)]),
        (4, [("stable", 1, 100)]),
        (6, [("stable", 1, 100)]),
    ],
)
async def test_what_was_served_at_any_moment_follows_from_the_ledger(
    admin: Admin, minutes: float, expected: list
) -> None:
    await tell(admin)
    seconds = int(minutes * 60)
    admin.commands.clock.now = max(admin.commands.clock.now, NOON + seconds * 1_000_000)
    moment = f"2026-11-{20 + (43200 + seconds) // 86400}T{(43200 + seconds) % 86400 // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}Z"
    served = await admin.get(f"/agents/support/versions/at?label=prod&time={moment}")
    assert served.status == 200, served.content
    assert [(arm["name"], arm["version"], arm["percentage"]) for arm in served["arms"]] == expected
    assert served["rollout"] == ("r1" if len(expected) == 2 else None)


async def test_who_took_part_in_a_rollout_is_part_of_what_was_served(admin: Admin) -> None:
    await tell(admin)
    assert (await admin.get("/agents/support/versions/at"))["eligible"] == {}
    body = {"label": "prod", "candidate": 3, "percentage": 10, "eligible": {"plan": "trial"}}
    admin.commands.clock.now += MINUTE
    assert (await admin.post("/agents/support/rollouts", body)).status == 201
    assert (await admin.get("/agents/support/versions/at"))["eligible"] == {"plan": "trial"}
    admin.commands.clock.now += MINUTE
    assert (await admin.post("/agents/support/rollback")).status == 200
    assert (await admin.get("/agents/support/versions/at"))["eligible"] == {}
    then = await admin.get("/agents/support/versions/at?time=2026-11-20T12:07:30Z")
    assert (then["rollout"], then["eligible"]) == ("r2", {"plan": "trial"})


async def test_without_label_and_time_it_is_the_default_label_now(admin: Admin) -> None:
    await tell(admin)
    served = await admin.get("/agents/support/versions/at")
    assert (served["label"], served["kind"], served["until"], served["why"]) == ("prod", "rolled_back", None, "bad")
    assert served["time"] == "2026-11-20T12:06:00.000000Z"


async def test_a_label_that_served_nothing_then_is_not_found(admin: Admin) -> None:
    await tell(admin)
    for query in ("time=2026-11-20T11:59:59Z", "label=staging&time=2026-11-20T12:06:00Z", "label=never"):
        reply = await admin.get(f"/agents/support/versions/at?{query}")
        assert (reply.status, reply.code) == (404, "label_not_set")
    assert (await admin.get("/agents/support/versions/at?label=staging&time=2026-11-20T12:05:30Z"))["version"] == 3
    assert (await admin.get("/agents/support/versions/at?time=yesterday")).code == "bad_time"


async def test_what_a_label_will_serve_is_not_told(admin: Admin) -> None:
    await tell(admin)
    for later in ("2026-11-20T12:06:00.000001Z", "2031-01-01T00:00:00Z"):
        reply = await admin.get(f"/agents/support/versions/at?time={later}")
        assert (reply.status, reply.code) == (400, "bad_time")
        assert "yet to come" in reply["detail"]


async def test_a_clock_that_went_ahead_and_came_back_names_no_wrong_version(admin: Admin) -> None:
    await admin.agent("support", "one", "two", "three")
    clock = admin.commands.clock
    clock.now = NOON + 1440 * MINUTE
    assert (await admin.call("PUT", "/agents/support/labels/prod", {"version": 2})).status == 200
    clock.now = NOON + 5 * MINUTE
    now = await admin.get("/agents/support/versions/at")
    assert (now["version"], now["uncertain"]) == (2, False)
    then = await admin.get("/agents/support/versions/at?time=2026-11-20T12:03:00Z")
    assert (then["version"], then["uncertain"]) == (1, True)
    assert (await admin.call("PUT", "/agents/support/labels/prod", {"version": 3})).status == 200
    clock.now = NOON + 9 * MINUTE
    later = await admin.get("/agents/support/versions/at?time=2026-11-20T12:07:00Z")
    assert (later["version"], later["uncertain"], later["uncertain_reason"]) == (3, False, None)


async def test_a_long_ledger_is_read_back_only_as_far_as_needed(admin: Admin) -> None:
    await admin.agent("support", "one", "two")
    for number in range(520):
        admin.commands.clock.now += 1
        await admin.commands.releases.move_label("ann", "support", "prod", 2 - number % 2, "")
    assert (await admin.get("/agents/support/versions/at?time=2026-11-20T12:00:00.000003Z"))["release"] == 4
    assert (await admin.get("/agents/support/versions/at"))["release"] == 521
    assert admin.commands.clock.now == NOON + 520


async def test_versions_are_compared_by_number_label_or_latest(admin: Admin) -> None:
    await tell(admin)
    by_number = (await admin.get("/agents/support/versions/1/diff/3")).content
    assert (by_number["before"], by_number["after"]) == (1, 3)
    assert (await admin.get("/agents/support/versions/prod/diff/latest")).content == by_number
    assert (await admin.get("/agents/support/versions/2/diff/2"))["prompt"] == []
    for side in ("4", "0", "staging", "nothing"):
        reply = await admin.get(f"/agents/support/versions/{side}/diff/1")
        assert (reply.status, reply.code) == (404, "version_not_found")


async def test_an_export_of_the_log_verifies_offline_against_the_head(admin: Admin) -> None:
    await tell(admin)
    head = await admin.get("/audit/head")
    lines = (await admin.get("/audit/export")).content.encode().splitlines()
    proof = verify_lines(lines, AuditHead(head["number"], head["hash"]))
    assert (proof.ok, proof.entries) == (True, head["number"])
    assert not verify_lines(lines[:-1], AuditHead(head["number"], head["hash"])).ok


async def test_a_log_of_many_pages_is_exported_whole_and_proved_in_stretches(admin: Admin) -> None:
    await admin.agent("support", "one", "two")
    for number in range(600):
        await admin.commands.releases.move_label("ann", "support", "prod", 2 - number % 2, "")
    lines = (await admin.get("/audit/export")).content.splitlines()
    assert [orjson.loads(line)["number"] for line in lines] == list(range(1, 605))
    async with admin.session.get(
        f"{admin.origin}/api/v1/audit/verify", headers={"Authorization": f"Bearer {TOKEN}"}
    ) as answer:
        text = await answer.text()
    # Blank lines keep the connection alive while a long log is proved; the document stands behind them.
    assert text.startswith("\n\n")
    assert orjson.loads(text)["entries"] == 604


async def test_a_head_kept_outside_is_checked_by_the_server_too(admin: Admin) -> None:
    await tell(admin)
    head = await admin.get("/audit/head")
    assert (await admin.get(f"/audit/verify?head={head['number']}:{head['hash']}"))["ok"] is True
    other = await admin.get(f"/audit/verify?head={head['number']}:{'0' * 64}")
    assert (other["ok"], other["first_broken"]["key"]) == (False, {"number": head["number"]})
    later = await admin.get(f"/audit/verify?head={head['number'] + 1}:{'0' * 64}")
    assert "cut at the end" in later["first_broken"]["reason"]
    for wrong in ("7", "7:abc", "x:" + "0" * 64, "7:" + "0" * 65):
        assert (await admin.get(f"/audit/verify?head={wrong}")).code == "bad_query"


async def test_an_empty_log_is_exported_as_nothing(admin: Admin) -> None:
    reply = await admin.get("/audit/export")
    assert (reply.status, reply.content) == (200, "")
    assert (await admin.get("/audit/verify"))["entries"] == 0

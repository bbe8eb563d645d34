"""People who change the same thing at once: one wins, the other is told what happened, and nothing is half done."""

import asyncio
import sqlite3
from contextlib import closing

from proxy.core.snapshot import Snapshot
from tests.edges.admin.composition import Admin


async def test_of_two_authors_on_the_same_parent_one_wins_and_the_other_learns_who(admin: Admin) -> None:
    await admin.agent("support", "one")
    replies = await asyncio.gather(
        *(
            admin.post("/agents/support/versions", {"parent": 1, "prompt": {"text": text}})
            for text in ("mine", "yours", "theirs")
        )
    )
    assert sorted(reply.status for reply in replies) == [201, 409, 409]
    for lost in (reply for reply in replies if reply.status == 409):
        assert (lost.code, lost["param"]) == ("stale_parent", "parent")
        assert "version 2 by admin is the newest" in lost["detail"]
    assert len((await admin.get("/agents/support/versions"))["items"]) == 2


async def test_two_authors_of_the_same_content_share_one_version(admin: Admin) -> None:
    await admin.agent("support", "one")
    same = {"parent": 1, "prompt": {"text": "the same"}}
    replies = await asyncio.gather(*(admin.post("/agents/support/versions", same) for _ in range(2)))
    assert sorted(reply.status for reply in replies) == [200, 201]
    assert replies[0].content == replies[1].content


async def test_a_parent_is_needed_from_the_second_version_on(admin: Admin) -> None:
    await admin.agent("support")
    first = await admin.post("/agents/support/versions", {"parent": 1, "prompt": {"text": "x"}})
    assert (first.status, first.code) == (409, "stale_parent")
    await admin.post("/agents/support/versions", {"prompt": {"text": "x"}})
    second = await admin.post("/agents/support/versions", {"prompt": {"text": "y"}})
    assert (second.status, second.code) == (409, "stale_parent")
    assert "no parent was given" in second["detail"]


async def test_of_two_operators_who_saw_the_same_release_one_moves_the_label(admin: Admin) -> None:
    await admin.agent("support", "one", "two", "three")
    replies = await asyncio.gather(
        *(admin.call("PUT", "/agents/support/labels/prod", {"version": version, "if_release": 1}) for version in (2, 3))
    )
    assert sorted(reply.status for reply in replies) == [200, 409]
    won, lost = sorted(replies, key=lambda reply: reply.status)
    assert (lost.code, lost["param"]) == ("label_moved", "if_release")
    assert f"by admin: it serves version {won['version']}" in lost["detail"]
    assert admin.commands.live.agent("support").labels["prod"].version == won["version"]


async def test_of_two_who_set_a_new_label_one_is_first(admin: Admin) -> None:
    await admin.agent("support", "one", "two")
    body = {"version": 2, "if_release": 0}
    path = "/agents/support/labels/staging"
    replies = await asyncio.gather(*(admin.call("PUT", path, body) for _ in range(2)))
    assert sorted(reply.status for reply in replies) == [200, 409]


async def test_two_people_who_roll_back_at_once_roll_back_once(admin: Admin) -> None:
    await admin.agent("support", "one", "two", "three")
    for version in (2, 3):
        await admin.call("PUT", "/agents/support/labels/prod", {"version": version})
    replies = await asyncio.gather(*(admin.post("/agents/support/rollback", {"undoes": 3}) for _ in range(3)))
    assert [reply.status for reply in replies] == [200] * 3
    assert sorted(reply["changed"] for reply in replies) == [False, False, True]
    assert {reply["version"] for reply in replies} == {2}
    kinds = [row["kind"] for row in (await admin.get("/agents/support/releases"))["items"]]
    assert kinds.count("rolled_back") == 1


async def test_of_two_rollouts_on_a_label_one_starts(admin: Admin) -> None:
    await admin.agent("support", "one", "two")
    body = {"label": "prod", "candidate": 2, "percentage": 5}
    replies = await asyncio.gather(*(admin.post("/agents/support/rollouts", body) for _ in range(2)))
    assert sorted(reply.status for reply in replies) == [201, 409]
    assert max(replies, key=lambda reply: reply.status).code == "rollout_running"


async def test_a_change_is_in_force_before_its_answer(admin: Admin) -> None:
    seen: list[Snapshot] = []
    admin.commands.live.on_change(seen.append)
    orders = [
        ("POST", "/agents", {"agent": "support"}),
        ("POST", "/agents/support/versions", {"prompt": {"text": "one"}}),
        ("PUT", "/agents/support/labels/prod", {"version": 1}),
        ("POST", "/switches", {"scope": {}, "mode": "block", "why": "a test"}),
        ("POST", "/caps", {"scope": {}, "window": "day", "unit": "usd", "limit": 1}),
    ]
    for number, (method, path, body) in enumerate(orders, start=1):
        assert (await admin.call(method, path, body)).status in (200, 201)
        # A switch is in force before the store has it, and once more when it has.
        assert list(dict.fromkeys(snapshot.revision for snapshot in seen)) == list(range(1, number + 1))
    assert admin.commands.live.current.agents["support"].labels["prod"].version == 1
    assert len(admin.commands.live.current.switches) == len(admin.commands.live.current.caps) == 1
    assert await admin.commands.store.load_snapshot() == admin.commands.live.current


async def test_what_cannot_be_audited_does_not_happen(admin: Admin) -> None:
    await admin.agent("support", "one", "two")
    switch = await admin.post("/switches", {"scope": {}, "mode": "observe", "why": "a test"})
    cap = await admin.post("/caps", {"scope": {}, "window": "day", "unit": "usd", "limit": 1})
    before = await admin.commands.store.load_snapshot()
    lists = ["/agents", "/agents/support/versions", "/agents/support/releases", "/agents/support/rollouts", "/audit"]
    rows = [(await admin.get(path)).content for path in lists]
    with closing(sqlite3.connect(admin.commands.database)) as database:
        database.execute("CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no room'); END")
        database.commit()
    orders = [
        ("POST", "/agents", {"agent": "another"}),
        ("PATCH", "/agents/support", {"description": "other"}),
        ("POST", "/agents/support/archive", {}),
        ("POST", "/agents/support/versions", {"parent": 2, "prompt": {"text": "three"}}),
        ("PUT", "/agents/support/labels/prod", {"version": 2}),
        ("PUT", "/agents/support/labels/canary", {"version": 2}),
        ("POST", "/agents/support/rollback", {"to": 2}),
        ("POST", "/agents/support/rollouts", {"label": "prod", "candidate": 2, "percentage": 5}),
        ("POST", "/switches", {"scope": {}, "mode": "block", "why": "a test"}),
        ("DELETE", f"/switches/{switch['id']}", {}),
        ("POST", "/caps", {"scope": {}, "window": "day", "unit": "calls", "limit": 1}),
        ("PUT", f"/caps/{cap['id']}", {"limit": 2}),
        ("DELETE", f"/caps/{cap['id']}", {}),
    ]
    for method, path, body in orders:
        reply = await admin.call(method, path, body)
        assert reply.status in (409, 503), (method, path)
    assert await admin.commands.store.load_snapshot() == before
    assert admin.commands.live.current == before
    assert [(await admin.get(path)).content for path in lists] == rows
    assert admin.errors == []

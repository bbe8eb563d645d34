"""Tokens of the admin API: made once, shown once, kept as hashes, ended at once."""

import asyncio
import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.edges.admin.composition import AN_HOUR, NOON, TOKEN, Admin, serving
from tests.edges.admin.people import Person, person


async def test_a_new_token_works_at_once_and_its_name_is_the_audit_logs_who(admin: Admin) -> None:
    made = await admin.post("/tokens", {"name": "ann@example.com", "role": "author", "why": "she writes prompts"})
    assert made.status == 201
    assert made["token"].startswith("sb_")
    assert len(made["token"]) >= 46
    assert (made["name"], made["role"], made["created_by"], made["revoked_at"]) == (
        "ann@example.com", "author", "admin", None,
    )  # fmt: skip
    assert (await admin.call("POST", "/agents", {"agent": "support"}, token=made["token"])).status == 201
    newest, created = (await admin.get("/audit"))["items"]
    assert (newest["who"], newest["what"]) == ("ann@example.com", "agent.created")
    assert (created["who"], created["what"], created["why"]) == ("admin", "token.created", "she writes prompts")
    assert created["subject"] == f"tokens/{made['id']}"
    assert created["after"]["role"] == "author"


async def test_the_text_of_a_token_is_in_no_list_no_log_and_no_file(admin: Admin) -> None:
    made = await admin.post("/tokens", {"name": "ann", "role": "viewer"})
    await admin.call("DELETE", f"/tokens/{made['id']}")
    told = [(await admin.get(path)).content for path in ("/tokens", "/audit", "/status")]
    digest = hashlib.sha256(made["token"].encode()).hexdigest()
    assert made["token"] not in repr(told)
    assert digest not in repr(told)
    for file in admin.commands.database.parent.iterdir():
        assert made["token"].encode() not in file.read_bytes()
    with closing(sqlite3.connect(admin.commands.database)) as plain:
        assert plain.execute("SELECT sha256 FROM tokens").fetchall() == [(digest,)]


async def test_no_two_tokens_are_alike(admin: Admin) -> None:
    texts = {(await person(admin, "ann", "viewer")).token for _ in range(20)}
    assert len(texts) == 20


async def test_tokens_are_listed_newest_first_with_those_that_are_revoked(admin: Admin) -> None:
    ann = await person(admin, "ann", "viewer")
    admin.commands.clock.now += 1
    bob = await person(admin, "bob", "admin")
    await bob.call("DELETE", f"/tokens/{ann.id}?why=left")
    listed = (await admin.get("/tokens"))["items"]
    assert [(item["name"], item["role"], item["revoked_by"]) for item in listed] == [
        ("bob", "admin", None),
        ("ann", "viewer", "bob"),
    ]
    page = await admin.get("/tokens?limit=1")
    assert [item["id"] for item in (await admin.get(f"/tokens?limit=1&cursor={page['next']}"))["items"]] == [ann.id]


async def test_a_revoked_token_is_refused_from_the_answer_on_and_only_that_one(admin: Admin) -> None:
    old, new, other = [await person(admin, name, "operator") for name in ("ann", "ann", "bob")]
    assert (await old.get("/agents")).status == 200
    revoked = await admin.call("DELETE", f"/tokens/{old.id}", {"why": "lost"})
    assert (revoked.status, revoked["revoked_by"]) == (200, "admin")
    assert (await old.get("/agents")).code == "unauthorized"
    assert [(await somebody.get("/agents")).status for somebody in (new, other)] == [200, 200]
    again = await admin.call("DELETE", f"/tokens/{old.id}")
    assert (again.status, again.code) == (404, "token_not_found")
    assert await admin.audited() == ["token.created"] * 3 + ["token.revoked"]


async def test_requests_with_a_token_that_is_being_revoked_pass_before_and_never_after(admin: Admin) -> None:
    ann = await person(admin, "ann", "viewer")
    answered = asyncio.Event()

    async def keep_asking() -> list[tuple[bool, int]]:
        seen: list[tuple[bool, int]] = []
        while not seen or not seen[-1][0]:
            sent_after = answered.is_set()
            seen.append((sent_after, (await ann.get("/openapi.json")).status))
        return seen

    async def revoke() -> None:
        assert (await admin.call("DELETE", f"/tokens/{ann.id}")).status == 200
        answered.set()

    seen, _ = await asyncio.gather(keep_asking(), revoke())
    assert [status for sent_after, status in seen if sent_after] == [401]


async def test_of_two_who_revoke_the_same_token_one_does(admin: Admin) -> None:
    ann = await person(admin, "ann", "viewer")
    replies = await asyncio.gather(*(admin.call("DELETE", f"/tokens/{ann.id}") for _ in range(2)))
    assert sorted(reply.status for reply in replies) == [200, 404]


async def test_the_first_token_is_in_no_list_and_works_when_every_other_admin_is_gone(admin: Admin) -> None:
    bob = await person(admin, "bob", "admin")
    assert (await bob.call("DELETE", f"/tokens/{bob.id}")).status == 200
    assert (await bob.get("/tokens")).status == 401
    assert [item["name"] for item in (await admin.get("/tokens"))["items"]] == ["bob"]
    assert (await admin.post("/tokens", {"name": "cid", "role": "admin"})).status == 201


async def test_tokens_and_their_ends_outlive_the_process(tmp_path: Path) -> None:
    async with serving(tmp_path) as admin:
        kept, ended = await person(admin, "ann", "operator"), await person(admin, "bob", "operator")
        await admin.call("DELETE", f"/tokens/{ended.id}")
    async with serving(tmp_path) as admin:
        assert (await Person(admin, kept.id, kept.token).get("/agents")).status == 200
        assert (await Person(admin, ended.id, ended.token).get("/agents")).status == 401


@pytest.mark.parametrize("name", ["admin", "controller", "Ann", "", "a b", "a\n", "ä"])
async def test_nobody_can_be_called_what_misleads(name: str, admin: Admin) -> None:
    reply = await admin.post("/tokens", {"name": name, "role": "viewer"})
    assert (reply.status, reply.code, reply["param"]) == (400, "bad_name", "name")


async def test_a_role_that_does_not_exist_is_refused(admin: Admin) -> None:
    reply = await admin.post("/tokens", {"name": "ann", "role": "root"})
    assert (reply.status, reply.code, reply["param"]) == (400, "bad_body", "role")
    assert await admin.audited() == []


async def test_two_tokens_with_a_long_common_beginning_are_two(admin: Admin) -> None:
    ann = await person(admin, "ann", "viewer")
    for near in (ann.token[:-1], ann.token + "x", ann.token[:-1] + "!", TOKEN[:20] + ann.token[20:]):
        assert (await admin.call("GET", "/agents", token=near)).status == 401


async def test_a_token_that_could_not_be_audited_does_not_exist(admin: Admin) -> None:
    ann = await person(admin, "ann", "viewer")
    with closing(sqlite3.connect(admin.commands.database)) as database:
        database.execute("CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no room'); END")
        database.commit()
    assert (await admin.post("/tokens", {"name": "bob", "role": "admin"})).status in (409, 503)
    assert (await admin.call("DELETE", f"/tokens/{ann.id}")).status in (409, 503)
    assert (await ann.get("/agents")).status == 200
    assert [item["name"] for item in (await admin.get("/tokens"))["items"]] == ["ann"]


async def test_a_token_that_expired_is_refused_with_a_code_of_its_own(admin: Admin) -> None:
    soon = "2026-11-20T13:00:00.000000Z"
    made = await admin.post("/tokens", {"name": "ann", "role": "viewer", "expires": soon})
    assert (made.status, made["expires_at"]) == (201, soon)
    admin.commands.clock.now += AN_HOUR - 1
    assert (await admin.call("GET", "/agents", token=made["token"])).status == 200
    admin.commands.clock.now += 1
    for _ in range(30):
        refused = await admin.call("GET", "/agents", token=made["token"])
        assert (refused.status, refused.code) == (401, "token_expired")
    assert f"{made['id']} of ann expired at {soon}" in refused["detail"]
    # Whoever has not its text learns nothing of it.
    assert (await admin.call("GET", "/agents", token=made["token"][:-1])).code == "unauthorized"
    assert (await admin.get("/audit/verify")).content["ok"] is True


@pytest.mark.parametrize(("expires", "code"), [("2026-11-20T12:00:00Z", "bad_time"), ("90d", "bad_time")])
async def test_a_token_that_would_never_work_is_not_made(admin: Admin, expires: str, code: str) -> None:
    refused = await admin.call("POST", "/tokens", {"name": "ann", "role": "viewer", "expires": expires})
    assert (refused.status, refused.code, refused["param"]) == (400, code, "expires")
    assert (await admin.get("/tokens"))["items"] == []


async def test_when_a_token_was_last_used_is_told_at_once_and_kept(tmp_path: Path) -> None:
    async with serving(tmp_path) as admin:
        ann, bob = await person(admin, "ann", "viewer"), await person(admin, "bob", "viewer")
        admin.commands.clock.now += AN_HOUR
        await ann.call("GET", "/agents")
        assert await last_uses(admin) == {"ann": "2026-11-20T13:00:00.000000Z", "bob": None}
        await admin.commands.tokens.uses.write()
        admin.commands.clock.now += 1_000_000
        await ann.call("GET", "/agents")
        assert (await last_uses(admin))["ann"] == "2026-11-20T13:00:01.000000Z"
        await admin.commands.tokens.uses.write()
        await bob.call("GET", "/agents")
    async with serving(tmp_path) as again:
        # What was not written yet is lost with its process; a clock that is set back takes nothing back.
        assert await last_uses(again) == {"ann": "2026-11-20T13:00:01.000000Z", "bob": None}
        await again.commands.store.keep_token_uses({ann.id: NOON, "tok_of_nobody": NOON})
        assert (await last_uses(again))["ann"] == "2026-11-20T13:00:01.000000Z"


async def last_uses(admin: Admin) -> dict[str, str | None]:
    return {item["name"]: item["last_used_at"] for item in (await admin.get("/tokens"))["items"]}


def test_a_token_cannot_be_made_to_last_longer(tmp_path: Path) -> None:
    """Held by the schema: an expiry changes as little as a name."""

    async def made() -> Path:
        async with serving(tmp_path) as admin:
            await admin.post("/tokens", {"name": "ann", "role": "viewer", "expires": "2026-11-20T13:00:00Z"})
            return admin.commands.database

    with closing(sqlite3.connect(asyncio.run(made()))) as plain, pytest.raises(sqlite3.IntegrityError):
        plain.execute("UPDATE tokens SET expires_at_microseconds = NULL, revoked_by = 'x', revoked_at_microseconds = 1")

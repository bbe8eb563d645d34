"""What every store promises of tokens, protections, named plans and proposals; and what the file itself holds of them."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from proxy.core.errors import BadInput, Conflict, NotFound
from proxy.core.releasing.proposals import Proposal
from proxy.core.releasing.protection import Protection
from proxy.core.rollouts.named_plans import NamedPlan
from proxy.core.tokens import Token
from proxy.store.sqlite import SqliteStore
from tests.store.given import NOON, an_agent, audited


def token(token_id: str, **members: Any) -> Token:
    values: dict[str, Any] = {"name": "ann", "role": "operator", "sha256": f"hash of {token_id}", "created_by": "admin"}
    return Token(id=token_id, **{**values, "created_at_microseconds": NOON, **members})


def proposal(number: int, **members: Any) -> Proposal:
    values: dict[str, Any] = {
        "action": "start_rollout",
        "label": "prod",
        "before": 1,
        "version": 2,
        "if_release": 1,
        "order": {"percentage": 12.5, "eligible": {"tenant": "acme"}},
        "proposed_by": "ann",
        "why": "better",
        "evidence": ({"kind": "evaluation", "id": "e1"},),
        "created_at_microseconds": NOON + number,
    }
    return Proposal(agent="support", id=f"p{number}", **{**values, **members})


async def proposals_of(store: SqliteStore, count: int) -> None:
    await an_agent(store, versions=2)
    async with audited(store) as change:
        for number in range(1, count + 1):
            assert await change.next_proposal_id("support") == f"p{number}"
            await change.insert_proposal(proposal(number))


class TestTokens:
    async def test_are_in_the_snapshot_by_hash_until_they_are_revoked(self, store):
        async with audited(store) as change:
            await change.insert_token(token("t1"))
            await change.insert_token(token("t2", role="viewer", created_at_microseconds=NOON + 1))
        assert (await store.load_snapshot()).tokens == {
            "hash of t1": token("t1"),
            "hash of t2": token("t2", role="viewer", created_at_microseconds=NOON + 1),
        }
        async with audited(store) as change:
            assert await change.token("t1") == token("t1")
            await change.revoke_token("t1", "bob", NOON + 5)
            assert await change.token("t1") is None
        assert list((await store.load_snapshot()).tokens) == ["hash of t2"]
        newest, oldest = (await store.tokens()).items
        assert newest.id == "t2"
        assert oldest == token("t1", revoked_by="bob", revoked_at_microseconds=NOON + 5)

    async def test_end_once(self, store):
        async with audited(store) as change:
            await change.insert_token(token("t1"))
            await change.revoke_token("t1", "bob", NOON)
        for unknown in ("t1", "t9"):
            with pytest.raises(NotFound) as refused:
                async with audited(store) as change:
                    await change.revoke_token(unknown, "cid", NOON + 1)
            assert refused.value.code == "token_not_found"

    async def test_have_ids_and_hashes_of_their_own(self, store):
        async with audited(store) as change:
            await change.insert_token(token("t1"))
        for twin in (token("t1", sha256="another"), token("t2", sha256="hash of t1")):
            with pytest.raises(Conflict):
                async with audited(store) as change:
                    await change.insert_token(twin)

    async def test_are_listed_newest_first_by_page_whatever_their_times(self, store):
        async with audited(store) as change:
            for number in range(5):
                await change.insert_token(token(f"t{number}", created_at_microseconds=NOON + number // 2))
        seen, cursor = [], None
        while True:
            page = await store.tokens(cursor, 2)
            seen += [found.id for found in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert seen == ["t4", "t3", "t2", "t1", "t0"]
        with pytest.raises(BadInput):
            await store.tokens("nonsense", 2)


class TestProtections:
    async def test_are_set_replaced_and_ended_by_agent_and_label(self, store):
        await an_agent(store, "support")
        await an_agent(store, "sales")
        strict = Protection(agent="support", label="prod", who_may_move="admin", evaluation_required=True)
        later = replace(strict, who_may_move="operator", approval_required=True)
        unset = Protection(agent="support", label="canary")
        async with audited(store) as change:
            await change.set_protection(strict)
            assert await change.protection("support", "prod") == strict
            await change.set_protection(later)
            await change.set_protection(unset)
            assert await change.protection("sales", "prod") is None
        assert await store.protections("support") == [unset, later]
        assert await store.protections("sales") == []
        async with audited(store) as change:
            await change.end_protection("support", "prod")
            with pytest.raises(NotFound):
                await change.end_protection("support", "prod")
        assert await store.protections("support") == [unset]

    async def test_need_an_agent(self, store):
        with pytest.raises(Conflict):
            async with audited(store) as change:
                await change.set_protection(Protection(agent="nobody", label="prod"))


class TestPlans:
    async def test_are_set_replaced_deleted_and_listed_by_name(self, store):
        first = NamedPlan(name="slow", plan={"alpha": 0.05}, updated_by="ann", updated_at_microseconds=NOON, why="w")
        later = replace(first, plan={"alpha": 0.01}, source={"git": {"commit": "c"}}, updated_by="bob")
        other = replace(first, name="careful")
        async with audited(store) as change:
            await change.set_plan(first)
            assert await change.plan("slow") == first
            await change.set_plan(later)
            await change.set_plan(other)
        page = await store.plans(None, 1)
        assert page.items == [other]
        assert (await store.plans(page.next_cursor, 1)).items == [later]
        assert await store.plan("slow") == later
        async with audited(store) as change:
            await change.delete_plan("slow")
            with pytest.raises(NotFound):
                await change.delete_plan("slow")
        assert await store.plan("slow") is None
        with pytest.raises(BadInput):
            await store.plans("nonsense", 2)


class TestProposals:
    async def test_come_back_as_they_were_made(self, store):
        await proposals_of(store, 1)
        assert await store.proposal("support", "p1") == proposal(1)
        assert await store.proposal("support", "p2") is None
        assert await store.proposal("sales", "p1") is None

    async def test_wait_until_they_are_decided_and_are_decided_once(self, store):
        await proposals_of(store, 2)
        decided = proposal(1).decided("approved", "bob", "fine", NOON + 9)
        async with audited(store) as change:
            assert await change.waiting_proposals("support", "prod") == [proposal(1), proposal(2)]
            assert await change.waiting_proposals("support", "canary") == []
            await change.decide_proposal(decided)
            assert await change.proposal("support", "p1") == decided
            assert await change.waiting_proposals("support", "prod") == [proposal(2)]
        with pytest.raises(NotFound):
            async with audited(store) as change:
                await change.decide_proposal(proposal(1).decided("rejected", "cid", "no", NOON + 10))
        assert await store.proposal("support", "p1") == decided

    async def test_keep_what_they_ask_for_when_they_are_decided(self, store):
        await proposals_of(store, 1)
        async with audited(store) as change:
            await change.decide_proposal(
                replace(proposal(1), version=1, proposed_by="eve").decided("approved", "bob", "", NOON)
            )
        found = await store.proposal("support", "p1")
        assert (found.version, found.proposed_by, found.state) == (2, "ann", "approved")

    async def test_are_listed_newest_first_and_by_state(self, store):
        await proposals_of(store, 4)
        async with audited(store) as change:
            await change.decide_proposal(proposal(2).decided("stale", "bob", "", NOON))
        first = await store.proposals("support", None, None, 3)
        rest = await store.proposals("support", None, first.next_cursor, 3)
        assert [found.id for found in (*first.items, *rest.items)] == ["p4", "p3", "p2", "p1"]
        assert [found.id for found in (await store.proposals("support", "waiting")).items] == ["p4", "p3", "p1"]
        assert [found.id for found in (await store.proposals("support", "stale")).items] == ["p2"]
        assert (await store.proposals("sales")).items == []

    async def test_are_about_versions_that_exist(self, store):
        await an_agent(store)
        with pytest.raises(Conflict):
            async with audited(store) as change:
                await change.insert_proposal(proposal(1, version=7))


@pytest.fixture
async def plain(store, database):
    """A raw connection, without any setting of ours, to a file with a token and two proposals, one of each decided."""
    await proposals_of(store, 2)
    async with audited(store) as change:
        await change.decide_proposal(proposal(1).decided("rejected", "bob", "no", NOON))
        await change.insert_token(token("t1"))
        await change.insert_token(token("t2"))
        await change.revoke_token("t2", "bob", NOON)
    await store.close()
    with closing(sqlite3.connect(database)) as connection:
        yield connection


def refused(plain: sqlite3.Connection, statement: str, words: str) -> None:
    before = [plain.execute(f"SELECT * FROM {table}").fetchall() for table in ("tokens", "proposals")]
    with pytest.raises(sqlite3.IntegrityError, match=words):
        plain.execute(statement)
    plain.rollback()
    assert [plain.execute(f"SELECT * FROM {table}").fetchall() for table in ("tokens", "proposals")] == before


@pytest.mark.parametrize(
    "column", ["id", "name", "role", "sha256", "created_by", "created_at_microseconds", "expires_at_microseconds"]
)
async def test_nothing_of_a_token_changes_with_its_revocation(plain, column):
    alter = f"UPDATE tokens SET {column} = 7, revoked_by = 'eve', revoked_at_microseconds = 7 WHERE id = 't1'"
    refused(plain, alter, "only by their revocation")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE tokens SET role = 'admin' WHERE id = 't1'",
        "UPDATE tokens SET revoked_at_microseconds = NULL WHERE id = 't2'",
        "UPDATE OR REPLACE tokens SET revoked_by = 'eve', revoked_at_microseconds = 7 WHERE id = 't2'",
        "DELETE FROM tokens",
        "INSERT OR REPLACE INTO tokens SELECT id, name, 'admin', sha256, created_by, 1, NULL, NULL, NULL FROM tokens",
        "INSERT OR REPLACE INTO tokens SELECT 't3', name, 'admin', sha256, created_by, 1, NULL, NULL, NULL FROM tokens",
    ],
)
async def test_a_revoked_token_never_comes_back_and_none_changes_its_role(plain, statement):
    refused(plain, statement, "tokens")


@pytest.mark.parametrize(
    "column",
    ["id", "number", "action", "label", "before", "version", "if_release", "orders", "proposed_by", "why", "evidence",
     "created_at_microseconds"],
)  # fmt: skip
async def test_nothing_of_a_proposal_changes_with_its_decision(plain, column):
    value = "1" if column == "version" else "7"
    alter = f"UPDATE proposals SET {column} = {value}, state = 'approved', decided_at_microseconds = 7 WHERE id = 'p2'"
    refused(plain, alter, "only by their decision")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE proposals SET state = 'waiting' WHERE id = 'p1'",
        "UPDATE proposals SET state = 'approved', decided_at_microseconds = 7 WHERE id = 'p1'",
        "UPDATE proposals SET decided_by = 'eve' WHERE id = 'p1'",
        "UPDATE proposals SET state = 'approved' WHERE id = 'p2'",
        "DELETE FROM proposals",
        "INSERT OR REPLACE INTO proposals SELECT * FROM proposals WHERE id = 'p1'",
    ],
)
async def test_a_decision_is_final(plain, statement):
    refused(plain, statement, "proposals")


async def test_the_file_holds_no_state_that_has_no_meaning(plain):
    with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
        plain.execute("UPDATE proposals SET state = 'maybe', decided_at_microseconds = 7 WHERE id = 'p2'")

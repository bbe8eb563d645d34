"""Protected labels and the second person: what waits, who decides, and that nothing else gets through meanwhile."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from proxy.core.tokens import Role
from tests.edges.composition import Admin, Reply, serving
from tests.edges.people import Person, person

PROD = "/agents/support/labels/prod"
PROPOSALS = "/agents/support/proposals"
PROVEN = [{"kind": "evaluation", "id": "tickets-20"}]
SHARE = {"label": "prod", "candidate": 2, "percentage": 10, "eligible": {"tenant": "acme"}}


@dataclass(slots=True)
class Team:
    """An agent `support` with three versions, `prod` on the first, and people who work on it."""

    admin: Admin
    ann: Person
    bob: Person
    cid: Person

    async def protect(self, **rules: Any) -> None:
        assert (await self.admin.call("PUT", PROD + "/protection", {"why": "it is live", **rules})).status == 200

    async def proposed(self, version: int = 2) -> str:
        """The id of a new proposal by Ann to move `prod`."""
        reply = await self.ann.put(PROD, {"version": version, "why": "better"})
        assert reply.status == 202, reply.content
        return reply["id"]

    @property
    def serves(self) -> int:
        state = self.admin.commands.live.agent("support")
        assert state is not None
        return state.labels["prod"].version

    async def ledger(self) -> list[tuple[Any, ...]]:
        """Every change of traffic, oldest first: kind, version, who, approved by."""
        rows = (await self.admin.get("/agents/support/releases"))["items"]
        return [(row["kind"], row["version"], row["who"], row["approved_by"]) for row in reversed(rows)]

    async def states(self) -> dict[str, str]:
        return {item["id"]: item["state"] for item in (await self.admin.get(PROPOSALS))["items"]}


@pytest.fixture
async def team(tmp_path: Path) -> AsyncIterator[Team]:
    async with serving(tmp_path) as admin:
        await admin.agent("support", "Be kind.", "Be kind and brief.", "Be brief.")
        roles: tuple[tuple[str, Role], ...] = (("ann", "operator"), ("bob", "operator"), ("cid", "author"))
        yield Team(admin, *[await person(admin, name, role) for name, role in roles])


def refused(reply: Reply, status: int, code: str) -> None:
    assert (reply.status, reply.code) == (status, code), reply.content


class TestAProtection:
    async def test_is_set_by_admins_listed_for_all_and_audited(self, team: Team) -> None:
        await team.protect(who_may_move="admin", evaluation_required=True)
        await team.protect(approval_required=True)
        listed = (await team.cid.get("/agents/support/protections"))["items"]
        assert listed == [
            {
                "agent": "support",
                "label": "prod",
                "who_may_move": "operator",
                "evaluation_required": False,
                "approval_required": True,
            }
        ]
        newest = (await team.admin.get("/audit"))["items"][0]
        assert (newest["who"], newest["what"], newest["subject"]) == (
            "admin", "label.protected", "agents/support/labels/prod",
        )  # fmt: skip
        assert newest["before"]["who_may_move"] == "admin"
        assert newest["after"] == listed[0]

    async def test_that_is_as_it_was_changes_nothing(self, team: Team) -> None:
        await team.protect()
        before = await team.admin.audited()
        await team.protect()
        assert await team.admin.audited() == before

    async def test_ends_and_with_it_what_it_demanded(self, team: Team) -> None:
        await team.protect(who_may_move="admin", approval_required=True)
        refused(await team.ann.put(PROD, {"version": 2}), 403, "role_insufficient")
        gone = await team.admin.call("DELETE", PROD + "/protection?why=calm")
        assert gone.content == {"agent": "support", "label": "prod", "removed": True}
        assert (await team.ann.put(PROD, {"version": 2})).status == 200
        refused(await team.admin.call("DELETE", PROD + "/protection"), 404, "protection_not_found")

    async def test_can_be_set_before_its_label_and_for_names_that_labels_have(self, team: Team) -> None:
        await team.admin.call("PUT", "/agents/support/labels/canary/protection", {"approval_required": True})
        reply = await team.ann.put("/agents/support/labels/canary", {"version": 3})
        assert (reply.status, reply["before"], reply["if_release"]) == (202, None, 0)
        approved = await team.bob.post(f"{PROPOSALS}/{reply['id']}/approve")
        assert approved["state"] == "approved"
        assert team.admin.commands.live.agent("support").labels["canary"].version == 3
        refused(await team.admin.call("PUT", "/agents/support/labels/latest/protection", {}), 400, "bad_name")

    async def test_keeps_its_label_from_being_deleted(self, team: Team) -> None:
        await team.admin.call("PUT", "/agents/support/labels/canary", {"version": 1})
        await team.admin.call("PUT", "/agents/support/labels/canary/protection", {})
        refused(await team.ann.call("DELETE", "/agents/support/labels/canary"), 409, "label_protected")

    async def test_is_about_one_label_of_one_agent(self, team: Team) -> None:
        await team.admin.agent("sales", "one", "two")
        await team.protect(approval_required=True, evaluation_required=True)
        assert (await team.ann.put("/agents/support/labels/staging", {"version": 2})).status == 200
        assert (await team.ann.put("/agents/sales/labels/prod", {"version": 2})).status == 200


class TestAnEvaluation:
    async def test_is_needed_for_a_move(self, team: Team) -> None:
        await team.protect(evaluation_required=True)
        for evidence in ([], [{"kind": "incident", "id": "7"}], [{"kind": "evaluation", "id": ""}]):
            refused(await team.ann.put(PROD, {"version": 2, "evidence": evidence}), 409, "evaluation_required")
        assert team.serves == 1
        assert (await team.ann.put(PROD, {"version": 2, "evidence": PROVEN})).status == 200
        assert (await team.admin.get("/agents/support/releases"))["items"][0]["evidence"] == PROVEN

    async def test_is_needed_once_for_a_rollout(self, team: Team) -> None:
        await team.protect(evaluation_required=True)
        refused(await team.ann.post("/agents/support/rollouts", SHARE), 409, "evaluation_required")
        started = await team.ann.post("/agents/support/rollouts", {**SHARE, "evidence": PROVEN})
        assert started.status == 201
        path = f"/agents/support/rollouts/{started['id']}"
        assert (await team.ann.post(path + "/set-percentage", {"percentage": 50})).status == 200
        assert (await team.ann.post(path + "/promote")).status == 200
        assert team.serves == 2

    async def test_is_needed_for_growth_and_promotion_of_a_rollout_that_was_there_before_the_rule(
        self, team: Team
    ) -> None:
        rollout = (await team.ann.post("/agents/support/rollouts", SHARE))["id"]
        await team.protect(evaluation_required=True)
        path = f"/agents/support/rollouts/{rollout}"
        refused(await team.ann.post(path + "/set-percentage", {"percentage": 11}), 409, "evaluation_required")
        assert (await team.ann.post(path + "/set-percentage", {"percentage": 5})).status == 200
        refused(await team.ann.post(path + "/promote"), 409, "evaluation_required")
        assert (await team.ann.post(path + "/promote", {"evidence": PROVEN})).status == 200

    async def test_is_needed_of_a_proposal_and_looked_at_again_when_it_is_approved(self, team: Team) -> None:
        await team.protect(approval_required=True)
        proposal = await team.proposed()
        await team.protect(approval_required=True, evaluation_required=True)
        refused(await team.bob.post(f"{PROPOSALS}/{proposal}/approve"), 409, "evaluation_required")
        refused(await team.cid.post(PROPOSALS, {"label": "prod", "version": 2}), 409, "evaluation_required")
        again = await team.cid.post(PROPOSALS, {"label": "prod", "version": 2, "evidence": PROVEN})
        assert (await team.bob.post(f"{PROPOSALS}/{again['id']}/approve"))["state"] == "approved"


class TestAMoveThatNeedsApproval:
    async def test_waits_as_a_proposal_that_shows_what_would_change(self, team: Team) -> None:
        await team.protect(approval_required=True)
        reply = await team.ann.put(PROD, {"version": 2, "why": "shorter answers", "evidence": PROVEN})
        assert reply.status == 202
        assert (reply["id"], reply["state"], reply["action"], reply["label"]) == ("p1", "waiting", "move", "prod")
        assert (reply["before"], reply["version"], reply["if_release"]) == (1, 2, 1)
        assert (reply["proposed_by"], reply["why"], reply["evidence"]) == ("ann", "shorter answers", PROVEN)
        assert [hunk["text"] for hunk in reply["diff"]["prompt"] if hunk["op"] == "insert"] == [" and brief"]
        assert (await team.cid.get(f"{PROPOSALS}/p1")).content == reply.content
        assert team.serves == 1
        assert await team.ledger() == [("label_moved", 1, "admin", None)]
        newest = (await team.admin.get("/audit"))["items"][0]
        assert (newest["who"], newest["what"]) == ("ann", "proposal.made")

    async def test_happens_when_a_second_person_says_so(self, team: Team) -> None:
        await team.protect(approval_required=True)
        proposal = await team.proposed()
        approved = await team.bob.post(f"{PROPOSALS}/{proposal}/approve", {"why": "looks right"})
        assert (approved.status, approved["state"]) == (200, "approved")
        assert (approved["decided_by"], approved["decided_why"]) == ("bob", "looks right")
        assert team.serves == 2
        assert (await team.ledger())[-1] == ("label_moved", 2, "ann", "bob")
        moved, decided = (await team.admin.get("/audit"))["items"][:2]
        assert [(entry["what"], entry["who"]) for entry in (decided, moved)] == [
            ("proposal.approved", "bob"),
            ("label.moved", "bob"),
        ]
        assert (moved["after"]["who"], moved["after"]["approved_by"], moved["why"]) == ("ann", "bob", "better")
        assert (decided["before"]["state"], decided["after"]["state"]) == ("waiting", "approved")

    async def test_does_not_happen_by_the_hand_of_whoever_proposed_it_not_even_with_another_token(
        self, team: Team
    ) -> None:
        await team.protect(approval_required=True)
        proposal = await team.proposed()
        again = await person(team.admin, "ann", "admin")
        for somebody in (team.ann, again):
            refused(await somebody.post(f"{PROPOSALS}/{proposal}/approve"), 409, "second_person_required")
        assert (team.serves, await team.states()) == (1, {proposal: "waiting"})

    async def test_waits_for_admins_like_for_everyone(self, team: Team) -> None:
        await team.protect(approval_required=True)
        reply = await team.admin.call("PUT", PROD, {"version": 2})
        assert reply.status == 202
        refused(await team.admin.post(f"{PROPOSALS}/{reply['id']}/approve"), 409, "second_person_required")

    async def test_is_approved_only_by_those_who_may_move_the_label(self, team: Team) -> None:
        await team.protect(approval_required=True)
        proposal = await team.proposed()
        refused(await team.cid.post(f"{PROPOSALS}/{proposal}/approve"), 403, "role_insufficient")
        await team.protect(approval_required=True, who_may_move="admin")
        refused(await team.bob.post(f"{PROPOSALS}/{proposal}/approve"), 403, "role_insufficient")
        assert (await team.admin.post(f"{PROPOSALS}/{proposal}/approve"))["state"] == "approved"

    async def test_can_be_rejected_and_is_then_over(self, team: Team) -> None:
        await team.protect(approval_required=True)
        proposal = await team.proposed()
        rejected = await team.bob.post(f"{PROPOSALS}/{proposal}/reject", {"why": "not proven"})
        assert (rejected["state"], rejected["decided_by"], rejected["decided_why"]) == ("rejected", "bob", "not proven")
        for verb in ("approve", "reject"):
            refused(await team.bob.post(f"{PROPOSALS}/{proposal}/{verb}"), 409, "proposal_decided")
        assert team.serves == 1
        assert (await team.admin.audited())[-1] == "proposal.rejected"

    async def test_sent_again_is_the_proposal_that_waits_already(self, team: Team) -> None:
        await team.protect(approval_required=True)
        first = await team.proposed()
        before = await team.admin.audited()
        assert await team.proposed() == first
        assert await team.admin.audited() == before
        assert (await team.bob.put(PROD, {"version": 2}))["id"] != first
        assert await team.proposed(3) not in (first, "p2")

    async def test_to_what_is_served_already_waits_for_nobody(self, team: Team) -> None:
        await team.protect(approval_required=True)
        reply = await team.ann.put(PROD, {"version": 1})
        assert (reply.status, reply["changed"]) == (200, False)
        assert await team.states() == {}

    async def test_can_be_proposed_by_an_author_who_may_take_back_only_their_own(self, team: Team) -> None:
        await team.protect()
        made = await team.cid.post(PROPOSALS, {"label": "prod", "version": 2, "why": "please", "if_release": 1})
        assert (made.status, made["proposed_by"]) == (201, "cid")
        other = await team.ann.post(PROPOSALS, {"label": "prod", "version": 3})
        refused(await team.cid.post(f"{PROPOSALS}/{other['id']}/reject"), 403, "role_insufficient")
        assert (await team.cid.post(f"{PROPOSALS}/{made['id']}/reject"))["state"] == "rejected"
        assert (await team.bob.post(f"{PROPOSALS}/{other['id']}/approve"))["state"] == "approved"
        assert team.serves == 3

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            ({"label": "prod", "version": 9}, 404, "version_not_found"),
            ({"label": "prod", "version": 1}, 400, "same_version"),
            ({"label": "latest", "version": 1}, 400, "bad_name"),
            ({"label": "prod", "version": 2, "if_release": 7}, 409, "label_moved"),
            ({"label": "prod"}, 400, "bad_body"),
        ],
    )
    async def test_cannot_be_proposed_if_it_could_not_happen(
        self, body: dict[str, Any], status: int, code: str, team: Team
    ) -> None:
        refused(await team.ann.post(PROPOSALS, body), status, code)
        assert await team.states() == {}

    async def test_is_listed_newest_first_by_page_and_by_state(self, team: Team) -> None:
        await team.protect(approval_required=True)
        for version in (2, 3):
            await team.proposed(version)
        await team.bob.post(f"{PROPOSALS}/p1/reject")
        assert await team.states() == {"p2": "waiting", "p1": "rejected"}
        page = await team.bob.get(PROPOSALS + "?limit=1")
        assert "diff" not in page["items"][0]
        rest = await team.bob.get(f"{PROPOSALS}?limit=1&cursor={page['next']}")
        assert [item["id"] for item in (*page["items"], *rest["items"])] == ["p2", "p1"]
        waiting = await team.bob.get(PROPOSALS + "?state=waiting")
        assert [item["id"] for item in waiting["items"]] == ["p2"]
        assert (await team.bob.get(PROPOSALS + "?state=maybe")).code == "bad_query"


class TestAProposalIsStale:
    async def refuses(self, team: Team, proposal: str, reason: str) -> None:
        """The proposal does not happen any more, and says why."""
        serves = team.serves
        assert (await team.states())[proposal] == "stale"
        reply = await team.bob.post(f"{PROPOSALS}/{proposal}/approve")
        refused(reply, 409, "proposal_stale")
        assert reason in reply["detail"]
        assert team.serves == serves
        stale = next(entry for entry in (await team.admin.get("/audit"))["items"] if entry["what"] == "proposal.stale")
        assert stale["subject"] == f"agents/support/proposals/{proposal}"

    async def test_once_its_label_moved(self, team: Team) -> None:
        await team.protect(approval_required=True)
        proposal = await team.proposed()
        await team.admin.call("DELETE", PROD + "/protection")
        await team.ann.put(PROD, {"version": 3})
        await self.refuses(team, proposal, "release 2: label_moved, by ann")

    async def test_once_its_label_was_rolled_back(self, team: Team) -> None:
        await team.ann.put(PROD, {"version": 3})
        await team.protect(approval_required=True)
        proposal = await team.proposed()
        await team.ann.post("/agents/support/rollback", {"why": "bad"})
        await self.refuses(team, proposal, "release 3: rolled_back, by ann")

    async def test_once_another_one_was_approved(self, team: Team) -> None:
        await team.protect(approval_required=True)
        first, second = await team.proposed(2), await team.proposed(3)
        await team.bob.post(f"{PROPOSALS}/{second}/approve")
        await self.refuses(team, first, "by bob")
        assert (await team.states())[second] == "approved"

    async def test_once_a_rollout_started_and_not_because_of_other_labels(self, team: Team) -> None:
        made = await team.ann.post(PROPOSALS, {"label": "prod", "version": 2})
        await team.ann.put("/agents/support/labels/staging", {"version": 2})
        assert (await team.states())[made["id"]] == "waiting"
        await team.ann.post("/agents/support/rollouts", SHARE)
        await self.refuses(team, made["id"], "rollout_started")


class TestARolloutThatNeedsApproval:
    async def test_waits_starts_as_it_was_proposed_and_is_not_asked_about_again(self, team: Team) -> None:
        await team.protect(approval_required=True)
        reply = await team.ann.post("/agents/support/rollouts", {**SHARE, "why": "canary"})
        assert (reply.status, reply["action"], reply["percentage"]) == (202, "start_rollout", 10)
        assert (reply["eligible"], reply["before"], reply["version"]) == ({"tenant": "acme"}, 1, 2)
        assert (await team.admin.get("/agents/support/rollouts"))["items"] == []
        assert (await team.bob.post(f"{PROPOSALS}/{reply['id']}/approve"))["state"] == "approved"
        rollout = (await team.admin.get("/agents/support/rollouts/r1")).content
        assert (rollout["created_by"], rollout["eligible"]) == ("ann", {"tenant": "acme"})
        assert [arm["percentage"] for arm in rollout["arms"]] == [90, 10]
        assert (await team.ann.post("/agents/support/rollouts/r1/set-percentage", {"percentage": 60})).status == 200
        assert (await team.ann.post("/agents/support/rollouts/r1/promote")).status == 200
        assert (await team.ledger())[1:] == [
            ("rollout_started", 1, "ann", "bob"),
            ("share_changed", 1, "ann", None),
            ("promoted", 2, "ann", "bob"),
        ]
        assert (await team.admin.get("/audit"))["items"][0]["who"] == "ann"

    async def test_is_promoted_by_its_approver_with_the_other_one_as_the_second_person(self, team: Team) -> None:
        await team.protect(approval_required=True)
        reply = await team.ann.post("/agents/support/rollouts", SHARE)
        await team.bob.post(f"{PROPOSALS}/{reply['id']}/approve")
        await team.bob.post("/agents/support/rollouts/r1/promote", {"why": "done"})
        assert (await team.ledger())[-1] == ("promoted", 2, "bob", "ann")
        assert (await team.admin.get("/audit"))["items"][0]["who"] == "bob"

    async def test_that_was_there_before_the_rule_shrinks_and_ends_but_grows_and_wins_only_with_a_second_person(
        self, team: Team
    ) -> None:
        await team.ann.post("/agents/support/rollouts", SHARE)
        await team.protect(approval_required=True)
        path = "/agents/support/rollouts/r1"
        assert (await team.ann.post(path + "/set-percentage", {"percentage": 4})).status == 200
        refused(await team.ann.post(path + "/set-percentage", {"percentage": 5}), 409, "approval_required")
        reply = await team.ann.post(path + "/promote", {"why": "a good week"})
        assert (reply.status, reply["action"], reply["rollout"], reply["version"]) == (202, "promote", "r1", 2)
        assert (await team.admin.get(path))["state"] == "running"
        assert (await team.bob.post(f"{PROPOSALS}/{reply['id']}/approve"))["state"] == "approved"
        assert (await team.admin.get(path))["state"] == "promoted"
        assert (await team.ledger())[-1] == ("promoted", 2, "ann", "bob")
        assert team.serves == 2

    async def test_is_aborted_and_rolled_back_by_one_person(self, team: Team) -> None:
        await team.ann.post("/agents/support/rollouts", SHARE)
        await team.protect(approval_required=True, evaluation_required=True, who_may_move="admin")
        refused(
            await team.ann.post("/agents/support/rollouts/r1/set-percentage", {"percentage": 50}),
            403,
            "role_insufficient",
        )
        refused(await team.ann.post("/agents/support/rollouts/r1/promote"), 403, "role_insufficient")
        assert (await team.ann.post("/agents/support/rollback", {"why": "bad"}))["changed"] is True
        assert (await team.ledger())[-1] == ("rolled_back", 1, "ann", None)


class TestARollback:
    async def test_never_waits(self, team: Team) -> None:
        for version in (2, 3):
            await team.ann.put(PROD, {"version": version})
        await team.protect(approval_required=True, evaluation_required=True, who_may_move="admin")
        reply = await team.ann.post("/agents/support/rollback", {"why": "wrong refunds"})
        assert (reply.status, reply["changed"], team.serves) == (200, True, 2)
        assert (await team.ann.post("/agents/support/rollback", {"to": 1}))["changed"] is True
        assert team.serves == 1
        assert await team.states() == {}

    async def test_of_a_protected_label_is_no_way_forward(self, team: Team) -> None:
        await team.protect(approval_required=True)
        refused(await team.ann.post("/agents/support/rollback", {"to": 3}), 409, "never_served")
        assert team.serves == 1
        await team.admin.call("DELETE", PROD + "/protection")
        assert (await team.ann.post("/agents/support/rollback", {"to": 3}))["changed"] is True


class TestAtTheSameTime:
    async def test_of_two_who_approve_one_does_and_the_label_moves_once(self, team: Team) -> None:
        await team.protect(approval_required=True)
        proposal = await team.proposed()
        dan = await person(team.admin, "dan", "operator")
        replies = await asyncio.gather(
            *(somebody.post(f"{PROPOSALS}/{proposal}/approve") for somebody in (team.bob, dan))
        )
        won, lost = sorted(replies, key=lambda reply: reply.status)
        assert (won.status, won["state"]) == (200, "approved")
        refused(lost, 409, "proposal_decided")
        assert f"approved by {won['decided_by']}" in lost["detail"]
        assert (await team.ledger())[1:] == [("label_moved", 2, "ann", won["decided_by"])]

    async def test_of_two_proposals_that_are_approved_one_happens_and_the_other_learns_which(self, team: Team) -> None:
        await team.protect(approval_required=True)
        first, second = await team.proposed(2), await team.proposed(3)
        replies = await asyncio.gather(
            *(team.bob.post(f"{PROPOSALS}/{proposal}/approve") for proposal in (first, second))
        )
        won, lost = sorted(replies, key=lambda reply: reply.status)
        refused(lost, 409, "proposal_stale")
        assert team.serves == won["version"]
        assert sorted((await team.states()).values()) == ["approved", "stale"]
        assert len(await team.ledger()) == 2

    async def test_approval_and_rejection_exclude_each_other(self, team: Team) -> None:
        await team.protect(approval_required=True)
        proposal = await team.proposed()
        replies = await asyncio.gather(
            team.bob.post(f"{PROPOSALS}/{proposal}/approve"), team.ann.post(f"{PROPOSALS}/{proposal}/reject")
        )
        assert sorted(reply.status for reply in replies) == [200, 409]
        assert team.serves == (2 if replies[0].status == 200 else 1)

    async def test_a_rollback_wins_over_an_approval_that_comes_after_it(self, team: Team) -> None:
        await team.ann.put(PROD, {"version": 3})
        await team.protect(approval_required=True)
        proposal = await team.proposed(2)
        approval, rollback = await asyncio.gather(
            team.bob.post(f"{PROPOSALS}/{proposal}/approve"), team.ann.post("/agents/support/rollback")
        )
        assert rollback["changed"] is True
        last = (await team.ledger())[-1]
        assert last[0] == "rolled_back"
        assert team.serves == last[1]
        assert approval.status in (200, 409)

    async def test_two_operators_who_want_different_versions_of_a_protected_label_both_wait(self, team: Team) -> None:
        await team.protect(approval_required=True)
        replies = await asyncio.gather(
            team.ann.put(PROD, {"version": 2, "if_release": 1}), team.bob.put(PROD, {"version": 3, "if_release": 1})
        )
        assert [reply.status for reply in replies] == [202, 202]
        assert sorted(reply["id"] for reply in replies) == ["p1", "p2"]
        assert team.serves == 1

    async def test_of_two_who_move_a_protected_label_that_needs_nobody_else_one_wins(self, team: Team) -> None:
        await team.protect()
        replies = await asyncio.gather(
            *(
                somebody.put(PROD, {"version": version, "if_release": 1})
                for somebody, version in ((team.ann, 2), (team.bob, 3))
            )
        )
        won, lost = sorted(replies, key=lambda reply: reply.status)
        refused(lost, 409, "label_moved")
        assert f"it serves version {won['version']}" in lost["detail"]


async def test_what_cannot_be_audited_does_not_happen(team: Team) -> None:
    await team.protect(approval_required=True)
    first, second = await team.proposed(2), await team.proposed(3)
    looks = [PROPOSALS, "/agents/support/protections", "/agents/support/releases", "/audit"]
    before = [(await team.admin.get(path)).content for path in looks]
    snapshot = team.admin.commands.live.current
    with closing(sqlite3.connect(team.admin.commands.database)) as database:
        database.execute("CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no room'); END")
        database.commit()
    for method, path, body in (
        ("POST", f"{PROPOSALS}/{first}/approve", {}),
        ("POST", f"{PROPOSALS}/{second}/reject", {}),
        ("POST", PROPOSALS, {"label": "prod", "version": 3}),
        ("PUT", PROD, {"version": 3}),
        ("PUT", PROD + "/protection", {}),
        ("DELETE", PROD + "/protection", None),
    ):
        assert (await team.bob.call(method, path, body)).status in (403, 409, 503)
        if "protection" in path:
            assert (await team.admin.call(method, path, body)).status in (409, 503)
    assert [(await team.admin.get(path)).content for path in looks] == before
    assert team.admin.commands.live.current is snapshot
    assert await team.admin.commands.store.load_snapshot() == snapshot


async def test_an_archived_agents_proposals_stay_readable_and_happen_no_more(team: Team) -> None:
    made = await team.ann.post(PROPOSALS, {"label": "prod", "version": 2})
    await team.admin.post("/agents/support/archive", {"why": "over"})
    assert (await team.bob.get(f"{PROPOSALS}/{made['id']}"))["state"] == "waiting"
    refused(await team.bob.post(f"{PROPOSALS}/{made['id']}/approve"), 404, "agent_not_found")

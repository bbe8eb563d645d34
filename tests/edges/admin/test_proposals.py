"""A move and the second person: what waits, who decides, when it is stale, and that nothing happens without its audit entry."""

import sqlite3
from contextlib import closing
from typing import Any

import pytest

from tests.edges.admin.people import person
from tests.edges.admin.team import PROD, PROPOSALS, PROVEN, SHARE, Team, refused


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

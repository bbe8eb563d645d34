"""People who decide at the same time about one protected label: it moves once, and the other learns who was first."""

import asyncio

from tests.edges.admin.people import person
from tests.edges.admin.team import PROD, PROPOSALS, Team, refused


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

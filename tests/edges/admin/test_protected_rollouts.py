"""Rollouts and rollbacks of a protected label: forward only with a second person, back with one alone and at once."""

from tests.edges.admin.team import PROD, PROPOSALS, SHARE, Team, refused


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

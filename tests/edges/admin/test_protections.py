"""Protected labels: who sets the rules, what they are about, and the evaluation they may ask for."""

from tests.edges.admin.team import PROD, PROPOSALS, PROVEN, SHARE, Team, refused


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
        made = await team.admin.call("PUT", "/agents/support/labels/canary/protection", {"approval_required": True})
        assert made["warning"].startswith("the label 'canary' is not set; the agent's labels: prod")
        assert "warning" not in (await team.admin.call("PUT", f"{PROD}/protection", {})).content
        await team.admin.call("DELETE", f"{PROD}/protection")
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

"""What an emergency lets anybody do quickly never brings a version before a protected label's calls that nobody let in."""

import pytest

from tests.edges.admin.team import PROD, PROVEN, Team, refused


def fallback(to: int, **scope: object) -> dict[str, object]:
    return {"scope": {"agent": "support", **scope}, "mode": "fallback", "fallback_version": to, "why": "incident"}


@pytest.mark.parametrize("scope", [{"label": "prod"}, {}, {"version": 1}, {"model": "gpt-4o-mini"}])
async def test_a_fallback_goes_to_no_version_that_a_protected_label_never_served(
    team: Team, scope: dict[str, object]
) -> None:
    await team.protect(approval_required=True)
    refused(await team.ann.post("/switches", fallback(3, **scope)), 409, "never_served")
    refused(await team.admin.post("/switches", fallback(2, **scope)), 409, "never_served")
    assert (await team.ann.post("/switches", fallback(1, **scope))).status == 201
    assert [switch.fallback_version for switch in team.admin.commands.live.current.switches] == [1]


async def test_a_fallback_may_go_where_the_label_was_moved_with_consent(team: Team) -> None:
    await team.protect(evaluation_required=True)
    assert (await team.ann.put(PROD, {"version": 2, "evidence": PROVEN})).status == 200
    assert (await team.ann.post("/switches", fallback(2))).status == 201


async def test_a_version_that_only_a_rollout_gave_a_share_is_not_one_the_label_served(team: Team) -> None:
    share = {"label": "prod", "candidate": 2, "percentage": 1}
    assert (await team.ann.post("/agents/support/rollouts", share)).status == 201
    await team.protect(approval_required=True)
    refused(await team.ann.post("/switches", fallback(2, label="prod")), 409, "never_served")


async def test_a_label_without_rules_may_fall_back_anywhere_unless_a_protected_one_is_met_too(team: Team) -> None:
    assert (await team.ann.put("/agents/support/labels/staging", {"version": 2})).status == 200
    await team.protect(approval_required=True)
    assert (await team.ann.post("/switches", fallback(3, label="staging"))).status == 201
    refused(await team.ann.post("/switches", fallback(3)), 409, "never_served")


async def test_with_the_store_away_a_fallback_goes_only_where_every_label_it_meets_has_been(team: Team) -> None:
    commands = team.admin.commands
    await team.protect(approval_required=True)
    async with commands.store.change():
        # Nobody else can write: the store is as good as away.
        refused(await team.ann.post("/switches", fallback(3)), 503, "store_unavailable")
        assert (await team.ann.post("/switches", fallback(1))).status == 201
    assert [switch.fallback_version for switch in commands.live.current.switches] == [1]


async def test_taking_an_agent_out_of_service_and_back_moves_no_label(team: Team) -> None:
    await team.protect(approval_required=True)
    before = team.admin.commands.live.current.agents["support"].labels
    assert (await team.admin.post("/agents/support/archive")).status == 200
    refused(await team.ann.post("/agents/support/unarchive"), 403, "role_insufficient")
    assert (await team.admin.post("/agents/support/unarchive", {"why": "needed"})).status == 200
    assert team.admin.commands.live.current.agents["support"].labels == before
    refused(await team.admin.post("/agents/support/unarchive"), 409, "agent_not_archived")
    refused(await team.admin.post("/agents/nobody/unarchive"), 404, "agent_not_found")
    assert (await team.ann.put(PROD, {"version": 2})).status == 202
    assert (await team.admin.audited())[-3:] == ["agent.archived", "agent.unarchived", "proposal.made"]

"""A history in which every kind of change occurs that the audit log tells of."""

from proxy.core.releasing.arms import RolloutDraft, candidate_arm
from proxy.core.releasing.protection import Protection
from proxy.core.snapshot import Agent
from proxy.core.tokens import AdminCaller
from proxy.runtime.releasing.limit_commands import CapDraft, SwitchDraft
from proxy.runtime.releasing.release_commands import VersionDraft
from tests.edges.admin.composition import Commands
from tests.store.given import run


async def told(control: Commands) -> None:
    """A history in which every kind of change occurs, with text of every kind."""
    releases, rollouts = control.releases, control.rollouts
    await releases.create_agent("ann", Agent(name="a", description="Ünïcode"), "")
    for number, text in enumerate(("one \u0085\u202e", "two\r\n\x1b[31m", "three")):
        draft = VersionDraft(
            components={
                "prompt": {"text": text},
                "model": {"provider": "openai", "name": "m", "parameters": {"temperature": 0.1}},
                "tools": {"mode": "merge", "items": [{"name": "refund", "parameters": {"type": "object"}}]},
                "retrieval": {"index": f"kb-{number}", "top_k": 8},
                "policy": {"max_tool_calls": number},
            },
            parent=number or None,
            message='say "it"',
            tested_against={"score": 0.95},
            source={"git": {"commit": "abc"}},
        )
        await releases.create_version("ann", "a", draft)
    evidence = [{"kind": "evaluation", "id": "e1"}]
    await releases.move_label("ann", "a", "prod", 1, "first", evidence=evidence)
    await releases.move_label("ann", "a", "staging", 3, "")
    started = await rollouts.start_rollout("bob", "a", RolloutDraft(label="prod", arms=candidate_arm(2, 10)), "try")
    await rollouts.set_percentage("bob", "a", started.id, 50, "more")
    await rollouts.promote("bob", "a", started.id, "good")
    await releases.rollback("bob", "a", "prod", "bad")
    await releases.delete_label("ann", "a", "staging", "over")
    again = await rollouts.start_rollout("bob", "a", RolloutDraft(label="prod", arms=candidate_arm(3, 1)), "again")
    await rollouts.abort("bob", "a", again.id, "no")
    await guarded(control)
    for name in ("cautious", "quick"):
        await control.orders.plans.set_plan(
            "ann", name, {"at_end": "wait"}, "Ünïcode", source={"git": {"commit": "abc"}}
        )
    await control.orders.plans.delete_plan("bob", "quick", "nobody uses it")
    await releases.archive_agent("ann", "a", "old")
    # An entry that speaks about no row.
    await control.store.record_runs([run("run-1")], [])
    await control.runs.quarantine_runs("ann", ["run-1"], "wrong")


async def guarded(control: Commands) -> None:
    """Of every kind of row that may change one that still may, and one that never does again."""
    releases, rollouts, limits, proposals = control.releases, control.rollouts, control.limits, control.proposals
    await releases.create_agent("ann", Agent(name="b"), "")
    await releases.update_agent("ann", "b", {"description": "better", "allow_latest": True}, "")
    for number in range(2):
        draft = VersionDraft(components={"prompt": {"text": str(number)}}, parent=number or None, message="")
        await releases.create_version("ann", "b", draft)
    await releases.move_label("ann", "b", "prod", 1, "")
    eligible = {"tenant": "acme"}
    ramp = RolloutDraft(label="prod", arms=candidate_arm(2, 10), eligible=eligible)
    await rollouts.start_rollout("bob", "b", ramp, "")
    await releases.rollback("bob", "b", "prod", "bad")
    again = await rollouts.start_rollout("bob", "b", ramp, "retry")
    await rollouts.set_percentage("bob", "b", again.id, 12.5, "more")
    for is_over in (True, False):
        everything = SwitchDraft(scope={"agent": "b"}, mode="reply", reply_text="later", cut_streams=True)
        switch = await limits.switch_on("ann", everything, "stop")
        cap = await limits.set_cap("ann", CapDraft(scope={"agent": "b"}, window="day", unit="usd", limit=50.5), "")
        await limits.change_cap("ann", cap.id, 8_400_000.123456789, "warn", "")
        token, _ = await control.tokens.create_token("ann", "bob", "operator", "")
        rules = Protection(agent="b", label="staging", evaluation_required=True, approval_required=True)
        await proposals.protect("ann", rules, "")
        passed = [{"kind": "evaluation", "id": "e1"}]
        proposal = await proposals.propose_move("ann", "b", "staging", 2, "", evidence=passed)
        if is_over:
            await limits.switch_off("bob", switch.id, "over")
            await limits.end_cap("bob", cap.id, "over")
            await control.tokens.revoke_token("bob", token.id, "left")
            await proposals.unprotect("ann", "b", "staging", "")
            await proposals.reject(AdminCaller("bob", "admin"), "b", proposal.id, "no")

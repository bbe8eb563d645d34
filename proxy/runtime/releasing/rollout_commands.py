"""What an operator orders about rollouts: start, another share, promote, abort. Taking one back is `rollback`, the one
control point (release_commands.py).

Each command is one atomic change, in force before it is answered.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from proxy.core.bucketing import buckets_for
from proxy.core.errors import Conflict
from proxy.core.proof.emergency import AbortOrder
from proxy.core.releasing.arms import (
    RolloutDraft,
    check_stable_keeps,
    is_ramp,
    meant_arm,
    order_of,
    reshared,
)
from proxy.core.releasing.proposals import Proposal
from proxy.core.releasing.releases import CANDIDATE
from proxy.core.snapshot import Rollout, RolloutState
from proxy.core.spending.caps import cap_document
from proxy.core.tokens import Role
from proxy.runtime.releasing import release_rows
from proxy.runtime.releasing.approval import Wanted, check_growth, clear, clear_promotion, start_of
from proxy.runtime.releasing.preflight import Preflight, look_ahead
from proxy.runtime.releasing.release_rows import Cause, check_unmoved, running_rollout
from proxy.runtime.state.changes import Changes
from proxy.runtime.state.work import EmergencyWork


class RolloutCommands:
    """The gradual moves of labels."""

    def __init__(self, changes: Changes, preflight: Preflight | None = None) -> None:
        """Without a `preflight` nobody looks ahead."""
        self._changes = changes
        self._preflight = preflight

    async def start_rollout(
        self,
        who: str,
        agent: str,
        draft: RolloutDraft,
        why: str,
        *,
        role: Role = "operator",
        evidence: Sequence[Mapping[str, Any]] = (),
        force: bool = False,
        notices: list[str] | None = None,
    ) -> Rollout | Proposal:
        """Give shares of a label's traffic to other versions; the proposal to where a second person must approve.

        The salt is that of the last rollout of the same versions, so that a retry meets the same users. Raises NotFound
        (`label_not_set`, `version_not_found`), Conflict (`rollout_running`, `evaluation_required`), BadInput
        (`bad_arm`, `bad_percentage`, `same_version`), PreflightFailed unless forced, Forbidden(`role_insufficient`).
        """
        cause = Cause(who=who, why=why, evidence=evidence)
        self._changes.check_present()
        ahead = await look_ahead(self._preflight, agent)
        async with self._changes.begin(agent) as work:
            state = await work.state(agent)
            release_rows.check_startable(state, draft)
            for arm in draft.arms:
                looked_at = draft.label, arm.version, cause
                cause = await ahead.check(work, state, *looked_at, force=force, notices=notices, plan=draft.plan)
            first, order = draft.arms[0].version, order_of(draft)
            wanted = Wanted(action="start_rollout", label=draft.label, version=first, order=order)
            proposal = await clear(work, state, wanted, cause, role)
            return proposal or await release_rows.start_rollout(work, state, draft, cause)

    async def set_percentage(
        self,
        who: str,
        agent: str,
        rollout_id: str,
        percentage: float,
        why: str,
        *,
        arm: str | None = None,
        role: Role = "operator",
    ) -> Rollout:
        """Change an arm's share, `arm` None the only one's; only stable gives and takes users. Raises NotFound (`rollout_not_found`,
        `arm_not_found`), BadInput (`arm_required`, `bad_percentage`), Conflict (`rollout_ended`, `no_arms`), and what a protected
        label refuses where the share grows."""
        share = buckets_for(percentage)
        async with self._changes.begin(agent) as work:
            before = await running_rollout(work, agent, rollout_id)
            meant = meant_arm(before, arm)
            if share > meant.share_buckets:
                await check_growth(work, before, role)
            arms = reshared(before.arms, meant.name, share)
            if not is_ramp(before):
                check_stable_keeps(arms[0].share_buckets)
            return await release_rows.share_otherwise(work, before, arms, Cause(who=who, why=why))

    async def advance(
        self, who: str, seen: Rollout, percentage: float, why: str, *, evidence: Sequence[Mapping[str, Any]] = ()
    ) -> Rollout:
        """The next share of a plan, if the rollout still is as it was `seen`. The start was cleared for the whole plan, so
        nobody is asked again. Raises NotFound, Conflict (`rollout_ended`, `rollout_moved`)."""
        share = buckets_for(percentage)
        async with self._changes.begin(seen.agent) as work:
            before = await running_rollout(work, seen.agent, seen.id)
            check_unmoved(before, seen.step)
            if before.state != "running":
                raise Conflict("rollout_moved", f"rollout {seen.id} is {before.state}")
            arms = reshared(before.arms, meant_arm(before, CANDIDATE).name, share)
            return await release_rows.share_otherwise(work, before, arms, Cause(who=who, why=why, evidence=evidence))

    async def end_shadow_cap(self, who: str, cap_id: str) -> None:
        """Take away the cap that a rollout's copies were under, once none is made any more. Raises Unavailable."""
        async with self._changes.begin() as work:
            cap = await work.change.cap(cap_id)
            if cap is None:
                work.nothing_changed()
                return
            await work.change.end_cap(cap.id, who, work.now)
            await work.audit(who, "cap.ended", f"caps/{cap.id}", "the shadow is over", cap_document(cap))

    async def pause(self, who: str, agent: str, rollout_id: str, why: str) -> Rollout:
        """Keep the share as it is; guards go on watching. Raises NotFound, Conflict (`rollout_ended`, `rollout_paused`)."""
        return await self._turned(who, agent, rollout_id, why, "running", "paused")

    async def resume(self, who: str, agent: str, rollout_id: str, why: str) -> Rollout:
        """Let the plan go on. Raises NotFound, Conflict (`rollout_ended`, `rollout_not_paused`)."""
        return await self._turned(who, agent, rollout_id, why, "paused", "running")

    async def _turned(
        self, who: str, agent: str, rollout_id: str, why: str, state: RolloutState, then: RolloutState
    ) -> Rollout:
        async with self._changes.begin(agent) as work:
            before = await running_rollout(work, agent, rollout_id)
            if before.state != state:
                code = "rollout_paused" if then == "paused" else "rollout_not_paused"
                raise Conflict(code, f"rollout {rollout_id} is {before.state}")
            after = replace(before, state=then)
            await work.change.update_rollout(after)
            what = "paused" if then == "paused" else "resumed"
            cause = Cause(who=who, why=why)
            await release_rows.audit_rollout(work, what, cause, before, after, None)
        return after

    async def promote(
        self,
        who: str,
        agent: str,
        rollout_id: str,
        why: str,
        *,
        arm: str | None = None,
        role: Role = "operator",
        evidence: Sequence[Mapping[str, Any]] = (),
        from_step: int | None = None,
        force: bool = False,
        notices: list[str] | None = None,
    ) -> Rollout | Proposal:
        """An arm's version, `arm` None the only one's, serves everyone and the label points to it; the proposal to where the label
        was protected only after the start. Raises NotFound (`rollout_not_found`, `arm_not_found`), BadInput(`arm_required`), Conflict
        (`rollout_ended`, `rollout_moved` where it left `from_step`, `evaluation_required`, `no_arms`), Forbidden, and
        PreflightFailed unless forced, here or at the start.

        A plan that ends by itself, which says `from_step`, is not looked at again: its candidate has been serving.
        """
        self._changes.check_present()
        ahead = None if from_step is not None else await look_ahead(self._preflight, agent)
        async with self._changes.begin(agent) as work:
            rollout = await running_rollout(work, agent, rollout_id)
            if from_step is not None:
                check_unmoved(rollout, from_step)
            version = meant_arm(rollout, arm).version
            wanted = Wanted(action="promote", label=rollout.label, version=version, order={"rollout": rollout_id})
            cause, state = Cause(who=who, why=why, evidence=evidence), await work.state(agent)
            if ahead is not None:
                earlier = (await start_of(work, rollout)).evidence
                looked_at = rollout.label, wanted.version, cause
                cause = await ahead.check(work, state, *looked_at, force=force, notices=notices, earlier=earlier)
            cleared = await clear_promotion(work, state, rollout, wanted, cause, role)
            if isinstance(cleared, Proposal):
                return cleared
            return await release_rows.promote(work, rollout, version, cleared)

    async def abort(self, who: str, agent: str, rollout_id: str, why: str) -> Rollout:
        """The stable version serves everyone again, also while the store is away. Raises NotFound,
        Conflict(`rollout_ended`)."""
        return await self._changes.emergency(AbortOrder(who=who, agent=agent, rollout=rollout_id, why=why), abort_now)


async def abort_now(work: EmergencyWork, order: AbortOrder) -> Rollout:
    """The abort itself, over the store or the journal."""
    rollout = await running_rollout(work, order.agent, order.rollout)
    return await release_rows.abort(work, rollout, Cause(who=order.who, why=order.why))

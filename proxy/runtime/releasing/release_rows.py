"""What changes traffic, inside a change that is open: one ledger row and its audit entry each.

Whether a change is allowed has been decided before: by the commands that an operator orders (release_commands.py,
rollout_commands.py), or by a second person (proposal_commands.py). Both carry it out here, so that an approved change is
the same change.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from proxy.core.bucketing import buckets_for
from proxy.core.errors import Conflict, NotFound
from proxy.core.releasing.arms import RolloutDraft, WantedArm, check_arms, divided
from proxy.core.releasing.proposals import proposal_document
from proxy.core.releasing.releases import (
    Release,
    ReleaseKind,
    check_versions_exist,
    release_document,
    whole,
)
from proxy.core.rollouts.schedule import Schedule, closed, read_schedule
from proxy.core.rollouts.shadow import cap_of_shadow
from proxy.core.snapshot import AgentState, Arm, Rollout, RolloutState, label_document, rollout_document
from proxy.core.spending.caps import cap_document
from proxy.runtime.state.work import EmergencyWork, Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Who wanted a change of traffic, why, on what evidence, and who approved it where that was needed."""

    who: str
    why: str
    evidence: Sequence[Mapping[str, Any]] = ()
    approved_by: str | None = None
    #: Where the change was made by somebody else's token than that of who wanted it.
    made_by: str | None = None

    @property
    def actor(self) -> str:
        """Whose token made the change: the audit log's who."""
        return self.made_by or self.who


async def move(work: Work, state: AgentState, label: str, version: int, cause: Cause) -> Release:
    """Point a label at a version."""
    agent, current = state.agent.name, state.labels.get(label)
    before = None if current is None else label_document(current)
    row = await append_release(work, "label_moved", cause, agent, label, whole(version))
    await work.audit(
        cause.actor,
        "label.moved",
        f"agents/{agent}/labels/{label}",
        cause.why,
        before,
        release_document(row),
        cause.evidence,
    )
    return row


async def check_movable(work: Work, state: AgentState, label: str, version: int, if_release: int | None) -> None:
    """Raises NotFound(`version_not_found`), Conflict (`label_moved`, `rollout_running`)."""
    agent = state.agent.name
    check_versions_exist(agent, state.agent.newest, version)
    current = state.labels.get(label)
    release = 0 if current is None else current.release
    if if_release is not None and if_release != release:
        history = await work.change.label_history(agent, label)
        by = "" if not history else f" by {history[-1].who}: it serves version {history[-1].version}"
        raise Conflict(
            "label_moved", f"the label {label!r} moved since (release {release}{by}); look again", param="if_release"
        )
    if label in state.rollouts:
        raise rollout_running(state.rollouts[label])


async def start_rollout(work: Work, state: AgentState, draft: RolloutDraft, cause: Cause) -> Rollout:
    """Give shares of a label's traffic to other versions; a retry of the same ones meets the same users. Outside its plan's
    schedule it begins with no share, and the controller gives it the first one when it may."""
    agent = state.agent.name
    tried = await _tried(work, agent, draft)
    rollout_id = await work.change.next_rollout_id(agent)
    rollout = Rollout(
        id=rollout_id,
        agent=agent,
        label=draft.label,
        salt=f"{agent}/{rollout_id}" if tried is None else tried.salt,
        arms=divided(state.labels[draft.label].version, _first_arms(draft, work.now)),
        state="running",
        eligible=draft.eligible,
        plan=draft.plan,
        created_by=cause.who,
        why=cause.why,
        created_at_microseconds=work.now,
    )
    await work.change.insert_rollout(rollout)
    cap = cap_of_shadow(rollout, cause.who, work.now)
    if cap is not None:
        await work.change.insert_cap(cap)
        await work.audit(cause.actor, "cap.set", f"caps/{cap.id}", cap.why, after=cap_document(cap))
    row = await append_release(work, "rollout_started", cause, agent, draft.label, rollout.arms, of=rollout)
    await audit_rollout(work, "started", cause, None, rollout, row)
    return rollout


async def _tried(work: Work, agent: str, draft: RolloutDraft) -> Rollout | None:
    """The last rollout of each of these versions, where all of them drew the same users."""
    found = [await work.change.last_rollout_of(agent, draft.label, arm.version) for arm in draft.arms]
    return found[0] if len({None if tried is None else tried.salt for tried in found}) == 1 else None


def _first_arms(draft: RolloutDraft, now_microseconds: int) -> Sequence[WantedArm]:
    schedule = Schedule() if draft.plan is None else read_schedule(draft.plan.get("schedule"))
    if closed(schedule, now_microseconds) is None:
        return draft.arms
    return [replace(arm, percentage=0) for arm in draft.arms]


def check_startable(state: AgentState, draft: RolloutDraft) -> None:
    """Raises NotFound (`label_not_set`, `version_not_found`), Conflict(`rollout_running`), BadInput (`bad_arm`, `bad_percentage`,
    `same_version`)."""
    for arm in draft.arms:
        buckets_for(arm.percentage)
    check_versions_exist(state.agent.name, state.agent.newest, *(arm.version for arm in draft.arms))
    current = state.labels.get(draft.label)
    if current is None:
        raise NotFound("label_not_set", f"set the label {draft.label!r} before rolling it out", param="label")
    if draft.label in state.rollouts:
        raise rollout_running(state.rollouts[draft.label])
    check_arms(draft.arms, current.version, draft.label)


async def promote(work: Work, rollout: Rollout, version: int, cause: Cause) -> Rollout:
    """One of its arms' version serves everyone and the label points to it."""
    ended = await end_rollout(work, rollout, "promoted")
    arms = whole(version)
    row = await append_release(work, "promoted", cause, rollout.agent, rollout.label, arms, rollout=rollout.id)
    await audit_rollout(work, "promoted", cause, rollout, ended, row)
    return ended


async def abort(work: EmergencyWork, rollout: Rollout, cause: Cause) -> Rollout:
    """The stable version serves everyone again."""
    ended = await end_rollout(work, rollout, "aborted")
    arms = whole(rollout.arms[0].version)
    row = await append_release(work, "aborted", cause, rollout.agent, rollout.label, arms, rollout=rollout.id)
    await audit_rollout(work, "aborted", cause, rollout, ended, row)
    return ended


async def share_otherwise(
    work: Work, before: Rollout, arms: tuple[Arm, ...], cause: Cause, what: str = "share_changed"
) -> Rollout:
    """Other shares, or one arm less, from the next step on."""
    after = replace(before, arms=arms, step=before.step + 1)
    await work.change.update_rollout(after)
    row = await append_release(work, "share_changed", cause, after.agent, after.label, after.arms, of=after)
    await audit_rollout(work, what, cause, before, after, row)
    return after


async def end_rollout(work: EmergencyWork, rollout: Rollout, state: RolloutState) -> Rollout:
    """The rollout as it ended; what serves from then on is its release's matter."""
    ended = replace(rollout, state=state, ended_at_microseconds=work.now)
    await work.change.update_rollout(ended)
    return ended


async def running_rollout(work: EmergencyWork, agent: str, rollout_id: str) -> Rollout:
    """Raises NotFound (`agent_not_found`, `rollout_not_found`), Conflict(`rollout_ended`)."""
    await work.agent(agent)
    rollout = await work.change.rollout(agent, rollout_id)
    if rollout is None:
        raise NotFound("rollout_not_found", f"agent {agent!r} has no rollout {rollout_id!r}", param="rollout")
    if not rollout.is_active:
        raise Conflict("rollout_ended", f"rollout {rollout_id} is {rollout.state}; start a new one")
    return rollout


def check_unmoved(rollout: Rollout, step: int) -> None:
    """Raises Conflict(`rollout_moved`) where its share was changed since it stood at `step`."""
    if rollout.step != step:
        raise Conflict("rollout_moved", f"the share of rollout {rollout.id} was changed meanwhile; look again")


def rollout_running(rollout: Rollout) -> Conflict:
    """The refusal of what a running rollout does not allow."""
    return Conflict(
        "rollout_running",
        f"rollout {rollout.id} of label {rollout.label!r} is {rollout.state}; promote, abort or roll it back first",
    )


async def audit_rollout(
    work: EmergencyWork, what: str, cause: Cause, before: Rollout | None, after: Rollout, row: Release | None
) -> None:
    """The audit entry of a change of a rollout, with the ledger row it made, if it changed what anybody gets."""
    await work.audit(
        cause.actor,
        f"rollout.{what}",
        f"agents/{after.agent}/rollouts/{after.id}",
        cause.why,
        None if before is None else rollout_document(before),
        {**rollout_document(after), **({} if row is None else {"release": release_document(row)})},
        cause.evidence,
    )


async def append_release(
    work: EmergencyWork,
    kind: ReleaseKind,
    cause: Cause,
    agent: str,
    label: str,
    arms: tuple[Arm, ...],
    *,
    of: Rollout | None = None,
    rollout: str | None = None,
    undoes: int | None = None,
) -> Release:
    """Append a ledger row; proposals about the label as it was are stale from now on."""
    row = Release(
        agent=agent,
        number=await work.change.next_release_number(agent),
        kind=kind,
        label=label,
        arms=arms,
        salt=None if of is None else of.salt,
        rollout=rollout if of is None else of.id,
        who=cause.who,
        approved_by=cause.approved_by,
        why=cause.why,
        created_at_microseconds=work.now,
        evidence=tuple(cause.evidence),
        undoes=undoes,
    )
    row = await work.append_release(row)
    for proposal in await work.change.waiting_proposals(agent, label):
        stale = proposal.decided("stale", cause.actor, f"release {row.number}: {kind}", work.now)
        await work.change.decide_proposal(stale)
        subject = f"agents/{agent}/proposals/{proposal.id}"
        documents = proposal_document(proposal), proposal_document(stale)
        await work.audit(cause.actor, "proposal.stale", subject, stale.decided_why or "", *documents)
    return row

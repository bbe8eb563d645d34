"""What a protected label demands before a version gets more of its traffic: the right role, evidence, a second person.

A rollout is looked at once: what its start was approved for and proved by holds for its growth and its promotion. Whatever
takes traffic away from a version never comes here. The rules are core/releasing/protection.py's; carrying out what was approved is
proposal_commands.py's matter.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from proxy.core.errors import Conflict
from proxy.core.releasing.proposals import Proposal, ProposalAction, proposal_document
from proxy.core.releasing.releases import Release
from proxy.core.snapshot import AgentState, Rollout
from proxy.core.tokens import Role
from proxy.runtime.releasing.release_rows import Cause
from proxy.runtime.state.work import Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A version's way to a label's traffic. `order` is what the action needs beside label and version."""

    action: ProposalAction
    label: str
    version: int
    order: Mapping[str, Any] = field(default_factory=dict[str, Any])


async def clear(work: Work, state: AgentState, wanted: Wanted, cause: Cause, role: Role) -> Proposal | None:
    """None where it may go ahead now, else the proposal that waits for a second person.

    Raises Forbidden(`role_insufficient`), Conflict(`evaluation_required`).
    """
    protection = await work.change.protection(state.agent.name, wanted.label)
    if protection is None:
        return None
    protection.check_mover(role)
    protection.check_evidence(cause.evidence)
    return await propose(work, state, wanted, cause) if protection.approval_required else None


async def clear_promotion(
    work: Work, state: AgentState, rollout: Rollout, wanted: Wanted, cause: Cause, role: Role
) -> Proposal | Cause:
    """The cause with the second person behind the rollout's start, else the proposal that waits. Raises as `clear`."""
    started = await start_of(work, rollout)
    proven = replace(cause, evidence=(*started.evidence, *cause.evidence))
    if started.approved_by is None:
        return await clear(work, state, wanted, proven, role) or cause
    protection = await work.change.protection(rollout.agent, rollout.label)
    if protection is not None:
        protection.check_mover(role)
        protection.check_evidence(proven.evidence)
    # Two people stand behind the start; beside the one who promotes there is always another of them.
    second = started.who if cause.who == started.approved_by else started.approved_by
    return replace(cause, approved_by=second)


async def check_growth(work: Work, rollout: Rollout, role: Role) -> None:
    """Raises Forbidden(`role_insufficient`), and Conflict (`evaluation_required`, `approval_required`) where the label was
    protected only after the rollout had started."""
    protection = await work.change.protection(rollout.agent, rollout.label)
    if protection is None:
        return
    started = await start_of(work, rollout)
    protection.check_mover(role)
    protection.check_evidence(started.evidence)
    if protection.approval_required and started.approved_by is None:
        raise Conflict(
            "approval_required",
            f"nobody approved rollout {rollout.id} of the protected label {rollout.label!r}; promoting it asks a second person",
        )


async def propose(work: Work, state: AgentState, wanted: Wanted, cause: Cause) -> Proposal:
    """A proposal that waits. Asked for again by the same person, it is the one that waits already."""
    agent, current = state.agent.name, state.labels.get(wanted.label)
    proposal = Proposal(
        agent=agent,
        id=await work.change.next_proposal_id(agent),
        action=wanted.action,
        label=wanted.label,
        before=None if current is None else current.version,
        version=wanted.version,
        if_release=0 if current is None else current.release,
        order=wanted.order,
        proposed_by=cause.who,
        why=cause.why,
        evidence=tuple(cause.evidence),
        created_at_microseconds=work.now,
    )
    waiting = await work.change.waiting_proposals(agent, wanted.label)
    same = next((other for other in waiting if other.asks_the_same(proposal)), None)
    if same is not None:
        work.nothing_changed()
        return same
    await work.change.insert_proposal(proposal)
    subject = f"agents/{agent}/proposals/{proposal.id}"
    after = proposal_document(proposal)
    await work.audit(cause.who, "proposal.made", subject, cause.why, after=after, evidence=cause.evidence)
    return proposal


async def start_of(work: Work, rollout: Rollout) -> Release:
    """The release a rollout began with."""
    history = await work.change.label_history(rollout.agent, rollout.label)
    return next(row for row in history if row.kind == "rollout_started" and row.rollout == rollout.id)

"""What a second person decides: proposals made, approved, rejected; and, by admins, which labels need one.

An approval is one atomic change: the decision, the change of traffic it orders with its ledger row, both in the audit log.
What makes a change wait is approval.py's matter.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from proxy.core.errors import BadInput, NotFound
from proxy.core.names import check_label_name
from proxy.core.releasing.arms import ordered_draft
from proxy.core.releasing.proposals import (
    Proposal,
    ProposalState,
    check_may_reject,
    check_second_person,
    check_waiting,
    proposal_document,
)
from proxy.core.releasing.protection import Protection, protection_document
from proxy.core.snapshot import AgentState
from proxy.core.tokens import AdminCaller
from proxy.runtime.releasing import release_rows
from proxy.runtime.releasing.approval import Wanted, propose, start_of
from proxy.runtime.releasing.preflight import Preflight, look_ahead
from proxy.runtime.releasing.release_rows import Cause, check_movable, running_rollout
from proxy.runtime.state.changes import Changes
from proxy.runtime.state.work import Work


class ProposalCommands:
    """Protected labels, and what waits for a second person."""

    def __init__(self, changes: Changes, preflight: Preflight | None = None) -> None:
        """Without a `preflight` nobody looks ahead."""
        self._changes = changes
        self._preflight = preflight

    # Protections

    async def protect(self, who: str, protection: Protection, why: str) -> Protection:
        """Set the rules of a label, set or not. Raises NotFound(`agent_not_found`), BadInput(`bad_name`)."""
        agent, label = protection.agent, check_label_name(protection.label)
        async with self._changes.begin(agent) as work:
            await work.agent(agent)
            before = await work.change.protection(agent, label)
            if before == protection:
                work.nothing_changed()
                return protection
            await work.change.set_protection(protection)
            documents = None if before is None else protection_document(before), protection_document(protection)
            await work.audit(who, "label.protected", f"agents/{agent}/labels/{label}", why, *documents)
        return protection

    async def unprotect(self, who: str, agent: str, label: str, why: str) -> None:
        """End the rules of a label. Raises NotFound (`agent_not_found`, `protection_not_found`)."""
        async with self._changes.begin(agent) as work:
            await work.agent(agent)
            before = await work.change.protection(agent, label)
            if before is None:
                raise NotFound("protection_not_found", f"the label {label!r} is not protected", param="label")
            await work.change.end_protection(agent, label)
            subject = f"agents/{agent}/labels/{label}"
            await work.audit(who, "label.unprotected", subject, why, protection_document(before))

    # Proposals

    async def propose_move(
        self,
        who: str,
        agent: str,
        label: str,
        version: int,
        why: str,
        *,
        if_release: int | None = None,
        evidence: Sequence[Mapping[str, Any]] = (),
        force: bool = False,
        notices: list[str] | None = None,
    ) -> Proposal:
        """Ask somebody else to point a label at a version, also where one could do it oneself.

        Raises NotFound (`agent_not_found`, `version_not_found`), BadInput(`same_version`), Conflict (`label_moved`,
        `rollout_running`, `evaluation_required`), PreflightFailed unless forced.
        """
        check_label_name(label)
        self._changes.check_present()
        ahead = await look_ahead(self._preflight, agent)
        async with self._changes.begin(agent) as work:
            state = await work.state(agent)
            await check_movable(work, state, label, version, if_release)
            current = state.labels.get(label)
            if current is not None and current.version == version:
                raise BadInput("same_version", f"{label} serves version {version} already", param="version")
            protection = await work.change.protection(agent, label)
            if protection is not None:
                protection.check_evidence(evidence)
            cause = Cause(who=who, why=why, evidence=evidence)
            cause = await ahead.check(work, state, label, version, cause, force=force, notices=notices)
            return await propose(work, state, Wanted(action="move", label=label, version=version), cause)

    async def approve(
        self,
        caller: AdminCaller,
        agent: str,
        proposal_id: str,
        why: str,
        *,
        force: bool = False,
        notices: list[str] | None = None,
    ) -> Proposal:
        """Let a proposal happen. Raises NotFound (`agent_not_found`, `proposal_not_found`), Forbidden(`role_insufficient`),
        Conflict (`second_person_required`, `proposal_decided`, `proposal_stale`, `label_moved`, `evaluation_required`), and
        PreflightFailed, unless forced, for what its author did not go on in spite of."""
        self._changes.check_present()
        ahead = await look_ahead(self._preflight, agent)
        async with self._changes.begin(agent) as work:
            state = await work.state(agent)
            proposal = await _waiting(work, agent, proposal_id)
            check_second_person(proposal, caller.name)
            protection = await work.change.protection(agent, proposal.label)
            if protection is not None:
                protection.check_mover(caller.role)
                protection.check_evidence(proposal.evidence)
            cause = Cause(
                who=proposal.proposed_by,
                why=proposal.why,
                evidence=proposal.evidence,
                approved_by=caller.name,
                made_by=caller.name,
            )
            earlier = await _evidence_before(work, proposal)
            plan = proposal.order.get("plan")
            for version in proposal.versions:
                looked_at = proposal.label, version, cause
                cause = await ahead.check(
                    work, state, *looked_at, force=force, notices=notices, plan=plan, earlier=earlier
                )
            # Before the change itself, which makes all other proposals about the label stale.
            approved = await _decide(work, proposal, "approved", caller.name, why)
            await _carry_out(work, state, approved, cause)
        return approved

    async def reject(self, caller: AdminCaller, agent: str, proposal_id: str, why: str) -> Proposal:
        """Let a proposal not happen; its author may too. Raises NotFound (`agent_not_found`, `proposal_not_found`),
        Forbidden(`role_insufficient`), Conflict (`proposal_decided`, `proposal_stale`)."""
        async with self._changes.begin(agent) as work:
            await work.agent(agent)
            proposal = await _waiting(work, agent, proposal_id)
            check_may_reject(proposal, caller)
            return await _decide(work, proposal, "rejected", caller.name, why)


async def _waiting(work: Work, agent: str, proposal_id: str) -> Proposal:
    proposal = await work.change.proposal(agent, proposal_id)
    if proposal is None:
        raise NotFound("proposal_not_found", f"agent {agent!r} has no proposal {proposal_id!r}", param="proposal")
    check_waiting(proposal)
    return proposal


async def _decide(work: Work, proposal: Proposal, state: ProposalState, who: str, why: str) -> Proposal:
    decided = proposal.decided(state, who, why, work.now)
    await work.change.decide_proposal(decided)
    documents = proposal_document(proposal), proposal_document(decided)
    await work.audit(who, f"proposal.{state}", f"agents/{proposal.agent}/proposals/{proposal.id}", why, *documents)
    return decided


async def _evidence_before(work: Work, proposal: Proposal) -> Sequence[Mapping[str, Any]]:
    """What its author knew, and whoever started the rollout it ends."""
    rollout = await work.change.rollout(proposal.agent, str(proposal.order.get("rollout")))
    return proposal.evidence if rollout is None else (*(await start_of(work, rollout)).evidence, *proposal.evidence)


async def _carry_out(work: Work, state: AgentState, proposal: Proposal, cause: Cause) -> None:
    """What the proposal orders, if the label is still as its author saw it."""
    match proposal.action:
        case "move":
            await check_movable(work, state, proposal.label, proposal.version, proposal.if_release)
            await release_rows.move(work, state, proposal.label, proposal.version, cause)
        case "start_rollout":
            await check_movable(work, state, proposal.label, proposal.version, proposal.if_release)
            draft = ordered_draft(proposal.label, proposal.version, proposal.order)
            release_rows.check_startable(state, draft)
            await release_rows.start_rollout(work, state, draft, cause)
        case "promote":
            rollout = await running_rollout(work, proposal.agent, proposal.order["rollout"])
            await release_rows.promote(work, rollout, proposal.version, cause)

"""Handlers: proposals, each shown with the difference between what the label served and what is proposed."""

import asyncio
from typing import Any

from proxy.core.errors import NotFound
from proxy.core.releasing.proposals import Proposal, proposal_document
from proxy.core.versions.diffing import diff_versions
from proxy.edges.admin.bodies import ProposalBody, ReasonBody, evidence_of
from proxy.edges.admin.handlers.agents import known_agent
from proxy.edges.admin.pages import page_answer
from proxy.edges.admin.parts import AdminParts, Answer, Ask
from proxy.edges.admin.queries import ProposalsQuery


async def list_proposals(parts: AdminParts, ask: Ask) -> Answer:
    query = ask.query_as(ProposalsQuery)
    state = await known_agent(parts, ask)
    page = await parts.store.proposals(state.agent.name, query.state, query.cursor, query.limit)
    return page_answer(page, proposal_document)


async def create_proposal(parts: AdminParts, ask: Ask) -> Answer:
    body = ask.body_as(ProposalBody)
    proposal = await parts.proposals.propose_move(
        ask.who,
        ask.path["agent"],
        body.label,
        body.version,
        body.why,
        if_release=body.if_release,
        evidence=evidence_of(body.evidence),
        force=body.force,
    )
    return await proposal_answer(parts, proposal, 201)


async def get_proposal(parts: AdminParts, ask: Ask) -> Answer:
    name, wanted = (await known_agent(parts, ask)).agent.name, ask.path["id"]
    proposal = await parts.store.proposal(name, wanted)
    if proposal is None:
        raise NotFound("proposal_not_found", f"agent {name!r} has no proposal {wanted!r}", param="proposal")
    return await proposal_answer(parts, proposal)


async def approve(parts: AdminParts, ask: Ask) -> Answer:
    why = ask.body_as(ReasonBody).why
    approved = await parts.proposals.approve(ask.caller, ask.path["agent"], ask.path["id"], why)
    return Answer(proposal_document(approved))


async def reject(parts: AdminParts, ask: Ask) -> Answer:
    why = ask.body_as(ReasonBody).why
    rejected = await parts.proposals.reject(ask.caller, ask.path["agent"], ask.path["id"], why)
    return Answer(proposal_document(rejected))


async def proposal_answer(parts: AdminParts, proposal: Proposal, status: int = 200) -> Answer:
    """The proposal with `diff`: from what the label served, or nothing, to the version that is proposed."""
    return Answer({**proposal_document(proposal), "diff": await _difference(parts, proposal)}, status)


async def _difference(parts: AdminParts, proposal: Proposal) -> dict[str, Any]:
    after = await parts.store.version(proposal.agent, proposal.version)
    before = None if proposal.before is None else await parts.store.version(proposal.agent, proposal.before)
    assert after is not None
    # Long prompts take a while to compare; calls in flight do not wait for that.
    found = await asyncio.to_thread(diff_versions, before or {}, after)
    return found.document()

"""Handlers: proposals, each shown with the difference between what the label served and what is proposed."""

import asyncio
from collections.abc import Sequence

from proxy.core.errors import NotFound
from proxy.core.releasing.proposals import Proposal, ProposalDocument, proposal_document
from proxy.core.versions.diffing import VersionDiffDocument, diff_versions
from proxy.edges.admin.answers.labels import Noticed, ProposalApproved, ProposalShown
from proxy.edges.admin.answers.lists import Listed
from proxy.edges.admin.bodies import ApprovalBody, ProposalBody, ReasonBody, evidence_of
from proxy.edges.admin.handlers.agents import known_agent
from proxy.edges.admin.pages import page_answer
from proxy.edges.admin.parts import AdminParts, Answer, Ask, Created
from proxy.edges.admin.queries import ProposalsQuery


async def list_proposals(parts: AdminParts, ask: Ask) -> Answer[Listed[ProposalDocument]]:
    query = ask.query_as(ProposalsQuery)
    state = await known_agent(parts, ask)
    page = await parts.store.proposals(state.agent.name, query.state, query.cursor, query.limit)
    return page_answer(page, proposal_document)


async def create_proposal(parts: AdminParts, ask: Ask) -> Created[ProposalShown]:
    body = ask.body_as(ProposalBody)
    notices: list[str] = []
    proposal = await parts.proposals.propose_move(
        ask.who,
        ask.path["agent"],
        body.label,
        body.version,
        body.why,
        if_release=body.if_release,
        evidence=evidence_of(body.evidence),
        force=body.force,
        notices=notices,
    )
    return Created(await shown_proposal(parts, proposal, notices))


async def get_proposal(parts: AdminParts, ask: Ask) -> Answer[ProposalShown]:
    name, wanted = (await known_agent(parts, ask)).agent.name, ask.path["id"]
    proposal = await parts.store.proposal(name, wanted)
    if proposal is None:
        raise NotFound("proposal_not_found", f"agent {name!r} has no proposal {wanted!r}", param="proposal")
    return Answer(await shown_proposal(parts, proposal))


async def approve(parts: AdminParts, ask: Ask) -> Answer[ProposalApproved]:
    body, notices = ask.body_as(ApprovalBody), list[str]()
    where = ask.caller, ask.path["agent"], ask.path["id"]
    approved = await parts.proposals.approve(*where, body.why, force=body.force, notices=notices)
    return Answer({**proposal_document(approved), **noticed(notices)})


async def reject(parts: AdminParts, ask: Ask) -> Answer[ProposalDocument]:
    why = ask.body_as(ReasonBody).why
    rejected = await parts.proposals.reject(ask.caller, ask.path["agent"], ask.path["id"], why)
    return Answer(proposal_document(rejected))


async def shown_proposal(parts: AdminParts, proposal: Proposal, notices: Sequence[str] = ()) -> ProposalShown:
    """The proposal with `diff`: from what the label served, or nothing, to the version that is proposed."""
    return {**proposal_document(proposal), "diff": await _difference(parts, proposal), **noticed(notices)}


def noticed(notices: Sequence[str]) -> Noticed:
    """The member `warnings` of an answer, where a preflight could not look at everything."""
    return {"warnings": list(notices)} if notices else {}


async def _difference(parts: AdminParts, proposal: Proposal) -> VersionDiffDocument:
    after = await parts.store.version(proposal.agent, proposal.version)
    before = None if proposal.before is None else await parts.store.version(proposal.agent, proposal.before)
    assert after is not None
    # Long prompts take a while to compare; calls in flight do not wait for that.
    found = await asyncio.to_thread(diff_versions, before or {}, after)
    return found.document()

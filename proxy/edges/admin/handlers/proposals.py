"""Handlers: proposals, each shown with the difference between what the label served and what is proposed."""

from collections.abc import Sequence

from proxy.core.releasing.proposals import Proposal, ProposalDocument, proposal_document
from proxy.edges.admin.answers.labels import Noticed, ProposalApproved, ProposalShown
from proxy.edges.admin.answers.lists import Listed
from proxy.edges.admin.ask_and_answer import AdminAnswer, Ask, Created
from proxy.edges.admin.bodies import ApprovalBody, ProposalBody, ReasonBody, evidence_of
from proxy.edges.admin.pages import page_answer
from proxy.edges.admin.queries import ProposalsQuery
from proxy.runtime.releasing.proposal_commands import ProposalCommands
from proxy.runtime.reports.agents import AgentReader
from proxy.runtime.reports.releases import ProposalReader


async def list_proposals(
    agents: AgentReader, proposals: ProposalReader, ask: Ask
) -> AdminAnswer[Listed[ProposalDocument]]:
    query = ask.query_as(ProposalsQuery)
    state = await agents.known(ask.path["agent"])
    page = await proposals.page(state, query.state, query.cursor, query.limit)
    return page_answer(page, proposal_document)


async def create_proposal(orders: ProposalCommands, proposals: ProposalReader, ask: Ask) -> Created[ProposalShown]:
    body = ask.body_as(ProposalBody)
    notices: list[str] = []
    proposal = await orders.propose_move(
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
    return Created(await shown_proposal(proposals, proposal, notices))


async def get_proposal(agents: AgentReader, proposals: ProposalReader, ask: Ask) -> AdminAnswer[ProposalShown]:
    state = await agents.known(ask.path["agent"])
    return AdminAnswer(await shown_proposal(proposals, await proposals.proposal(state, ask.path["id"])))


async def approve(orders: ProposalCommands, ask: Ask) -> AdminAnswer[ProposalApproved]:
    body, notices = ask.body_as(ApprovalBody), list[str]()
    where = ask.caller, ask.path["agent"], ask.path["id"]
    approved = await orders.approve(*where, body.why, force=body.force, notices=notices)
    return AdminAnswer({**proposal_document(approved), **noticed(notices)})


async def reject(orders: ProposalCommands, ask: Ask) -> AdminAnswer[ProposalDocument]:
    why = ask.body_as(ReasonBody).why
    rejected = await orders.reject(ask.caller, ask.path["agent"], ask.path["id"], why)
    return AdminAnswer(proposal_document(rejected))


async def shown_proposal(proposals: ProposalReader, proposal: Proposal, notices: Sequence[str] = ()) -> ProposalShown:
    """The proposal with `diff`: from what the label served, or nothing, to the version that is proposed."""
    return {**proposal_document(proposal), "diff": await proposals.difference(proposal), **noticed(notices)}


def noticed(notices: Sequence[str]) -> Noticed:
    """The member `warnings` of an answer, where a preflight could not look at everything."""
    return {"warnings": list(notices)} if notices else {}

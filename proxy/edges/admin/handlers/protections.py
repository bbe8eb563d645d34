"""Handlers: protected labels. A resource of their own beside the label: agents are changed by authors, protections by
admins, and a label can be protected before it is set."""

from proxy.core.releasing.protection import Protection, ProtectionDocument, protection_document
from proxy.edges.admin.answers.labels import ProtectionRemoved, ProtectionSet
from proxy.edges.admin.answers.lists import Listed
from proxy.edges.admin.ask_and_answer import AdminAnswer, Ask
from proxy.edges.admin.bodies import ProtectionBody, ReasonBody
from proxy.edges.admin.pages import page_of_named
from proxy.edges.admin.queries import PageQuery, ReasonQuery
from proxy.runtime.releasing.proposal_commands import ProposalCommands
from proxy.runtime.reports.agents import AgentReader


async def list_protections(agents: AgentReader, ask: Ask) -> AdminAnswer[Listed[ProtectionDocument]]:
    found = await agents.protections(ask.path["agent"])
    return page_of_named(found, ask.query_as(PageQuery), protection_document)


async def protect(proposals: ProposalCommands, agents: AgentReader, ask: Ask) -> AdminAnswer[ProtectionSet]:
    body = ask.body_as(ProtectionBody)
    protection = Protection(
        agent=ask.path["agent"],
        label=ask.path["label"],
        who_may_move=body.who_may_move,
        evaluation_required=body.evaluation_required,
        approval_required=body.approval_required,
    )
    document: ProtectionSet = {**protection_document(await proposals.protect(ask.who, protection, body.why))}
    state = await agents.known(protection.agent)
    if protection.label not in state.labels:
        # It may be set later; it may as well be a typing error.
        there_are = ", ".join(sorted(state.labels)) or "none yet"
        document["warning"] = f"the label {protection.label!r} is not set; the agent's labels: {there_are}"
    return AdminAnswer(document)


async def unprotect(proposals: ProposalCommands, ask: Ask) -> AdminAnswer[ProtectionRemoved]:
    why = ask.body_as(ReasonBody).why or ask.query_as(ReasonQuery).why
    await proposals.unprotect(ask.who, ask.path["agent"], ask.path["label"], why)
    return AdminAnswer({"agent": ask.path["agent"], "label": ask.path["label"], "removed": True})

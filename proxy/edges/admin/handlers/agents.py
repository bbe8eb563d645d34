"""Handlers: agents."""

from proxy.core.snapshot import Agent, AgentDocument, AgentStateDocument, agent_document, state_document
from proxy.edges.admin.answers.lists import Listed
from proxy.edges.admin.ask_and_answer import AdminAnswer, Ask, Created
from proxy.edges.admin.bodies import AgentBody, AgentChangesBody, ReasonBody
from proxy.edges.admin.pages import page_answer
from proxy.edges.admin.queries import PageQuery
from proxy.runtime.releasing.release_commands import ReleaseCommands
from proxy.runtime.reports.agents import AgentReader


async def list_agents(agents: AgentReader, ask: Ask) -> AdminAnswer[Listed[AgentDocument]]:
    query = ask.query_as(PageQuery)
    return page_answer(await agents.page(query.cursor, query.limit), agent_document)


async def create_agent(releases: ReleaseCommands, agents: AgentReader, ask: Ask) -> Created[AgentStateDocument]:
    body = ask.body_as(AgentBody)
    agent = Agent(
        name=body.agent,
        description=body.description,
        default_label=body.default_label,
        allow_latest=body.allow_latest,
        unapplied=body.unapplied,
    )
    return Created(state_document(agents.now(await releases.create_agent(ask.who, agent, body.why))))


async def get_agent(agents: AgentReader, ask: Ask) -> AdminAnswer[AgentStateDocument]:
    return AdminAnswer(state_document(await agents.known(ask.path["agent"])))


async def update_agent(releases: ReleaseCommands, agents: AgentReader, ask: Ask) -> AdminAnswer[AgentStateDocument]:
    body = ask.body_as(AgentChangesBody)
    changes = body.model_dump(exclude_unset=True, exclude={"why"})
    after = await releases.update_agent(ask.who, ask.path["agent"], changes, body.why, role=ask.caller.role)
    return AdminAnswer(state_document(agents.now(after)))


async def archive_agent(releases: ReleaseCommands, agents: AgentReader, ask: Ask) -> AdminAnswer[AgentStateDocument]:
    why = ask.body_as(ReasonBody).why
    return AdminAnswer(state_document(agents.now(await releases.archive_agent(ask.who, ask.path["agent"], why))))


async def unarchive_agent(releases: ReleaseCommands, agents: AgentReader, ask: Ask) -> AdminAnswer[AgentStateDocument]:
    why = ask.body_as(ReasonBody).why
    return AdminAnswer(state_document(agents.now(await releases.unarchive_agent(ask.who, ask.path["agent"], why))))

"""Handlers: agents."""

from proxy.core.calls.identity import required_agent
from proxy.core.snapshot import Agent, AgentDocument, AgentState, AgentStateDocument, agent_document, state_document
from proxy.edges.admin.answers.lists import Listed
from proxy.edges.admin.bodies import AgentBody, AgentChangesBody, ReasonBody
from proxy.edges.admin.pages import page_answer
from proxy.edges.admin.parts import AdminParts, Answer, Ask, Created
from proxy.edges.admin.queries import PageQuery


async def known_agent(parts: AdminParts, ask: Ask) -> AgentState:
    """The agent the path names, also an archived one. Raises NotFound(`agent_not_found`)."""
    name = ask.path["agent"]
    return required_agent(parts.live.agent(name) or await parts.store.agent_state(name), name)


async def list_agents(parts: AdminParts, ask: Ask) -> Answer[Listed[AgentDocument]]:
    query = ask.query_as(PageQuery)
    return page_answer(await parts.store.agents(query.cursor, query.limit), agent_document)


async def create_agent(parts: AdminParts, ask: Ask) -> Created[AgentStateDocument]:
    body = ask.body_as(AgentBody)
    agent = Agent(
        name=body.agent,
        description=body.description,
        default_label=body.default_label,
        allow_latest=body.allow_latest,
        unapplied=body.unapplied,
    )
    return Created(_shown(parts, await parts.releases.create_agent(ask.who, agent, body.why)))


async def get_agent(parts: AdminParts, ask: Ask) -> Answer[AgentStateDocument]:
    return Answer(state_document(await known_agent(parts, ask)))


async def update_agent(parts: AdminParts, ask: Ask) -> Answer[AgentStateDocument]:
    body = ask.body_as(AgentChangesBody)
    changes = body.model_dump(exclude_unset=True, exclude={"why"})
    after = await parts.releases.update_agent(ask.who, ask.path["agent"], changes, body.why, role=ask.caller.role)
    return Answer(_shown(parts, after))


async def archive_agent(parts: AdminParts, ask: Ask) -> Answer[AgentStateDocument]:
    why = ask.body_as(ReasonBody).why
    return Answer(_shown(parts, await parts.releases.archive_agent(ask.who, ask.path["agent"], why)))


async def unarchive_agent(parts: AdminParts, ask: Ask) -> Answer[AgentStateDocument]:
    why = ask.body_as(ReasonBody).why
    return Answer(_shown(parts, await parts.releases.unarchive_agent(ask.who, ask.path["agent"], why)))


def _shown(parts: AdminParts, agent: Agent) -> AgentStateDocument:
    return state_document(parts.live.agent(agent.name) or AgentState(agent))

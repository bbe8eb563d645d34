"""`GET /v1/models`: the provider's list with the agents appended, so that model pickers can choose an agent."""

from typing import Final

from proxy.core.snapshot import Snapshot
from proxy.runtime.calls.routing import Route
from proxy.runtime.calls.stages import Answered
from proxy.runtime.transport.exchange import Answer, Reply
from proxy.wires.families import FAMILIES
from proxy.wires.model_list import append_agents

_MAX_LIST_BYTES: Final = 8 * 1024 * 1024


def is_model_list(route: Route) -> bool:
    """Whether a GET asks for the list of models and no agent of its own."""
    return FAMILIES[route.wire.family].lists_models(route.operation.path)


def takes_agents(answer: Answer, answered: Answered) -> bool:
    """Whether the agents can stand behind the list; an error or a compressed answer passes untouched."""
    return answer.status == 200 and not answered.fields.is_encoded


async def deliver_model_list(
    answer: Answer, answered: Answered, snapshot: Snapshot, reply: Reply, stamps: bytes
) -> None:
    """Pass the list on with the agents behind it. Raises UpstreamError, ClientGone."""
    body = await answer.read(_MAX_LIST_BYTES)
    answered.saw_first_byte()
    agents = [
        (state.agent.name, state.agent.created_at_microseconds // 1_000_000) for state in snapshot.agents.values()
    ]
    reply.send(answer.status, answered.fields.passed, append_agents(body, agents), lines=stamps)

"""`GET /v1/models`: the provider's list with the agents appended, so that model pickers can choose an agent."""

from typing import Final

from proxy.core.snapshot import Snapshot
from proxy.runtime.calls.answering import deliver
from proxy.runtime.calls.flight import Flight
from proxy.runtime.transport.header_fields import AnswerFields
from proxy.wires.families import FAMILIES
from proxy.wires.model_list import append_agents

_MAX_LIST_BYTES: Final = 8 * 1024 * 1024


def is_model_list(flight: Flight) -> bool:
    """Whether this call asks for the list of models and no agent of its own."""
    route = flight.route
    return (
        flight.call.method == "GET"
        and route is not None
        and route.operation.path == FAMILIES[route.wire.family].model_list
    )


async def deliver_model_list(flight: Flight, snapshot: Snapshot) -> None:
    """Pass the list on with the agents behind it; an error or a compressed answer passes untouched."""
    answer = flight.answer
    assert answer is not None
    fields = AnswerFields(answer.headers)
    if answer.status != 200 or fields.is_encoded:
        if (rest := deliver(flight)) is not None:
            await rest
        return
    body = await answer.read(_MAX_LIST_BYTES)
    flight.status = answer.status
    flight.saw_first_byte()
    agents = [
        (state.agent.name, state.agent.created_at_microseconds // 1_000_000) for state in snapshot.agents.values()
    ]
    flight.reply.send(answer.status, fields.passed, append_agents(body, agents), lines=flight.stamps())

"""What becomes of an OpenAI Completions request: its output is bounded where a cap needs that, and a stream asked for its usage.

Belongs here: which member of this format holds what. Counterpart: openai_chat/request.py.

Protocol facts: the output bound is `max_tokens`, 16 where nothing is said; 0 is a bound too, with which only the prompt is scored.
`best_of` answers are written, and billed, for each prompt of which `n` are told.
"""

from typing import Final, cast

from proxy.wires.json.edits import MemberEdits
from proxy.wires.json.members import JsonMembers
from proxy.wires.shared.openai_parameters import ask_for_usage
from proxy.wires.shared.version_parts import (
    MAX_OUTPUT_TOKENS,
    final_model,
    output_bound,
    read_whole_number,
    service_tier_of,
)
from proxy.wires.wire import Injection, InjectionPlan, RequestFacts

#: The provider's own limit of answers to one prompt.
MAX_CHOICES: Final = 128
_BOUND: Final = "max_tokens"


def read_output_bound(members: JsonMembers) -> int | None:
    """The caller's output bound. Raises BadInput(`wrong_kind`)."""
    return read_whole_number(members, _BOUND, 0, MAX_OUTPUT_TOKENS)


def bound_output(request: RequestFacts, plan: InjectionPlan) -> Injection:
    """The body to send. Raises BadInput(`model_missing`, `wrong_kind`)."""
    edits = MemberEdits(cast("JsonMembers", request.document))
    edits.remove("switchback")
    bound = output_bound(None, request.max_output_tokens, plan.output_ceiling)
    if bound is not None and bound != request.max_output_tokens:
        edits.set(_BOUND, b"%d" % bound)
    asks_usage = request.streamed and plan.asks_usage and ask_for_usage(edits)
    return Injection(
        body=edits.render(),
        model=final_model(None, request.model),
        max_output_tokens=bound,
        removes_usage_event=asks_usage,
        service_tier=service_tier_of(edits),
        document=edits,
    )

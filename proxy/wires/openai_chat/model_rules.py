"""Which members of a Chat Completions request a model answers 400 to, and the name it takes its output bound under.

Protocol facts: reasoning models have fixed sampling and know only `max_completion_tokens`; o3 and o4-mini refuse `stop`; models
that do not reason refuse to be told how much they should (shared/openai_models.py). Of models that are not OpenAI's nothing is
known, and nothing is left out.
"""

from functools import lru_cache
from typing import Final

from proxy.wires.shared.openai_models import bare_name, has_fixed_sampling, refuses_effort

_SAMPLING: Final = (
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "logprobs",
    "top_logprobs",
    "logit_bias",
)
_WITHOUT_STOP: Final = ("o3", "o4-mini")
_WITHOUT_PARALLEL_TOOL_CALLS: Final = ("o1", "o3", "o4-mini")
#: Models that know the output bound under its newer name alone.
_NEWER_BOUND_ONLY: Final = ("o1", "o3", "o4-mini", "gpt-5")


@lru_cache(maxsize=1024)
def refused_members(model: str) -> tuple[str, ...]:
    """The members this model answers 400 to."""
    name = bare_name(model)
    refused: tuple[str, ...] = _SAMPLING if has_fixed_sampling(model) else ()
    if name.startswith(_WITHOUT_STOP):
        refused += ("stop",)
    if name.startswith(_WITHOUT_PARALLEL_TOOL_CALLS):
        refused += ("parallel_tool_calls",)
    if refuses_effort(model):
        refused += ("reasoning_effort", "verbosity")
    return refused


@lru_cache(maxsize=1024)
def needs_newer_bound(model: str) -> bool:
    """Whether the model refuses `max_tokens`, and takes `max_completion_tokens`."""
    return bare_name(model).startswith(_NEWER_BOUND_ONLY)

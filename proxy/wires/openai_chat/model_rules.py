"""Which members of a Chat Completions request a model answers 400 to, and the name it takes its output bound under.

Protocol facts: reasoning models have fixed sampling and know only `max_completion_tokens`; o3 and o4-mini refuse `stop`; models
that do not reason refuse to be told how much they should. Models named here are OpenAI's; of any other nothing is known, and
nothing is left out.
"""

from functools import lru_cache
from typing import Final

#: Reasoning models whose sampling is fixed.
_FIXED_SAMPLING: Final = ("o1", "o3", "o4-mini", "gpt-5-mini", "gpt-5-nano", "gpt-5-2025")
_FIXED_SAMPLING_NAMES: Final = frozenset({"gpt-5"})
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
_WITHOUT_REASONING: Final = ("gpt-3.5", "gpt-4", "chatgpt-4o")
#: Models that know the output bound under its newer name alone.
_NEWER_BOUND_ONLY: Final = ("o1", "o3", "o4-mini", "gpt-5")


@lru_cache(maxsize=1024)
def refused_members(model: str) -> tuple[str, ...]:
    """The members this model answers 400 to. Its name may stand behind a provider's, as in `openai/o3-mini`."""
    name = _bare(model)
    refused: tuple[str, ...] = ()
    if name.startswith(_FIXED_SAMPLING) or name in _FIXED_SAMPLING_NAMES:
        refused = _SAMPLING
    if name.startswith(_WITHOUT_STOP):
        refused += ("stop",)
    if name.startswith(_WITHOUT_PARALLEL_TOOL_CALLS):
        refused += ("parallel_tool_calls",)
    if name.startswith(_WITHOUT_REASONING):
        refused += ("reasoning_effort", "verbosity")
    return refused


@lru_cache(maxsize=1024)
def needs_newer_bound(model: str) -> bool:
    """Whether the model refuses `max_tokens`, and takes `max_completion_tokens`."""
    return _bare(model).startswith(_NEWER_BOUND_ONLY)


def _bare(model: str) -> str:
    return model.rpartition("/")[2].casefold()

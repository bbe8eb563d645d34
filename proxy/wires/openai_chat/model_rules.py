"""Which members of a Chat Completions request a model answers 400 to, and the name it takes its output bound under.

Protocol facts: reasoning models have fixed sampling and know only `max_completion_tokens`; o3, o4-mini and GPT-5 before 5.5 refuse `stop`; models
that do not reason refuse to be told how much they should (shared/openai_models.py). Of models that are not OpenAI's nothing is
known, and nothing is left out.
"""

from functools import lru_cache
from typing import Final

from proxy.wires.shared.openai_models import bare_name, has_fixed_sampling, refuses_effort, refuses_verbosity

_SAMPLING: Final = (
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "logprobs",
    "top_logprobs",
    "logit_bias",
)
_WITHOUT_STOP: Final = ("o3", "o4-mini", "gpt-5.1", "gpt-5.2", "gpt-5.4")
_FIRST_OF_5: Final = "gpt-5"
_WITHOUT_PARALLEL_TOOL_CALLS: Final = ("o1", "o3", "o4-mini")
#: Models that know the output bound under its newer name alone.
_NEWER_BOUND_ONLY: Final = ("codex-mini", "o1", "o3", "o4-mini", "gpt-5")
_OPENAIS: Final = ("chatgpt-4o", "codex-mini", "gpt-3.5", "gpt-4", "gpt-5", "o1", "o3", "o4-mini")
#: Models that take what nobody else does say so in their names.
_SEARCHING: Final = "-search"
_SPEAKING: Final = "audio"
_PREDICTED: Final = ("gpt-4o", "gpt-4.1")


@lru_cache(maxsize=1024)
def refused_members(model: str) -> tuple[str, ...]:
    """The members this model answers 400 to."""
    name = bare_name(model)
    refused: tuple[str, ...] = _SAMPLING if has_fixed_sampling(model) or _SEARCHING in name else ()
    if name.startswith(_WITHOUT_STOP) or (name.startswith(_FIRST_OF_5) and has_fixed_sampling(model)):
        refused += ("stop",)
    if name.startswith(_WITHOUT_PARALLEL_TOOL_CALLS):
        refused += ("parallel_tool_calls",)
    if refuses_effort(model):
        refused += ("reasoning_effort",)
    if refuses_verbosity(model):
        refused += ("verbosity",)
    return refused + _refused_beside_text(name) if name.startswith(_OPENAIS) else refused


def _refused_beside_text(name: str) -> tuple[str, ...]:
    refused: tuple[str, ...] = () if _SPEAKING in name else ("audio", "modalities")
    if _SEARCHING not in name:
        refused += ("web_search_options",)
    return refused if name.startswith(_PREDICTED) and _SEARCHING not in name else (*refused, "prediction")


@lru_cache(maxsize=1024)
def always_searches(model: str) -> bool:
    """Whether the model searches the web for each call, asked to or not; its usage does not tell."""
    name = bare_name(model)
    return name.startswith(_OPENAIS) and _SEARCHING in name


@lru_cache(maxsize=1024)
def needs_newer_bound(model: str) -> bool:
    """Whether the model refuses `max_tokens`, and takes `max_completion_tokens`."""
    return bare_name(model).startswith(_NEWER_BOUND_ONLY)

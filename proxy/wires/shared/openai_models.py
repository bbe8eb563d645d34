"""What is known of OpenAI's models by their names, for every wire that they are asked on.

Models named here are OpenAI's; of any other nothing is known, and nothing is assumed. Which member of a request says what is the
wires' own matter (each one's `model_rules`).
"""

from functools import lru_cache
from typing import Final

#: Reasoning models whose sampling is fixed.
_FIXED_SAMPLING: Final = ("o1", "o3", "o4-mini", "gpt-5-mini", "gpt-5-nano", "gpt-5-2025")
_FIXED_SAMPLING_NAMES: Final = frozenset({"gpt-5"})
_WITHOUT_REASONING: Final = ("gpt-3.5", "gpt-4", "chatgpt-4o")


def bare_name(model: str) -> str:
    """A model's own name, which may stand behind a provider's, as in `openai/o3-mini`."""
    return model.rpartition("/")[2].casefold()


@lru_cache(maxsize=1024)
def has_fixed_sampling(model: str) -> bool:
    """Whether it refuses to be told a temperature."""
    name = bare_name(model)
    return name.startswith(_FIXED_SAMPLING) or name in _FIXED_SAMPLING_NAMES


@lru_cache(maxsize=1024)
def refuses_effort(model: str) -> bool:
    """Whether it does not reason, and refuses to be told how much it should."""
    return bare_name(model).startswith(_WITHOUT_REASONING)

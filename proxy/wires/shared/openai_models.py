"""What is known of OpenAI's models by their names, for every wire that they are asked on.

Models named here are OpenAI's; of any other nothing is known, and nothing is assumed. Which member of a request says what is the
wires' own matter (each one's `model_rules`).
"""

from functools import lru_cache
from typing import Final

#: Reasoning models whose sampling is fixed.
_FIXED_SAMPLING: Final = ("codex-mini", "o1", "o3", "o4-mini", "gpt-5-mini", "gpt-5-nano", "gpt-5-pro", "gpt-5-2025")
_FIXED_SAMPLING_NAMES: Final = frozenset({"gpt-5"})
_WITHOUT_REASONING: Final = ("gpt-3.5", "gpt-4", "chatgpt-4o", "gpt-5-chat", "o1-mini", "o1-preview")
#: Models that were made before one could say how many words are wanted.
_WITHOUT_VERBOSITY: Final = (*_WITHOUT_REASONING, "codex-mini", "o1", "o3", "o4-mini")
#: How a name of a model that somebody trained further begins, as in `ft:gpt-4o-mini-2024-07-18:acme::1`.
_TRAINED: Final = "ft:"

#: From the least to the most.
_ALL_EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_OLD: Final = ("low", "medium", "high")
_OF_GPT_5: Final = ("minimal", *_OLD)
#: The first that a name begins with says which efforts it knows; of others nothing is known.
_EFFORTS: Final = (
    (("o1", "o3", "o4-mini", "codex-mini", "gpt-5-codex"), _OLD),
    (("gpt-5-pro",), ("high",)),
    (("gpt-5-mini", "gpt-5-nano", "gpt-5-2025"), _OF_GPT_5),
    (("gpt-5.1-codex-max", "gpt-5.2-codex"), (*_OLD, "xhigh")),
    (("gpt-5.1-codex",), _OLD),
    (("gpt-5.1",), ("none", *_OLD)),
    (("gpt-5.2-pro",), ("medium", "high", "xhigh")),
    (("gpt-5.2",), ("none", *_OLD, "xhigh")),
)
#: The first that a name begins with says how many tokens it writes at most.
_MOST_OUTPUT: Final = (
    (("gpt-4o-2024-05-13", "gpt-4-turbo", "gpt-4-0125", "gpt-4-1106", "gpt-3.5"), 4_096),
    (("gpt-4o", "chatgpt-4o", "gpt-4.5", "gpt-5-chat"), 16_384),
    (("gpt-4.1", "o1-preview"), 32_768),
    (("o1-mini",), 65_536),
    (("o1", "o3", "o4-mini", "codex-mini"), 100_000),
    (("gpt-5-pro",), 272_000),
    (("gpt-5",), 128_000),
)


def bare_name(model: str) -> str:
    """A model's own name, which may stand behind a provider's, as in `openai/o3-mini`, and in the name of what was made of it."""
    name = model.rpartition("/")[2].casefold()
    return name[len(_TRAINED) :].partition(":")[0] if name.startswith(_TRAINED) else name


@lru_cache(maxsize=1024)
def has_fixed_sampling(model: str) -> bool:
    """Whether it refuses to be told a temperature."""
    name = bare_name(model)
    return name.startswith(_FIXED_SAMPLING) or name in _FIXED_SAMPLING_NAMES or _is_codex(name)


@lru_cache(maxsize=1024)
def refuses_effort(model: str) -> bool:
    """Whether it does not reason, or refuses to be told how much it should."""
    return bare_name(model).startswith(_WITHOUT_REASONING)


@lru_cache(maxsize=1024)
def refuses_verbosity(model: str) -> bool:
    """Whether it refuses to be told how many words to make."""
    return bare_name(model).startswith(_WITHOUT_VERBOSITY)


@lru_cache(maxsize=1024)
def fitting_effort(model: str, effort: str) -> str:
    """An effort as the model knows it: the nearest below, else its lowest. As it came, where nothing is known of either."""
    name = bare_name(model)
    known = next((efforts for names, efforts in _EFFORTS if name.startswith(names)), None)
    if name in _FIXED_SAMPLING_NAMES:
        known = _OF_GPT_5
    if known is None or effort in known or effort not in _ALL_EFFORTS:
        return effort
    below = [one for one in known if _ALL_EFFORTS.index(one) < _ALL_EFFORTS.index(effort)]
    return below[-1] if below else known[0]


@lru_cache(maxsize=1024)
def most_output(model: str) -> int | None:
    """The most output tokens that may be asked of it; None: nobody here knows."""
    name = bare_name(model)
    return next((most for names, most in _MOST_OUTPUT if name.startswith(names)), None)


def _is_codex(name: str) -> bool:
    return name.startswith("gpt-5") and "-codex" in name

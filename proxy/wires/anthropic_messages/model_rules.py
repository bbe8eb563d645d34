"""Which members of a Messages request a model answers 400 to, and which ways to think it knows.

Protocol facts: newer models take no sampling parameters at any API version, and no budget for thinking (`type: enabled`): they
think `adaptive`. Older ones know a budget and not `adaptive`, or do not think at all; effort came with Opus 4.5, answers after a
schema with Opus 4.1 and Sonnet 4.5, and those that still take sampling parameters take one of `temperature` and `top_p` since Opus 4.1. A model
that thinks takes no temperature but 1, no `top_k`, and no order to use a tool. Models named here are Anthropic's; names may stand behind a
region, as in `us.anthropic.claude-...`, and write dates and numbers with `@` and `.`. Of any other nothing is known, and nothing is left out.
"""

from functools import lru_cache
from typing import Final

_WITHOUT_SAMPLING: Final = (
    "claude-opus-4-7",
    "claude-opus-4-8",
    "claude-opus-5",
    "claude-sonnet-5",
    "claude-haiku-5-5",
    "claude-fable-",
    "claude-mythos",
)
_SAMPLING: Final = ("temperature", "top_p", "top_k")
_WITHOUT_THINKING: Final = ("claude-2", "claude-3-5-", "claude-3-haiku", "claude-3-opus", "claude-3-sonnet")
_BUDGET_ONLY: Final = (
    "claude-3-7-",
    "claude-opus-4-0",
    "claude-opus-4-1",
    "claude-opus-4-2",
    "claude-opus-4-5",
    "claude-sonnet-4-0",
    "claude-sonnet-4-2",
    "claude-sonnet-4-5",
    "claude-haiku-4-5",
)
_WITH_EFFORT: Final = ("claude-opus-4-5",)
_BUDGET_ONLY_NAMES: Final = frozenset({"claude-opus-4", "claude-sonnet-4"})
_ONE_OF_BOTH: Final = (
    "claude-opus-4-1",
    "claude-opus-4-5",
    "claude-opus-4-6",
    "claude-sonnet-4-5",
    "claude-sonnet-4-6",
    "claude-haiku-4-5",
)
_WITHOUT_FORMAT: Final = (
    *_WITHOUT_THINKING,
    "claude-3-7-",
    "claude-opus-4-0",
    "claude-opus-4-2",
    "claude-sonnet-4-0",
    "claude-sonnet-4-2",
)
#: The highest effort of models that do not know all.
_HIGHEST: Final = (("claude-opus-4-5", ("xhigh", "max"), "high"), ("claude-opus-4-6", ("xhigh",), "high"))
#: The first that a name begins with says how many tokens it writes at most.
_MOST_OUTPUT: Final = (
    (("claude-3-5-",), 8_192),
    (("claude-2", "claude-3-haiku", "claude-3-opus", "claude-3-sonnet"), 4_096),
    (("claude-opus-4-0", "claude-opus-4-1", "claude-opus-4-2"), 32_000),
    (_BUDGET_ONLY, 64_000),
)


def refuses_sampling(model: str) -> bool:
    """Whether the model takes no sampling parameters at any API version."""
    return _bare(model).startswith(_WITHOUT_SAMPLING)


@lru_cache(maxsize=1024)
def refused_members(model: str, *, is_strict: bool) -> tuple[str, ...]:
    """The members answered 400 to, with an API version that is `is_strict` about sampling or with any."""
    refused = _SAMPLING if is_strict or refuses_sampling(model) else ()
    name = _bare(model)
    if name.startswith(_WITHOUT_THINKING):
        return (*refused, "thinking", "speed")
    return (*refused, "speed") if _is_budget_only(name) else refused


def takes_budget(model: str) -> bool:
    """Whether thinking may be given a budget."""
    return not refuses_sampling(model)


def takes_adaptive(model: str) -> bool:
    """Whether the model may be left to think as much as it likes."""
    return not _is_budget_only(_bare(model))


def takes_effort(model: str) -> bool:
    """Whether `output_config.effort` is known."""
    name = _bare(model)
    return name.startswith(_WITH_EFFORT) or not (_is_budget_only(name) or name.startswith(_WITHOUT_THINKING))


def takes_format(model: str) -> bool:
    """Whether `output_config.format` is known."""
    name = _bare(model)
    return not (name.startswith(_WITHOUT_FORMAT) or name in _BUDGET_ONLY_NAMES)


def is_known(model: str) -> bool:
    """Whether it is Anthropic's, so that something is known of it."""
    return _bare(model).startswith("claude-")


def takes_one_of_both(model: str) -> bool:
    """Whether only one of `temperature` and `top_p` may be sent."""
    return _bare(model).startswith(_ONE_OF_BOTH)


def fitting_effort(model: str, effort: str) -> str:
    """An effort as the model knows it."""
    name = _bare(model)
    beyond = (highest for prefix, unknown, highest in _HIGHEST if name.startswith(prefix) and effort in unknown)
    return next(beyond, effort)


@lru_cache(maxsize=1024)
def most_output(model: str) -> int | None:
    """The most output tokens that may be asked of it; None: nobody here knows."""
    name = _bare(model)
    if name in _BUDGET_ONLY_NAMES:
        return 32_000 if "opus" in name else 64_000
    return next((most for names, most in _MOST_OUTPUT if name.startswith(names)), None)


def _is_budget_only(name: str) -> bool:
    return name.startswith(_BUDGET_ONLY) or name in _BUDGET_ONLY_NAMES


def _bare(model: str) -> str:
    name = model.casefold()
    return name[max(0, name.find("claude-")) :].replace("@", "-").replace(".", "-")

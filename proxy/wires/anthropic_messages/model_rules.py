"""Which members of a Messages request a model answers 400 to, and which ways to think it knows.

Protocol facts: newer models take no sampling parameters at any API version, and no budget for thinking (`type: enabled`): they
think `adaptive`. Older ones know a budget and not `adaptive`, or do not think at all; effort came with Opus 4.5. Models named
here are Anthropic's; names may stand behind a region, as in `us.anthropic.claude-...`. Of any other nothing is known, and nothing is left out.
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


def refuses_sampling(model: str) -> bool:
    """Whether the model takes no sampling parameters at any API version."""
    return _bare(model).startswith(_WITHOUT_SAMPLING)


@lru_cache(maxsize=1024)
def refused_members(model: str, *, is_strict: bool) -> tuple[str, ...]:
    """The members answered 400 to, with an API version that is `is_strict` about sampling or with any."""
    refused = _SAMPLING if is_strict or refuses_sampling(model) else ()
    return (*refused, "thinking") if _bare(model).startswith(_WITHOUT_THINKING) else refused


def takes_budget(model: str) -> bool:
    """Whether thinking may be given a budget."""
    return not refuses_sampling(model)


def takes_adaptive(model: str) -> bool:
    """Whether the model may be left to think as much as it likes."""
    return not _bare(model).startswith(_BUDGET_ONLY)


def takes_effort(model: str) -> bool:
    """Whether `output_config.effort` is known."""
    name = _bare(model)
    return name.startswith(_WITH_EFFORT) or not name.startswith((*_BUDGET_ONLY, *_WITHOUT_THINKING))


def _bare(model: str) -> str:
    return model[max(0, model.find("claude-")) :]

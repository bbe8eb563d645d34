"""How much a Gemini model is told to think, by its generation; as of 2026-11.

Protocol facts: since Gemini 3 a level is said (`thinkingLevel`), of which the Pro models know no `minimal`; Gemini 2.5 takes a number
of tokens (`thinkingBudget`), and its Pro model always thinks. Earlier models do not think, and refuse the member. Both in one request
are refused. The numbers are those that Google's own OpenAI-compatible endpoint makes of the same words.
"""

import re
from typing import Any, Final

_BUDGETS: Final = {"none": 0, "minimal": 1_024, "low": 1_024, "medium": 8_192, "high": 24_576}
_HIGHER: Final = {"xhigh": "high", "max": "high"}
_LEVELS: Final = frozenset({"minimal", "low", "medium", "high"})
_GENERATION: Final = re.compile(r"(?:.*/)?gemini-(\d+)(?:\.(\d+))?(?:-|\Z)")
_WITHOUT_THINKING: Final = re.compile(r"(?:.*/)?(?:gemma-|gemini-(?:flash|pro)-1|gemini-pro\Z|text-|learnlm-)")


def generation_of(model: str) -> tuple[int, int] | None:
    """The numbers in a model's name; None where it has none, as `gemini-flash-latest`."""
    found = _GENERATION.match(model)
    return None if found is None else (int(found[1]), int(found[2] or 0))


def thinking_of(model: str, effort: str) -> tuple[str, Any] | None:
    """The member of `thinkingConfig` and its value for a neutral effort; None where the model has nothing like it."""
    wanted, generation = _HIGHER.get(effort, effort), generation_of(model)
    if _WITHOUT_THINKING.match(model) or (generation is not None and generation < (2, 5)):
        return None
    is_pro = "-pro" in model
    if generation is not None and generation < (3, 0):
        budget = None if wanted == "none" and is_pro else _BUDGETS.get(wanted)
        return None if budget is None else ("thinkingBudget", budget)
    if is_pro and wanted == "minimal":
        wanted = "low"
    return ("thinkingLevel", wanted) if wanted in _LEVELS else None


def searches_by_prompt(model: str) -> bool:
    """Whether a search is billed once a call, as before Gemini 3, and not by what is looked for."""
    generation = generation_of(model)
    return generation is not None and generation < (3, 0)

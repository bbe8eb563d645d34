"""Which members of a Responses request a model answers 400 to.

Protocol facts: reasoning models have fixed sampling; models that do not reason refuse to be told how much they should
(shared/openai_models.py), and how many words to make. Of models that are not OpenAI's nothing is known, and nothing is left out.
"""

from typing import Final

from proxy.wires.shared.openai_models import has_fixed_sampling, refuses_effort

_SAMPLING: Final = ("temperature", "top_p", "top_logprobs")
_EFFORT: Final = ("reasoning",)


def refused_members(model: str) -> tuple[str, ...]:
    """The members this model answers 400 to."""
    sampling: tuple[str, ...] = _SAMPLING if has_fixed_sampling(model) else ()
    return sampling + _EFFORT if refuses_effort(model) else sampling

"""What becomes of a caller's `thinking` and effort under the model and the output bound of a version.

Protocol facts: `thinking.budget_tokens` is at least 1,024 and below `max_tokens`; which kinds a model knows is model_rules.py.
What is changed is named, so that the run can say so.

Decision: a budget that no longer fits becomes half of the bound, since a model that may think up to the bound has nothing left to
answer with. A bound that has no room for the least budget and as much again for the answer leaves thinking out.
"""

from typing import Any, Final

import msgspec

from proxy.wires.anthropic_messages.model_rules import takes_adaptive, takes_budget, takes_effort
from proxy.wires.json.edits import MemberEdits
from proxy.wires.json.members import parse_members
from proxy.wires.json.values import decode

_LEAST_BUDGET_TOKENS: Final = 1024
_MEMBER: Final = "thinking"
_BUDGET: Final = "budget_tokens"


class _Thinking(msgspec.Struct):
    type: Any = None
    budget_tokens: Any = None


_thinking: msgspec.json.Decoder[_Thinking] = msgspec.json.Decoder(_Thinking)


def fit_to_model(edits: MemberEdits, model: str) -> tuple[str, ...]:
    """Let the caller's thinking be of a kind the version's model knows; what was left out for it. Raises BadInput(`wrong_kind`)."""
    dropped: tuple[str, ...] = ()
    thinking = _given(edits)
    if thinking is not None and thinking.type == "enabled" and not takes_budget(model):
        _set(edits, "type", b'"adaptive"')
        dropped = ("thinking.budget_tokens",)
    elif thinking is not None and thinking.type == "adaptive" and not takes_adaptive(model):
        edits.remove(_MEMBER)
        dropped = ("thinking",)
    output = edits.given("output_config")
    if output is not None and not takes_effort(model):
        inside = MemberEdits(parse_members(output, "output_config"))
        if inside.has("effort"):
            inside.remove("effort")
            edits.set("output_config", inside.render())
            dropped += ("output_config.effort",)
    return dropped


def fit_to_bound(edits: MemberEdits, bound: int) -> tuple[str, ...]:
    """Let a thinking budget fit below the output bound in tokens; what was changed for it. Raises BadInput(`wrong_kind`)."""
    thinking = _given(edits)
    budget = None if thinking is None or thinking.type != "enabled" else thinking.budget_tokens
    if not isinstance(budget, int) or budget < bound:
        return ()
    if bound < 2 * _LEAST_BUDGET_TOKENS:
        edits.remove(_MEMBER)
        return (_MEMBER,)
    _set(edits, _BUDGET, b"%d" % (bound // 2))
    return ("thinking.budget_tokens",)


def _given(edits: MemberEdits) -> _Thinking | None:
    raw = edits.given(_MEMBER)
    return None if raw is None else decode(raw, _thinking, _MEMBER, "an object")


def _set(edits: MemberEdits, name: str, value: bytes) -> None:
    """Change a member of `thinking`; one that is not `enabled` any more has no budget."""
    inside = MemberEdits(parse_members(edits.given(_MEMBER) or b"{}", _MEMBER))
    inside.set(name, value)
    if name == "type":
        inside.remove(_BUDGET)
    edits.set(_MEMBER, inside.render())

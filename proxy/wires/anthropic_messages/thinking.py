"""What becomes of a caller's `thinking`, and of what does not go with it, under the model and the output bound of a version.

Protocol facts: `thinking.budget_tokens` is at least 1,024 and below `max_tokens`; which kinds a model knows is model_rules.py.
What is changed is named, so that the run can say so.

Decision: a budget that no longer fits becomes half of the bound, since a model that may think up to the bound has nothing left to
answer with. A bound that has no room for the least budget and as much again for the answer leaves thinking out.
"""

from collections.abc import Container
from typing import Any, Final

import msgspec

from proxy.wires.anthropic_messages.model_rules import (
    fitting_effort,
    is_known,
    takes_adaptive,
    takes_budget,
    takes_effort,
    takes_format,
    takes_one_of_both,
)
from proxy.wires.json.edits import MemberEdits
from proxy.wires.json.members import parse_members
from proxy.wires.json.values import decode, json_text
from proxy.wires.shared.version_parts import TEXT, drop_members

_LEAST_BUDGET_TOKENS: Final = 1024
_MEMBER: Final = "thinking"
_THINKS: Final = ("enabled", "adaptive")
_NOT_BESIDE_THINKING: Final = ("temperature", "top_p", "top_k")
#: What is as if nothing had been said.
_ORDINARY: Final = (b"1", b"1.0")
#: Choices that order the use of a tool.
_FORCING: Final = ("any", "tool")
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
    return dropped + _fit_output(edits, model)


def _fit_output(edits: MemberEdits, model: str) -> tuple[str, ...]:
    output = edits.given("output_config")
    if output is None:
        return ()
    dropped: tuple[str, ...] = ()
    inside = MemberEdits(parse_members(output, "output_config"))
    if inside.has("effort"):
        raw = inside.given("effort")
        effort = None if raw is None else decode(raw, TEXT, "output_config.effort", "a text")
        if not takes_effort(model):
            inside.remove("effort")
            dropped = ("output_config.effort",)
        elif effort is not None and (fitting := fitting_effort(model, effort)) != effort:
            inside.set("effort", json_text(fitting))
            dropped = ("output_config.effort",)
    if inside.has("format") and not takes_format(model):
        inside.remove("format")
        dropped += ("output_config.format",)
    if dropped:
        edits.set("output_config", inside.render())
    return dropped


def fit_together(edits: MemberEdits, model: str, ours: Container[str]) -> tuple[str, ...]:
    """Let sampling, choice of tools and thinking be such as go together; what was left out for it. `ours`: neutral names of what the
    version sets. Raises BadInput(`wrong_kind`)."""
    dropped: tuple[str, ...] = ()
    thinking = _given(edits) if edits.has(_MEMBER) and is_known(model) else None
    if thinking is not None and thinking.type in _THINKS:
        refused = [name for name in _NOT_BESIDE_THINKING if bytes(edits.given(name) or b"1") not in _ORDINARY]
        if "tool_choice" in ours and _forces_tool(edits):
            refused.append("tool_choice")
        dropped = drop_members(edits, refused)
    if edits.has("temperature") and edits.has("top_p") and takes_one_of_both(model):
        # The version's own stays.
        given = "temperature" if "top_p" in ours and "temperature" not in ours else "top_p"
        dropped += drop_members(edits, (given,))
    return dropped


def _forces_tool(edits: MemberEdits) -> bool:
    raw = edits.given("tool_choice")
    return raw is not None and decode(raw, _thinking, "tool_choice", "an object").type in _FORCING


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

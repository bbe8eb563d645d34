"""Under which names a request offers tools, beside the one name that each tool in its list goes by, and which models it brings beside the
one that it asks.

Belongs here: what servers of tools are allowed to bring, tools that stand outside of the list, and the types of a provider's own tools
without their date. A switch that names any of these stops the call. Does not belong here: the names themselves, in order, by which tools
are merged (version_parts.py), and what a wire alone nests (openai_responses/request.py).

A server of tools that says not which of its tools it may bring is known by its own name alone.
"""

from typing import Any, Final

import msgspec

from proxy.core.versions.tool_labels import (
    BRINGING_MEMBERS,
    NAMING_MEMBERS,
    SEARCH,
    SEARCH_MEMBER,
    labels_in,
    models_in,
    without_issue,
)
from proxy.wires.json.members import JsonMembers
from proxy.wires.json.values import wrong_kind
from proxy.wires.shared.large_answers import has_too_many_parts
from proxy.wires.shared.version_parts import labels_of_tools

#: Only of tools among which one of these stands more is read than names.
MARKS: Final = (b'"allowed_tools"', b'"mcp_')
_SERVERS: Final = "mcp_servers"
#: Members that say which tool is to be used, of those that are offered, or of what the provider has stored or brings itself.
_CHOOSING: Final = ("tool_choice", "function_call")
_OFFERING: Final = frozenset({*NAMING_MEMBERS, SEARCH_MEMBER})
_BRINGING: Final = frozenset(BRINGING_MEMBERS)
#: Only where this stands an item may name a model.
MODEL_MARK: Final = b'"model"'
_NO_NAMES: Final[frozenset[str]] = frozenset()
_anything: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder()


def offered_tools(members: JsonMembers) -> frozenset[str]:
    """All names of tools that a body offers. Raises BadInput(`wrong_kind`) for tools that are none."""
    values = members.values
    if _OFFERING.isdisjoint(values):
        return _NO_NAMES
    names: list[str] = []
    if "tools" in values:
        names += labels_of_tools(members.given("tools"))
    if "functions" in values:
        names += labels_of_tools(members.given("functions"), "functions")
    if SEARCH_MEMBER in values:
        names.append(SEARCH)
    if any(members.may_mention("tools", mark) for mark in MARKS):
        names += _labels_in(members, "tools")
    for member in (_SERVERS, *_CHOOSING):
        if member in values:
            names += _labels_in(members, member)
    return frozenset((*names, *without_issue(names)))


def further_models(members: JsonMembers) -> frozenset[str]:
    """The models that a body brings beside the one it asks. Raises BadInput(`wrong_kind`) for a list that takes too long to read."""
    values = members.values
    if _BRINGING.isdisjoint(values):
        return _NO_NAMES
    names: list[str] = []
    for member in BRINGING_MEMBERS:
        if member in values and members.may_mention(member, MODEL_MARK):
            names += models_in(_decoded(members, member))
    return frozenset(names)


def _labels_in(members: JsonMembers, member: str) -> list[str]:
    return labels_in(_decoded(members, member))


def _decoded(members: JsonMembers, member: str) -> Any:
    """A member's value; None where it is not there or no JSON."""
    raw = members.given(member)
    if raw is None:
        return None
    if has_too_many_parts(bytes(raw)):
        # What cannot be looked through in time may offer anything.
        raise wrong_kind(member, "one of fewer parts")
    try:
        return _anything.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None

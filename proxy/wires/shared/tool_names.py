"""Under which names a request offers tools, beside the one name that each tool in its list goes by.

Belongs here: what servers of tools are allowed to bring, tools that stand outside of the list, and the types of a provider's own tools
without their date. A switch that names any of these stops the call. Does not belong here: the names themselves, in order, by which tools
are merged (version_parts.py), and what a wire alone nests (openai_responses/request.py).

A server of tools that says not which of its tools it may bring is known by its own name alone.
"""

import re
from typing import Any, Final, cast

import msgspec

from proxy.wires.json.members import JsonMembers
from proxy.wires.json.values import wrong_kind
from proxy.wires.shared.large_answers import has_too_many_parts
from proxy.wires.shared.version_parts import names_of_tools

#: How the type of a provider's own tool ends: the date of its issue.
_DATE: Final = re.compile(r"_(?:\d{8}|\d{4}_\d{2}_\d{2})\Z")
#: Only of tools among which one of these stands more is read than names.
MARKS: Final = (b'"allowed_tools"', b'"mcp_')
_SERVERS: Final = "mcp_servers"
#: A tool of the provider's that a member of its own asks for.
_SEARCH_MEMBER: Final = "web_search_options"
_SEARCH: Final = "web_search"
#: Members that offer tools.
_OFFERING: Final = frozenset({"tools", "functions", _SEARCH_MEMBER, _SERVERS})
_NO_NAMES: Final[frozenset[str]] = frozenset()
_anything: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder()


def offered_tools(members: JsonMembers) -> frozenset[str]:
    """All names of tools that a body offers. Raises BadInput(`wrong_kind`) for tools that are none."""
    values = members.values
    if _OFFERING.isdisjoint(values):
        return _NO_NAMES
    names: list[str] = []
    if "tools" in values:
        names += names_of_tools(members.given("tools"))
        names += [undated for name in names if (undated := _DATE.sub("", name)) != name]
    if "functions" in values:
        names += names_of_tools(members.given("functions"), "functions")
    if _SEARCH_MEMBER in values:
        names.append(_SEARCH)
    if any(members.may_mention("tools", mark) for mark in MARKS):
        names += _names_at_servers(members, "tools")
    if _SERVERS in values:
        names += _names_at_servers(members, _SERVERS)
    return frozenset(names)


def _names_at_servers(members: JsonMembers, member: str) -> list[str]:
    raw = members.given(member)
    if raw is None:
        return []
    if has_too_many_parts(bytes(raw)):
        # What cannot be looked through in time may offer anything.
        raise wrong_kind(member, "a list of fewer parts")
    try:
        holders = _anything.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return []
    names: list[Any] = []
    for holder in _dictionaries(holders):
        names += [holder.get("name"), holder.get("mcp_server_name")]
        for place in (holder, *_dictionaries([holder.get("tool_configuration")])):
            allowed = place.get("allowed_tools")
            if isinstance(allowed, dict):
                allowed = cast("dict[str, Any]", allowed).get("tool_names")
            names += cast("list[Any]", allowed) if isinstance(allowed, list) else []
        if isinstance(configs := holder.get("configs"), dict):
            names += cast("dict[str, Any]", configs)
    return [name for name in names if isinstance(name, str) and name]


def _dictionaries(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        return []
    return [cast("dict[str, Any]", item) for item in cast("list[Any]", value) if isinstance(item, dict)]

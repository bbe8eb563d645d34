"""What changed in a version's tools: compared by name, then field by field of the definition (`tools.lookup.parameters…`).

Counterpart: components.py, which says what a tool's name is. The same name twice is told apart as `lookup#2`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from proxy.core.versions.components import tool_name
from proxy.core.versions.field_diff import FieldChange, joined, member_changes, value_changes

Tool = Mapping[str, Any]


def tools_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[FieldChange]:
    """The differences of two tools components in their normal form (`mode`, `items`)."""
    yield from value_changes("tools.mode", before["mode"], after["mode"])
    old, new = _by_name(before["items"]), _by_name(after["items"])
    for name, tool in old.items():
        place = joined("tools", name)
        if name in new:
            yield from _definition_changes(place, tool, new[name])
        else:
            yield FieldChange(place, "removed", tool, None)
    for name, tool in new.items():
        if name not in old:
            yield FieldChange(joined("tools", name), "added", None, tool)
    order_before = [name for name in old if name in new]
    order_after = [name for name in new if name in old]
    if order_before != order_after:
        yield FieldChange("tools.order", "changed", order_before, order_after)


def _by_name(items: Sequence[Tool]) -> dict[str, Tool]:
    found: dict[str, Tool] = {}
    for item in items:
        name = tool_name(item) or "unnamed"
        place, occurrence = name, 1
        while place in found:
            occurrence += 1
            place = f"{name}#{occurrence}"
        found[place] = item
    return found


def _definition_changes(path: str, before: Tool, after: Tool) -> Iterator[FieldChange]:
    if _is_wrapped(before) and _is_wrapped(after):
        # One form keeps the definition in `function`; the wrapping says nothing to a reader.
        yield from member_changes(path, _unwrapped(before), _unwrapped(after))
    else:
        yield from member_changes(path, before, after)


def _is_wrapped(tool: Tool) -> bool:
    function = tool.get("function")
    # A member on both levels would hide one of the two, so such a definition is compared as it stands.
    return isinstance(function, dict) and set(tool).isdisjoint(cast("dict[str, Any]", function))


def _unwrapped(tool: Tool) -> dict[str, Any]:
    return {**tool["function"], **{key: value for key, value in tool.items() if key != "function"}}

"""A version's tools are known by every name they go by, wherever the version says them."""

from typing import Any

import pytest

from proxy.core.versions.components import parse_bundle
from proxy.core.versions.tool_labels import labels_of_version


def labels(tools: Any = (), **parameters: Any) -> frozenset[str]:
    content: dict[str, Any] = {"tools": {"items": list(tools)}, "model": {"parameters": parameters}}
    return labels_of_version(parse_bundle(content))


@pytest.mark.parametrize(
    ("tool", "expected"),
    [
        ({"name": "pay", "parameters": {"properties": {"name": {"type": "x"}}}}, {"pay"}),
        ({"type": "function", "function": {"name": "pay"}}, {"pay"}),
        ({"type": "web_search_20250305", "name": "search"}, {"search", "web_search_20250305", "web_search"}),
        ({"type": "web_search_preview"}, {"web_search_preview", "web_search"}),
        ({"type": "mcp", "server_label": "crm", "connector_id": "c", "allowed_tools": ["pay"]}, {"crm", "c", "pay"}),
        ({"type": "mcp_toolset", "mcp_server_name": "crm", "configs": {"pay": {}}}, {"crm", "pay"}),
    ],
)
def test_a_definition_has_all_its_names(tool: dict[str, Any], expected: set[str]) -> None:
    assert labels([tool]) == expected


def test_a_choice_and_raw_members_of_the_wire_name_tools_too() -> None:
    assert labels(tool_choice="pay") == {"pay"}
    assert labels(tool_choice={"default": "auto"}) == frozenset()
    assert labels(tool_choice={"type": "function", "function": {"name": "pay"}}) == {"pay"}
    assert labels(extra={"web_search_options": {}}) == {"web_search"}
    assert labels(extra={"mcp_servers": [{"type": "url", "name": "crm"}]}) == {"crm"}
    assert labels(extra={"functions": [{"name": "pay"}], "user": "x"}) == {"pay"}

"""Every name under which a request offers tools is seen, in the shapes of every wire, so that a switch on a tool stops it."""

import json
from typing import Any

import pytest

from proxy.wires.anthropic_messages.wire import AnthropicMessages
from proxy.wires.openai_chat.wire import OpenAIChat
from proxy.wires.openai_responses.wire import OpenAIResponses
from proxy.wires.passed_bodies import read_passed
from proxy.wires.wire import Wire

CHAT, CLAUDE, RESPONSES = OpenAIChat(), AnthropicMessages(), OpenAIResponses()
CONVERSATION: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
INPUT: dict[str, Any] = {"model": "m", "input": "hi"}


def names(wire: Wire, **members: Any) -> frozenset[str]:
    body = json.dumps((INPUT if wire is RESPONSES else CONVERSATION) | members).encode()
    passed = read_passed(body, wire.family)
    assert passed is not None
    for _ in range(5):  # bodies that are alike
        read = wire.read(body).tool_names
    assert read == passed.tool_names
    return read


@pytest.mark.parametrize(
    ("wire", "members"),
    [
        (CHAT, {"tools": [{"type": "custom", "custom": {"name": "look"}}]}),
        (CHAT, {"tools": [{"type": "function", "function": {"name": "a"}}, {"type": "function", "function": {"name": "look"}}]}),
        (CHAT, {"functions": [{"name": "look"}]}),
        (RESPONSES, {"tools": [{"type": "custom", "name": "look"}]}),
        (RESPONSES, {"tools": [{"type": "mcp", "server_label": "look"}]}),
        (RESPONSES, {"tools": [{"type": "mcp", "server_label": "s", "allowed_tools": ["a", "look"]}]}),
        (RESPONSES, {"tools": [{"type": "mcp", "server_label": "s", "allowed_tools": {"tool_names": ["look"]}}]}),
        (RESPONSES, {"tools": [{"type": "look_2025_03_11"}]}),
        (CLAUDE, {"tools": [{"name": "look", "input_schema": {}}]}),
        (CLAUDE, {"tools": [{"type": "look_20250305"}]}),
        (CLAUDE, {"mcp_servers": [{"type": "url", "url": "u", "name": "look"}]}),
        (CLAUDE, {"mcp_servers": [{"name": "s", "tool_configuration": {"allowed_tools": ["look"]}}]}),
        (CLAUDE, {"tools": [{"type": "mcp_toolset", "mcp_server_name": "look"}]}),
        (CLAUDE, {"tools": [{"type": "mcp_toolset", "mcp_server_name": "s", "configs": {"look": {"enabled": True}}}]}),
    ],
)  # fmt: skip
def test_a_tool_is_seen_wherever_its_name_stands(wire: Wire, members: dict[str, Any]) -> None:
    assert "look" in names(wire, **members)


def test_a_search_that_is_asked_for_by_a_member_of_its_own_is_a_tool() -> None:
    assert names(CHAT, web_search_options={}) == {"web_search"}


@pytest.mark.parametrize(
    "odd", [[], [{"type": "mcp", "allowed_tools": 7}], [{"type": "mcp", "allowed_tools": [7, None]}]]
)
def test_what_names_no_tool_is_none(odd: list[Any]) -> None:
    assert names(RESPONSES, tools=odd) <= {"mcp"}


def test_a_text_that_reads_like_a_tool_is_none() -> None:
    assert names(CHAT, user='"allowed_tools": ["look"], "mcp_servers"') == frozenset()

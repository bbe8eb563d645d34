"""Every name under which a request offers tools is seen, in the shapes of every wire, so that a switch on a tool stops it."""

import json
import re
from typing import Any

import pytest

from proxy.core.errors import BadInput
from proxy.core.steps import at_once
from proxy.wires.anthropic_messages.wire import AnthropicMessages
from proxy.wires.json.escapes import may_spell_names
from proxy.wires.openai_chat.wire import OpenAIChat
from proxy.wires.openai_responses.wire import OpenAIResponses
from proxy.wires.passed_bodies import read_passed
from proxy.wires.wire import NO_HEAD, Wire

CHAT, CLAUDE, RESPONSES = OpenAIChat(), AnthropicMessages(), OpenAIResponses()
CONVERSATION: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
INPUT: dict[str, Any] = {"model": "m", "input": "hi"}


def escaped(document: bytes, written: str = "\\u{:04x}") -> bytes:
    """The same document with every letter, digit and underscore of its texts and names as an escape."""

    def spelled(text: re.Match[bytes]) -> bytes:
        return b"".join(b"%c" % byte if byte in b'-. "' else written.format(byte).encode() for byte in text[0])

    return re.sub(rb'"[^"]*"', spelled, document)


def names(wire: Wire, **members: Any) -> frozenset[str]:
    return names_in(json.dumps((INPUT if wire is RESPONSES else CONVERSATION) | members).encode(), wire)


def names_in(body: bytes, wire: Wire) -> frozenset[str]:
    passed = read_passed(body, wire.family)
    assert passed is not None
    for _ in range(5):  # bodies that are alike
        read = wire.read(body).tool_names
    assert read == passed.tool_names
    return read


OFFERED = pytest.mark.parametrize(
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
        (RESPONSES, {"tools": [{"type": "mcp", "server_label": "s", "connector_id": "look"}]}),
        (RESPONSES, {"tools": [{"type": "look", "name": "other"}]}),
        (RESPONSES, {"tool_choice": {"type": "function", "name": "look"}}),
        (RESPONSES, {"tool_choice": {"type": "custom", "name": "look"}}),
        (RESPONSES, {"tool_choice": {"type": "look"}}),
        (RESPONSES, {"tool_choice": {"type": "look_2025_08_26"}}),
        (RESPONSES, {"tool_choice": {"type": "mcp", "server_label": "look"}}),
        (RESPONSES, {"tool_choice": {"type": "mcp", "server_label": "s", "name": "look"}}),
        (RESPONSES, {"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp", "server_label": "look"}]}}),
        (RESPONSES, {"tool_choice": {"type": "allowed_tools", "tools": [{"type": "function", "name": "a"}, {"type": "look"}]}}),
        (CHAT, {"tool_choice": {"type": "function", "function": {"name": "look"}}}),
        (CHAT, {"tool_choice": {"type": "custom", "custom": {"name": "look"}}}),
        (
            CHAT,
            {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"tools": [{"type": "function", "function": {"name": "look"}}]}}},
        ),
        (CHAT, {"tool_choice": "look"}),
        (CHAT, {"function_call": {"name": "look"}}),
        (CLAUDE, {"tool_choice": {"type": "tool", "name": "look"}}),
        (CLAUDE, {"tools": [{"type": "look_20250305", "name": "other"}]}),
        (CLAUDE, {"tools": [{"name": "look", "input_schema": {}}]}),
        (CLAUDE, {"tools": [{"type": "look_20250305"}]}),
        (CLAUDE, {"mcp_servers": [{"type": "url", "url": "u", "name": "look"}]}),
        (CLAUDE, {"mcp_servers": [{"name": "s", "tool_configuration": {"allowed_tools": ["look"]}}]}),
        (CLAUDE, {"tools": [{"type": "mcp_toolset", "mcp_server_name": "look"}]}),
        (CLAUDE, {"tools": [{"type": "mcp_toolset", "mcp_server_name": "s", "configs": {"look": {"enabled": True}}}]}),
    ],
)  # fmt: skip


@OFFERED
def test_a_tool_is_seen_wherever_its_name_stands(wire: Wire, members: dict[str, Any]) -> None:
    assert "look" in names(wire, **members)


@OFFERED
@pytest.mark.parametrize("written", ["\\u{:04x}", "\\u{:04X}"])
def test_a_tool_is_seen_however_its_name_and_what_offers_it_are_spelled(
    wire: Wire, members: dict[str, Any], written: str
) -> None:
    plain = json.dumps((INPUT if wire is RESPONSES else CONVERSATION) | members).encode()
    body = escaped(plain, written)
    assert json.loads(body) == json.loads(plain)
    assert names_in(body, wire) == names_in(plain, wire)


@pytest.mark.parametrize(
    "members",
    [
        {"tools": [{"type": "namespace", "name": "crm", "tools": [{"type": "function", "name": "look"}]}]},
        {"input": [{"type": "additional_tools", "tools": [{"type": "function", "name": "look"}]}]},
        {"input": [{"type": "tool_search_output", "call_id": "c", "tools": [{"type": "mcp", "server_label": "look"}]}]},
    ],
)
def test_a_tool_inside_of_another_or_in_the_conversation_is_seen_however_it_is_spelled(members: dict[str, Any]) -> None:
    body = escaped(json.dumps(INPUT | members).encode())
    assert "look" in RESPONSES.read(body).tool_names
    assert "look" in at_once(RESPONSES.read_in_steps(body, NO_HEAD)).tool_names


def test_one_letter_that_is_an_escape_hides_no_tool() -> None:
    for letter in "allowed_tools":
        mark = '"' + "allowed_tools".replace(letter, f"\\u{ord(letter):04x}") + '"'
        tools = '[{"type":"mcp","server_label":"s",' + mark + ':["look"]}]'
        body = b'{"model":"m","input":"hi","tools":' + tools.encode() + b"}"
        assert "look" in RESPONSES.read(body).tool_names
        assert RESPONSES.read(body).tool_names == at_once(RESPONSES.read_in_steps(body, NO_HEAD)).tool_names


def test_texts_whose_escapes_spell_no_name_are_not_looked_through() -> None:
    text = "é <b>&\x00\x1b\x7f</b> 中"
    for written in (json.dumps(text), json.dumps(text).replace("<", "\\u003c").replace(">", "\\u003E")):
        body = b'{"model":"m","input":[{"role":"user","content":%b}]}' % written.encode()
        start = body.index(b'"input"')
        assert not may_spell_names(body, start, len(body))


def test_a_search_that_is_asked_for_by_a_member_of_its_own_is_a_tool() -> None:
    assert names(CHAT, web_search_options={}) == {"web_search"}


@pytest.mark.parametrize(
    "odd", [[], [{"type": "mcp", "allowed_tools": 7}], [{"type": "mcp", "allowed_tools": [7, None]}]]
)
def test_what_names_no_tool_is_none(odd: list[Any]) -> None:
    assert names(RESPONSES, tools=odd) <= {"mcp"}


def test_a_text_that_reads_like_a_tool_is_none() -> None:
    assert names(CHAT, user='"allowed_tools": ["look"], "mcp_servers"') == frozenset()


@pytest.mark.parametrize(
    "word", ["auto", "none", "required", "AUTO", None, 7, [], {}, {"type": "auto"}, {"type": ["x"]}]
)
def test_a_choice_that_names_no_tool_is_none(word: Any) -> None:
    for wire in (CHAT, RESPONSES, CLAUDE):
        assert names(wire, tool_choice=word) == frozenset()


def test_a_tool_that_came_out_of_its_preview_goes_by_both_names() -> None:
    assert {"web_search", "web_search_preview"} < names(RESPONSES, tools=[{"type": "web_search_preview_2025_03_11"}])
    assert "pay" not in names(RESPONSES, tools=[{"type": "function", "name": "pay_preview"}])


MANY = [{}] * 400_000


@pytest.mark.parametrize(
    ("wire", "members", "param"),
    [
        (RESPONSES, {"tools": [{"type": "mcp_toolset", "configs": MANY}]}, "tools"),
        (RESPONSES, {"mcp_servers": MANY}, "mcp_servers"),
        (CLAUDE, {"mcp_servers": MANY}, "mcp_servers"),
        (CHAT, {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"tools": MANY}}}, "tool_choice"),
        (RESPONSES, {"input": [{"type": "additional_tools", "tools": MANY}]}, "input"),
        (RESPONSES, {"tools": [{"type": "namespace", "tools": MANY}]}, "tools"),
    ],
)
def test_tools_of_too_many_parts_to_be_looked_through_are_refused_and_not_taken_for_none(
    wire: Wire, members: dict[str, Any], param: str
) -> None:
    body = json.dumps((INPUT if wire is RESPONSES else CONVERSATION) | members).encode()
    with pytest.raises(BadInput) as refused:
        at_once(wire.read_in_steps(body, NO_HEAD))
    assert (refused.value.code, refused.value.param) == ("wrong_kind", param)


def test_a_large_body_is_looked_through_for_tools_before_it_is_read_and_with_pauses() -> None:
    item = {"type": "additional_tools", "tools": [{"type": "function", "name": "look"}]}
    body = json.dumps(INPUT | {"input": [{"role": "user", "content": "a" * 900_000}, item]}).encode()
    steps, pauses, read = RESPONSES.read_in_steps(body, NO_HEAD), 0, None
    while read is None:
        try:
            next(steps)
            pauses += 1
        except StopIteration as end:
            read = end.value
    assert read.tool_names == {"look"}
    # Two marks among tools, a namespace, two in the conversation, and what parsing takes.
    assert pauses >= 8

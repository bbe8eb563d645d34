"""What a request may hold is counted before anything is built of it, and a large body is read as a small one."""

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.errors import BadInput
from proxy.core.steps import at_once
from proxy.core.versions.components import parse_bundle
from proxy.wires.anthropic_messages.wire import AnthropicMessages
from proxy.wires.json.counting import has_more_than
from proxy.wires.json.items import LARGE_BYTES
from proxy.wires.openai_chat.wire import OpenAIChat
from proxy.wires.shared.request_bounds import RequestBounds
from proxy.wires.wire import InjectionPlan, Wire
from tests.wires.openai_chat.chat_requests import prompt

BOUNDS = RequestBounds(messages=500, tools=50)
WIRES: list[Wire] = [OpenAIChat(BOUNDS), AnthropicMessages(BOUNDS)]
#: Makes a body large.
FILLING = "x" * (LARGE_BYTES + 1)


def body(**members: Any) -> bytes:
    return json.dumps({"model": "m", "max_tokens": 9, "messages": [], "x": FILLING} | members).encode()


def messages(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": "hi {{}} " * 20} | more] * count


def tools(count: int) -> list[dict[str, Any]]:
    return [
        {"name": f"t{index}", "description": "{" * 100, "input_schema": {"type": "object"}} for index in range(count)
    ]


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
@pytest.mark.parametrize(
    ("inside", "beyond", "code"),
    [
        ({"messages": messages(500)}, {"messages": messages(501)}, "too_many_messages"),
        ({"messages": messages(500)}, {"messages": [{}] * 30_000}, "too_many_messages"),
        ({"tools": tools(50)}, {"tools": tools(2_000)}, "too_many_tools"),
        ({"tools": tools(50)}, {"tools": [{}] * 30_000}, "too_many_tools"),
    ],
)
def test_a_list_beyond_its_bound_is_refused_by_name(
    wire: Wire, inside: dict[str, Any], beyond: dict[str, Any], code: str
) -> None:
    assert wire.read(body(**inside)).model == at_once(wire.read_in_steps(body(**inside))).model == "m"
    for read in (wire.read, lambda sent: at_once(wire.read_in_steps(sent))):
        with pytest.raises(BadInput) as refusal:
            read(body(**beyond))
        assert (refusal.value.code, refusal.value.status, refusal.value.param) == (
            code,
            400,
            code.removeprefix("too_many_"),
        )


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b'{"model":"m",' + b",".join(b'"k%d":1' % index for index in range(30_000)) + b"}", "too_many_members"),
        (b"{" + b",".join([b'"a":1'] * 30_000) + b"}", "duplicate_key"),
        (b'{"x":"' + FILLING.encode() + b'","' + b"a" * 5_000 + b'":1}', "malformed_json"),
        (b'{"x":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "too_deeply_nested"),
        (b'{"x":"' + FILLING.encode(), "malformed_json"),
        (b'["' + FILLING.encode() + b'"]', "body_must_be_object"),
        (b'{"x":"' + FILLING.encode() + b'\xff"}', "malformed_json"),
        (b'{"model":"a","x":"' + FILLING.encode() + b'","model":"b"}', "duplicate_key"),
        (b'{"switchback":{"x":"' + FILLING.encode() * 5 + b'"}}', "wrong_kind"),
    ],
)
def test_a_large_body_is_refused_as_a_small_one(sent: bytes, code: str) -> None:
    for wire in WIRES:
        with pytest.raises(BadInput) as refusal:
            wire.read(sent)
        assert refusal.value.code == code
        with pytest.raises(BadInput) as refusal:
            at_once(wire.read_in_steps(sent))
        assert refusal.value.code == code


@pytest.mark.parametrize("name", ["messages", "tools"])
def test_nothing_is_built_of_a_hostile_list(name: str) -> None:
    sent = f'{{"{name}":['.encode() + b",".join([b'{"role":"system","content":"x"}'] * 400_000) + b"]}"
    tracemalloc.start()
    try:
        with pytest.raises(BadInput):
            OpenAIChat().read(sent)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # The list is copied for counting; its objects would take ten times as much.
    assert peak < 2 * len(sent)


roles = st.sampled_from(["system", "developer", "user", "assistant"])
contents = st.one_of(
    st.text(max_size=20),
    st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": st.text(max_size=9)}), max_size=3),
)
conversations = st.lists(st.fixed_dictionaries({"role": roles, "content": contents}), max_size=8)


@given(
    conversations,
    st.sampled_from(["replace", "append", "prepend", "if_absent"]),
    st.sampled_from([(",", ":"), (", ", ": ")]),
)
@settings(max_examples=150)
def test_a_prompt_goes_into_a_large_conversation_as_into_a_small_one(
    conversation: list[dict[str, Any]], mode: str, separators: tuple[str, str]
) -> None:
    wire, plan = OpenAIChat(), InjectionPlan(bundle=parse_bundle(prompt(mode)))
    small = {"model": "m", "messages": [*conversation, {"role": "user", "content": "last"}]}
    large = {"model": "m", "messages": [*conversation, {"role": "user", "content": FILLING}]}
    found = []
    for document in (small, large):
        sent = json.dumps(document, separators=separators).encode()
        found.append(json.loads(wire.inject(at_once(wire.read_in_steps(sent)), plan).body)["messages"][:-1])
    assert found[0] == found[1]


@pytest.mark.parametrize("text", ['}, {"role": "user"', '"},{"role":"user","content":"', '}],{"role":"tool"'])
@pytest.mark.parametrize("mode", ["replace", "append"])
def test_a_system_text_that_looks_like_the_next_message_is_a_text(text: str, mode: str) -> None:
    wire, plan = OpenAIChat(), InjectionPlan(bundle=parse_bundle(prompt(mode)))
    leading = [{"role": "system", "content": text}, {"role": "system", "content": [{"type": "text", "text": text}]}]
    found = []
    for content in ("last", FILLING):
        document = {"model": "m", "messages": [*leading, {"role": "user", "content": content}]}
        sent = json.dumps(document, separators=(",", ":")).encode()
        found.append(json.loads(wire.inject(at_once(wire.read_in_steps(sent)), plan).body)["messages"][:-1])
    assert found[0] == found[1]


@given(st.binary(max_size=60), st.integers(0, 12), st.integers(0, 60), st.integers(0, 60))
def test_counting_up_to_a_bound_agrees_with_counting(data: bytes, most: int, start: int, end: int) -> None:
    assert has_more_than(data, b"a", most, start, end) == (data[start:end].count(b"a") > most)


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
@pytest.mark.parametrize("param", ["messages", "tools"])
def test_what_comes_behind_too_many_is_not_read(wire: Wire, param: str) -> None:
    sent = b'{"model":"m","%b":[' % param.encode() + b'{"a":1},' * 200_000 + b"what is no JSON"
    with pytest.raises(BadInput) as refusal:
        at_once(wire.read_in_steps(sent))
    assert refusal.value.code == f"too_many_{param}"
    assert refusal.value.message == f"the request has more than {500 if param == 'messages' else 50} {param}"

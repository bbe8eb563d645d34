"""A body that is recognised by what surrounds its conversation must fare like one that was never seen before."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.errors import BadInput
from proxy.core.versions.components import Bundle, parse_bundle
from proxy.wires.anthropic_messages.wire import AnthropicMessages
from proxy.wires.openai_chat.wire import OpenAIChat
from proxy.wires.shared.alike_requests import AlikeRequest, KnownBound
from proxy.wires.wire import InjectionPlan, Wire

VERSION = {
    "prompt": {"text": "Ours for {{who}}.", "variables": {"who": {"default": "all"}}},
    "model": {"parameters": {"temperature": 0.2, "stop": {"default": "x"}}},
    "tools": {"mode": "merge", "items": [{"name": "search"}]},
    "policy": {"max_output_tokens": 100},
}
BUNDLE = parse_bundle(VERSION)


def outcome(wire: Wire, body: bytes, bundle: Bundle | None, variables: dict[str, str]) -> Any:
    try:
        request = wire.read(body)
        injection = wire.inject(request, InjectionPlan(bundle=bundle, variables=variables, output_ceiling=500))
    except BadInput as refusal:
        return refusal.code, refusal.param, str(refusal)
    facts = [getattr(request, name) for name in ("claims", "model", "streamed", "choices", "max_output_tokens")]
    decided = [getattr(injection, name) for name in injection.__dataclass_fields__ if name != "document"]
    return facts, decided, wire.input_tokens_bound(injection)


def message(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


conversations = st.lists(
    st.builds(
        message,
        st.sampled_from(["user", "assistant", "user", "system"]),
        st.sampled_from(
            ["hi", "é", 'a"b\\', "", None, [{"type": "text", "text": "x"}], [{"type": "image_url"}], "},{", '"}]']
        ),
    ),
    max_size=3,
)
versions = st.sampled_from([None, "prepend", "append", "if_absent", "replace"]).map(
    lambda mode: None if mode is None else parse_bundle({**VERSION, "prompt": {**VERSION["prompt"], "mode": mode}})
)
others = st.dictionaries(
    st.sampled_from(["model", "stream", "temperature", "tools", "system", "max_tokens", "user", "metadata", "x"]),
    st.sampled_from([None, True, 1, "m", "a" * 9, [], {}, [{"type": "text", "text": "s"}], [{"name": "search"}]]),
    max_size=3,
)


@given(
    st.sampled_from([OpenAIChat, AnthropicMessages]),
    others,
    others,
    st.lists(st.builds(message, st.sampled_from(["system", "developer"]), st.sampled_from(["Be.", "é\n"])), max_size=2),
    st.lists(conversations, min_size=3, max_size=6),
    st.sampled_from([(",", ":"), (", ", ": "), (" , ", ":")]),
    versions,
)
@settings(max_examples=200)
def test_bodies_alike_fare_like_bodies_never_seen(
    kind: type[OpenAIChat] | type[AnthropicMessages],
    before: dict[str, Any],
    after: dict[str, Any],
    leading: list[Any],
    talks: list[list[Any]],
    marks: tuple[str, str],
    bundle: Bundle | None,
) -> None:
    wire = kind()
    for index, talk in enumerate([*talks, *talks]):
        content = {"model": "m", **before, "messages": leading + talk, **after}
        body = json.dumps(content, separators=marks, ensure_ascii=False).encode()
        variables = {"who": "one"} if index % 2 else {}
        assert outcome(wire, body, bundle, variables) == outcome(kind(), body, bundle, variables)


def chat_body(text: str = "hi", **members: Any) -> bytes:
    leading = message("system", "Be kind.")
    content = {"model": "m", "messages": [leading, message("user", text)], **members}
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()


def learnt(wire: Wire, *bodies: bytes) -> Wire:
    """The wire after it has seen the bodies often enough."""
    for body in bodies * 3:
        wire.inject(wire.read(body), InjectionPlan(bundle=BUNDLE))
    return wire


@pytest.mark.parametrize(
    ("wire", "body"),
    [
        (OpenAIChat(), chat_body("%s")),
        (OpenAIChat(), chat_body("%s", tools=[{"type": "function", "function": {"name": "f"}}])),
        (OpenAIChat(), b'{"model": "m", "messages": [{"role": "user", "content": "%s"}], "n": 2}'),
        (AnthropicMessages(), b'{"model":"m","messages":[{"role":"user","content":"%s"}],"system":"s","max_tokens":5}'),
        (
            AnthropicMessages(),
            b'{"model": "m", "system": "s", "max_tokens": 5, "messages": [{"role": "user", "content": "%s"}]}',
        ),
    ],
)
def test_another_conversation_between_the_same_bytes_is_recognised(wire: Wire, body: bytes) -> None:
    learnt(wire, body)
    request = wire.read(body.replace(b"%s", "grüße".encode()))
    assert isinstance(request.document, AlikeRequest)
    bundle = parse_bundle({**VERSION, "model": {"name": "gpt-4o"}})
    plan = InjectionPlan(bundle=bundle, variables={"who": "é"})
    found = [wire.inject(request, plan) for _ in range(3)]
    assert [isinstance(injection.document, KnownBound) for injection in found] == [False, True, True]
    assert len({injection.body for injection in found}) == 1
    assert len({wire.input_tokens_bound(injection) for injection in found}) == 1


@pytest.mark.parametrize(
    "talk",
    [
        b"",
        b" ",
        b'{"role":"user","content":"x"},',
        b'{"role":"user","content":"x"}]',
        b'{"role":"user","content":"\xff"}',
        b'{"role":"user","content":"x"},7',
        b'{"role":"user","content":"x"}],"n":2,"x":[1',
        b'{"role":"user","content":"x"}],"model":"other","x":[1',
        b'{"role":"system","content":"x"}',
        b'{"role":"user","role":"system","content":"x"}',
        b'{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}',
    ],
)
def test_what_is_no_list_of_texts_goes_the_general_way(talk: bytes) -> None:
    body = chat_body()
    wire = learnt(OpenAIChat(), body)
    other = body.replace(b'{"role":"user","content":"hi"}', talk)
    assert outcome(wire, other, BUNDLE, {}) == outcome(OpenAIChat(), other, BUNDLE, {})


def test_calls_that_end_differently_are_recognised_side_by_side() -> None:
    bodies = [chat_body(), chat_body(stream=True), chat_body(tools=[])]
    wire = learnt(OpenAIChat(), *bodies)
    for body in bodies:
        request = wire.read(body)
        assert isinstance(request.document, AlikeRequest)
        assert request.streamed is (b'"stream":true' in body)


def test_what_is_different_with_every_call_is_left_alone() -> None:
    wire = learnt(OpenAIChat(), chat_body())
    for number in range(300):
        body = chat_body(user=f"user-{number}")
        assert wire.read(body).claims.user == f"user-{number}"
        assert not isinstance(wire.read(body).document, AlikeRequest) or number < 10


def test_variables_that_never_come_again_are_filled_in_all_the_same() -> None:
    wire = learnt(OpenAIChat(), chat_body())
    for number in range(200):
        injection = wire.inject(wire.read(chat_body()), InjectionPlan(bundle=BUNDLE, variables={"who": str(number)}))
        assert json.loads(injection.body)["messages"][0]["content"] == f"Ours for {number}."


def test_a_repeated_member_beside_the_conversation_is_refused_every_time() -> None:
    wire = OpenAIChat()
    body = chat_body()[:-1] + b',"model":"other"}'
    for _ in range(5):
        with pytest.raises(BadInput) as refusal:
            wire.read(body)
        assert refusal.value.code == "duplicate_key"


def test_a_body_that_stays_as_it_is_is_passed_on_as_the_same_object() -> None:
    wire = OpenAIChat()
    for _ in range(5):
        body = chat_body()
        assert wire.inject(wire.read(body), InjectionPlan(bundle=None)).body is body


def test_large_bodies_are_never_remembered() -> None:
    body = chat_body("x" * 100_000)
    assert not isinstance(learnt(OpenAIChat(), body).read(body).document, AlikeRequest)
    long_prompt = json.dumps(
        {"messages": [message("system", "x" * 20_000), message("user", "x")], "model": "m"}
    ).encode()
    assert not isinstance(learnt(OpenAIChat(), long_prompt).read(long_prompt).document, AlikeRequest)

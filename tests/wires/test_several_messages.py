"""Prompts of several messages on every wire: golden bytes, and nothing else touched."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.versions.components import parse_bundle
from proxy.wires.anthropic_messages.wire import AnthropicMessages
from proxy.wires.openai_chat.wire import OpenAIChat
from proxy.wires.openai_responses.wire import OpenAIResponses
from proxy.wires.wire import InjectionPlan
from tests.wires.shared.met_requests import Requests

CHAT, MESSAGES, RESPONSES = Requests(OpenAIChat()), Requests(AnthropicMessages()), Requests(OpenAIResponses())

EXAMPLES = [{"role": "user", "text": "Sort: {{thing}}"}, {"role": "assistant", "text": 'It is a "fruit".'}]
E = '{"role":"user","content":"Sort: é\\n"},{"role":"assistant","content":"It is a \\"fruit\\"."}'
VARIABLES = {"thing": "é\n"}
S, D = '{"role":"system","content":"Ours."}', '{"role":"developer","content":"Ours."}'
SYS, DEV = '{"role": "system", "content": "theirs"}', '{"content":[{"type":"text","text":"dev"}],"role":"developer"}'
USER = '{ "role":"user","content":"h\\u00ef" }'


def version(*leading: tuple[str, str], mode: str = "replace", following: list[Any] = EXAMPLES) -> dict[str, Any]:
    messages = [*({"role": role, "text": text} for role, text in leading), *following]
    return {"prompt": {"messages": messages, "mode": mode, "variables": {"thing": {}}}}


OURS = (("system", "Ours."),)


@pytest.mark.parametrize(
    ("mode", "leading", "messages", "expected"),
    [
        ("replace", OURS, f"[{SYS}, {USER}]", f"[{S},{E}, {USER}]"),
        ("replace", OURS, f"[ {DEV},{SYS} , {USER} ]", f"[ {D},{E} , {USER} ]"),
        ("replace", OURS, f"[ {USER},{SYS} ]", f"[ {S},{E},{USER},{SYS} ]"),
        ("replace", OURS, "[]", f"[{S},{E}]"),
        ("replace", OURS, f"[{SYS}]", f"[{S},{E}]"),
        ("replace", (("developer", "Ours."),), f"[{USER}]", f"[{D},{E},{USER}]"),
        ("replace", (("developer", "Ours."),), f"[{SYS},{USER}]", f"[{S},{E},{USER}]"),
        ("replace", (("system", "O"), ("developer", "K")), f"[{USER}]", f'[{{"role":"system","content":"O\\n\\nK"}},{E},{USER}]'),
        ("replace", (), f"[{SYS}, {USER}]", f"[{SYS},{E}, {USER}]"),
        ("replace", (), f"[{USER}]", f"[{E},{USER}]"),
        ("prepend", OURS, f"[{SYS}, {DEV} , {USER}]", f"[{S},{SYS}, {DEV},{E} , {USER}]"),
        ("append", OURS, f"[{SYS}, {DEV} , {USER}]", f"[{SYS}, {DEV},{S},{E} , {USER}]"),
        ("append", OURS, f"[{USER}]", f"[{S},{E},{USER}]"),
        ("if_absent", OURS, f"[{SYS},{USER}]", f"[{SYS},{USER}]"),
        ("if_absent", OURS, f"[{USER}]", f"[{S},{E},{USER}]"),
        ("replace", OURS, f"[{','.join([SYS] * 6)},{USER}]", f"[{S},{E},{USER}]"),
    ],
)  # fmt: skip
def test_on_chat_they_stand_behind_the_system_and_before_the_callers(
    mode: str, leading: tuple[tuple[str, str], ...], messages: str, expected: str
) -> None:
    body = '{"model":"m", "messages": %s ,"x":1e5}'
    assert CHAT.injected(body % messages, version(*leading, mode=mode), variables=VARIABLES) == body % expected


@pytest.mark.parametrize(
    ("mode", "leading", "sent", "expected"),
    [
        ("replace", OURS, f'"messages":[ {USER} ]', f'"messages":[ {E},{USER} ],"system":"Ours."'),
        ("replace", OURS, f'"system":"x","messages":[{USER}]', f'"system":"Ours.","messages":[{E},{USER}]'),
        ("replace", (), f'"system":"x","messages":[{USER}]', f'"system":"x","messages":[{E},{USER}]'),
        ("append", (("system", "A"), ("system", "B")), '"system":"x","messages":[]',
         f'"system":[{{"type":"text","text":"x"}},{{"type":"text","text":"A\\n\\nB"}}],"messages":[{E}]'),
        ("if_absent", OURS, f'"system":"x","messages":[{USER}]', f'"system":"x","messages":[{USER}]'),
    ],
)  # fmt: skip
def test_on_messages_they_stand_before_the_callers(
    mode: str, leading: tuple[tuple[str, str], ...], sent: str, expected: str
) -> None:
    body = '{"model":"m", %s}'
    assert MESSAGES.injected(body % sent, version(*leading, mode=mode), variables=VARIABLES) == body % expected


INSTRUCTIONS = ',"instructions":"Ours."'


@pytest.mark.parametrize(
    ("mode", "leading", "sent", "expected"),
    [
        ("replace", OURS, '"input":"h\\u00ef"', f'"input":[{E},{{"role":"user","content":"h\\u00ef"}}]{INSTRUCTIONS}'),
        ("replace", OURS, f'"input":[ {USER} ]', f'"input":[ {E},{USER} ]{INSTRUCTIONS}'),
        ("replace", OURS, f'"input":[{SYS}, {USER}]', f'"input":[{E},{USER}]{INSTRUCTIONS}'),
        ("replace", OURS, f'"input":[{SYS} ]', f'"input":[{S},{E} ]'),
        ("replace", OURS, '"input":[]', f'"input":[{E}]{INSTRUCTIONS}'),
        ("replace", (), f'"instructions":"T","input":[{SYS}, {USER}]', f'"instructions":"T","input":[{SYS},{E}, {USER}]'),
        ("append", OURS, f'"input":[{SYS} , {USER}]', f'"input":[{SYS},{S},{E} , {USER}]'),
        ("prepend", OURS, f'"input":[{SYS} , {USER}]', f'"input":[{SYS},{E} , {USER}]{INSTRUCTIONS}'),
        ("if_absent", OURS, '"instructions":"T","input":"x"', '"instructions":"T","input":"x"'),
        ("replace", OURS, '"previous_response_id":null,"input":"x"',
         f'"previous_response_id":null,"input":[{E},{{"role":"user","content":"x"}}]{INSTRUCTIONS}'),
    ],
)  # fmt: skip
def test_on_responses_they_are_the_first_items_of_the_input(
    mode: str, leading: tuple[tuple[str, str], ...], sent: str, expected: str
) -> None:
    body = '{"model":"m", %s}'
    assert RESPONSES.injected(body % sent, version(*leading, mode=mode), variables=VARIABLES) == body % expected


def test_a_turn_behind_a_response_that_the_provider_keeps_does_not_bring_them_again() -> None:
    body = '{"model":"m","previous_response_id":"resp_1","input":"and this?"}'
    assert RESPONSES.injected(body, version(*OURS), variables=VARIABLES) == body[:-1] + INSTRUCTIONS + "}"
    body = '{"model":"m","previous_response_id":"resp_1"}'
    expected = f'{body[:-1]}{INSTRUCTIONS},"input":[{E}]}}'
    assert RESPONSES.injected(body, version(*OURS), variables=VARIABLES) == expected


def test_a_prompt_that_a_body_names_by_its_id_may_be_the_whole_turn() -> None:
    body = '{"prompt":{"id":"a"},"model":"m"}'
    assert json.loads(RESPONSES.injected(body, version(*OURS), variables=VARIABLES)) == {
        "model": "m",
        "instructions": "Ours.",
        "input": json.loads(f"[{E}]"),
    }


@pytest.mark.parametrize(
    ("requests", "body", "param"),
    [
        (CHAT, '{"model":"m"}', "messages"),
        (CHAT, '{"model":"m","messages":"x"}', "messages"),
        (MESSAGES, '{"model":"m"}', "messages"),
        (MESSAGES, '{"model":"m","messages":{}}', "messages"),
        (RESPONSES, '{"model":"m","input":7}', "input"),
    ],
)
def test_what_is_no_list_of_messages_is_refused(requests: Requests, body: str, param: str) -> None:
    assert requests.refusal_of(body, version(*OURS), variables=VARIABLES) == ("wrong_kind", param)


@pytest.mark.parametrize("requests", [CHAT, MESSAGES, RESPONSES])
def test_a_missing_value_of_a_message_is_refused(requests: Requests) -> None:
    body = '{"model":"m","messages":[],"input":[]}'
    assert requests.refusal_of(body, version(*OURS)) == ("variable_missing", "variables.thing")


@pytest.mark.parametrize("requests", [CHAT, MESSAGES, RESPONSES])
def test_the_bound_of_a_hold_counts_them(requests: Requests) -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":9}'
    if requests is RESPONSES:
        body = b'{"model":"m","input":"x"}'
    long = version(*OURS, following=[{"role": "user", "text": "word " * 1000}])
    bound = requests.wire.input_tokens_bound(requests.inject(body, long))
    assert bound is not None
    assert bound > 5000 + (requests.bound_of(body) or 0)


def test_long_messages_and_large_requests_are_the_same_in_the_end() -> None:
    long = version(*OURS, following=[{"role": "user", "text": "é" * 40_000 + "{{thing}}"}])
    for padding in (1, 300_000):
        messages = [{"role": "system", "content": "x"}, {"role": "user", "content": "y" * padding}]
        sent = json.dumps({"model": "m", "messages": messages}).encode()
        received = json.loads(CHAT.inject(sent, long, variables={"thing": "!"}).body)["messages"]
        assert received[0]["content"] == "Ours."
        assert received[1]["content"] == "é" * 40_000 + "!"
        assert received[2:] == messages[1:]


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
MADE = st.lists(st.tuples(st.sampled_from(["user", "assistant"]), TEXT.filter(str.strip)), min_size=1, max_size=3)
OTHERS = st.dictionaries(
    TEXT.map(lambda name: "x-" + name), st.none() | st.integers() | TEXT | st.just([1.50, {}]), max_size=3
)


@given(OTHERS, OTHERS, MADE, st.sampled_from([None, 1]), st.sampled_from(["replace", "prepend", "append"]))
@settings(max_examples=100)
def test_what_the_version_does_not_mention_passes_byte_for_byte(
    before: dict[str, Any], after: dict[str, Any], made: list[tuple[str, str]], indent: int | None, mode: str
) -> None:
    following = [
        {"role": role, "text": text.replace("{{", "")} for role, text in made if text.replace("{{", "").strip()
    ]
    plan = InjectionPlan(bundle=parse_bundle(version(("system", "Ours."), mode=mode, following=following)))
    tail = [{"role": "user", "content": "first: é"}, {"role": "assistant", "content": [{"n": 1.50}]}]
    for requests, member in ((CHAT, "messages"), (MESSAGES, "messages"), (RESPONSES, "input")):
        sent = {**before, member: tail, **after, "model": "m"}
        body = json.dumps(sent, indent=indent, ensure_ascii=indent is None).encode()
        for _ in range(4):  # as one that was never seen, and as one that is known by what surrounds its conversation
            answer = requests.wire.inject(requests.wire.read(body), plan).body
            received = json.loads(answer)
            ours = [{"role": message["role"], "content": message["text"]} for message in following]
            leading = [{"role": "system", "content": "Ours."}] if requests is CHAT else []
            assert received[member] == leading + ours + tail
            assert [name for name in received if name in sent] == list(sent)
            first = body.index(b"{", body.index(b'"%b"' % member.encode()))
            assert answer.startswith(body[:first])
            assert body[first : body.rindex(b'"model"')] in answer

"""Large bodies read by their short lists say what they say when they are parsed whole."""

import json
import random
from typing import Any

import pytest

from proxy.core.errors import BadInput
from proxy.core.steps import at_once
from proxy.wires.json.long_lists import shorten_lists
from proxy.wires.json.members import JsonMembers, parse_in_steps, parse_members

MESSAGE = {"role": "user", "content": 'the "customer" wrote },{ again: ' * 60}
CALLS = {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}] * 9}
PARTS = {"role": "user", "content": [{"type": "text", "text": "},{\\n" * 200}, {"type": "text", "text": "é" * 900}]}
MESSAGES = [MESSAGE, CALLS, PARTS] * 400
TOOLS = [{"type": "function", "x": [{"type": "string"}, {"type": "null"}], "y": [{"const": 1}]}] * 50
COMPACT = (",", ":")


def body_of(messages: list[Any], separators: tuple[str, str] = COMPACT, **more: Any) -> bytes:
    return json.dumps({"model": "m", **more, "messages": messages, "n": 1}, separators=separators).encode()


def contents(members: JsonMembers) -> object:
    values = {name: bytes(memoryview(value)) for name, value in members.values.items()}
    return list(members.spans), members.repeated, values


@pytest.mark.parametrize(
    "body",
    [
        body_of(MESSAGES),
        body_of(MESSAGES, (", ", ": ")),
        body_of(MESSAGES, tools=TOOLS),
        body_of([{"a": MESSAGES}, {"a": MESSAGES}]),
        json.dumps({"messages": MESSAGES}, indent=1).encode(),
        json.dumps({"model": "m", "input": ['one, "two", three' * 90, ",", '","'] * 700}).encode(),
        json.dumps({"messages": MESSAGES, "input": MESSAGES}).encode(),
        b'{"messages":%b,"messages":[]}' % json.dumps(MESSAGES).encode(),
    ],
)
def test_short_lists_tell_what_the_whole_tells(body: bytes) -> None:
    shortened = at_once(shorten_lists(body))
    assert shortened is not None
    assert len(shortened.short) < len(body) - 500_000
    assert contents(at_once(parse_in_steps(body))) == contents(parse_members(body))


LONG_LIST = json.dumps(MESSAGES, separators=COMPACT).encode()


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":"%b"}' % LONG_LIST,  # the list stands in a text that ends with its first quote
        b'{"a":"%b' % LONG_LIST[:-1],
        b'{"a":"x %b' % LONG_LIST.replace(b'"', b"'").replace(b"'role'", b'"role"'),
        b'{"a":%b}' % LONG_LIST.replace(b"},{", b"}{"),
        b'{"a":%b}' % LONG_LIST[:-1],
        b'{"a":%b]}' % LONG_LIST,
        b'{"a":%b}' % (LONG_LIST[:1_500_000] + b"\n" + LONG_LIST[1_500_000:]).replace(b"again", b"aga\nin", 9),
        b"{%b:1}" % LONG_LIST,
        # Valid, were what stands for the items allowed in a text.
        b'{"a":"x [%b{",":1}] y":2}' % (b'{",":1},' * 65_537),
        b'{"a":["x"%b}' % (b',"x"' * 300_000),
        b'{"a":["x"%b,]}' % (b',"x"' * 300_000),
        b'{"a":["x%b]}' % (b'","x' * 300_000),
        b'{"a":["%b"]]}' % (b'","x","y"' * 100_000),
        b'{"a":{"x":["y"],"z"%b}}' % (b',"x"' * 300_000),
        LONG_LIST,
        b'{"a":[{"role":1%b}' % (b',{"role":1' * 200_000),
    ],
)
def test_what_is_not_valid_is_refused_as_it_is_when_it_is_parsed_whole(body: bytes) -> None:
    with pytest.raises(BadInput) as short:
        at_once(parse_in_steps(body))
    with pytest.raises(BadInput) as whole:
        parse_members(body)
    assert (short.value.code, short.value.message) == (whole.value.code, whole.value.message)


@pytest.mark.parametrize("body", [body_of([MESSAGE, CALLS] * 260), body_of(["x,", '"', "y" * 900] * 800)])
def test_bytes_changed_at_random_change_nothing_of_that(body: bytes) -> None:
    random_ = random.Random(7)
    for _ in range(40):
        changed = bytearray(body)
        for _ in range(random_.randrange(1, 3)):
            changed[random_.randrange(len(changed))] = random_.choice(b'"\\{}[],:\n\x00a1 u\xff')
        assert outcome(bytes(changed), in_steps=True) == outcome(bytes(changed), in_steps=False)


def outcome(body: bytes, *, in_steps: bool) -> object:
    try:
        members = at_once(parse_in_steps(body)) if in_steps else parse_members(body)
    except BadInput as refusal:
        return refusal.code, refusal.message
    return contents(members)


def test_no_step_of_a_long_conversation_reads_more_than_a_part_of_it() -> None:
    steps = parse_in_steps(body_of(MESSAGES * 2))
    assert sum(1 for _ in steps) > 20

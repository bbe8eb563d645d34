"""Large bodies read by their short form say what they say when they are parsed whole, and nobody waits long for them."""

import json
import random

import pytest

from proxy.core.errors import BadInput
from proxy.core.steps import at_once
from proxy.wires.json.long_texts import shorten
from proxy.wires.json.members import STRUCTURE_BYTES, parse_in_steps, parse_members

LONG = "a" * 300_000
ESCAPED = "line\\n\\u00e9\\\\" * 30_000


def body_of(content: str, before: str = "", behind: str = "") -> bytes:
    return f'{{"model":"m",{before}"messages":[{{"role":"user","content":"{content}"}}],"n":1{behind}}}'.encode()


@pytest.mark.parametrize(
    "body",
    [
        body_of(LONG),
        body_of(ESCAPED),
        body_of("é" * 200_000),
        body_of(LONG + '\\"' + LONG + '\\"'),
        body_of('\\"' + LONG + "\\\\"),
        body_of(LONG, before=f'"user": "{LONG}" , ', behind=f',"a\\u0062":"{ESCAPED}"'),
        body_of("hi", behind=',"ids":[' + ",".join(["1234"] * 60_000) + "]"),
        body_of(LONG, behind=" " * 200_000),
        body_of(LONG, before='"model":"again",'),
        json.dumps({"text": LONG, "list": [LONG, {"deep": LONG}]}, indent=2).encode(),
    ],
)
def test_the_short_form_tells_what_the_whole_tells(body: bytes) -> None:
    short, whole = at_once(parse_in_steps(body)), parse_members(body)
    assert list(short.spans) == list(whole.spans)
    assert short.repeated == whole.repeated
    assert {name: bytes(memoryview(value)) for name, value in short.values.items()} == {
        name: bytes(memoryview(value)) for name, value in whole.values.items()
    }


@pytest.mark.parametrize(
    "body",
    [
        body_of(LONG + "\n" + LONG),
        body_of(LONG + "\\q" + LONG),
        body_of(LONG + "\\u12"),
        body_of(LONG + "\\"),
        body_of(LONG)[:-1],
        body_of(LONG) + b"}",
        b'{"a":' + b"1" * 200_000 + b'b"}',
        b'{"%b":1}' % (b"k" * 200_000),
        b"x" * 300_000,
        b'{"a":"' + b"x" * 300_000,
        body_of(LONG).replace(b"aaaa", b"a\xffaa", 1),
    ],
)
def test_what_is_not_valid_is_refused_as_it_is_without_the_short_form(body: bytes) -> None:
    with pytest.raises(BadInput) as short:
        at_once(parse_in_steps(body))
    with pytest.raises(BadInput) as whole:
        parse_members(body)
    assert (short.value.code, short.value.message) == (whole.value.code, whole.value.message)


def test_bytes_changed_at_random_change_nothing_of_that() -> None:
    random_ = random.Random(7)
    for _ in range(150):
        body = bytearray(body_of(LONG[:90_000] + '\\"' + LONG[:90_000]))
        for _ in range(random_.randrange(1, 3)):
            body[random_.randrange(len(body))] = random_.choice(b'"\\{}[],:\n\x00a1 u\xff')
        assert outcome(bytes(body), in_steps=True) == outcome(bytes(body), in_steps=False)


def outcome(body: bytes, *, in_steps: bool) -> object:
    try:
        members = at_once(parse_in_steps(body)) if in_steps else parse_members(body)
    except BadInput as refusal:
        return refusal.code, refusal.message
    return list(members.spans)


def test_a_text_of_thirty_megabytes_is_parsed_as_a_few_bytes_after_many_pauses() -> None:
    body = body_of("a" * 30_000_000)
    pauses, steps = 0, shorten(body)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            shortened = end.value
            break
        pauses += 1
    assert pauses > 50
    assert shortened is not None
    assert len(shortened.short) < 200


@pytest.mark.parametrize("dense", [b"1,", b" ", b'"a",', b'{"a":1},', b'"%b",' % (b"a" * 1000)])
def test_a_body_of_too_much_beside_long_texts_is_refused(dense: bytes) -> None:
    body = b'{"model":"m","x":[' + dense * (STRUCTURE_BYTES // len(dense) + 1) + b"0]}"
    with pytest.raises(BadInput) as refusal:
        at_once(parse_in_steps(body))
    assert refusal.value.code == "too_much_structure"
    assert at_once(parse_in_steps(body, len(body))).span("x") is not None


def test_texts_that_are_long_are_no_structure() -> None:
    text = "a" * 20_000
    body = json.dumps({"messages": [{"role": "user", "content": text}] * (STRUCTURE_BYTES // len(text) + 1)}).encode()
    assert at_once(parse_in_steps(body)).span("messages") is not None

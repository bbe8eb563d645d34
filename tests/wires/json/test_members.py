import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.errors import BadInput
from proxy.wires.json.edits import MemberEdits
from proxy.wires.json.items import parse_items
from proxy.wires.json.members import MAX_MEMBERS, MAX_NAME, parse_members
from proxy.wires.json.values import spliced

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
names = st.sampled_from(["a", "b", "model", "messages", "é", "", "x\n", '"', "\\", "a b"])
spaces = st.sampled_from(["", " ", "\n\t", "\r\n  "])


@st.composite
def objects(draw: st.DrawFn, *, repeats: bool = False) -> tuple[bytes, list[tuple[str, str]]]:
    """A JSON object as a person or another library might have written it, and its (name, raw value) pairs."""
    pairs = draw(st.lists(st.tuples(names, json_values), max_size=6, unique_by=None if repeats else lambda p: p[0]))
    written: list[tuple[str, str]] = []
    parts: list[str] = []
    for name, value in pairs:
        raw = json.dumps(value, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1])))
        key = json.dumps(name, ensure_ascii=draw(st.booleans()))
        if name and draw(st.booleans()):
            key = '"' + "".join(f"\\u{ord(character):04x}" for character in name) + '"'
        parts.append(f"{draw(spaces)}{key}{draw(spaces)}:{draw(spaces)}{raw}{draw(spaces)}")
        written.append((name, raw))
    inside = ",".join(parts) or draw(spaces)
    return f"{draw(spaces)}{{{inside}}}{draw(spaces)}".encode(), written


@given(objects())
@settings(max_examples=150)
def test_every_member_is_found_with_its_exact_bytes(case: tuple[bytes, list[tuple[str, str]]]) -> None:
    body, written = case
    members = parse_members(body)
    assert [(name, body[start:end].decode()) for name, _, start, end in members.spans] == written
    assert MemberEdits(members).render() is body


@given(objects(repeats=True))
@settings(max_examples=150)
def test_repeated_names_do_not_mislead_the_walk(case: tuple[bytes, list[tuple[str, str]]]) -> None:
    body, written = case
    members = parse_members(body)
    assert [(name, body[start:end].decode()) for name, _, start, end in members.spans] == written
    listed = [name for name, _ in written]
    for name in set(listed):
        if listed.count(name) > 1:
            with pytest.raises(BadInput) as refusal:
                members.given(name)
            assert refusal.value.code == "duplicate_key"
        else:
            raw = dict(written)[name].encode()
            given = members.given(name)
            assert bytes(members.values[name]) == raw
            assert given is None if raw == b"null" else given is not None and bytes(given) == raw


@given(objects(), st.dictionaries(names, st.sampled_from([b"1", b'"new"', b"[]", None]), max_size=4))
@settings(max_examples=200)
def test_edits_change_what_they_name_and_keep_every_other_byte(
    case: tuple[bytes, list[tuple[str, str]]], changes: dict[str, bytes | None]
) -> None:
    body, written = case
    edits = MemberEdits(parse_members(body))
    for name, raw in changes.items():
        if raw is None:
            edits.remove(name)
        else:
            edits.set(name, raw)
    rendered = edits.render()
    expected = [(name, changes.get(name, raw.encode())) for name, raw in written]
    expected = [(name, raw) for name, raw in expected if raw is not None]
    expected += [(name, raw) for name, raw in changes.items() if raw is not None and name not in dict(written)]
    again = parse_members(rendered)
    assert [(name, rendered[start:end]) for name, _, start, end in again.spans] == expected
    for name, key_start, _, end in parse_members(body).spans:
        if name not in changes:
            assert body[key_start:end] in rendered


@pytest.mark.parametrize(
    ("body", "changes", "expected"),
    [
        (b'{"a":1,"b":2,"c":3}', {"b": b"9"}, b'{"a":1,"b":9,"c":3}'),
        (b'{ "a" : 1 , "b" : 2 }', {"a": None}, b'{ "b" : 2 }'),
        (b'{ "a" : 1 , "b" : 2 }', {"b": None}, b'{ "a" : 1 }'),
        (b'{ "a" : 1 , "b" : 2 }', {"a": None, "b": None}, b"{  }"),
        (b'{"a":1,"b":2,"c":3}', {"a": None, "b": None}, b'{"c":3}'),
        (b'{"a":1,"b":2,"c":3}', {"b": None, "c": None}, b'{"a":1}'),
        (b'{"a":1}', {"b": b"2"}, b'{"a":1,"b":2}'),
        (b'{"a":1}', {"a": None, "b": b"2"}, b'{"b":2}'),
        (b"{}", {"b": b"2", "c": b"3"}, b'{"b":2,"c":3}'),
        (b" { } ", {"b": b"2"}, b' { "b":2} '),
        (b'{"\\u0061":1,"b":2}', {"a": b"9"}, b'{"\\u0061":9,"b":2}'),
        (b'{"big":12345678901234567890,"f":0.10000000000000000555,"a":1}', {"a": b"2"},
         b'{"big":12345678901234567890,"f":0.10000000000000000555,"a":2}'),
        (b'{"x":1,"x":2,"a":1}', {"a": b"2"}, b'{"x":1,"x":2,"a":2}'),
        (b'{"x":12,"x":1,"a":1}', {"a": b"2"}, b'{"x":12,"x":1,"a":2}'),
        (b'{"x":[1,{"x":2}],"a":"\\"","x":{}}', {"a": b"2"}, b'{"x":[1,{"x":2}],"a":2,"x":{}}'),
    ],
)  # fmt: skip
def test_splicing_in_examples(body: bytes, changes: dict[str, bytes | None], expected: bytes) -> None:
    edits = MemberEdits(parse_members(body))
    for name, raw in changes.items():
        if raw is None:
            edits.remove(name)
        else:
            edits.set(name, raw)
    assert edits.render() == expected


def test_an_edit_shows_through_before_it_is_rendered() -> None:
    edits = MemberEdits(parse_members(b'{"a":1,"b":null}'))
    edits.set("a", b"2")
    edits.remove("b")
    edits.set("c", b"3")
    assert [edits.given(name) for name in "abc"] == [b"2", None, b"3"]
    assert [edits.has(name) for name in "abcd"] == [True, False, True, False]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "malformed_json"),
        (b"   ", "malformed_json"),
        (b"null", "body_must_be_object"),
        (b"[]", "body_must_be_object"),
        (b'"x"', "body_must_be_object"),
        (b"1", "body_must_be_object"),
        (b"true", "body_must_be_object"),
        (b'{"a":', "malformed_json"),
        (b'{"a":1', "malformed_json"),
        (b'{"a":1}x', "malformed_json"),
        (b"{}{}", "malformed_json"),
        (b'{"a":NaN}', "malformed_json"),
        (b'{"a":[Infinity]}', "malformed_json"),
        (b'{"a":-Infinity}', "malformed_json"),
        (b'{"a":1e999}', "malformed_json"),
        (b'{"a":' + b"1" * 5000 + b"}", "malformed_json"),
        (b'{"a":' + b"[" * 1100 + b"]" * 1100 + b"}", "too_deeply_nested"),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "too_deeply_nested"),
        (b'{"a":"\\ud800"}', "malformed_json"),
        (b'{"a":"\\ud800 and more text behind it"}', "malformed_json"),
        (b'{"a":["\\udc00 and more text behind it"]}', "malformed_json"),
        (b'{"\\ud800 and more":1}', "malformed_json"),
        (b'{"a":"\xff"}', "malformed_json"),
        (b'{"\xff":1}', "malformed_json"),
        (b'{"a":"\xc0\xaf"}', "malformed_json"),
        (b'{"a":"\xed\xa0\x80"}', "malformed_json"),
        (b'\xef\xbb\xbf{"a":1}', "malformed_json"),
        ('{"a":1}'.encode("utf-16"), "malformed_json"),
        ('{"a":1}'.encode("utf-32-le"), "malformed_json"),
        (b'{"a":"\x01"}', "malformed_json"),
        (b"{'a':1}", "malformed_json"),
        (b'{"a":1,}', "malformed_json"),
        (b'{"a":1 /* x */}', "malformed_json"),
        (b"{a:1}", "malformed_json"),
        (b'{"a":01}', "malformed_json"),
        (b"\x00{}", "malformed_json"),
        (b"{" + b",".join(b'"%d":1' % i for i in range(MAX_MEMBERS + 1)) + b"}", "too_many_members"),
        (b'{"' + b"a" * (MAX_NAME + 1) + b'":1}', "malformed_json"),
        (b'{"' + b"\\n" * 1_000_000 + b'": 1}', "malformed_json"),
        (b"{" + b",".join([b'"a":1'] * (MAX_MEMBERS + 1)) + b"}", "duplicate_key"),
        (b"{" + b",".join(b'"a":%d' % i for i in range(50)) + b"}", "duplicate_key"),
    ],
    ids=lambda value: repr(value[:24]) if isinstance(value, bytes) else value,
)  # fmt: skip
def test_a_malformed_body_is_a_clear_refusal_and_never_a_crash(body: bytes, code: str) -> None:
    with pytest.raises(BadInput) as refusal:
        parse_members(body)
    assert refusal.value.code == code


@given(st.binary(max_size=60) | st.text('{}[]":,\\ud8nul1e', max_size=30).map(str.encode))
@settings(max_examples=300)
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        members = parse_members(body)
    except BadInput:
        return
    assert isinstance(json.loads(body), dict)
    assert set(members.values) == set(json.loads(body))


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":' + b"[" * 200 + b"]" * 200 + b"}",
        b'{"a":-0.0}',
        b'{"a":"\\u0000"}',
        b'{"a":"\x7f"}',
        b'{"":{"__proto__":1}}',
    ],
)
def test_unusual_but_valid_bodies_pass(body: bytes) -> None:
    assert MemberEdits(parse_members(body)).render() is body


def test_a_member_of_the_wrong_kind_is_named() -> None:
    members = parse_members(b'{"stream":"true","none":null}')
    with pytest.raises(BadInput) as refusal:
        members.decoded("stream", msgspec.json.Decoder(bool | None), "true or false")
    assert (refusal.value.code, refusal.value.param) == ("wrong_kind", "stream")
    assert members.decoded("none", msgspec.json.Decoder(bool | None), "true or false") is None
    with pytest.raises(BadInput) as refusal:
        parse_members(b"[]", "stream_options")
    assert (refusal.value.code, refusal.value.param) == ("wrong_kind", "stream_options")


@pytest.mark.parametrize(
    ("raw", "leading", "expected"),
    [
        (b'[ "a" , "b" , "c" ]', 2, b'[ "new" , "c" ]'),
        (b'[ "a" , "b" , "c" ]', 3, b'[ "new" ]'),
        (b'[ "a" , "b" ]', 0, b'[ "new","a" , "b" ]'),
        (b"[]", 0, b'["new"]'),
        (b"[ ]", 0, b'[ "new"]'),
    ],
)
def test_leading_items_are_replaced_and_the_rest_keeps_its_bytes(raw: bytes, leading: int, expected: bytes) -> None:
    assert spliced(raw, parse_items(raw, "messages").replace_leading(leading, b'"new"')) == expected


@given(st.lists(json_values, max_size=6), spaces, spaces, st.data())
@settings(max_examples=100)
def test_an_item_is_inserted_anywhere(values: list[Any], before: str, after: str, data: st.DataObject) -> None:
    inside = ",".join(f"{before}{json.dumps(value)}{after}" for value in values)
    raw = f"[{inside}]".encode()
    items = parse_items(raw, "messages")
    assert [json.loads(bytes(value)) for value in items.values] == values
    spans = [items.span(index) for index in range(len(values))]
    assert [json.loads(raw[start:end]) for start, end in spans] == values
    index = data.draw(st.integers(0, len(values)))
    assert json.loads(spliced(raw, items.insert(index, b'"new"'))) == [*values[:index], "new", *values[index:]]


@pytest.mark.parametrize("raw", [b"{}", b'"x"', b"7"])
def test_only_a_list_has_items(raw: bytes) -> None:
    with pytest.raises(BadInput, match="messages must be a list"):
        parse_items(raw, "messages")


HIDDEN = [
    b'{"a":1,"b":2,"a":3}',
    b'{"a":{"c":1,"b":2},"b":7,"a":123456}',
    b'{"a": {"c": 1,     "b": 2}, "b": 7, "a": 123456}',
    b'{"a":"x","b":"\\",\\"a\\":","a":""}',
    b'{"a":[1,2],"a":[1,2]}',
    b'{"a": 12, "b": 3, "a": 1}',
    b'{"a":1,"\\u0061":2}',
    b'{"b":0, "a":1 ,"a":1}',
    b'{"a":null,"a":{"a":1,"a":2}}',
]


@pytest.mark.parametrize("body", HIDDEN)
def test_a_repeated_name_is_found_however_its_values_look(body: bytes) -> None:
    pairs = json.loads(body, object_pairs_hook=list)
    members = parse_members(body)
    assert [name for name, *_ in members.spans] == [name for name, _ in pairs]
    assert [json.loads(body[start:end], object_pairs_hook=list) for _, _, start, end in members.spans] == [
        value for _, value in pairs
    ]
    with pytest.raises(BadInput):
        members.given("a")


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(['""', '"a"', "{}", '{"b":1}', "[]", "1", "12", '","'])), max_size=5), st.sampled_from([(",", ":"), (", ", ": "), (" ,", ":")]))  # fmt: skip
@settings(max_examples=200)
def test_spans_agree_with_another_parser_whatever_is_repeated(
    pairs: list[tuple[str, str]], marks: tuple[str, str]
) -> None:
    comma, colon = marks
    body = ("{" + comma.join(f'"{name}"{colon}{raw}' for name, raw in pairs) + "}").encode()
    assert [(name, body[start:end].decode()) for name, _, start, end in parse_members(body).spans] == pairs


def test_a_large_body_is_checked_for_utf_8_in_pieces() -> None:
    body = ('{"a":"' + "x" * 65_529 + "\u20ac" * 50_000 + '"}').encode()
    assert parse_members(body).values["a"] == msgspec.Raw(body[5:-1])
    with pytest.raises(BadInput, match="invalid UTF-8 \\(byte 100002\\)"):
        parse_members(body[:100_002] + b"\xff" + body[100_003:])

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.errors import BadInput
from proxy.core.versions.components import Bundle, parse_bundle
from proxy.wires.shared.version_bytes import Remembered, prompt_json, written_tools


def bundle_of(text: str, variables: dict[str, Any] | None = None) -> Bundle:
    return parse_bundle({"prompt": {"text": text, "variables": variables or {}}})


pieces = st.lists(
    st.sampled_from(["{{a}}", "{{ b }}", "\\{{", "é🙂", '"', "\\", "\n", "plain ", "{", "{{", "\x00"]), max_size=8
)
values = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


@given(pieces, st.none() | values, st.none() | values, st.none() | values)
@settings(max_examples=200)
def test_a_prompt_is_the_json_of_what_its_template_renders(
    parts: list[str], default: str | None, a: str | None, b: str | None
) -> None:
    variables = {"a": {} if default is None else {"default": default}, "b": {"default": "B"}}
    bundle = bundle_of("".join(parts), variables)
    given_values = {name: value for name, value in (("a", a), ("b", b)) if value is not None}
    if "a" in bundle.prompt.template.names and "a" not in given_values and default is None:
        with pytest.raises(BadInput, match="needs a value for the variable 'a'"):
            prompt_json(bundle, given_values)
        return
    expected = bundle.prompt.template.render(given_values, bundle.prompt.variables)
    for _ in range(2):
        assert json.loads(prompt_json(bundle, given_values)) == expected


def test_long_prompts_and_values_are_filled_in_all_the_same() -> None:
    assert json.loads(prompt_json(bundle_of("x" * 50_000 + "{{a}}", {"a": {}}), {"a": "é"})) == "x" * 50_000 + "é"
    short = bundle_of("<{{a}}>", {"a": {"default": "d" * 20_000}})
    assert json.loads(prompt_json(short, {})) == "<" + "d" * 20_000 + ">"
    assert json.loads(prompt_json(short, {"a": "v" * 60_000})) == "<" + "v" * 60_000 + ">"
    with pytest.raises(BadInput) as refusal:
        prompt_json(short, {"a": "é" * 40_000})
    assert refusal.value.code == "variable_too_large"


def test_half_a_surrogate_pair_in_a_value_is_refused() -> None:
    with pytest.raises(BadInput) as refusal:
        prompt_json(bundle_of("{{a}}", {"a": {}}), {"a": "\udc00"})
    assert refusal.value.code == "malformed_text"


def test_tools_of_different_shapes_are_kept_apart() -> None:
    bundle = parse_bundle({"tools": {"mode": "merge", "items": [{"name": "f"}]}})

    def one(item: Any) -> dict[str, Any]:
        return {"one": item["name"]}

    def two(item: Any) -> dict[str, Any]:
        return {"two": item["name"]}

    for _ in range(2):
        assert written_tools(bundle, one) == {"f": b'{"one":"f"}'}
        assert written_tools(bundle, two) == {"f": b'{"two":"f"}'}


def test_what_is_remembered_longest_makes_room() -> None:
    kept: Remembered[str, int] = Remembered(2)
    for number, name in enumerate("abc"):
        assert kept.keep(name, number) == number
    assert [kept.get(name) for name in "abc"] == [None, 1, 2]

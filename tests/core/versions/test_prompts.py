import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.errors import BadInput
from proxy.core.versions.prompts import MAX_VALUE_BYTES, look_alike, parse_template


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("plain", {}, "plain"),
        ("", {}, ""),
        ("Hello {{name}}!", {"name": "Ann"}, "Hello Ann!"),
        ("{{a}}{{ b }}{{  a}}", {"a": "1", "b": "2"}, "121"),
        (r"\{{a}} is literal, {{a}} is not", {"a": "x"}, "{{a}} is literal, x is not"),
        ("{{{a}}}", {"a": "x"}, "{x}"),
        ("{a} {{ 7*7 }} {{}} {{a-b}} {{a.b}} {% x %} {{ a", {}, "{a} {{ 7*7 }} {{}} {{a-b}} {{a.b}} {% x %} {{ a"),
        ("{{a}}", {"a": "{{b}} \\{{c}} {{a}}"}, "{{b}} \\{{c}} {{a}}"),
        ("{{a\n}}", {}, "{{a\n}}"),
        ("é {{a}} 🙂", {"a": "ü"}, "é ü 🙂"),
    ],
)
def test_one_literal_pass_fills_the_placeholders(text: str, values: dict[str, str], expected: str) -> None:
    assert parse_template(text).render(values, dict.fromkeys(values)) == expected


def test_a_value_wins_over_the_default_and_an_empty_value_is_a_value() -> None:
    template = parse_template("[{{a}}][{{b}}]")
    assert template.render({"a": ""}, {"a": "default", "b": "default"}) == "[][default]"


def test_a_missing_value_without_default_is_refused_by_name() -> None:
    with pytest.raises(BadInput) as refusal:
        parse_template("{{who}}").render({"other": "x"}, {"who": None})
    assert (refusal.value.code, refusal.value.param) == ("variable_missing", "variables.who")


@pytest.mark.parametrize(
    ("character", "fits"), [("a", MAX_VALUE_BYTES), ("é", MAX_VALUE_BYTES // 2), ("🙂", MAX_VALUE_BYTES // 4)]
)
def test_a_value_may_be_64_kilobytes_and_no_byte_more(character: str, fits: int) -> None:
    template = parse_template("{{a}}")
    assert template.render({"a": character * fits}, {}) == character * fits
    with pytest.raises(BadInput) as refusal:
        template.render({"a": character * fits + "x"}, {})
    assert refusal.value.code == "variable_too_large"


@given(st.text(max_size=200))
@settings(max_examples=200)
def test_text_without_double_braces_is_left_alone(text: str) -> None:
    plain = text.replace("{{", "{ {")
    assert parse_template(plain).render({}, {}) == plain


@given(
    st.lists(st.text(st.characters(exclude_characters="{\\"), max_size=10), min_size=1, max_size=6),
    st.text(max_size=50),
)
@settings(max_examples=100)
def test_values_are_never_scanned_again(texts: list[str], value: str) -> None:
    assert parse_template("{{x}}".join(texts)).render({"x": value}, {}) == value.join(texts)


_BY_PATTERN = re.compile(r"\\\{\{|\{\{ *([A-Za-z_][A-Za-z0-9_]*) *\}\}")


@given(st.lists(st.sampled_from(["{", "{{", "}", "}}", "\\", "a", " ", "{{a}}", "{{ b }}", "\\{{"]), max_size=12))
def test_braces_that_are_searched_for_cut_a_prompt_as_a_pattern_does(parts):
    text = "".join(parts)
    template = parse_template(text)
    matches = list(_BY_PATTERN.finditer(text))
    assert list(template.names) == [match[1] for match in matches if match[1] is not None]
    marked = _BY_PATTERN.sub(lambda match: "{{" if match[1] is None else "\0", text)
    assert "\0".join(template.texts) == marked


@pytest.mark.parametrize(
    "text",
    [
        "{{user-name}}", "{{ first name }}", "{{customer.name}}", "{{#if x}}A{{/if}}", "{{> header}}", "{{{name}}}", "{{}}",
        "{% if x %}A{% endif %}", "{%- set a = 1 -%}", "{# a note #}", "{{\tname }}", "{{\nname\n}}", '{{ name | default("x") }}',
        "{{ a['b'] }}", '{{ $json["x"] }}', '{{ "x" | upper }}', '{% if x == {"a": 1} %}', "{{.Name}}", "{{ 7*7 }}", "{{name}} and {{user-name}}", "\\{{a}} {{b.c}}",
    ],
)  # fmt: skip
def test_what_looks_like_a_template_and_is_none_is_told(text: str) -> None:
    assert look_alike(f"Hi {text}!")


@pytest.mark.parametrize(
    "text",
    [
        "", "{{name}} {{ _x1 }}", "\\{{user-name}} \\{{#if x}}", '{"a": {"b": {}}}', '{{"a": 1}}', "{x} {{ 50 % }", "{{[1]: 2}}",
        "f(x) { return { y: {} } }", "{ {{name}} }", "a {{", "}}", "100 %} of {",
        "${x} #{x} %{x} <%= x %> [[x]] $x", '{{"a|b": 1}}', "{%d} and {50%}", "{{{name}} {{name}}}",
    ],
)  # fmt: skip
def test_what_is_plain_text_or_a_placeholder_is_not_told(text: str) -> None:
    assert look_alike(text) is None

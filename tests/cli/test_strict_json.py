"""JSON of files: one meaning or none."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.cli.strict_json import strict_json

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(ANYTHING, st.booleans())
def test_what_json_is_is_read_as_it_is(value: Any, is_ascii: bool) -> None:
    assert strict_json("\ufeff" + json.dumps(value, ensure_ascii=is_ascii)) == value


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "Expecting value (column 1)"),
        ('{\n"a": 1,\n}', "Expecting property name enclosed in double quotes (line 3, column 1)"),
        ('[{"a": 1, "b": 2, "a": 1}]', "the member 'a' occurs twice"),
        ("[-Infinity]", "-Infinity is no number that JSON has"),
        ("[" * 100_000, "it is nested too deep"),
        ("1" * 5_000, "a number has 5000 digits, which is too many"),
        (r'"\uD800"', "a text holds half of a surrogate pair"),
        ('"a\0"', "Invalid control character at (column 3)"),
    ],
)
def test_what_has_no_one_meaning_is_refused_in_one_sentence(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$") as told:
        strict_json(text)
    assert str(told.value) == problem

import hashlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.canonical import canonical_json, content_hash
from proxy.core.errors import BadInput


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"b": 1, "a": {"d": [], "c": None}}, b'{"a":{"c":null,"d":[]},"b":1}'),
        ({"é": 1, "z": 2, "Z": 3}, '{"Z":3,"z":2,"é":1}'.encode()),
        ("a\n\u2028\x7f/", '"a\\n\u2028\x7f/"'.encode()),
        ([1, 1.0, 0.1], b"[1,1.0,0.1]"),
    ],
)
def test_the_published_rule_gives_these_bytes(value: Any, expected: bytes) -> None:
    assert canonical_json(value) == expected
    assert content_hash(value) == hashlib.sha256(expected).hexdigest()


def test_text_is_hashed_as_given_without_normalising() -> None:
    assert content_hash("\u00e9") != content_hash("e\u0301")
    assert content_hash("a\r\n") != content_hash("a\n")


@pytest.mark.parametrize(
    "value",
    [
        "\ud800",
        2**70,
        {1: "a"},
        {"a": object()},
        {"a": {1, 2}},
        float("nan"),
        {"a": [None, (1, float("inf"))]},
        [{"a": {"b": float("-inf")}}],
    ],
)
def test_what_json_cannot_carry_is_refused(value: Any) -> None:
    with pytest.raises(BadInput) as refusal:
        canonical_json(value)
    assert refusal.value.code == "unrepresentable"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(st.text(max_size=5), json_values, max_size=6))
@settings(max_examples=100)
def test_the_order_of_members_makes_no_difference(content: dict[str, Any]) -> None:
    assert content_hash(content) == content_hash(dict(reversed(content.items())))

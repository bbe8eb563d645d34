import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.errors import BadInput
from proxy.core.versions.components import parse_bundle
from proxy.core.versions.diffing import VersionDiff, diff_versions
from proxy.core.versions.field_diff import FieldChange
from proxy.core.versions.prompt_diff import Hunk, prompt_hunks, words_of
from proxy.core.versions.versions import Version

LOOKUP = {
    "name": "lookup",
    "description": "Finds a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
FULL: dict[str, Any] = {
    "prompt": {"text": "You help {{product}}.", "mode": "replace", "variables": {"product": {"default": "Acme"}}},
    "model": {"provider": "openai", "name": "gpt-4o", "parameters": {"temperature": 0.2, "extra": {"top_k": 3}}},
    "tools": {"mode": "merge", "items": [LOOKUP]},
    "retrieval": {"index": "kb-1", "top_k": 8},
    "policy": {"max_tool_calls": 3},
}
#: Every kind of character that has ever broken a text tool, more often than chance would bring them.
TEXT = st.lists(
    st.one_of(
        st.sampled_from(
            [
                "\r\n",
                "\n",
                "\r",
                "\u2028",
                "\x85",
                " ",
                "  ",
                "word ",
                "Wort\n",
                "e\u0301",
                "👩‍👩‍👧",
                "\x1b[31m",
                "日本語",
            ]
        ),
        st.text(max_size=6),
    ),
    max_size=40,
).map("".join)


def version(number: int = 1, contents: dict[str, Any] | None = None, **changes: Any) -> Version:
    fields: dict[str, Any] = {
        "agent": "support",
        "number": number,
        "bundle": parse_bundle(FULL if contents is None else contents),
        "parent": None,
        "author": "ann",
        "message": "first",
        "created_at_microseconds": number,
    }
    return Version(**(fields | changes))


def changed(kind: str, content: dict[str, Any]) -> VersionDiff:
    return diff_versions(FULL, {**FULL, kind: content})


def joined(hunks: tuple[Hunk, ...], *ops: str) -> str:
    return "".join(hunk.text for hunk in hunks if hunk.op in ops)


# Fields


def test_a_version_does_not_differ_from_itself() -> None:
    diff = diff_versions(version(), version())
    assert diff.is_empty
    assert diff.document() == {
        "metadata": [],
        "behavior": [],
        "capabilities": [],
        "guardrails": [],
        "prompt": [],
        "messages": [],
        "changes_behavior": False,
    }


def test_who_why_and_from_what_are_metadata_and_no_change_of_behaviour() -> None:
    later = version(2, parent=1, author="bob", tested_against={"score": 0.9}, source={"git": {"commit": "abc"}})
    diff = diff_versions(version(), later)
    assert [change.path for change in diff.metadata] == ["author", "parent", "tested_against.score", "source.git"]
    assert not diff.changes_behavior
    assert not diff.is_empty


def test_metadata_is_compared_only_where_both_sides_have_it() -> None:
    file = {**FULL, "message": "second"}
    assert diff_versions(version(), file).metadata == (FieldChange("message", "changed", "first", "second"),)


@pytest.mark.parametrize(
    ("kind", "content", "group", "expected"),
    [
        (
            "model",
            {**FULL["model"], "name": "gpt-5"},
            "behavior",
            FieldChange("model.name", "changed", "gpt-4o", "gpt-5"),
        ),
        (
            "model",
            {**FULL["model"], "embeddings": "text-embedding-3-small"},
            "behavior",
            FieldChange("model.embeddings", "added", None, "text-embedding-3-small"),
        ),
        (
            "retrieval",
            {"index": "kb-2", "top_k": 8},
            "capabilities",
            FieldChange("retrieval.index", "changed", "kb-1", "kb-2"),
        ),
        ("policy", {}, "guardrails", FieldChange("policy.max_tool_calls", "removed", 3, None)),
        ("policy", {"max_tool_calls": 3, "a.b": 1}, "guardrails", FieldChange('policy["a.b"]', "added", None, 1)),
        (
            "prompt",
            {**FULL["prompt"], "mode": "append"},
            "behavior",
            FieldChange("prompt.mode", "changed", "replace", "append"),
        ),
    ],
)
def test_a_changed_field_stands_in_its_group_with_both_values(
    kind: str, content: dict[str, Any], group: Any, expected: FieldChange
) -> None:
    diff = changed(kind, content)
    assert diff.changes(group) == (expected,)
    assert sum(len(diff.changes(other)) for other in ("metadata", "behavior", "capabilities", "guardrails")) == 1


def test_a_parameter_shows_whether_it_is_enforced_or_a_default() -> None:
    model = {"provider": "openai", "name": "gpt-4o", "parameters": {"temperature": {"default": 0.2}, "seed": 7}}
    assert changed("model", model).behavior == (
        FieldChange(
            "model.parameters.temperature",
            "changed",
            {"value": 0.2, "enforced": True},
            {"value": 0.2, "enforced": False},
        ),
        FieldChange("model.parameters.extra.top_k", "removed", 3, None),
        FieldChange("model.parameters.seed", "added", None, {"value": 7, "enforced": True}),
    )


def test_numbers_that_hash_differently_differ() -> None:
    model = {**FULL["model"], "parameters": {"temperature": 1, "extra": {"top_k": 3}}}
    other = {**model, "parameters": {"temperature": 1.0, "extra": {"top_k": 3}}}
    assert not diff_versions({"model": model}, {"model": other}).is_empty


def test_tools_are_compared_by_name_and_by_field_of_the_schema() -> None:
    other = {
        **LOOKUP,
        "parameters": {"type": "object", "properties": {"city": {"type": "integer"}}, "required": ["city", "zip"]},
    }
    items = [{"name": "search"}, other]
    assert changed("tools", {"mode": "merge", "items": items}).capabilities == (
        FieldChange("tools.lookup.parameters.properties.city.type", "changed", "string", "integer"),
        FieldChange("tools.lookup.parameters.required", "changed", ["city"], ["city", "zip"]),
        FieldChange("tools.search", "added", None, {"name": "search"}),
    )


def test_openais_wrapping_of_a_tool_does_not_lengthen_its_paths() -> None:
    def wrapped(kind: str) -> dict[str, Any]:
        function = {"name": "lookup", "parameters": {"properties": {"city": {"type": kind}}}}
        return {"tools": {"mode": "merge", "items": [{"type": "function", "function": function}]}}

    (change,) = diff_versions(wrapped("string"), wrapped("number")).capabilities
    assert change.path == "tools.lookup.parameters.properties.city.type"


def test_tools_in_another_order_and_tools_of_one_name_are_told_apart() -> None:
    one, two = {"name": "a", "x": 1}, {"name": "b"}
    reordered = diff_versions({"tools": {"items": [one, two]}}, {"tools": {"items": [two, one]}})
    assert reordered.capabilities == (FieldChange("tools.order", "changed", ["a", "b"], ["b", "a"]),)
    twice = diff_versions({"tools": {"items": [one, one]}}, {"tools": {"items": [one, {**one, "x": 2}]}})
    assert [change.path for change in twice.capabilities] == ["tools.a#2.x"]


def test_contents_that_no_version_could_have_are_refused() -> None:
    with pytest.raises(BadInput):
        diff_versions(FULL, {"model": {"name": 3}})


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
TOOL = st.fixed_dictionaries({"name": st.sampled_from(["a", "b", "c"]), "parameters": JSON})
CONTENTS = st.fixed_dictionaries(
    {
        "retrieval": st.dictionaries(st.text(max_size=3), JSON, max_size=3),
        "policy": st.dictionaries(st.sampled_from(["x", "y.z", ""]), JSON, max_size=3),
        "tools": st.fixed_dictionaries({"items": st.lists(TOOL, max_size=3)}),
    }
)


@settings(max_examples=80, deadline=None)
@given(CONTENTS, CONTENTS)
def test_a_diff_is_empty_exactly_where_the_bundle_hashes_are_equal(one: dict[str, Any], two: dict[str, Any]) -> None:
    is_same = parse_bundle(one).bundle_hash == parse_bundle(two).bundle_hash
    assert diff_versions(one, two).is_empty is is_same
    assert diff_versions(one, one).is_empty


# Prompts


def test_a_prompt_is_compared_by_words() -> None:
    hunks = prompt_hunks("You are a helpful bot.\nBe brief.\n", "You are a careful bot.\nBe brief.\n")
    assert [(hunk.op, hunk.text) for hunk in hunks] == [
        ("equal", "You are a "),
        ("delete", "helpful"),
        ("insert", "careful"),
        ("equal", " bot.\nBe brief.\n"),
    ]


def test_words_that_were_replaced_side_by_side_are_one_change() -> None:
    hunks = prompt_hunks("the quick brown fox", "the slow red fox")
    assert [(hunk.op, hunk.text) for hunk in hunks if hunk.op != "equal"] == [
        ("delete", "quick brown"),
        ("insert", "slow red"),
    ]


def test_a_changed_line_end_is_a_change_and_nothing_around_it() -> None:
    hunks = prompt_hunks("one\r\ntwo", "one\ntwo")
    assert [(hunk.op, hunk.text) for hunk in hunks] == [
        ("equal", "one"),
        ("delete", "\r\n"),
        ("insert", "\n"),
        ("equal", "two"),
    ]


def test_the_diff_carries_hunks_only_where_the_text_changed() -> None:
    assert changed("prompt", {**FULL["prompt"], "mode": "append"}).prompt == ()
    diff = changed("prompt", {**FULL["prompt"], "text": "You help all of {{product}}."})
    assert [change.path for change in diff.behavior] == ["prompt.text"]
    assert diff.document()["prompt"][0] == {"op": "equal", "text": "You help "}


@settings(max_examples=150, deadline=None)
@given(TEXT, TEXT)
def test_hunks_join_to_both_texts_whatever_they_contain(before: str, after: str) -> None:
    hunks = prompt_hunks(before, after)
    assert joined(hunks, "equal", "delete") == before
    assert joined(hunks, "equal", "insert") == after
    assert all(hunk.text for hunk in hunks)
    assert all(one.op != two.op for one, two in pairwise(hunks))


@settings(max_examples=60, deadline=None)
@given(TEXT)
def test_a_text_does_not_differ_from_itself_and_its_words_join_to_it(text: str) -> None:
    assert prompt_hunks(text, text) == ((Hunk("equal", text),) if text else ())
    assert "".join(words_of(text)) == text


@settings(max_examples=30, deadline=None)
@given(st.lists(TEXT, min_size=20, max_size=60), st.randoms(use_true_random=False))
def test_long_texts_join_too(pieces: list[str], chance: random.Random) -> None:
    before = "\n".join(pieces * 20)
    shuffled = pieces * 20
    for _ in range(10):
        shuffled[chance.randrange(len(shuffled))] = chance.choice(pieces) + "x"
    after = "\n".join(shuffled)
    hunks = prompt_hunks(before, after)
    assert joined(hunks, "equal", "delete") == before
    assert joined(hunks, "equal", "insert") == after


def prose(lines: int, chance: random.Random) -> list[str]:
    words = ["".join(chance.choices("abcdefghijklmnopqrst", k=chance.randint(2, 9))) for _ in range(2000)]
    return [" ".join(chance.choices(words, k=9)) + ".\n" for _ in range(lines)]


def test_a_megabyte_with_a_few_edits_is_told_as_these_edits() -> None:
    before = prose(20_000, random.Random(1))
    after = [*prose(600, random.Random(2)), *before]
    after[9_000] = after[9_000].replace(" ", " very ", 1)
    hunks = prompt_hunks("".join(before), "".join(after))
    assert joined(hunks, "delete") == ""
    assert "very" in joined(hunks, "insert")
    assert len(hunks) <= 6


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a\n" * 500_000, "b\n" + "a\n" * 499_000),
        ("ab " * 330_000, "ba " * 330_000),
        ("".join(random.Random(1).choices("ab ", k=1_000_000)), "".join(random.Random(2).choices("ab ", k=1_000_000))),
        ("".join(prose(18_000, random.Random(3))), "".join(prose(18_000, random.Random(4)))),
    ],
    ids=["one line repeated", "two words swapped", "noise", "nothing in common"],
)
def test_a_megabyte_that_would_be_quadratic_is_still_told_exactly(before: str, after: str) -> None:
    hunks = prompt_hunks(before, after)
    assert joined(hunks, "equal", "delete") == before
    assert joined(hunks, "equal", "insert") == after


# Prompts of several messages

ROLES = st.sampled_from(["user", "assistant"])
LISTS = st.lists(
    st.fixed_dictionaries({"role": ROLES, "text": st.sampled_from(["a b", "a c", "d", "e f"])}), max_size=4
)


def of_messages(*messages: tuple[str, str]) -> dict[str, Any]:
    return {"prompt": {"messages": [{"role": role, "text": text} for role, text in messages]}}


def test_a_message_that_changed_is_shown_by_words_at_its_place() -> None:
    before = of_messages(("system", "Be kind."), ("user", "Sort it."), ("assistant", "Done."))
    after = of_messages(("system", "Be kind."), ("user", "Sort them."), ("assistant", "Done."))
    diff = diff_versions(before, after)
    assert diff.behavior == (FieldChange("prompt.messages[1].text", "changed", "Sort it.", "Sort them."),)
    (message,) = diff.messages
    assert (message.path, message.role) == ("prompt.messages[1]", "user")
    assert joined(message.hunks, "equal", "insert") == "Sort them."
    assert diff.prompt == ()


def test_a_message_that_was_put_in_moves_no_other() -> None:
    before = of_messages(("system", "x"), ("user", "a"), ("assistant", "b"))
    after = of_messages(("system", "x"), ("user", "new"), ("assistant", "news"), ("user", "a"), ("assistant", "b"))
    assert [(change.path, change.kind) for change in diff_versions(before, after).behavior] == [
        ("prompt.messages[1]", "added"),
        ("prompt.messages[2]", "added"),
    ]
    assert {change.kind for change in diff_versions(after, before).behavior} == {"removed"}


def test_a_text_that_became_a_list_shows_what_was_put_behind_it() -> None:
    after = of_messages(("system", "Be kind."), ("user", "a"))
    (change,) = diff_versions({"prompt": {"text": "Be kind."}}, after).behavior
    assert (change.path, change.kind) == ("prompt.messages[1]", "added")
    (role,) = diff_versions({"prompt": {"text": "x"}}, of_messages(("developer", "x"))).behavior
    assert (role.path, role.before, role.after) == ("prompt.messages[0].role", "system", "developer")


@given(LISTS, LISTS, st.sampled_from(["", "x"]), st.sampled_from(["", "x"]))
@settings(max_examples=80)
def test_messages_differ_in_behaviour_exactly_where_their_hashes_do(
    old: list[Any], new: list[Any], old_text: str, new_text: str
) -> None:
    before, after = (
        {"prompt": {"text": text, "messages": messages}} for text, messages in ((old_text, old), (new_text, new))
    )
    diff = diff_versions(before, after)
    assert diff.changes_behavior == (parse_bundle(before).bundle_hash != parse_bundle(after).bundle_hash)
    paths = [change.path for change in diff.behavior if change.path.endswith(".text")]
    assert [f"{message.path}.text" for message in diff.messages] == [path for path in paths if path != "prompt.text"]

"""What a new version must be, and when it is none."""

from typing import Any

import pytest

from proxy.core.errors import BadInput
from proxy.core.versions.components import parse_bundle
from proxy.core.versions.new_versions import check_new_version, says_the_same, with_plain_texts


@pytest.mark.parametrize("text", ["a\r\nb\r\n", "a\rb\r", "\ufeffa\nb\n", "\ufeffa\r\nb\n", "a\nb\n"])
def test_a_prompt_is_kept_without_the_line_ends_of_another_system(text: str) -> None:
    components = {
        "prompt": {"text": text, "variables": {"x": {"default": text}, "y": {}}},
        "policy": {"recorded": {"a": text}},
    }
    plain = with_plain_texts(components)
    assert plain["prompt"] == {"text": "a\nb\n", "variables": {"x": {"default": "a\nb\n"}, "y": {}}}
    assert plain["policy"] == components["policy"]
    made, new = parse_bundle(components), parse_bundle(plain)
    assert says_the_same(made, new)


@pytest.mark.parametrize("text", ["a\nb", "a\nb\n\n", "a \nb\n", " a\nb\n", "a\n\ufeffb\n", "a\u2028b\n"])
def test_other_white_space_is_the_authors(text: str) -> None:
    plain = with_plain_texts({"prompt": {"text": text}})
    assert plain["prompt"]["text"] == text
    assert not says_the_same(parse_bundle({"prompt": {"text": "a\nb\n"}}), parse_bundle(plain))


@pytest.mark.parametrize(
    "prompt",
    [None, 3, "text", ["a\r\n"], {"text": 3}, {"variables": 3}, {"variables": {"x": "a\r\n", "y": {"default": 1}}}],
)
def test_what_is_of_the_wrong_kind_stays_for_whoever_refuses_it(prompt: Any) -> None:
    assert with_plain_texts({"prompt": prompt}) == {"prompt": prompt}


@pytest.mark.parametrize(("key", "near"), [("max_tool_cals", "max_tool_calls"), ("record", "recorded")])
def test_a_policy_key_that_nobody_reads_is_told_with_the_nearest(key: str, near: str) -> None:
    with pytest.raises(BadInput, match=f"did you mean {near}"):
        check_new_version({"policy": {key: 1}})


def test_messages_of_a_prompt_are_kept_and_checked_as_its_text_is() -> None:
    messages = [{"role": "user", "text": "\ufeffa\r\nb"}, {"role": "user", "text": 3}, "x"]
    plain = with_plain_texts({"prompt": {"messages": messages}})
    assert plain["prompt"]["messages"] == [{"role": "user", "text": "a\nb"}, *messages[1:]]
    with pytest.raises(BadInput) as refusal:
        check_new_version({"prompt": {"messages": [{"role": "user", "text": "Hi {{user-name}}"}]}})
    assert refusal.value.param == "prompt.messages[0].text"
    with pytest.raises(BadInput, match="placeholders"):
        check_new_version({"prompt": {"messages": [{"role": "user", "text": "{{a}}" * 6_000}] * 2}})

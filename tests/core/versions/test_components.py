from typing import Any

import pytest

from proxy.core.errors import BadInput
from proxy.core.versions.components import (
    COMPONENT_KINDS,
    Bundle,
    bundle_of,
    component_hash,
    parse_bundle,
    parse_component,
    tool_name,
)

FULL: dict[str, Any] = {
    "prompt": {"text": "You help {{product}}.", "mode": "prepend", "variables": {"product": {"default": "Acme"}}},
    "model": {
        "provider": "openai",
        "name": "gpt-4o-mini",
        "parameters": {"temperature": 0.2, "max_output_tokens": {"default": 400}, "extra": {"verbosity": "low"}},
    },
    "tools": {"mode": "merge", "items": [{"name": "search", "parameters": {"type": "object"}}]},
    "retrieval": {"index": "kb-2026-11", "top_k": 8},
    "policy": {"max_tool_calls": 3, "tone": "calm"},
}


def problem(components: dict[str, Any]) -> tuple[str, str | None]:
    with pytest.raises(BadInput) as refusal:
        parse_bundle(components)
    return refusal.value.code, refusal.value.param


def test_equal_content_has_equal_hashes_component_by_component() -> None:
    one, two = parse_bundle(FULL), parse_bundle(dict(reversed(FULL.items())))
    assert one.hashes == two.hashes
    assert one.bundle_hash == two.bundle_hash
    assert set(one.hashes) == set(COMPONENT_KINDS)


@pytest.mark.parametrize("kind", COMPONENT_KINDS)
def test_a_changed_component_changes_its_own_hash_and_the_bundles_and_no_other(kind: str) -> None:
    changed: dict[str, Any] = {
        "prompt": {"text": "other"},
        "model": {"name": "gpt-4o"},
        "tools": {"mode": "replace"},
        "retrieval": {"index": "other"},
        "policy": {"max_output_tokens": 1},
    }
    one, two = parse_bundle(FULL), parse_bundle({**FULL, kind: changed[kind]})
    assert {name for name in COMPONENT_KINDS if one.hashes[name] != two.hashes[name]} == {kind}
    assert one.bundle_hash != two.bundle_hash


def test_two_spellings_of_the_same_behaviour_are_one_component() -> None:
    spelled_out = {"prompt": {"text": "", "mode": "replace", "variables": {}}, "tools": None, "policy": {}}
    assert parse_bundle(spelled_out).bundle_hash == parse_bundle({}).bundle_hash


def test_a_bundle_is_the_same_whether_its_components_were_parsed_together_or_one_by_one() -> None:
    contents = parse_bundle({"prompt": {"text": "hi"}, "policy": {"max_tool_calls": 3}, "retrieval": {"k": 1}})
    parts = {kind: parse_component(kind, contents.content(kind)) for kind in COMPONENT_KINDS}
    assert bundle_of(parts) == contents
    assert {kind: part.hash for kind, part in parts.items()} == contents.hashes


def test_the_normal_form_parses_to_itself() -> None:
    bundle = parse_bundle(FULL)
    contents = {kind: bundle.content(kind) for kind in COMPONENT_KINDS}
    again: Bundle = parse_bundle(contents)
    assert again == bundle
    assert component_hash("prompt", contents["prompt"]) == bundle.hashes["prompt"]


def test_this_bundle_has_had_the_same_hash_for_ever() -> None:
    """A changed rule would make every stored hash a lie."""
    assert parse_bundle({}).bundle_hash == "6a5b43af8b5d55706b8e4b17a2973c7969c8fe711f36d246e5b51196081971e8"
    assert parse_bundle(FULL).bundle_hash == "07534a44cb4540b02651ff607068d3f1876abf2540304adbaa6b2ef3f4185804"


def test_enforced_parameters_and_defaults_are_told_apart() -> None:
    parameters = parse_bundle(FULL).model.parameters
    assert (parameters["temperature"].value, parameters["temperature"].enforced) == (0.2, True)
    assert (parameters["max_output_tokens"].value, parameters["max_output_tokens"].enforced) == (400, False)


def test_the_policy_keeps_what_it_does_not_interpret() -> None:
    policy = parse_bundle(FULL).policy
    assert (policy.max_tool_calls, policy.max_output_tokens, policy.other) == (3, None, {"tone": "calm"})


@pytest.mark.parametrize(
    ("components", "path"),
    [
        ({"promt": {}}, "promt"),
        ({"prompt": "text"}, "prompt"),
        ({"prompt": {"txt": ""}}, "prompt.txt"),
        ({"prompt": {"text": 1}}, "prompt.text"),
        ({"prompt": {"mode": "override"}}, "prompt.mode"),
        ({"prompt": {"text": "{{who}}"}}, "prompt.text"),
        ({"prompt": [{"role": "system", "text": "x"}]}, "prompt"),
        ({"prompt": {"messages": {"role": "user", "text": "x"}}}, "prompt.messages"),
        ({"prompt": {"messages": ["x"]}}, "prompt.messages[0]"),
        ({"prompt": {"messages": [{"text": "x"}]}}, "prompt.messages[0].role"),
        ({"prompt": {"messages": [{"role": "tool", "text": "x"}]}}, "prompt.messages[0].role"),
        ({"prompt": {"messages": [{"role": "user", "content": "x"}]}}, "prompt.messages[0].content"),
        ({"prompt": {"messages": [{"role": "user", "text": " \n"}]}}, "prompt.messages[0].text"),
        ({"prompt": {"messages": [{"role": "user", "text": "{{who}}"}]}}, "prompt.messages[0].text"),
        (
            {"prompt": {"messages": [{"role": "user", "text": "x"}, {"role": "system", "text": "y"}]}},
            "prompt.messages[1].role",
        ),
        ({"prompt": {"messages": [{"role": "user", "text": "x"}] * 501}}, "prompt.messages"),
        ({"prompt": {"messages": [{"role": "user", "text": "x" * 10**6}] * 5}}, "prompt.messages"),
        ({"prompt": {"text": "x", "messages": [{"role": "developer", "text": "y"}]}}, "prompt.text"),
        ({"prompt": {"text": " ", "messages": [{"role": "user", "text": "y"}]}}, "prompt.text"),
        ({"prompt": {"variables": {"1a": {}}}}, "prompt.variables.1a"),
        ({"prompt": {"variables": {"a": {"defualt": ""}}}}, "prompt.variables.a.defualt"),
        ({"prompt": {"variables": {"a": {"default": 1}}}}, "prompt.variables.a.default"),
        ({"model": {"provider": "Open AI"}}, "model.provider"),
        ({"model": {"name": "agent:other"}}, "model.name"),
        ({"model": {"name": " "}}, "model.name"),
        ({"model": {"embeddings": "agent:other"}}, "model.embeddings"),
        ({"model": {"parameters": {"temprature": 1}}}, "model.parameters.temprature"),
        ({"model": {"parameters": {"temperature": "hot"}}}, "model.parameters.temperature"),
        ({"model": {"parameters": {"temperature": True}}}, "model.parameters.temperature"),
        ({"model": {"parameters": {"temperature": None}}}, "model.parameters.temperature"),
        ({"model": {"parameters": {"max_output_tokens": 0}}}, "model.parameters.max_output_tokens"),
        ({"model": {"parameters": {"max_output_tokens": {"default": 1.5}}}}, "model.parameters.max_output_tokens"),
        ({"model": {"parameters": {"stop": []}}}, "model.parameters.stop"),
        ({"model": {"parameters": {"extra": {"messages": []}}}}, "model.parameters.extra.messages"),
        ({"model": {"parameters": {"extra": {"n": 5}}}}, "model.parameters.extra.n"),
        ({"model": {"parameters": {"extra": {"max_tokens": 9}}}}, "model.parameters.extra.max_tokens"),
        ({"tools": {"mode": "append"}}, "tools.mode"),
        ({"tools": {"items": {}}}, "tools.items"),
        ({"tools": {"items": [{}]}}, "tools.items[0]"),
        ({"policy": {"max_output_tokens": 0}}, "policy.max_output_tokens"),
        ({"policy": {"max_tool_calls": -1}}, "policy.max_tool_calls"),
    ],
)
def test_a_mistake_is_named_by_its_path(components: dict[str, Any], path: str) -> None:
    assert problem(components) == ("bad_version", path)


@pytest.mark.parametrize(
    ("item", "name"),
    [
        ({"name": "a", "parameters": {}}, "a"),
        ({"type": "function", "function": {"name": "b"}}, "b"),
        ({"type": "web_search_20250305", "name": "web_search"}, "web_search"),
        ({"type": "web_search"}, "web_search"),
        ({}, None),
        ({"name": 7}, None),
    ],
)
def test_a_tool_is_known_by_its_name_else_by_its_type(item: dict[str, Any], name: str | None) -> None:
    assert tool_name(item) == name


def test_a_misspelt_parameter_is_told_with_the_nearest() -> None:
    with pytest.raises(BadInput, match=r"did you mean temperature\?"):
        parse_bundle({"model": {"parameters": {"temprature": 1}}})


USER = {"role": "user", "text": "Sort {{it}}."}


def test_a_list_of_one_system_message_is_the_text_that_it_holds() -> None:
    listed = parse_bundle({"prompt": {"messages": [{"role": "system", "text": "x"}]}})
    assert listed.content("prompt") == {"text": "x", "mode": "replace", "variables": {}}
    assert listed.bundle_hash == parse_bundle({"prompt": {"text": "x"}}).bundle_hash
    assert parse_bundle({"prompt": {"messages": []}}).bundle_hash == parse_bundle({}).bundle_hash


def test_a_text_beside_messages_is_the_system_message_before_them() -> None:
    apart = {"text": "x", "messages": [USER], "variables": {"it": {}}}
    together = {"messages": [{"role": "system", "text": "x"}, USER], "variables": {"it": {}}}
    one, two = parse_bundle({"prompt": apart}), parse_bundle({"prompt": together})
    assert one.content("prompt") == {**together, "mode": "replace"}
    assert one.bundle_hash == two.bundle_hash


def test_the_messages_of_a_prompt_keep_their_order_roles_and_bytes_and_parse_to_themselves() -> None:
    messages = [
        {"role": "system", "text": "A"},
        {"role": "developer", "text": "B "},
        USER,
        {"role": "assistant", "text": " C"},
    ]
    bundle = parse_bundle({"prompt": {"messages": messages, "variables": {"it": {}}}})
    assert bundle.content("prompt")["messages"] == messages
    assert parse_bundle({"prompt": bundle.content("prompt")}).bundle_hash == bundle.bundle_hash
    assert (bundle.prompt.text, bundle.prompt.names) == ("A\n\nB ", ("it",))
    assert [message.text for message in bundle.prompt.following] == ["Sort {{it}}.", " C"]


def test_a_model_for_embeddings_is_content_and_a_version_without_one_keeps_its_hash() -> None:
    plain = parse_bundle({"model": {"name": "gpt-4o"}})
    assert parse_bundle({"model": {"name": "gpt-4o", "embeddings": None}}).hashes == plain.hashes
    named = parse_bundle({"model": {"name": "gpt-4o", "embeddings": "text-embedding-3-small"}})
    assert named.hashes["model"] != plain.hashes["model"]
    assert parse_bundle({"model": named.content("model")}) == named
    assert plain.content("model").keys() == {"provider", "name", "parameters"}

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.errors import BadInput
from proxy.core.steps import at_once
from proxy.core.versions.components import parse_bundle
from proxy.wires.openai_embeddings.wire import OpenAIEmbeddings
from proxy.wires.wire import Injection, InjectionPlan

WIRE = OpenAIEmbeddings()
NAMED = parse_bundle(
    {"prompt": {"text": "Be kind."}, "model": {"name": "gpt-4o", "embeddings": "text-embedding-3-large"}}
)
BODY = b'{"model" :"text-embedding-3-small",  "input":"h\\u0069", "dimensions": 256 }'


def injected(body: bytes | dict[str, Any], **plan: Any) -> Injection:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    return WIRE.inject(WIRE.read(sent), InjectionPlan(**{"bundle": None, **plan}))


def test_its_paths_are_metered_and_have_no_output() -> None:
    for path in ("/v1/embeddings", "/embeddings"):
        operation = WIRE.operation("POST", path)
        assert operation is not None
        assert (operation.is_metered, operation.is_in_force, operation.has_output) == (True, False, False)
        assert (operation.is_billable, operation.could_apply, operation.takes_embeddings_model) == (True, False, True)
    assert WIRE.operation("GET", "/v1/embeddings") is None


def test_without_a_version_every_byte_stays() -> None:
    assert injected(BODY).body == BODY
    assert injected(BODY).max_output_tokens == 0
    assert injected(BODY[:-2] + b',"switchback":{"agent":"a"}}').body == BODY[:-2] + b"}"


def test_only_the_model_for_embeddings_is_put_in() -> None:
    injection = injected(BODY, bundle=NAMED, output_ceiling=100)
    assert injection.body == BODY.replace(b"small", b"large")
    assert injection.model == "text-embedding-3-large"
    assert (
        json.loads(injected({"input": "x", "model": "agent:a"}, bundle=NAMED).body)["model"] == "text-embedding-3-large"
    )
    assert json.loads(injected({"input": "x"}, bundle=NAMED).body)["model"] == "text-embedding-3-large"


def test_an_agent_named_as_model_is_no_model() -> None:
    with pytest.raises(BadInput) as caught:
        injected({"input": "x", "model": "agent:a"})
    assert caught.value.code == "model_missing"


def test_what_it_says_of_its_caller_is_read() -> None:
    facts = WIRE.read(
        b'{"model":"m","input":"x","user":"ann","stream":true,"tools":[{"type":"function","function":{"name":"f"}}]}'
    )
    assert (facts.model, facts.claims.user, facts.streamed, facts.choices) == ("m", "ann", False, 1)
    assert facts.tool_names == {"f"}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"model":7}', b'{"model":"a","model":"b"}', b'{"switchback":7}'])
def test_a_body_that_makes_no_sense_is_refused(body: bytes) -> None:
    with pytest.raises(BadInput):
        WIRE.read(body)


TOKENS = [[1, 22, 333], [4]]


@pytest.mark.parametrize("given", ["hi", "a { brace", ["hi", "{}", "two"], [1, 2, 3], TOKENS, [[1], "x{"]])
def test_texts_and_token_numbers_are_bounded_by_the_length_of_the_body(given: Any) -> None:
    injection = injected({"model": "m", "input": given, "dimensions": 3, "encoding_format": "float"})
    bound = WIRE.input_tokens_bound(injection)
    assert bound is not None
    assert bound >= len(injection.body)


@pytest.mark.parametrize(
    "more",
    [
        {"input": [{"image": "https://x"}]},
        {"input": {"text": "a"}},
        {"input": ["a", {"text": "a"}]},
        {"input": "a", "messages": [{"role": "user", "content": "a"}]},
        {"input": "a", "documents": ["a"]},
    ],
)
def test_what_cannot_be_seen_has_no_bound(more: dict[str, Any]) -> None:
    assert WIRE.input_tokens_bound(injected({"model": "m", **more})) is None


def test_a_list_that_takes_long_to_look_through_has_no_bound() -> None:
    assert WIRE.input_tokens_bound(injected({"model": "m", "input": ["{"] * 300_000})) is None


@given(st.recursive(st.text() | st.integers() | st.booleans() | st.none(), lambda inner: st.lists(inner, max_size=4)))
def test_an_input_without_objects_always_has_a_bound_beyond_its_texts(value: Any) -> None:
    bound = WIRE.input_tokens_bound(injected({"model": "m", "input": value}))
    assert bound is None or bound >= len(json.dumps(value))


def test_large_bodies_are_read_in_steps_to_the_same_end() -> None:
    body = json.dumps({"model": "m", "input": ["word " * 50_000], "user": "ann"}).encode()
    facts = at_once(WIRE.read_in_steps(body))
    assert (facts.model, facts.claims.user) == ("m", "ann")

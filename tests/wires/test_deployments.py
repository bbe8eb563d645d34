import json

import pytest

from proxy.wires.deployments import asked_of, at_deployment, base_path_of, plain_path, target_below
from proxy.wires.openai_chat.wire import OpenAIChat
from proxy.wires.wire import Injection

PATH = b"/openai/deployments/old%20one/chat/completions?api-version=2024-10-21"
DEPLOYMENTS = {"small": "gpt-4o-mini", "large/eu": "gpt-4o", "large-us": "gpt-4o"}


@pytest.mark.parametrize(
    ("path", "plain"),
    [
        ("/openai/deployments/a/chat/completions", ("/v1/chat/completions", "a")),
        ("/openai/deployments/a%2Fb/embeddings", ("/v1/embeddings", "a/b")),
        ("/openai/v1/deployments/a/chat/completions", ("/v1/chat/completions", "a")),
        ("/openai/v1/responses", ("/v1/responses", None)),
        ("/openai/responses", ("/v1/responses", None)),
        ("/openai/files/f1", ("/v1/files/f1", None)),
        ("/openai", None),
        ("/v1/chat/completions", None),
        ("/x/openai/v1/responses", None),
    ],
)
def test_a_path_is_read_as_openai_has_it(path: str, plain: object) -> None:
    assert plain_path(path) == plain


def test_the_path_says_the_model_whatever_the_body_says() -> None:
    facts = OpenAIChat().read(b'{"model":"gpt-5","messages":[],"user":"ann"}')
    asked = asked_of(facts, "small")
    assert (asked.model, asked.claims.model, asked.claims.user) == ("small", "small", "ann")
    assert (facts.model, asked.document) == ("gpt-5", facts.document)


def sent(model: str | None, body: bytes = b'{"model":"x", "n":1}') -> Injection:
    return Injection(body=body, model=model, max_output_tokens=None)


def test_a_callers_own_deployment_keeps_every_byte_and_has_its_models_price() -> None:
    injection = at_deployment(sent("small"), PATH.replace(b"old%20one", b"small"), "small", DEPLOYMENTS)
    assert (injection.body, injection.model, injection.target) == (b'{"model":"x", "n":1}', "gpt-4o-mini", None)
    unknown = at_deployment(sent("other"), PATH, "other", DEPLOYMENTS)
    assert (unknown.model, unknown.target) == ("other", None)


def test_a_versions_model_becomes_the_first_deployment_that_has_it() -> None:
    injection = at_deployment(sent("gpt-4o"), PATH, "old one", DEPLOYMENTS)
    assert injection.target == PATH.replace(b"old%20one", b"large%2Feu")
    assert (json.loads(injection.body)["model"], injection.model) == ("large/eu", "gpt-4o")
    in_body = at_deployment(sent("gpt-4o"), b"/v1/chat/completions", None, DEPLOYMENTS)
    assert (json.loads(in_body.body), in_body.target) == ({"model": "large/eu", "n": 1}, None)
    named = at_deployment(sent("large-us", b'{"model":"large-us"}'), b"/v1/chat/completions", None, DEPLOYMENTS)
    assert (named.body, named.model) == (b'{"model":"large-us"}', "gpt-4o")


def test_a_call_without_a_model_stays_as_it_is() -> None:
    assert at_deployment(sent(None), PATH, None, DEPLOYMENTS).body == b'{"model":"x", "n":1}'


@pytest.mark.parametrize("path", ["", "/", "/openai", "/openai/v1", "/openai/v1/"])
def test_a_resource_is_meant_with_and_without_its_path(path: str) -> None:
    base = base_path_of(path)
    assert target_below(base, b"/v1/responses?a=b") == b"/openai/v1/responses?a=b"
    assert target_below(base, PATH) == PATH
    assert target_below(base_path_of("/gateway" + path), PATH) == b"/gateway" + PATH

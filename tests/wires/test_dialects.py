import json
from typing import Any

import pytest

from proxy.core.errors import BadInput
from proxy.wires.dialects import DIALECTS, PLAIN, dialect_of, in_dialect
from proxy.wires.wire import Injection

MISTRAL, OLLAMA = DIALECTS["mistral"], DIALECTS["ollama"]


def sent(body: bytes, **more: Any) -> Injection:
    return Injection(body=body, model="m", max_output_tokens=9, **more)


@pytest.mark.parametrize("dialect", [one for one in DIALECTS.values() if one.base_url], ids=lambda one: one.name)
def test_a_server_is_known_by_its_domain_and_no_other_by_part_of_it(dialect: Any) -> None:
    assert dialect_of(None, dialect.base_url) is dialect
    assert dialect_of(None, dialect.base_url.upper().replace("HTTPS", "https")) is dialect
    assert dialect_of(None, "https://eu." + dialect.domains[0] + "/x") is dialect
    assert dialect_of(None, "https://not" + dialect.domains[0]) is PLAIN
    assert dialect_of(None, f"https://{dialect.domains[0]}.example") is PLAIN


def test_the_settings_name_the_dialect_of_a_server_of_ones_own() -> None:
    assert dialect_of("ollama", "http://127.0.0.1:11434/v1") is OLLAMA
    assert dialect_of("vllm", "https://api.mistral.ai/v1").name == "vllm"
    assert dialect_of(None, "http://127.0.0.1:11434/v1") is PLAIN


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda one: one.name)
def test_a_body_without_what_differs_keeps_every_byte(dialect: Any) -> None:
    injection = sent(b'{"model" : "m", "max_tokens": 7,"messages":[] , "temperature":1.0}')
    assert in_dialect(injection, dialect) is injection


def test_the_bound_goes_under_the_name_that_is_looked_at() -> None:
    changed = in_dialect(sent(b'{"model":"m", "max_completion_tokens": 9, "x" : 1}', service_tier="flex"), OLLAMA)
    assert json.loads(changed.body) == {"model": "m", "max_tokens": 9, "x": 1}
    assert (changed.max_output_tokens, changed.dropped_parameters, changed.service_tier) == (9, (), "flex")
    assert b'"x" : 1' in changed.body


def test_a_name_with_escapes_is_the_same_name() -> None:
    changed = in_dialect(sent(b'{"max_complet\\u0069on_tokens":9}'), OLLAMA)
    assert json.loads(changed.body) == {"max_tokens": 9}


def test_what_is_refused_is_left_out_and_told() -> None:
    body = b'{"stream":true,"stream_options":{"include_usage":true}}'
    changed = in_dialect(sent(body, dropped_parameters=("stop",)), MISTRAL)
    assert (changed.body, changed.dropped_parameters) == (b'{"stream":true}', ("stop", "stream_options"))
    assert in_dialect(sent(body), OLLAMA).body == body


def test_a_bound_of_nothing_is_none() -> None:
    assert in_dialect(sent(b'{"max_completion_tokens":null,"a":1}'), OLLAMA).body == b'{"a":1}'


def test_words_in_a_text_change_nothing() -> None:
    injection = sent(b'{"messages":[{"role":"user","content":"what is max_completion_tokens? \\u00e9"}]}')
    assert in_dialect(injection, MISTRAL) is injection


def test_a_bound_that_is_there_twice_is_refused() -> None:
    with pytest.raises(BadInput) as caught:
        in_dialect(sent(b'{"max_completion_tokens":9,"max_completion_tokens":10}'), MISTRAL)
    assert caught.value.code == "duplicate_key"

import json
from typing import Any

import pytest

from proxy.core.errors import BadInput
from proxy.wires.openai_completions.wire import OpenAICompletions
from proxy.wires.wire import Injection, InjectionPlan

WIRE = OpenAICompletions()
BODY = b'{"model" :"gpt-3.5-turbo-instruct",  "prompt":"Once u\\u0070on", "max_tokens": 9, "stream":true }'


def injected(body: bytes | dict[str, Any], **plan: Any) -> Injection:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    return WIRE.inject(WIRE.read(sent), InjectionPlan(**{"bundle": None, **plan}))


def test_its_paths_are_metered_and_no_version_is_in_force() -> None:
    for path in ("/v1/completions", "/completions"):
        operation = WIRE.operation("POST", path)
        assert operation is not None
        assert (operation.is_metered, operation.is_in_force, operation.has_output) == (True, False, True)
        assert (operation.is_billable, operation.could_apply, operation.takes_embeddings_model) == (True, True, False)
    assert WIRE.operation("GET", "/v1/completions") is None


def test_every_byte_stays_where_nobody_counts() -> None:
    assert injected(BODY, asks_usage=False).body == BODY
    assert not injected(BODY, asks_usage=False).removes_usage_event


def test_a_stream_is_asked_for_its_usage() -> None:
    injection = injected(BODY)
    assert injection.body == BODY[:-2] + b',"stream_options":{"include_usage":true} }'
    assert injection.removes_usage_event
    kept = injected(BODY[:-2] + b',"stream_options":{"include_usage":true}}')
    assert not kept.removes_usage_event
    assert not injected({"model": "m", "prompt": "x"}).removes_usage_event


def test_output_is_bounded_only_where_a_cap_needs_it() -> None:
    assert injected({"model": "m", "prompt": "x"}).max_output_tokens is None
    bounded = injected({"model": "m", "prompt": "x"}, output_ceiling=77)
    assert (bounded.max_output_tokens, json.loads(bounded.body)["max_tokens"]) == (77, 77)
    assert injected(BODY, output_ceiling=77).max_output_tokens == 9
    assert injected({"model": "m", "prompt": "x", "max_tokens": 0}, output_ceiling=77).max_output_tokens == 0


@pytest.mark.parametrize(
    ("more", "answers"),
    [
        ({}, 1),
        ({"n": 3}, 3),
        ({"n": 2, "best_of": 5}, 5),
        ({"prompt": ["a", "b"], "n": 3}, 6),
        ({"prompt": [1, 2, 3]}, 1),
        ({"prompt": [[1, 2], [3]]}, 2),
        ({"prompt": []}, 1),
        ({"prompt": None}, 1),
    ],
)
def test_each_prompt_and_each_try_is_an_answer_of_its_own(more: dict[str, Any], answers: int) -> None:
    assert WIRE.read(json.dumps({"model": "m", "prompt": "x", **more}).encode()).choices == answers


@pytest.mark.parametrize(
    "more", [{"n": 0}, {"n": 1.5}, {"best_of": "2"}, {"max_tokens": -1}, {"stream": "yes"}, {"prompt": ["a"] * 200_002}]
)
def test_what_the_price_depends_on_has_to_make_sense(more: dict[str, Any]) -> None:
    with pytest.raises(BadInput) as caught:
        WIRE.read(json.dumps({"model": "m", "prompt": "x", **more}).encode())
    assert caught.value.code == "wrong_kind"


@pytest.mark.parametrize("prompt", ["hi {", ["a", "{b}"], [1, 2], [[1], [2]], None])
def test_texts_are_bounded_by_the_length_of_the_body(prompt: Any) -> None:
    injection = injected({"model": "m", "prompt": prompt, "suffix": "x", "logprobs": 5, "echo": True})
    bound = WIRE.input_tokens_bound(injection)
    assert bound is not None
    assert bound >= len(injection.body)


@pytest.mark.parametrize(
    "more",
    [
        {"prompt": {"prompt_string": "a", "multimodal_data": ["x"]}},
        {"prompt": ["a", {"prompt_string": "a"}]},
        {"prompt": [[{"a": 1}]]},
        {"prompt_embeds": "AAAA"},
    ],
)
def test_what_cannot_be_seen_has_no_bound(more: dict[str, Any]) -> None:
    assert WIRE.input_tokens_bound(injected({"model": "m", **more})) is None


def test_an_agent_named_as_model_is_no_model() -> None:
    with pytest.raises(BadInput) as caught:
        injected({"prompt": "x", "model": "agent:a"})
    assert caught.value.code == "model_missing"


@pytest.mark.parametrize("streamed", [False, True])
def test_a_fixed_text_is_read_as_a_finished_answer(streamed: bool) -> None:
    said = WIRE.text_reply("closed", model="m", reply_id="r", created=1, streamed=streamed)
    reader = WIRE.answer_reader(streamed=streamed, removes_usage_event=False)
    assert reader.feed(said) + reader.finish() == said
    assert (reader.facts.finish, reader.facts.output_bytes, reader.facts.is_complete) == ("stop", 6, True)

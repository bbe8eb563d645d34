import json
from typing import Any

import pytest

from proxy.core.spending.usage import Usage, UsageParts
from proxy.wires.openai_embeddings.wire import OpenAIEmbeddings
from proxy.wires.wire import AnswerFacts
from tests.wires.recorded import cuttings, read_all

WIRE = OpenAIEmbeddings()
VECTOR = {"object": "embedding", "index": 0, "embedding": [0.25, -1e-05]}


def facts_of(body: bytes, *, streamed: bool = False) -> AnswerFacts:
    passed, facts = read_all(WIRE.answer_reader(streamed=streamed, removes_usage_event=False), [body[:9], body[9:]])
    assert passed == body
    return facts


def answer(usage: Any = None, **more: Any) -> bytes:
    told = {} if usage is None else {"usage": usage}
    return json.dumps({"object": "list", "data": [VECTOR], "model": "text-embedding-3-small", **told, **more}).encode()


@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_is_read_wherever_it_is_cut(streamed: bool) -> None:
    body = answer({"prompt_tokens": 8, "total_tokens": 8})
    for pieces in cuttings(body):
        passed, facts = read_all(WIRE.answer_reader(streamed=streamed, removes_usage_event=False), pieces)
        assert passed == body
        assert (facts.usage, facts.model) == (Usage(input_tokens=8), "text-embedding-3-small")
        assert (facts.is_complete, facts.unreadable, facts.output_bytes) == (True, 0, 0)


@pytest.mark.parametrize(
    ("usage", "told"),
    [
        ({"prompt_tokens": 8, "total_tokens": 8, "completion_tokens": 0}, Usage(8)),
        ({"total_tokens": 9}, Usage(9)),
        ({"prompt_tokens": 9.0}, Usage(9)),
        ({"prompt_tokens": 3, "total_tokens": 11}, Usage(11)),
        ({"prompt_tokens": 8, "prompt_tokens_details": {"image_tokens": 5}}, Usage(8, parts=UsageParts(0, 5, 0, 0, 0))),
        ({"prompt_tokens": None}, None),
        ({}, None),
    ],
)
def test_the_larger_of_what_is_told_counts(usage: Any, told: Usage | None) -> None:
    facts = facts_of(answer(usage))
    assert (facts.usage, facts.unreadable) == (told, 0)


@pytest.mark.parametrize("usage", ["many", [1], {"prompt_tokens": -5}, {"prompt_tokens": "8", "total_tokens": 10**30}])
def test_nonsense_is_no_usage(usage: Any) -> None:
    facts = facts_of(answer(usage))
    assert facts.usage is None
    assert facts.unreadable


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"<html>", b'"text"', answer({"prompt_tokens": 8})[:-5]])
def test_a_broken_answer_has_no_usage(body: bytes) -> None:
    assert facts_of(body).usage is None


def test_an_error_in_its_place_is_one() -> None:
    assert facts_of(b'{"error":{"type":"server_error","message":"x"}}').error_type == "server_error"


@pytest.mark.parametrize("vectors", [300, 4000])
def test_of_an_answer_of_many_vectors_the_usage_is_read_all_the_same(vectors: int) -> None:
    data = [{"object": "embedding", "index": index, "embedding": [0.123456] * 256} for index in range(vectors)]
    body = answer({"prompt_tokens": 77, "total_tokens": 77}, data=data)
    body = (
        body.replace(b'"usage": {"prompt_tokens": 77, "total_tokens": 77}, ', b"")[:-1]
        + b', "usage": {"prompt_tokens": 77}}'
    )
    facts = facts_of(body)
    assert (facts.usage, facts.model) == (Usage(input_tokens=77), "text-embedding-3-small")

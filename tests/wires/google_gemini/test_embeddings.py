"""Embeddings on Gemini's wire: which model, which bytes, how much was read."""

import json
from typing import Any

import pytest

from proxy.core.errors import BadInput
from proxy.core.spending.usage import Usage
from proxy.core.versions.components import parse_bundle
from proxy.wires.google_gemini.embeddings import GoogleEmbeddings
from proxy.wires.wire import Injection, InjectionPlan, RequestHead
from tests.wires.recorded import read_all

WIRE = GoogleEmbeddings()
SINGLE, BATCH = "/v1beta/models/theirs:embedContent", "/v1/models/theirs:batchEmbedContents"
HI = '"content": {"parts": [{"text": "h\\u00ef"}]}'


def inject(body: str, version: dict[str, Any] | None, target: str) -> Injection:
    request = WIRE.read(body.encode(), RequestHead("POST", target.encode(), []))
    return WIRE.inject(request, InjectionPlan(bundle=None if version is None else parse_bundle(version)))


@pytest.mark.parametrize("version", [None, {}, {"model": {"name": "gemini-2.5-pro"}, "prompt": {"text": "Ours."}}])
@pytest.mark.parametrize(
    ("target", "body"), [(SINGLE, f"{{{HI}}}"), (BATCH, f'{{"requests":[{{"model":"models/theirs",{HI}}}]}}')]
)
def test_nothing_of_a_version_goes_in_but_its_model_for_embeddings(version: Any, target: str, body: str) -> None:
    injection = inject(body, version, target)
    assert (injection.body.decode(), injection.target, injection.model) == (body, None, "theirs")


def test_the_model_for_embeddings_is_named_everywhere() -> None:
    version = {"model": {"embeddings": "ours"}}
    single = inject(f'{{"model":"models/theirs", {HI}}}', version, SINGLE)
    assert single.body.decode() == f'{{"model":"models/ours", {HI}}}'
    assert (single.target, single.model) == (b"/v1beta/models/ours:embedContent", "ours")
    assert inject(f"{{{HI}}}", version, SINGLE).body.decode() == f"{{{HI}}}"
    batch = inject(f'{{"requests": [{{"model":"models/theirs",{HI}}},{{{HI}, "taskType":"X"}}] }}', version, BATCH)
    assert batch.body.decode() == (
        f'{{"requests": [{{"model":"models/ours",{HI}}},{{{HI}, "taskType":"X","model":"models/ours"}}] }}'
    )
    assert batch.target == b"/v1/models/ours:batchEmbedContents"


def test_every_model_that_a_batch_names_is_seen() -> None:
    body = f'{{"requests":[{{"model":"models/other",{HI}}}]}}'
    assert WIRE.read(body.encode(), RequestHead("POST", BATCH.encode(), [])).further_models == {"other"}


@pytest.mark.parametrize("body", ['{"requests":7}', '{"requests":[7]}', '{"requests":[],"requests":[]}', "[]", "{"])
def test_what_cannot_be_read_is_refused(body: str) -> None:
    with pytest.raises(BadInput):
        inject(body, None, BATCH)


@pytest.mark.parametrize(
    ("body", "is_bounded"),
    [
        (f'{{{HI},"taskType":"X","outputDimensionality":3}}', True),
        (f'{{"requests":[{{{HI}}}]}}', True),
        ('{"content":{"parts":[{"inlineData":{}}]}}', False),
        ('{"requests":[{"content":{"parts":[{"fileData":{}}]}}]}', False),
        (f'{{{HI},"new":{{}}}}', False),
        (f'{{"requests":[{{{HI},"new":[]}}]}}', False),
        (f"{{{HI},{HI}}}", False),
    ],
)
def test_only_what_is_nothing_but_text_has_a_bound(body: str, is_bounded: bool) -> None:
    assert (WIRE.input_tokens_bound(inject(body, None, SINGLE)) is not None) == is_bounded


@pytest.mark.parametrize(
    ("answer", "usage"),
    [
        ({"embedding": {"values": [0.5]}, "usageMetadata": {"promptTokenCount": 7, "totalTokenCount": 9}}, Usage(9)),
        ({"embeddings": [{"statistics": {"tokenCount": 3}}, {"statistics": {"tokenCount": 4}}]}, Usage(7)),
        ({"embeddings": [{"statistics": {"tokenCount": 3}}, {"values": []}]}, None),
        ({"embedding": {"values": [0.5]}}, None),
        ({"usageMetadata": {"promptTokenCount": -7}}, None),
        ({"usageMetadata": 7}, None),
        ([], None),
    ],
)
def test_what_was_read_is_told_or_not(answer: Any, usage: Usage | None) -> None:
    body = json.dumps(answer).encode()
    passed, facts = read_all(WIRE.answer_reader(streamed=False, removes_usage_event=False), [body])
    assert (passed, facts.usage) == (body, usage)


def test_the_usage_of_a_large_batch_is_read_behind_its_vectors() -> None:
    vectors = [{"values": [0.123456789] * 3072}] * 100
    body = json.dumps({"embeddings": vectors, "usageMetadata": {"promptTokenCount": 7}}).encode()
    _, facts = read_all(WIRE.answer_reader(streamed=False, removes_usage_event=False), [body])
    assert facts.usage == Usage(7)


def test_an_error_is_told() -> None:
    _, facts = read_all(
        WIRE.answer_reader(streamed=False, removes_usage_event=False), [b'{"error":{"code":429,"status":"X"}}']
    )
    assert facts.is_bare_error

import json

import pytest
from anthropic.types import ModelInfo
from openai.types import Model

from proxy.wires.model_list import append_agents

AGENTS = [("support-triage", 1_800_000_000), ("billing", 0)]


def test_agents_stand_behind_openais_models_and_nothing_else_changes() -> None:
    body = b'{ "object": "list", "data": [ {"id":"gpt-4o","object":"model","created":1.0e9,"owned_by":"openai"} ] , "x":1 }\n'
    answer = append_agents(body, AGENTS)
    head, tail = body.split(b" ] ,")
    assert answer.startswith(head)
    assert answer.endswith(b" ] ," + tail)
    models = [Model.model_validate(model) for model in json.loads(answer)["data"]]
    assert [model.id for model in models] == ["gpt-4o", "agent:support-triage", "agent:billing"]
    assert models[1].created == 1_800_000_000


def test_an_empty_list_gets_the_agents_alone() -> None:
    answer = json.loads(append_agents(b'{"object":"list","data":[]}', AGENTS))
    assert [model["id"] for model in answer["data"]] == ["agent:support-triage", "agent:billing"]


def test_agents_stand_on_the_last_page_of_anthropics_models() -> None:
    page = '{"data":[{"type":"model","id":"claude"}],"has_more":%s,"first_id":"claude","last_id":"claude"}'
    last = json.loads(append_agents((page % "false").encode(), AGENTS))["data"]
    assert [model["id"] for model in last] == ["claude", "agent:support-triage", "agent:billing"]
    info = ModelInfo.construct(**last[1])
    assert (info.display_name, info.created_at.timestamp()) == ("support-triage", 1_800_000_000)
    first = (page % "true").encode()
    assert append_agents(first, AGENTS) is first


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b"{}",
        b'{"error":{"message":"no"}}',
        b'{"object":"list"}',
        b'{"object":"list","data":{}}',
        b'{"object":"list","data":null}',
        b'{"data":[]}',
        b'{"object":"list","data":[],"data":[]}',
        b'{"data":[],"has_more":"no"}',
    ],
)
def test_anything_else_comes_back_unchanged(body: bytes) -> None:
    assert append_agents(body, AGENTS) is body


def test_without_agents_nothing_changes() -> None:
    body = b'{"object":"list","data":[]}'
    assert append_agents(body, []) is body


def test_agents_stand_on_the_last_page_of_googles_models() -> None:
    body = b'{ "models": [ {"name":"models/gemini-2.5-pro", "topK": 64} ] }'
    answer = append_agents(body, AGENTS)
    assert answer.startswith(body.split(b" ] }")[0])
    assert [model["name"] for model in json.loads(answer)["models"]][1:] == [
        "models/agent:support-triage",
        "models/agent:billing",
    ]
    for other in (b'{"models":[],"nextPageToken":"x"}', b'{"models":7}', b'{"error":{"code":403}}'):
        assert append_agents(other, AGENTS) == other

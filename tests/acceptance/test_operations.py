"""What holds on every path: no version is claimed where none is in force, and names, switches and caps are met all the same."""

import re
from typing import Any

import orjson
import pytest

from tests.harness import CLAUDE, MODEL, Deployment, Refused

ASKED: dict[str, dict[str, Any]] = {
    "/v1/embeddings": {"model": "text-embedding-3-small", "input": "hi"},
    "/v1/responses/compact": {"model": MODEL, "input": "hi"},
    "/v1/completions": {"model": MODEL, "prompt": "hi"},
    "/v1/images/generations": {"model": "gpt-image-1", "prompt": "a cat"},
    "/v1/moderations": {"input": "hi"},
    "/v1/messages/count_tokens": {"model": CLAUDE, "messages": []},
}
GENERATING = ("/v1/responses/compact", "/v1/completions")
#: Of two models one reader takes the first, another the last.
MULTIPART = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n' * 2 + b"--b--\r\n"
FORM = "multipart/form-data; boundary=b"


@pytest.fixture
async def agent(deployment: Deployment) -> Deployment:
    await deployment.operator.agent("support", "Be kind.")
    return deployment


async def told(
    deployment: Deployment, path: str, body: Any, **headers: str
) -> tuple[int, dict[str, Any], dict[str, str]]:
    async with deployment.post(path, body, **headers) as answer:
        return answer.status, await answer.json(content_type=None), {k.lower(): v for k, v in answer.headers.items()}


async def code_of(deployment: Deployment, path: str, body: Any, **headers: str) -> str | None:
    _, content, _ = await told(deployment, path, body, **headers)
    error = content.get("error") or {}
    return error.get("code") or (error.get("details") or {}).get("error_code")


@pytest.mark.parametrize("path", [path for path in ASKED if path not in GENERATING])
async def test_no_version_is_claimed_where_none_is_in_force(agent: Deployment, path: str) -> None:
    _, _, headers = await told(agent, "/a/support" + path, ASKED[path])
    assert not headers.keys() & {"switchback-version", "switchback-arm", "switchback-bucket", "switchback-release"}
    assert (headers["switchback-agent"], headers["switchback-reason"]) == ("support", "passed_through")
    run = (await agent.operator.runs(1))[0]
    assert (run["agent"], run["reason"]) == ("support", "passed_through")
    assert [run[name] for name in ("version", "arm", "bucket", "rollout", "release")] == [None] * 5
    assert not run["in_analysis"]
    async with agent.session.get(f"{agent.server.admin_url}/metrics") as answer:
        text = await answer.text()
    assert re.search(
        r'switchback_runs_total\{agent="support",arm="",error_class="[^"]*",model="other",.*version=""\}', text
    )


@pytest.mark.parametrize("path", GENERATING)
async def test_what_could_have_had_a_prompt_is_refused_for_an_agent_that_has_one(agent: Deployment, path: str) -> None:
    before = agent.simulator.record.received
    status, content, headers = await told(agent, "/a/support" + path, ASKED[path])
    assert (status, content["error"]["code"]) == (400, "version_not_applicable")
    assert "/v1/chat/completions" in content["error"]["message"]
    assert headers["switchback-agent"] == "support"
    assert agent.simulator.record.received == before


async def test_without_an_agent_it_passes_as_ever(agent: Deployment) -> None:
    for path in ASKED:
        assert await code_of(agent, path, ASKED[path]) != "version_not_applicable"


async def test_an_agent_is_known_by_model_and_member_on_every_json_body(agent: Deployment) -> None:
    before = agent.simulator.record.received
    assert await code_of(agent, "/v1/embeddings", {"model": "agent:support", "input": "a"}) == "version_not_applicable"
    assert await code_of(agent, "/v1/embeddings", {"model": "agent:nobody", "input": "a"}) == "agent_not_found"
    assert (
        await code_of(agent, "/v1/embeddings", {"model": "e", "switchback": {"agent": "support@9"}})
        == "version_not_found"
    )
    assert agent.simulator.record.received == before
    body = b'{"model": "text-embedding-3-small","switchback":{"agent":"support","user":"ann"}, "input" : "a"}'
    status, _, headers = await told(agent, "/v1/embeddings", body)
    assert (status, headers["switchback-agent"]) == (200, "support")
    assert agent.simulator.calls[-1].body == b'{"model": "text-embedding-3-small", "input" : "a"}'
    assert (await agent.operator.runs(1))[0]["user"] == "ann"


@pytest.mark.parametrize(
    "scope",
    [{}, {"provider": "openai"}, {"model": "text-embedding-3-small"}, {"model": "OPENAI/Text-Embedding-3-Small"}],
)
async def test_a_switch_stops_a_path_that_no_wire_reads(agent: Deployment, scope: dict[str, str]) -> None:
    await agent.operator.post("/switches", scope=scope, mode="block", why="stop")
    for path in ("/v1/embeddings", "/v1/fine_tuning/jobs"):
        assert await code_of(agent, path, ASKED["/v1/embeddings"]) == "agent_disabled"


@pytest.mark.parametrize("scope", [{"model": "whisper-1"}, {"model": "o3"}, {"tool": "pay"}, {"tag": "tenant=acme"}])
async def test_a_switch_stops_what_cannot_be_read(agent: Deployment, scope: dict[str, str]) -> None:
    await agent.operator.post("/switches", scope=scope, mode="block", why="stop")
    assert await code_of(agent, "/v1/audio/transcriptions", MULTIPART, content_type=FORM) == "agent_disabled"
    assert await code_of(agent, "/v1/embeddings", ASKED["/v1/embeddings"]) is None


async def test_a_tool_in_a_body_that_no_wire_reads_is_seen(agent: Deployment) -> None:
    await agent.operator.post("/switches", scope={"tool": "pay"}, mode="block", why="stop")
    body = {"model": MODEL, "input": "hi", "tools": [{"type": "function", "name": "pay", "parameters": {}}]}
    assert await code_of(agent, "/v1/responses/compact", body) == "agent_disabled"
    assert await code_of(agent, "/v1/responses/compact", {**body, "tools": []}) != "agent_disabled"


@pytest.mark.parametrize("mode", [{"mode": "reply", "reply": "closed"}, {"mode": "fallback", "fallback_version": 1}])
async def test_a_switch_that_cannot_answer_here_stops_the_call(agent: Deployment, mode: dict[str, Any]) -> None:
    await agent.operator.post("/switches", scope={"agent": "support"}, why="stop", **mode)
    assert await code_of(agent, "/a/support/v1/embeddings", ASKED["/v1/embeddings"]) == "agent_disabled"


@pytest.mark.parametrize("scope", [{"model": "o3"}, {"user": "ann"}, {"tag": "t=x"}, {}])
async def test_a_hard_cap_counts_what_it_cannot_know(agent: Deployment, scope: dict[str, str]) -> None:
    await agent.operator.post("/caps", scope=scope, window="day", unit="usd", limit=5, at_limit="block", why="cap")
    assert await code_of(agent, "/v1/audio/transcriptions", MULTIPART, content_type=FORM) == "unpriceable"


async def test_free_calls_meet_no_cap(agent: Deployment) -> None:
    await agent.operator.post("/caps", scope={}, window="day", unit="calls", limit=0, at_limit="block", why="cap")
    for path in ("/v1/moderations", "/v1/messages/count_tokens"):
        assert await code_of(agent, path, ASKED[path]) not in ("spend_cap_exceeded", "unpriceable")
    for path in ("/v1/files", "/v1/uploads", "/v1/responses/r/cancel", "/v1/conversations", "/v1/vector_stores"):
        assert await code_of(agent, path, {}) not in ("spend_cap_exceeded", "unpriceable")
    assert await code_of(agent, "/v1/embeddings", ASKED["/v1/embeddings"]) == "spend_cap_exceeded"


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_a_metered_path_by_another_method_is_not_free(agent: Deployment, method: str) -> None:
    await agent.operator.post("/caps", scope={}, window="day", unit="calls", limit=0, at_limit="block", why="cap")
    url = agent.server.traffic_url + "/v1/chat/completions"
    async with agent.session.request(method, url, json={"model": MODEL}) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (402, "spend_cap_exceeded")


async def test_what_cannot_be_priced_is_shown_as_unmetered_under_a_soft_cap(agent: Deployment) -> None:
    await agent.operator.post("/caps", scope={}, window="day", unit="usd", limit=5, at_limit="warn", why="cap")
    assert await code_of(agent, "/v1/fine_tuning/jobs", {"model": MODEL, "training_file": "file-1"}) is None
    run = (await agent.operator.runs(1))[0]
    assert (run["cost_usd"], run["usage_source"]) == (None, "unmetered")


async def test_a_switch_on_the_answered_name_stops_the_asked_one(agent: Deployment) -> None:
    app = agent.openai(None)
    completion = await app.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hi"}])
    assert completion.model != MODEL
    await agent.operator.post("/switches", scope={"model": completion.model.upper()}, mode="block", why="stop")
    body = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}
    assert await code_of(agent, "/v1/chat/completions", body) == "agent_disabled"


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/v1/responses", {"input": "hi", "tools": [{"type": "image_generation", "model": "gpt-image-1"}]}),
        ("/v1/responses/compact", {"input": "hi", "tools": [{"type": "image_generation", "model": "GPT-Image-1"}]}),
        ("/v1/messages", {"messages": [], "max_tokens": 5, "fallbacks": [{"model": "gpt-image-1"}]}),
        ("/v1/messages", {"messages": [], "max_tokens": 5, "fallbacks": [{"m\\u006fdel": "gpt-image-1"}]}),
        ("/v1/messages/count_tokens", {"messages": [], "tools": [{"name": "a", "type": "advisor_1", "model": "gpt-image-1"}]}),
    ],
)  # fmt: skip
async def test_a_switch_meets_a_model_that_a_call_brings_beside_the_one_it_asks(
    agent: Deployment, path: str, more: dict[str, Any]
) -> None:
    body = orjson.dumps({"model": MODEL, **more}).replace(b"\\\\", b"\\")
    await agent.operator.post("/switches", scope={"model": "gpt-image-1"}, mode="block", why="stop")
    assert await code_of(agent, path, body) == "agent_disabled"
    assert (
        await code_of(agent, path, body.replace(b"mage-1", b"mage-2").replace(b"Image", b"image")) != "agent_disabled"
    )


async def test_a_switch_meets_a_model_that_a_version_brings(agent: Deployment) -> None:
    tools = {"mode": "merge", "items": [{"type": "image_generation", "model": "gpt-image-1"}]}
    await agent.operator.agent("painter", "Paint.", tools=tools)
    await agent.operator.post("/switches", scope={"model": "gpt-image-1"}, mode="block", why="stop")
    assert await code_of(agent, "/a/painter/v1/responses", {"input": "hi"}) == "agent_disabled"
    assert await code_of(agent, "/a/support/v1/responses", {"model": MODEL, "input": "hi"}) is None


async def test_a_switch_on_a_tool_meets_it_in_any_case(agent: Deployment) -> None:
    switch = await agent.operator.post("/switches", scope={"tool": "Refund"}, mode="block", why="stop")
    assert "did you mean" not in str(switch["warnings"])
    tools = [{"type": "function", "function": {"name": "refund"}}]
    body = {"model": MODEL, "messages": [], "tools": tools}
    assert await code_of(agent, "/v1/chat/completions", body) == "agent_disabled"


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/", "/a/support", "/a/support/", "/a/support/v1"])
async def test_a_base_url_answers_without_a_run(agent: Deployment, path: str) -> None:
    for method in ("GET", "HEAD"):
        async with agent.session.request(method, agent.server.traffic_url + path) as answer:
            assert answer.status == 200
    assert (await agent.operator.get("/runs"))["items"] == []


async def test_nothing_is_added_to_calls_that_nobody_counts(agent: Deployment) -> None:
    for more in ({"max_tokens": 0}, {"max_tokens": -1}, {"max_tokens": 100.0}, {"n": 0}, {"stream": True}):
        body = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}], **more}
        async with agent.post("/v1/chat/completions", body) as answer:
            await answer.read()
        sent = agent.simulator.calls[-1]
        assert sent.json == body
    frame = b"\x28\xb5\x2f\xfd\x00\x00\x01\x00\x00"
    async with agent.post("/v1/chat/completions", frame, content_encoding="zstd") as answer:
        await answer.read()
    # The simulator reads no zstd and says so itself; what matters is who did.
    assert (await agent.operator.runs(6))[0]["error_class"] == "provider_error"
    # Under a hard cap somebody has to know what it may cost.
    await agent.operator.post("/caps", scope={}, window="day", unit="usd", limit=5, at_limit="block", why="cap")
    body = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}], "max_tokens": -1}
    assert await code_of(agent, "/v1/chat/completions", body) == "wrong_kind"
    assert await code_of(agent, "/v1/chat/completions", frame, content_encoding="zstd") == "bad_content_encoding"


@pytest.mark.parametrize(
    "odd",
    [{"tools": "x"}, {"tools": [7]}, {"user": [5]}, {"stream": "yes"}, {"model": 7}, {"functions": {"name": "f"}}],
)
async def test_a_member_of_a_wrong_kind_is_the_providers_to_judge_where_nobody_counts(
    agent: Deployment, odd: dict[str, Any]
) -> None:
    body = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}], **odd}
    async with agent.post("/v1/chat/completions", body) as answer:
        await answer.read()
    assert agent.simulator.calls[-1].json == body
    # Not where it says something to the proxy, and not past a switch on what stands where it cannot be read.
    for ours in ({"model": "agent:support"}, {"switchback": {"agent": "support"}}, {"switchback": 7}):
        if not (ours.keys() & odd.keys()):
            assert await code_of(agent, "/v1/chat/completions", {**body, **ours}) == "wrong_kind"
    assert await code_of(agent, "/a/support/v1/chat/completions", body) == "wrong_kind"
    await agent.operator.post("/switches", scope={"tool": "f"}, mode="block", why="stop")
    assert await code_of(agent, "/v1/chat/completions", body) == "agent_disabled"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/messages"])
async def test_an_odd_tier_is_the_providers_to_judge_where_nobody_counts(agent: Deployment, path: str) -> None:
    body = {"model": MODEL, "messages": [], "service_tier": 5}
    async with agent.post(path, body, anthropic_version="2023-06-01") as answer:
        await answer.read()
    assert agent.simulator.calls[-1].json == body
    # Not where something would have to be taken out of it, and not where somebody has to know what it costs.
    taken = len(agent.simulator.calls)
    for ours in ({"model": "agent:support"}, {"switchback": {"user": "ann"}}):
        assert await code_of(agent, path, {**body, **ours}) == "wrong_kind"
    await agent.operator.post("/caps", scope={}, window="day", unit="usd", limit=5, at_limit="block", why="cap")
    assert await code_of(agent, path, body) == "wrong_kind"
    assert len(agent.simulator.calls) == taken


async def test_a_refusal_names_the_agent_whatever_was_wrong_with_the_call(agent: Deployment) -> None:
    chat = "/a/support/v1/chat/completions"
    for body, headers in (
        (b"{", {}),
        (b"[]", {}),
        (b"{}", {"switchback_tags": "no"}),
        (b"{}", {"switchback_agent": "o"}),
    ):
        status, _, told_headers = await told(agent, chat, body, **headers)
        assert status == 400
        assert (told_headers["switchback-agent"], told_headers["switchback-version"]) == ("support", "support@1")
    status, _, told_headers = await told(agent, "/a/support/v1/nothing", b"{}")
    assert (status, told_headers["switchback-agent"]) == (404, "support")
    runs = await agent.operator.runs(5)
    assert {run["agent"] for run in runs} == {"support"}
    async with agent.session.get(f"{agent.server.admin_url}/metrics") as answer:
        text = await answer.text()
    assert 'agent="other"' not in text
    assert 'switchback_refusals_total{agent="support",code="malformed_json"}' in text


async def test_an_agent_may_let_pass_what_no_version_applies_to(agent: Deployment) -> None:
    await agent.operator.request("PATCH", "/agents/support", {"unapplied": "pass", "why": "until its wire is here"})
    assert (await agent.operator.get("/agents/support"))["unapplied"] == "pass"
    for path in GENERATING:
        _, _, headers = await told(agent, "/a/support" + path, ASKED[path])
        assert headers["switchback-reason"] == "passed_through"
        assert orjson.loads(agent.simulator.calls[-1].body) == ASKED[path]
    assert (await agent.operator.get("/audit/verify"))["ok"]
    named = {"model": "agent:support", "input": "a"}
    assert await code_of(agent, "/v1/responses/compact", named) == "version_not_applicable"


async def test_a_switch_or_cap_on_a_provider_that_is_not_there_is_refused(agent: Deployment) -> None:
    cap = {"window": "day", "unit": "calls", "limit": 1, "at_limit": "block"}
    for path, body in (("/switches", {"mode": "block"}), ("/caps", cap)):
        with pytest.raises(Refused) as caught:
            await agent.operator.post(path, scope={"provider": "opneai"}, why="a slip", **body)
        assert caught.value.code == "bad_scope"
        assert "anthropic, openai" in str(caught.value.problem)


async def test_a_switch_does_not_read_as_a_failed_login_to_clients_of_anthropic(agent: Deployment) -> None:
    await agent.operator.post("/switches", scope={}, mode="block", why="incident 7")
    body = {"model": CLAUDE, "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
    status, content, headers = await told(agent, "/a/support/v1/messages", body)
    assert (status, content["error"]["type"]) == (400, "invalid_request_error")
    assert "incident 7" in content["error"]["message"]
    assert content["error"]["details"]["error_code"] == "agent_disabled"
    assert headers["x-should-retry"] == "false"
    assert (await agent.operator.runs(1))[0]["status"] == 400

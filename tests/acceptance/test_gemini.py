"""Google Gemini through the whole proxy: a version in force, exact cost, and every way it can end."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from proxy.simulator.app import Simulator
from tests.harness import Deployment, deployed

KEY = "AIzaSyTheCallersOwnKey-0123456789abcdefg"
ASKED, VERSIONED = "gemini-2.5-flash", "gemini-2.5-pro"
HEADERS = {"x-goog-api-key": KEY, "authorization": ""}
CONTENTS = [{"role": "user", "parts": [{"text": "hello there"}]}]
BODY = {"contents": CONTENTS, "systemInstruction": {"parts": [{"text": "Be rude."}]}}
TOOL = {
    "functionDeclarations": [
        {"name": "lookup", "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}}}
    ]
}
FRAMINGS = ["whole", "events", "list"]


@pytest.fixture
async def gemini(tmp_path: Path) -> AsyncIterator[Deployment]:
    """A deployment with an agent whose version asks for another model than its callers."""
    simulator = Simulator()
    await simulator.start()
    provider = {"wire": "google", "base_url": simulator.url}
    try:
        async with deployed(tmp_path / "home", simulator=simulator, providers={"google": provider}) as running:
            await running.operator.agent("support", "Be kind.", model=VERSIONED)
            yield running
    finally:
        await simulator.stop()


def path_of(framing: str, *, agent: str | None = "support", model: str = ASKED, version: str = "v1beta") -> str:
    method = {"whole": "generateContent", "events": "streamGenerateContent?alt=sse", "list": "streamGenerateContent"}
    return (f"/a/{agent}" if agent else "") + f"/{version}/models/{model}:{method[framing]}"


async def answers_of(response: aiohttp.ClientResponse, framing: str) -> list[dict[str, Any]]:
    body = await response.read()
    if framing == "events":
        return [json.loads(event.removeprefix(b"data: ")) for event in body.split(b"\r\n\r\n") if event]
    found = json.loads(body)
    return found if framing == "list" else [found]


def text_in(answers: list[dict[str, Any]]) -> str:
    parts = [part for answer in answers for part in answer["candidates"][0]["content"].get("parts", [])]
    return "".join(part.get("text", "") for part in parts)


async def ask(
    gemini: Deployment, framing: str, body: Any = BODY, *, order: str = "", path: str = "", **headers: str
) -> list[dict[str, Any]]:
    orders = {"x-simulate": order} if order else {}
    async with gemini.post(path or path_of(framing), body, **HEADERS, **orders, **headers) as response:
        assert response.status == 200, await response.text()
        assert response.content_type == ("text/event-stream" if framing == "events" else "application/json")
        return await answers_of(response, framing)


async def last_run(gemini: Deployment, count: int = 1) -> dict[str, Any]:
    return (await gemini.operator.runs(count))[0]


@pytest.mark.parametrize("version", ["v1", "v1beta", "v1alpha"])
async def test_a_version_is_in_force_and_its_cost_exact_in_every_framing(gemini: Deployment, version: str) -> None:
    said = []
    for framing in FRAMINGS:
        answers = await ask(gemini, framing, path=path_of(framing, version=version))
        said.append((text_in(answers), answers[-1]["usageMetadata"], answers[-1]["candidates"][0]["finishReason"]))
    assert said[0][0] != ""
    assert said[0] == said[1] == said[2] or len({json.dumps(one[1]) for one in said}) == 1
    for run, call in zip(await gemini.operator.runs(3), reversed(gemini.simulator.calls), strict=True):
        assert call.path.startswith(f"/{version}/models/{VERSIONED}:")
        assert call.json == BODY | {"systemInstruction": {"parts": [{"text": "Be kind."}]}}
        assert call.headers["x-goog-api-key"] == KEY
        assert (run["wire"], run["version"], run["model_asked"], run["model_answered"]) == (
            "google_gemini", 1, VERSIONED, VERSIONED,
        )  # fmt: skip
        assert (run["result"], run["finish"], run["usage_source"]) == ("ok", "stop", "reported")
        assert run["streamed"] == call.streamed
        assert run["cost_usd"] == call.billed_nanodollars / 1e9 > 0
    assert len({run["cost_usd"] for run in await gemini.operator.runs(3)}) == 1


async def test_cached_and_thinking_tokens_are_metered(gemini: Deployment) -> None:
    for framing in FRAMINGS:
        await ask(gemini, framing, order="cached_tokens=3; reasoning_tokens=7")
    for run in await gemini.operator.runs(3):
        assert (run["tokens"]["cached"], run["tokens"]["reasoning"]) == (3, 7)
        assert run["cost_usd"] == gemini.simulator.billed_nanodollars / 3e9


async def test_an_agent_is_named_by_its_model_or_a_header_and_a_client_may_leave_out_the_version(
    gemini: Deployment,
) -> None:
    for path, headers in (
        (path_of("whole", agent=None, model="agent:support@1"), {}),
        (path_of("whole", agent=None, model="agent%3Asupport"), {}),
        (path_of("whole", agent=None), {"switchback_agent": "support"}),
        (path_of("whole").replace("/v1beta", ""), {}),
    ):
        await ask(gemini, "whole", path=path, **headers)
        call = gemini.simulator.calls[-1]
        assert (call.path, call.system) == (f"/v1beta/models/{VERSIONED}:generateContent", "Be kind.")
        assert (await last_run(gemini, len(gemini.simulator.calls)))["version"] == 1


async def test_without_an_agent_the_call_goes_on_as_it_came(gemini: Deployment) -> None:
    body = b'{"contents" : [{"parts":{"text":"hi"}}] , "generation_config":{"top_k":1}}'
    path = path_of("events", agent=None) + "&prettyPrint=false"
    await ask(gemini, "events", body, path=path)
    [call] = gemini.simulator.calls
    assert (call.body, call.path) == (body, path)
    run = await last_run(gemini)
    assert (run["agent"], run["cost_usd"]) == ("unassigned", gemini.simulator.billed_nanodollars / 1e9)


async def test_a_key_in_the_query_goes_on_in_its_header(gemini: Deployment) -> None:
    lines: list[bytes] = []
    for query in (f"?key={KEY}", f"?alt=sse&key={KEY}", f"?%6bey={KEY}&alt=sse"):
        path = path_of("list") + query
        async with gemini.post(path, BODY, authorization="") as response:
            assert response.status == 200
            lines.append(await response.read())
        call = gemini.simulator.calls[-1]
        assert call.headers["x-goog-api-key"] == KEY
        assert KEY not in call.path
        assert "alt=sse" in call.path or "alt" not in query
    assert [line[:1] for line in lines] == [b"[", b"d", b"d"]
    async with gemini.post(f"{path_of('whole')}?key={KEY}", BODY, **HEADERS) as response:
        assert (response.status, (await response.json())["error"]["details"][0]["reason"]) == (400, "duplicate_header")
    async with gemini.post(f"{path_of('whole')}?key=a&key=b", BODY, authorization="") as response:
        assert (response.status, (await response.json())["error"]["details"][0]["reason"]) == (400, "duplicate_header")
    async with gemini.session.get(gemini.server.traffic_url + f"/v1beta/models?key={KEY}") as response:
        models = (await response.json())["models"]
        assert models[-1] == {
            "name": "models/agent:support",
            "displayName": "support",
            "supportedGenerationMethods": ["generateContent", "countTokens"],
        }
    target = f"/v1/models?key={KEY}"
    async with gemini.session.get(gemini.server.traffic_url + target) as response:
        assert (await response.json())["models"]
    # Beside a key of somebody else's it says nothing of whose the call is.
    stranger = {"authorization": "Bearer somebody-elses"}
    async with gemini.session.get(gemini.server.traffic_url + target, headers=stranger) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (400, "foreign_key")
    for run in await gemini.operator.runs(len(gemini.simulator.calls) + 3):
        assert KEY not in json.dumps(run)


async def test_a_key_of_ours_takes_the_place_of_the_callers(tmp_path: Path) -> None:
    simulator = Simulator()
    await simulator.start()
    provider = {"wire": "google", "base_url": simulator.url, "api_key": "AIza-ours"}
    async with deployed(tmp_path / "home", simulator=simulator, providers={"google": provider}) as running:
        async with running.post(path_of("whole", agent=None) + "?key=theirs", BODY, authorization="") as response:
            assert response.status == 200
        [call] = simulator.calls
        assert (call.headers["x-goog-api-key"], "theirs" in call.path, "authorization" in call.headers) == (
            "AIza-ours", False, False,
        )  # fmt: skip
    await simulator.stop()


async def test_a_function_is_called_and_its_result_goes_back(gemini: Deployment) -> None:
    asked: list[Any] = [{"role": "user", "parts": [{"text": "Please call the tool lookup"}]}]
    for framing in FRAMINGS:
        answers = await ask(gemini, framing, {"contents": asked, "tools": [TOOL]})
        parts = [part for answer in answers for part in answer["candidates"][0]["content"].get("parts", [])]
        [called] = [part for part in parts if "functionCall" in part]
        assert called["functionCall"]["name"] == "lookup"
        result = {"functionResponse": {"name": "lookup", "response": {"weather": "sunny"}}}
        contents = [*asked, {"role": "model", "parts": [called]}, {"role": "user", "parts": [result]}]
        assert "sunny" in text_in(await ask(gemini, framing, {"contents": contents, "tools": [TOOL]}))
        answered, asking = (await gemini.operator.runs(len(gemini.simulator.calls)))[:2]
        assert [asking["finish"], asking["tool_calls"], answered["finish"]] == ["tool_call", ["lookup"], "stop"]


async def test_a_versions_tools_and_format_reach_the_provider(gemini: Deployment) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    await gemini.operator.version(
        "support",
        "Be brief.",
        parent=1,
        tools={"mode": "merge", "items": [{"name": "lookup", "parameters": schema}, {"name": "more"}]},
        model={
            "name": VERSIONED,
            "parameters": {"tool_choice": "none", "response_format": {"type": "json_schema", "schema": schema}},
        },
    )
    await gemini.operator.label("support", "prod", 2)
    await ask(gemini, "events", {"contents": CONTENTS, "tools": [TOOL]})
    sent = gemini.simulator.calls[-1].json
    assert sent["tools"] == [
        {"functionDeclarations": [{"name": "lookup", "parametersJsonSchema": schema}]},
        {"functionDeclarations": [{"name": "more"}]},
    ]
    assert sent["toolConfig"] == {"functionCallingConfig": {"mode": "NONE"}}
    assert sent["generationConfig"] == {"responseMimeType": "application/json", "responseJsonSchema": schema}


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_blocked_filtered_and_cut_answers_are_told_apart(gemini: Deployment, framing: str) -> None:
    for order, finish in (("refuse", "filtered"), ("finish=BLOCKED", "filtered"), ("finish=RECITATION", "filtered")):
        await ask(gemini, framing, order=order)
        run = await last_run(gemini, len(gemini.simulator.calls))
        assert (run["result"], run["finish"]) == ("ok", finish)
        assert run["cost_usd"] > 0
    await ask(gemini, framing, {**BODY, "generationConfig": {"maxOutputTokens": 2}})
    run = await last_run(gemini, len(gemini.simulator.calls))
    assert (run["result"], run["finish"], run["tokens"]["output"]) == ("ok", "length", 2)


@pytest.mark.parametrize("framing", ["events", "list"])
@pytest.mark.parametrize(
    ("order", "error_class"),
    [
        ("error_after_events=1", "stream_error"),
        ("end_after_events=1", "stream_incomplete"),
        ("cut_after_events=1", "upstream_broken"),
        ("close_after_events=1", "upstream_broken"),
    ],
)
async def test_a_stream_that_breaks_is_neither_a_success_nor_free(
    gemini: Deployment, framing: str, order: str, error_class: str
) -> None:
    is_clean_end = error_class == "stream_error"
    body = b""
    try:
        async with gemini.post(path_of(framing), BODY, **HEADERS, x_simulate=order) as response:
            body = await response.read()
    except aiohttp.ClientError:
        assert not is_clean_end
    assert bool(body) == is_clean_end
    run = await last_run(gemini)
    assert (run["result"], run["error_class"], run["usage_source"]) == ("error", error_class, "estimated")
    assert run["cost_usd"] > 0


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_an_answer_without_a_sound_usage_is_estimated(gemini: Deployment, framing: str) -> None:
    for order in ("no_usage", "usage=weird"):
        await ask(gemini, framing, order=order)
        run = await last_run(gemini, len(gemini.simulator.calls))
        assert (run["result"], run["usage_source"]) == ("ok", "estimated")
        assert run["cost_usd"] > 0
    await ask(gemini, framing, order="usage=twice")
    run = await last_run(gemini, len(gemini.simulator.calls))
    assert run["cost_usd"] == gemini.simulator.calls[-1].billed_nanodollars / 1e9


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_an_error_of_the_providers_passes_as_it_is(gemini: Deployment, framing: str) -> None:
    async with gemini.post(path_of(framing), BODY, **HEADERS, x_simulate="status=429") as response:
        assert (response.status, (await response.json())["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")
    run = await last_run(gemini)
    assert (run["result"], run["error_class"], run["cost_usd"]) == ("error", "provider_error", None)


async def test_refusals_have_googles_shape(gemini: Deployment) -> None:
    async with gemini.post("/a/nobody" + path_of("whole", agent=None), BODY, **HEADERS) as response:
        error = (await response.json())["error"]
        assert (response.status, error["code"], error["status"]) == (404, 404, "NOT_FOUND")
        assert error["details"][0]["reason"] == "agent_not_found"
        assert "nobody" in error["message"]
    async with gemini.post(path_of("whole"), b"{", **HEADERS) as response:
        assert (response.status, (await response.json())["error"]["status"]) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_switches_stop_by_model_and_tool_and_answer_with_a_text(gemini: Deployment, framing: str) -> None:
    for scope in ({"model": VERSIONED}, {"tool": "lookup"}, {"tool": "google_search"}, {"provider": "google"}):
        switch = await gemini.operator.post("/switches", scope=scope, mode="block", why="a test")
        body = {**BODY, "tools": [TOOL, {"googleSearch": {}}]}
        async with gemini.post(path_of(framing), body, **HEADERS) as response:
            error = (await response.json())["error"]
            assert (response.status, error["status"]) == (403, "PERMISSION_DENIED"), scope
        await gemini.operator.request("DELETE", f"/switches/{switch['id']}")
    await gemini.operator.post("/switches", scope={}, mode="reply", reply="We are closed.", why="a test")
    answers = await ask(gemini, framing)
    assert text_in(answers) == "We are closed."
    assert not gemini.simulator.calls


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_a_hard_cap_holds_and_bounds_the_output(gemini: Deployment, framing: str) -> None:
    await gemini.operator.post(
        "/caps", scope={"user": "*"}, window="day", unit="usd", limit=0.05, at_limit="block", why="cap"
    )
    await ask(gemini, framing, {**BODY, "generationConfig": {"maxOutputTokens": 100}}, switchback_user="ann")
    async with gemini.post(
        path_of(framing),
        {**BODY, "generationConfig": {"maxOutputTokens": 60_000}},
        **HEADERS,
        switchback_user="ann",
    ) as response:
        error = (await response.json())["error"]
        assert (response.status, error["status"], error["details"][0]["reason"]) == (
            402, "RESOURCE_EXHAUSTED", "spend_cap_exceeded",
        )  # fmt: skip
    search = {**BODY, "tools": [{"googleSearch": {}}]}
    async with gemini.post(path_of(framing), search, **HEADERS, switchback_user="ann") as response:
        assert (response.status, (await response.json())["error"]["details"][0]["reason"]) == (402, "unpriceable")
    assert len(gemini.simulator.calls) == 1


async def test_a_count_covers_the_versions_prompt_and_costs_nothing(gemini: Deployment) -> None:
    path = path_of("whole").replace("generateContent", "countTokens")
    await gemini.operator.post("/caps", scope={}, window="day", unit="usd", limit=0, at_limit="block", why="cap")
    counts = []
    for body, target in ((BODY["contents"], path), (CONTENTS, path.replace("/a/support", ""))):
        async with gemini.post(target, {"contents": body}, **HEADERS) as response:
            assert response.status == 200, await response.text()
            counts.append((await response.json())["totalTokens"])
    assert counts[0] > counts[1]
    with_agent, _ = gemini.simulator.calls
    assert with_agent.path == f"/v1beta/models/{VERSIONED}:countTokens"
    without, run = await gemini.operator.runs(2)
    assert (run["operation"], run["version"], run["result"]) == ("count_tokens", 1, "ok")
    assert run["cost_usd"] in (None, 0)
    assert without["cost_usd"] in (None, 0)


async def test_what_no_wire_meters_is_known_by_its_path(gemini: Deployment) -> None:
    async with gemini.post("/a/support/v1beta/cachedContents", {"contents": []}, **HEADERS) as response:
        assert response.status == 404  # the provider's
    async with gemini.post("/a/support/v1beta/models/m:batchGenerateContent", {}, **HEADERS) as response:
        assert (response.status, (await response.json())["error"]["details"][0]["reason"]) == (
            400,
            "version_not_applicable",
        )


EMBEDDING = "gemini-embedding-001"


def embedding_body(method: str, model: str) -> dict[str, Any]:
    one = {"model": f"models/{model}", "content": {"parts": [{"text": "hello there"}]}}
    return {"requests": [one, one]} if method == "batchEmbedContents" else one


@pytest.mark.parametrize("method", ["embedContent", "batchEmbedContents"])
async def test_embeddings_are_metered_and_take_the_versions_model_for_them(gemini: Deployment, method: str) -> None:
    await gemini.operator.version(
        "support", "Be kind.", parent=1, model={"name": VERSIONED, "embeddings": f"models/{EMBEDDING}"}
    )
    await gemini.operator.label("support", "prod", 2)
    path = f"/v1beta/models/theirs:{method}"
    async with gemini.post("/a/support" + path, embedding_body(method, "theirs"), **HEADERS) as response:
        assert response.status == 200, await response.text()
        body = await response.json()
        assert len(body.get("embeddings", [body.get("embedding")])) == (2 if method == "batchEmbedContents" else 1)
    [call] = gemini.simulator.calls
    assert call.json == embedding_body(method, EMBEDDING)
    run = await last_run(gemini)
    assert (run["version"], run["model_asked"], run["result"], run["usage_source"]) == (2, EMBEDDING, "ok", "reported")
    assert run["cost_usd"] == gemini.simulator.billed_nanodollars / 1e9 > 0

    async with gemini.post(
        path.replace("theirs", EMBEDDING), embedding_body(method, EMBEDDING), **HEADERS, x_simulate="no_usage"
    ) as response:
        assert response.status == 200
    run = await last_run(gemini, 2)
    assert (run["version"], run["usage_source"]) == (None, "estimated")
    assert run["cost_usd"] > 0


async def test_a_hard_cap_holds_for_embeddings_and_refuses_what_it_cannot_see(gemini: Deployment) -> None:
    await gemini.operator.post("/caps", scope={}, window="day", unit="usd", limit=0.0001, at_limit="block", why="cap")
    path = f"/v1beta/models/{EMBEDDING}:embedContent"
    async with gemini.post(path, embedding_body("embedContent", EMBEDDING), **HEADERS) as response:
        assert response.status == 200
    picture = {"content": {"parts": [{"inlineData": {"mimeType": "image/png", "data": ""}}]}}
    async with gemini.post(path, picture, **HEADERS) as response:
        assert (response.status, (await response.json())["error"]["details"][0]["reason"]) == (402, "unpriceable")
    long = {"content": {"parts": [{"text": "x" * 10_000}]}}
    async with gemini.post(path, long, **HEADERS) as response:
        assert (response.status, (await response.json())["error"]["details"][0]["reason"]) == (
            402,
            "spend_cap_exceeded",
        )
    assert len(gemini.simulator.calls) == 1

"""What a provider told of a usage is charged also where the rest of it never came, made no sense, or came twice."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.harness import CLAUDE, MODEL, Deployment, deployed
from tests.http1.scripted import upstream

TOLD = 500_000
HALF_CHAT = {"prompt_tokens": None, "completion_tokens": TOLD}
HALF = {"input_tokens": "many", "output_tokens": TOLD}
CHAT = {"model": MODEL, "choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}]}
MESSAGE = {"type": "message", "model": CLAUDE, "content": [{"type": "text", "text": "hi"}], "stop_reason": "end_turn"}
OUTPUT = [{"type": "message", "id": "m", "content": [{"type": "output_text", "text": "hi"}]}]
RESPONSE = {"object": "response", "status": "completed", "model": MODEL, "output": OUTPUT}
BEGUN = {"type": "message_start", "message": {"model": CLAUDE, "content": []}}
DELTA = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}}


def whole(document: dict[str, Any], **more: Any) -> bytes:
    return json.dumps(document | more).encode()


def stream(*documents: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(document).encode() + b"\n\n" for document in documents)


def begun(usage: dict[str, Any]) -> dict[str, Any]:
    return BEGUN | {"message": BEGUN["message"] | {"usage": usage}}  # type: ignore[operator] # two kinds of values


#: Path, answer, and the dollars of what was told in it.
ANSWERS = {
    "chat, half a usage": ("/v1/chat/completions", whole(CHAT, usage=HALF_CHAT), 0.3),
    "chat, half a usage streamed": (
        "/v1/chat/completions",
        stream({"model": MODEL, "choices": [], "usage": HALF_CHAT}) + b"data: [DONE]\n\n",
        0.3,
    ),
    "chat, broken off behind a running usage": (
        "/v1/chat/completions",
        stream(
            {
                "model": MODEL,
                "choices": [{"index": 0, "delta": {"content": "hi"}}],
                "usage": {"prompt_tokens": TOLD, "completion_tokens": 0},
            }
        ),
        0.075,
    ),
    "messages, half a usage": ("/v1/messages", whole(MESSAGE, usage=HALF), 7.5),
    "messages, broken off behind the input's usage": (
        "/v1/messages",
        stream(begun({"input_tokens": TOLD, "output_tokens": 1}), DELTA),
        3.0,  # so long an input costs the double
    ),
    "messages, searches and no output": (
        "/v1/messages",
        whole(MESSAGE, usage={"input_tokens": 7, "output_tokens": 0, "server_tool_use": {"web_search_requests": 50}}),
        0.5,
    ),
    "responses, half a usage": ("/v1/responses", whole(RESPONSE, usage=HALF), 0.3),
    "responses, a usage that is gone at the end": (
        "/v1/responses",
        stream(
            {
                "type": "response.in_progress",
                "response": RESPONSE
                | {"status": "in_progress", "output": [], "usage": {"input_tokens": 10, "output_tokens": TOLD}},
            },
            {"type": "response.completed", "response": RESPONSE | {"usage": None}},
        ),
        0.3,
    ),
}


@asynccontextmanager
async def answering(home: Path, body: bytes) -> AsyncIterator[Deployment]:
    kind = b"text/event-stream" if body.startswith(b"data") else b"application/json"

    async def serve(server: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await server.request(reader):
            head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n" % (kind, len(body))
            writer.write(head + body)
            await writer.drain()

    async with upstream(serve) as server:
        url = f"http://127.0.0.1:{server.port}"
        providers = {name: {"wire": name, "base_url": url} for name in ("openai", "anthropic")}
        async with deployed(home, providers=providers) as deployment:
            yield deployment


async def call(deployment: Deployment, path: str, body: bytes) -> dict[str, Any]:
    """The run of one call that is answered so."""
    asked: dict[str, Any] = {
        "model": CLAUDE if path == "/v1/messages" else MODEL,
        "stream": body.startswith(b"data"),
    }
    if path == "/v1/responses":
        asked |= {"input": "hi", "max_output_tokens": 64}
    else:
        asked |= {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 64}
    async with deployment.post(path, asked, x_api_key="k", anthropic_version="2023-06-01") as answer:
        assert answer.status == 200
        with suppress(aiohttp.ClientPayloadError):  # where the stream broke off
            await answer.read()
    return (await deployment.operator.runs(1))[0]


@pytest.mark.parametrize("case", ANSWERS)
async def test_what_was_told_of_a_usage_is_in_the_estimate(tmp_path: Path, case: str) -> None:
    path, body, told = ANSWERS[case]
    async with answering(tmp_path, body) as deployment:
        run = await call(deployment, path, body)
        assert run["usage_source"] == "estimated"
        assert told <= run["cost_usd"] < told * 1.1


@pytest.mark.parametrize("case", [case for case in ANSWERS if "searches" not in case])
async def test_a_hard_cap_is_charged_what_was_told_where_that_is_more_than_was_held(tmp_path: Path, case: str) -> None:
    path, body, told = ANSWERS[case]
    async with answering(tmp_path, body) as deployment:
        for unit, limit in (("usd", 100), ("tokens", 10_000_000)):
            await deployment.operator.post("/caps", scope={}, unit=unit, window="day", limit=limit, why="t")
        run = await call(deployment, path, body)
        spent = {cap["unit"]: cap["spent"] for cap in (await deployment.operator.get("/caps"))["items"]}
        assert run["usage_source"] == "held"
        assert run["cost_usd"] == pytest.approx(spent["usd"])
        assert told <= spent["usd"] < told * 1.1
        assert TOLD <= spent["tokens"] < TOLD * 1.1

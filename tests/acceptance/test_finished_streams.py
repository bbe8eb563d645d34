"""With the wire's last event a stream is over, whoever closes first: a good run, exactly metered."""

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from proxy.simulator.app import Simulator
from proxy.simulator.recording import Outcome
from tests.harness import CALLER_KEY, CLAUDE, MODEL, PATIENCE_SECONDS, Deployment, deployed
from tests.http1.scripted import STREAM, upstream

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
USER: Any = [{"role": "user", "content": "hi"}]
NEVER_ENDS = "[[simulate: end_delay_ms=600000]]"
WIRES = pytest.mark.parametrize(
    ("path", "model", "last"),
    [
        ("/a/support/v1/chat/completions", MODEL, b"data: [DONE]\n\n"),
        ("/a/support/v1/messages", CLAUDE, b'data: {"type":"message_stop"}\n\n'),
    ],
)


@pytest.fixture
def deployment(over_either: Deployment) -> Deployment:
    """All of this beside a provider over http, and one over https."""
    return over_either


def is_good(run: dict[str, Any]) -> bool:
    ended = (run["result"], run["error_class"], run["finish"], run["usage_source"])
    return ended == ("ok", None, "stop", "reported") and run["cost_usd"] > 0


async def until_last(deployment: Deployment, path: str, last: bytes) -> Stream:
    """Read a stream up to its last event."""
    host, port = deployment.server.traffic_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = orjson.dumps({"model": "x", "messages": USER, "stream": True, "max_tokens": 500})
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {CALLER_KEY}\r\ncontent-length: {len(body)}\r\n"
    head += "anthropic-version: 2023-06-01\r\n" if "messages" in path else ""
    writer.write(head.encode() + b"\r\n" + body)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await reader.readuntil(last)
    return reader, writer


async def test_the_openai_sdk_leaves_at_the_end_marker_and_its_run_is_good(deployment: Deployment) -> None:
    await deployment.operator.agent("support", NEVER_ENDS)
    await deployment.operator.post("/caps", scope={}, window="day", unit="usd", limit=5, why="")
    stream = await deployment.openai().chat.completions.create(model="x", messages=USER, stream=True)
    assert [chunk async for chunk in stream]
    assert is_good((await deployment.operator.runs(1))[0])
    cap = (await deployment.operator.get("/caps"))["items"][0]
    assert cap["held"] == 0


async def test_the_anthropic_sdk_leaves_at_the_last_event_and_its_run_is_good(deployment: Deployment) -> None:
    await deployment.operator.agent("support", NEVER_ENDS, model=CLAUDE)
    client = deployment.anthropic()
    async with client.messages.stream(model="x", max_tokens=500, messages=USER) as stream:
        async for event in stream:
            if event.type == "message_stop":
                break
    assert is_good((await deployment.operator.runs(1))[0])


@WIRES
async def test_a_provider_that_never_ends_the_body_is_left_soon(
    deployment: Deployment, path: str, model: str, last: bytes
) -> None:
    await deployment.operator.agent("support", NEVER_ENDS, model=model)
    _, writer = await until_last(deployment, path, last)
    writer.close()
    assert is_good((await deployment.operator.runs(1))[0])
    await deployment.simulator.wait_for_clients_left()
    assert deployment.simulator.calls[-1].outcome is Outcome.CLIENT_LEFT


@WIRES
async def test_before_the_last_event_the_client_has_left(
    deployment: Deployment, path: str, model: str, last: bytes
) -> None:
    await deployment.operator.agent("support", "[[simulate: events=2; stall_after_events=2]]", model=model)
    _, writer = await until_last(deployment, path, b"data:")
    writer.close()
    assert (await deployment.operator.runs(1))[0]["result"] == "client_left"


@pytest.mark.parametrize("how", ["a switch that cuts", "the end of the drain"])
@WIRES
async def test_what_cuts_other_streams_ends_a_finished_one_cleanly(
    tmp_path: Path, simulator: Simulator, path: str, model: str, last: bytes, how: str
) -> None:
    async with deployed(tmp_path / "home", simulator=simulator, timeouts={"drain_seconds": 0.2}) as deployment:
        await deployment.operator.agent("support", NEVER_ENDS, model=model)
        reader, writer = await until_last(deployment, path, last)
        if how == "a switch that cuts":
            await deployment.operator.post("/switches", scope={}, mode="block", cut_streams=True, why="test")
        await deployment.server.stop()
        assert await reader.read() == b"\r\n0\r\n\r\n"
        writer.close()
    async with deployed(tmp_path / "home", simulator=simulator) as again:
        assert is_good((await again.operator.runs(1))[0])


def event(document: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(document) + b"\n\n"


FINISHED_CHAT = event({"model": MODEL, "choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop"}]})
USAGE_OF_CHAT = event({"model": MODEL, "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 1}})
BEGUN = event({"type": "message_start", "message": {"model": CLAUDE, "usage": {"input_tokens": 5, "output_tokens": 1}}})
STOPPED = event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}})
TEXT_DONE = event({"type": "response.output_text.done", "item_id": "m", "output_index": 0, "text": "hi"})
RESPONSE = {"model": MODEL, "status": "completed", "output": [], "usage": {"input_tokens": 5, "output_tokens": 1}}
COMPLETED = event({"type": "response.completed", "response": RESPONSE})


@pytest.mark.parametrize(
    ("path", "body", "last"),
    [
        ("/a/support/v1/chat/completions", FINISHED_CHAT + USAGE_OF_CHAT, b"data: [DONE]\n\n"),
        ("/a/support/v1/messages", BEGUN + STOPPED, event({"type": "message_stop"})),
        ("/a/support/v1/responses", TEXT_DONE, COMPLETED),
    ],
)
async def test_who_leaves_at_the_finish_reason_has_left_and_who_leaves_at_the_last_event_has_not(
    home: Path, path: str, body: bytes, last: bytes
) -> None:
    told = [body, body + last]

    async def serve(server: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        sent = told[len(server.requests) - 1]
        writer.write(STREAM.replace(b"OK\r\n", b"OK\r\nContent-Type: text/event-stream\r\n", 1))
        writer.write(b"%x\r\n%b\r\n" % (len(sent), sent))
        await server.gone(reader)

    async with upstream(serve) as server:
        providers = {
            name: {"wire": name, "base_url": f"http://127.0.0.1:{server.port}"} for name in ("openai", "anthropic")
        }
        async with deployed(home, providers=providers) as deployment:
            await deployment.operator.agent("support", "one", model=CLAUDE if "messages" in path else MODEL)
            for number, seen in enumerate((FINISHED_CHAT if "chat" in path else body, last), 1):
                _, writer = await until_last(deployment, path, seen)
                writer.close()
                await deployment.operator.runs(number)
            whole, left = await deployment.operator.runs(2)
    assert (whole["result"], whole["usage_source"], left["result"]) == ("ok", "reported", "client_left")

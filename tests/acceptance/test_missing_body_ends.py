"""A provider that breaks off behind the last event of its wire told everything: a good run, and a whole answer for the client."""

import asyncio
import json
import socket
import struct
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.harness import CLAUDE, MODEL, deployed
from tests.http1.scripted import upstream

CHOICE = {"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop"}
CHAT_USAGE = {"prompt_tokens": 10, "completion_tokens": 5}
USAGE = {"input_tokens": 10, "output_tokens": 5}
DONE = b"data: [DONE]\n\n"


def events(*documents: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(document).encode() + b"\n\n" for document in documents)


#: Path, model, and the stream from the first event to the last.
STREAMS = {
    "chat": (
        "/v1/chat/completions",
        MODEL,
        events({"model": MODEL, "choices": [CHOICE]}, {"model": MODEL, "choices": [], "usage": CHAT_USAGE}) + DONE,
    ),
    "messages": (
        "/v1/messages",
        CLAUDE,
        events(
            {"type": "message_start", "message": {"model": CLAUDE, "content": [], "usage": USAGE}},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": USAGE},
            {"type": "message_stop"},
        ),
    ),
    "responses": (
        "/v1/responses",
        MODEL,
        events(
            {
                "type": "response.completed",
                "response": {"model": MODEL, "status": "completed", "output": [], "usage": USAGE},
            }
        ),
    ),
    "completions": (
        "/v1/completions",
        MODEL,
        events({"choices": [{"text": "hi", "finish_reason": "stop"}]}, {"choices": [], "usage": CHAT_USAGE}) + DONE,
    ),
    "passed through": (
        "/v1/threads/runs",
        MODEL,
        events({"choices": [{"text": "hi", "finish_reason": "stop"}]}) + DONE,
    ),
}


class Breaking:
    """A provider that sends `body` under these header lines, and then closes or resets."""

    def __init__(self, body: bytes, how: str, framing: bytes = b"transfer-encoding: chunked") -> None:
        self._how = how
        chunk = b"%x\r\n%b\r\n" % (len(body), body)
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n%b\r\n\r\n" % framing
        self._answer = head + (chunk if b"chunked" in framing else body)

    async def serve(self, server: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        writer.write(self._answer)
        await writer.drain()
        if self._how == "reset":
            ends: socket.socket = writer.get_extra_info("socket")
            ends.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()


async def told(home: Path, provider: Breaking, path: str, model: str) -> tuple[bytes | None, dict[str, Any]]:
    """What the client got, None where the answer broke off; and the run."""
    async with upstream(provider.serve) as server:
        url = f"http://127.0.0.1:{server.port}"
        providers = {name: {"wire": name, "base_url": url} for name in ("openai", "anthropic")}
        async with deployed(home, providers=providers) as deployment:
            body = {"model": model, "stream": True, "max_tokens": 9, "messages": [], "input": "hi"}
            async with deployment.post(path, body, x_api_key="k", anthropic_version="2023-06-01") as answer:
                try:
                    received = await answer.read()
                except aiohttp.ClientPayloadError:
                    received = None
            return received, (await deployment.operator.runs(1))[0]


@pytest.mark.parametrize("case", STREAMS)
async def test_a_stream_that_breaks_off_behind_its_last_event_is_whole(tmp_path: Path, case: str) -> None:
    path, model, stream = STREAMS[case]
    received, run = await told(tmp_path, Breaking(stream, "close"), path, model)
    assert (received, run["result"], run["error_class"]) == (stream, "ok", None)
    if case != "passed through":
        assert (run["usage_source"], run["tokens"]["input"], run["tokens"]["output"]) == ("reported", 10, 5)


async def test_so_is_one_whose_connection_is_reset_where_its_last_event_came_before(tmp_path: Path) -> None:
    path, model, stream = STREAMS["chat"]
    received, run = await told(tmp_path, Breaking(stream, "reset"), path, model)
    # What a kernel throws away with a reset never came.
    assert (run["result"] == "ok") == (received == stream)


@pytest.mark.parametrize("case", STREAMS)
async def test_one_that_breaks_off_before_its_last_event_is_not(tmp_path: Path, case: str) -> None:
    path, model, stream = STREAMS[case]
    begun = stream[: stream.rindex(b"data: ")]
    received, run = await told(tmp_path, Breaking(begun + b": \n\n", "close"), path, model)
    assert (received, run["result"]) == (None, "error")


async def test_nor_is_one_whose_announced_length_did_not_come(tmp_path: Path) -> None:
    path, model, stream = STREAMS["chat"]
    provider = Breaking(stream, "close", b"content-length: %d" % (len(stream) + 9))
    received, run = await told(tmp_path, provider, path, model)
    assert (received, run["result"]) == (None, "error")

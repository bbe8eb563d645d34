"""Streams that pass through unread: a client that closes after the last event was answered in full, before it has left."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.harness import CALLER_KEY, PATIENCE_SECONDS, Deployment, deployed
from tests.http1.scripted import upstream

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n%b\r\n"
END = b"0\r\n\r\n"
DONE = b"data: [DONE]\n\n"
COMPLETED = b'event: response.completed\ndata: {"type":"response.completed"}\n\n'
DELTA = b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"[DONE]"}\n\n'


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class EventProvider:
    """Answers each call with an event and then another; ends the body after that, or never."""

    def __init__(self, last: bytes, *, coding: bytes = b"", ends: bool = False) -> None:
        self.last = last
        self.coding = coding
        self.ends = ends
        self.left = asyncio.Event()

    async def serve(self, server: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await server.request(reader):
            body = DELTA + self.last
            if self.coding:
                body = gzip.compress(body)
            writer.write(HEAD % (b"Content-Encoding: gzip\r\n" if self.coding else b"") + chunk(body))
            await writer.drain()
            if not self.ends:
                await server.gone(reader)
                self.left.set()
                return
            writer.write(END)


@asynccontextmanager
async def calling(home: Path, provider: EventProvider) -> AsyncIterator[tuple[Deployment, Any]]:
    async with upstream(provider.serve) as server:
        url = f"http://127.0.0.1:{server.port}"
        providers = {name: {"wire": name, "base_url": url} for name in ("openai", "anthropic")}
        async with deployed(home, providers=providers) as deployment:
            yield deployment, server


async def read_and_leave(deployment: Deployment, path: str, until: bytes) -> None:
    host, port = deployment.server.traffic_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {CALLER_KEY}\r\ncontent-length: 15\r\n\r\n"
    writer.write(head.encode() + b'{"stream":true}')
    async with asyncio.timeout(PATIENCE_SECONDS):
        await reader.readuntil(until)
    writer.close()


@pytest.mark.parametrize("path", ["/v1/threads/runs", "/v1/audio/speech", "/v1/threads/t/runs", "/v1/videos/v/remix"])
@pytest.mark.parametrize("last", [DONE, COMPLETED])
async def test_a_client_that_closes_after_the_last_event_was_answered_in_full(
    home: Path, path: str, last: bytes
) -> None:
    provider = EventProvider(last)
    async with calling(home, provider) as (deployment, _):
        await read_and_leave(deployment, path, last)
        run = (await deployment.operator.runs(1))[0]
        assert (run["result"], run["error_class"], run["status"]) == ("ok", None, 200)
        # A provider that never ends the body is left soon all the same.
        async with asyncio.timeout(PATIENCE_SECONDS):
            await provider.left.wait()


async def test_a_compressed_stream_ends_with_its_last_event_too(home: Path) -> None:
    async with calling(home, EventProvider(DONE, coding=b"gzip")) as (deployment, _):
        # What a compressed stream ends with is a sum and a length that only this body has.
        await read_and_leave(deployment, "/v1/threads/runs", gzip.compress(DELTA + DONE)[-8:])
        assert (await deployment.operator.runs(1))[0]["result"] == "ok"


async def test_before_the_last_event_the_client_has_left(home: Path) -> None:
    provider = EventProvider(b'data: {"type":"response.in_progress"}\n\n')
    async with calling(home, provider) as (deployment, _):
        await read_and_leave(deployment, "/v1/threads/runs", DELTA)
        run = (await deployment.operator.runs(1))[0]
        assert (run["result"], run["error_class"]) == ("client_left", "client_left")
        async with asyncio.timeout(PATIENCE_SECONDS):
            await provider.left.wait()


async def test_the_rest_is_drained_so_that_the_providers_connection_is_used_again(home: Path) -> None:
    async with calling(home, EventProvider(DONE, ends=True)) as (deployment, server):
        for number in range(1, 4):
            await read_and_leave(deployment, "/v1/threads/runs", DONE)
            assert {run["result"] for run in await deployment.operator.runs(number)} == {"ok"}
        assert server.connections == 1

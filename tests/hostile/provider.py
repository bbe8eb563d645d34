"""A provider that says raw bytes: which ones, in which pieces, and how it leaves is told it per call.

A call finds its part by its user text, so that many parts can be played at once. Healthy answers are taken from the
simulator, head and framing included.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from proxy.simulator.app import Simulator
from tests.harness import CLAUDE, MODEL
from tests.hostile.conversation import HostileClient, Said, split_answers
from tests.http1.scripted import Upstream, reset, upstream

#: Some of every length that UTF-8 has.
TEXT = "Grüße 漢字 🎫"
_USER_TEXT = re.compile(rb'"role":"user","content":"([^"]*)"')


class Kind(NamedTuple):
    """One way to ask: a wire, whole or streamed."""

    wire: str
    is_streamed: bool

    @property
    def name(self) -> str:
        return f"{self.wire}, {'streamed' if self.is_streamed else 'whole'}"

    @property
    def path(self) -> str:
        return "/v1/chat/completions" if self.wire == "openai" else "/v1/messages"

    def said(self, text: str, *, asks_usage: bool = True, prefix: str | None = None, **headers: str) -> bytes:
        """The raw call with `text`; by default to the proxy, which closes after it."""
        agent = "support" if self.wire == "openai" else "claude"
        model = MODEL if self.wire == "openai" else CLAUDE
        members = f'"model":"{model}","max_tokens":64'
        if self.is_streamed:
            members += ',"stream":true'
            if self.wire == "openai" and asks_usage:
                members += ',"stream_options":{"include_usage":true}'
        body = f'{{{members},"messages":[{{"role":"user","content":"{text}"}}]}}'.encode()
        lines = {
            "host": "a",
            "authorization": "Bearer sk-caller",
            "content-length": str(len(body)),
            "connection": "close",
        }
        if self.wire == "anthropic":
            lines["anthropic-version"] = "2023-06-01"
        head = "".join(f"{name}: {value}\r\n" for name, value in (lines | headers).items() if value)
        path = (f"/a/{agent}" if prefix is None else prefix) + self.path
        return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body


KINDS = [Kind(wire, is_streamed) for wire in ("openai", "anthropic") for is_streamed in (False, True)]
STREAMS = [kind for kind in KINDS if kind.is_streamed]
WHOLE = [kind for kind in KINDS if not kind.is_streamed]


class Recorded(NamedTuple):
    """A provider's answer as it came."""

    raw: bytes
    said: Said

    @property
    def head(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


async def recorded(kind: Kind) -> Recorded:
    """What the simulator answers to `kind`, read off its socket."""
    simulator = Simulator()
    await simulator.start()
    host, port = simulator.url.removeprefix("http://").split(":")
    client = await HostileClient.connect((host, int(port)))
    await client.send(kind.said(f"{TEXT} [[simulate: events=3]]", prefix="", connection=""))
    while not ((said := split_answers(bytes(client.raw))[0]) and said[0].is_complete):
        assert await client.read_some()
    await client.close()
    await simulator.stop()
    return Recorded(bytes(client.raw), said[0])


Part = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, bool]]
"""Plays one answer; True: the connection takes another request."""


class Provider:
    """Plays parts. `calls` has the user text of every request it read whole."""

    def __init__(self) -> None:
        self.url = ""
        self.calls: list[str] = []
        self.connections = 0
        self.parts: dict[str, Part] = {}
        self.departures = 0
        """How often a client closed the connection during or after an answer."""
        self.serve_instead: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]] | None = (
            None
        )
        """For a provider that does not read its requests."""

    async def serve(self, server: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.serve_instead is not None:
            await self.serve_instead(reader, writer)
            return
        while request := await server.request(reader):
            found = _USER_TEXT.search(request[1])
            text = found[1].decode() if found else ""
            self.calls.append(text)
            if not await self.parts[text](reader, writer):
                return
        self.departures += 1


@asynccontextmanager
async def playing() -> AsyncIterator[Provider]:
    """A provider on a port of its own."""
    provider = Provider()
    async with upstream(provider.serve) as server:
        provider.url = f"http://127.0.0.1:{server.port}"
        yield provider


def says(*pieces: bytes, then: str = "serve") -> Part:
    """The pieces one by one, then `serve` the next request, `close`, `reset`, or `stall` until the client leaves."""

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await _turns()
        if then == "stall":
            await _departure(reader)
        elif then == "reset":
            await _turns()  # the bytes first: a reset may overtake them
            reset(writer)
        return then == "serve"

    return play


async def _turns() -> None:
    """Let the proxy read what was written: both share this loop."""
    for _ in range(3):
        await asyncio.sleep(0)


async def _departure(reader: asyncio.StreamReader) -> None:
    try:
        while await reader.read(65536):
            pass
    except ConnectionError:
        pass


def chunked(*pieces: bytes) -> list[bytes]:
    """Each piece as a chunk, and the end."""
    return [*(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece), b"0\r\n\r\n"]


STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def whole(body: bytes, *lines: bytes, status: bytes = b"200 OK") -> bytes:
    """A JSON answer with its length."""
    head = (
        b"HTTP/1.1 " + status,
        b"content-type: application/json",
        b"content-length: %d" % len(body),
        *lines,
        b"",
        b"",
    )
    return b"\r\n".join(head) + body

"""A running simulator, and a client that shows the bytes: what SDKs hide, these tests look at."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest

from proxy.simulator.app import Simulator
from tests.harness import PATIENCE_SECONDS

OPENAI_HEADERS = {"Authorization": "Bearer sk-test"}
ANTHROPIC_HEADERS = {"x-api-key": "sk-ant-test", "anthropic-version": "2026-10-21"}
CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
MESSAGES = {
    "model": "claude-haiku-4-5",
    "max_tokens": 200,
    "messages": [{"role": "user", "content": "Hello"}],
}


@dataclass
class RawAnswer:
    """An answer as it came over the connection."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    complete: bool
    """The framing says that nothing is missing."""
    was_reset: bool
    raw: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def events(self) -> list[Any]:
        """The JSON of all data lines, `[DONE]` as text."""
        lines = [line[6:] for line in self.body.split(b"\n") if line.startswith(b"data: ")]
        return ["[DONE]" if line == b"[DONE]" else orjson.loads(line) for line in lines]


Send = Callable[..., Awaitable[RawAnswer]]


@pytest.fixture
def send(simulator: Simulator) -> Send:
    """Sends one request on a connection of its own and reads until that ends."""

    async def send(
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        orders: str = "",
    ) -> RawAnswer:
        data = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
        lines = {"Host": "simulator", "Connection": "close", "Content-Length": str(len(data))}
        if headers is None:
            headers = ANTHROPIC_HEADERS if path.startswith("/v1/messages") else OPENAI_HEADERS
        lines |= headers
        if orders:
            lines["X-Simulate"] = orders
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items())
        return await _exchange(simulator.url, head.encode() + b"\r\n" + data)

    return send


@pytest.fixture
def chat(send: Send) -> Send:
    """Sends a chat completion with the given members and orders."""

    async def chat(orders: str = "", **members: Any) -> RawAnswer:
        return await send("POST", "/v1/chat/completions", CHAT | members, orders=orders)

    return chat


@pytest.fixture
def messages(send: Send) -> Send:
    """Sends an Anthropic message with the given members and orders."""

    async def messages(orders: str = "", **members: Any) -> RawAnswer:
        return await send("POST", "/v1/messages", MESSAGES | members, orders=orders)

    return messages


async def _exchange(url: str, request: bytes) -> RawAnswer:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    raw, was_reset = b"", False
    try:
        writer.write(request)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while piece := await reader.read(65_536):
                raw += piece
    except ConnectionResetError:
        was_reset = True
    finally:
        writer.close()
    return _parsed(raw, was_reset)


def _parsed(raw: bytes, was_reset: bool) -> RawAnswer:
    head, _, rest = raw.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if not lines[0].startswith("HTTP/1.1 ") or not words[1].isdigit():
        return RawAnswer(0, {}, b"", False, was_reset, raw)
    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
    if headers.get("transfer-encoding") == "chunked":
        body, complete = _dechunked(rest)
    else:
        body, complete = rest, len(rest) == int(headers.get("content-length", -1))
    return RawAnswer(int(words[1]), headers, body, complete, was_reset, raw)


def _dechunked(rest: bytes) -> tuple[bytes, bool]:
    body = b""
    while b"\r\n" in rest:
        size_line, _, rest = rest.partition(b"\r\n")
        size = int(size_line, 16)
        if size == 0:
            return body, True
        body, rest = body + rest[:size], rest[size + 2 :]
    return body, False

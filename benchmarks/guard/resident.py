"""What calls over TLS leave in resident memory, which no count of Python's objects shows: `python -m benchmarks.guard.resident`.

A client, a listener and an upstream client as in a server, each way over TLS on uvloop, and the benchmark's provider in a process
of its own. Prints JSON: bytes a call, on kept connections, with new connections on both sides, and of streams that their clients
leave. What is free is given back before it is looked at, as a server does. A process of its own, because what others left free in
the heap would hide a leak.
"""

import asyncio
import gc
import json
import os
import ssl
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import uvloop

from benchmarks import machine
from benchmarks.load import messages
from benchmarks.load.client import control
from benchmarks.processes import free_port
from proxy.http1.errors import ClientGone
from proxy.http1.limits import ListenerLimits, UpstreamLimits
from proxy.http1.listener import Listener
from proxy.http1.message import HttpCall
from proxy.http1.reply import HttpReply
from proxy.http1.tls import client_context
from proxy.http1.upstream import Origin, UpstreamClient
from proxy.runtime.process.garbage import collect_seldom
from proxy.runtime.process.memory import give_back_now

_ROOT = Path(__file__).resolve().parents[2]
_CERTIFICATES = _ROOT / "tests" / "http1" / "certificates"
#: Calls before and while memory is looked at. The heap has its size by then.
_KEPT = (600, 2_000)
_NEW = (400, 800)
_LEFT = (800, 800)
#: What leaks does so in each; where the machine is busy more streams are open at once than before, and the heap grows once.
_ROUNDS = 2
_AT_ONCE = 4
_STREAMS_AT_ONCE = 40
_STREAM = messages.request(0, "/v1/chat/completions", {}, messages.chat_body(streamed=True))
_REQUEST = messages.request(0, "/v1/chat/completions", {}, messages.chat_body())
_START_SECONDS = 30


class _Chain:
    """A client, ours, and a provider."""

    def __init__(self, provider: Origin, tls: ssl.SSLContext) -> None:
        self._provider = provider
        self._tls = tls
        self._upstream = UpstreamClient(UpstreamLimits(), tls=client_context(str(_CERTIFICATES / "authority.pem")))
        self._listener = Listener(self._serve, ListenerLimits(), _raise)

    async def start(self) -> None:
        shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        shown.load_cert_chain(_CERTIFICATES / "localhost.pem")
        await self._listener.start("127.0.0.1", 0, tls=shown)

    async def stop(self) -> None:
        await self._listener.drain(1)
        await self._upstream.close()

    async def _serve(self, call: HttpCall, reply: HttpReply) -> None:
        answer = await self._upstream.send(self._provider, call.method, call.target, call.headers, call.body, reply)
        if call.body in _STREAM:
            reply.start(answer.status, answer.headers)
            with suppress(ClientGone):
                await answer.relay(reply)
            return
        reply.send(answer.status, answer.headers, await answer.read())

    async def calls(self, count: int, *, are_kept: bool) -> None:
        """So many calls, a few at a time."""
        await asyncio.gather(*(self._client(count // _AT_ONCE, are_kept=are_kept) for _ in range(_AT_ONCE)))

    async def left_streams(self, count: int) -> None:
        """So many streams that a client leaves after the first event."""
        await asyncio.gather(*(self._leave(count // _STREAMS_AT_ONCE) for _ in range(_STREAMS_AT_ONCE)))

    async def _leave(self, count: int) -> None:
        port = self._listener.addresses[0][1]
        for _ in range(count):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=self._tls, server_hostname="localhost"
            )
            writer.write(_STREAM)
            await reader.readuntil(b"\n\n")
            writer.transport.abort()

    async def _client(self, count: int, *, are_kept: bool) -> None:
        port = self._listener.addresses[0][1]
        connection: Any = None
        for _ in range(count):
            if connection is None:
                connection = await asyncio.open_connection(
                    "127.0.0.1", port, ssl=self._tls, server_hostname="localhost"
                )
            reader, writer = connection
            writer.write(_REQUEST)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            await reader.readexactly(messages.content_length(head))
            if not are_kept:
                writer.close()
                await writer.wait_closed()
                connection = None
        if connection is not None:
            connection[1].close()
            await connection[1].wait_closed()


def _raise(error: BaseException) -> None:
    raise error


async def _measured(port: int, tls_port: int) -> dict[str, float]:
    tls = ssl.create_default_context(cafile=_CERTIFICATES / "authority.pem")
    chain = _Chain(Origin.parse(f"https://localhost:{tls_port}"), tls)
    await chain.start()
    collect_seldom()
    found: dict[str, float] = {}
    for name, are_kept, (warm, count) in (("kept", True, _KEPT), ("new", False, _NEW)):
        control(port, "profile", {"closes": not are_kept})
        await chain.calls(warm, are_kept=are_kept)
        before = _resident_bytes()
        await chain.calls(count, are_kept=are_kept)
        found[name] = (_resident_bytes() - before) / count
    control(port, "profile", {"events": 1_000_000, "interval_us": 20_000})
    warm, count = _LEFT
    await chain.left_streams(warm)
    found["left"] = min([await _left_by_streams(chain, count) for _ in range(_ROUNDS)])
    await chain.stop()
    return found


async def _left_by_streams(chain: _Chain, count: int) -> float:
    before = _resident_bytes()
    await chain.left_streams(count)
    return (_resident_bytes() - before) / count


def _resident_bytes() -> int:
    give_back_now()
    return machine.resident_bytes([os.getpid()])


async def _reachable(port: int) -> None:
    async with asyncio.timeout(_START_SECONDS):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


def main() -> None:
    """Measure and print."""
    port, tls_port = free_port(), free_port()
    certificate = str(_CERTIFICATES / "localhost.pem")
    provider = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.load.provider", str(port), str(tls_port), certificate],
        cwd=_ROOT,
        stdout=subprocess.DEVNULL,
    )
    try:
        asyncio.run(_reachable(tls_port))
        gc.collect()
        print(json.dumps(uvloop.run(_measured(port, tls_port))))
    finally:
        provider.kill()
        provider.wait()


if __name__ == "__main__":
    main()

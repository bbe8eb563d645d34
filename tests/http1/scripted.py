"""A server that answers what its script says, and an upstream client to ask it."""

import asyncio
import ssl
from contextlib import asynccontextmanager, suppress

import pytest

from proxy.http1.limits import UpstreamLimits
from proxy.http1.upstream import Origin, UpstreamClient, UpstreamError
from tests.http1.raw import reset, within

__all__ = ["LINE", "OK", "STREAM", "Client", "Upstream", "answering", "failure", "origin_of", "reset", "upstream"]

LINE = b"HTTP/1.1 200 OK\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
STREAM = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
NO_ROOTS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Upstream:
    """A scripted server. `script(reader, writer)` runs for every connection; `connections` counts them."""

    def __init__(self):
        self.connections = 0
        self.requests = []
        self.port = 0
        self.closed = asyncio.Event()
        """Set when a client's connection ended while the script was reading."""

    async def request(self, reader):
        """The next request as `(head, body)`, or None at the end."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            self.closed.set()
            return None
        length = 0
        for line in head.split(b"\r\n"):
            if line.startswith(b"content-length: "):
                length = int(line.split()[1])
        request = head, await reader.readexactly(length)
        self.requests.append(request)
        return request

    async def gone(self, reader):
        """Wait until the client leaves."""
        with suppress(ConnectionError):
            while await reader.read(65536):
                pass
        self.closed.set()


@asynccontextmanager
async def upstream(script, **server_options):
    """A scripted server; `script(server, reader, writer)`. Given bytes, it answers every request with them."""
    server_state = Upstream()
    running = set()

    async def connected(reader, writer):
        server_state.connections += 1
        running.add(asyncio.current_task())
        try:
            if callable(script):
                await script(server_state, reader, writer)
            else:
                while await server_state.request(reader):
                    writer.write(script)
        except (ConnectionError, asyncio.CancelledError):
            pass  # the end of the test cancels; streams would report it as an error
        finally:
            running.discard(asyncio.current_task())
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=2**26, **server_options)
    server_state.port = server.sockets[0].getsockname()[1]
    try:
        yield server_state
    finally:
        server.close()
        for task in list(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def origin_of(server):
    return Origin.parse(f"http://127.0.0.1:{server.port}")


class Client:
    """An upstream client that closes itself, with a short way to ask. Not a subclass: there is none of a compiled class."""

    def __init__(self, limits=None, **options):
        options.setdefault("tls", NO_ROOTS)  # loading the system's takes a while
        self._client = UpstreamClient(limits or UpstreamLimits(), **options)

    def __getattr__(self, name):
        return getattr(self._client, name)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *exc):
        await self.close()

    async def ask(self, server, method="POST", body=b"xyz", headers=()):
        answer = await within(self.send(origin_of(server), method, b"/v1", list(headers), body))
        return answer.status, answer.headers, await within(answer.read())


async def failure(awaitable):
    with pytest.raises(UpstreamError) as caught:
        await within(awaitable)
    assert str(caught.value) == caught.value.reason
    return caught.value


def answering(*parts, then="wait"):
    """A script: read one request, send the parts with a turn of the loop between, then close, reset, wait or serve on."""

    async def script(server, reader, writer):
        while await server.request(reader):
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0)
            if then == "close":
                return
            if then == "reset":
                await asyncio.sleep(0.01)  # let the bytes be read first: a reset overtakes them
                reset(writer)
                return
            if then == "wait":
                await server.gone(reader)
                return

    return script

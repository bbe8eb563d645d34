"""Raw bytes on real sockets: a listener under test, and a client that sends what it likes."""

import asyncio
import socket
import struct
from contextlib import asynccontextmanager, suppress

from proxy.http1.limits import ListenerLimits
from proxy.http1.listener import Listener

DEADLINE_SECONDS = 60


def within(awaitable):
    return asyncio.wait_for(awaitable, DEADLINE_SECONDS)


def largest_read_bytes():
    """What one read of an upstream connection can bring: uvloop reads into our buffer, asyncio's own loop does not."""
    return 64 * 1024 if type(asyncio.get_running_loop()).__module__ == "uvloop" else 256 * 1024


async def until(condition):
    """Wait for something that has no event of its own."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():  # noqa: ASYNC110 (polling is the point: no hook of the code under test is involved)
            await asyncio.sleep(0.001)


class RawClient:
    """One connection. Answers are split by the framing they announce."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, address, **options):
        options.setdefault("limit", 2**26)
        return cls(*await asyncio.open_connection(*address[:2], **options))

    def send(self, data):
        self.writer.write(data)

    async def answer(self, method="GET"):
        """`(status, headers, body)` of the next final answer; raises IncompleteReadError when it breaks off."""
        head = (await within(self.reader.readuntil(b"\r\n\r\n"))).split(b"\r\n")
        status = int(head[0].split(b" ")[1])
        headers = dict(line.split(b": ", 1) for line in head[1:-2])
        if method == "HEAD" or status in (100, 204, 304):
            return status, headers, b""
        if headers.get(b"transfer-encoding") == b"chunked":
            return status, headers, await self._chunks()
        if b"content-length" in headers:
            return status, headers, await within(self.reader.readexactly(int(headers[b"content-length"])))
        return status, headers, await within(self.reader.read())

    async def _chunks(self):
        body = b""
        while size := int(await within(self.reader.readuntil(b"\r\n")), 16):
            body += (await within(self.reader.readexactly(size + 2)))[:-2]
        assert await within(self.reader.readexactly(2)) == b"\r\n"
        return body

    async def rest(self):
        """Everything until the server closes."""
        return await within(self.reader.read())

    def half_close(self):
        self.writer.write_eof()

    def reset(self):
        reset(self.writer)

    async def close(self):
        self.writer.close()
        with suppress(OSError):
            await within(self.writer.wait_closed())


def reset(writer):
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Served:
    """A listener under test, what its handler saw, and what it reported. Its clients are closed with it."""

    def __init__(self):
        self.clients = []
        self.calls = []
        self.errors = []
        self.listener = None

    @property
    def address(self):
        return self.listener.addresses[0]

    async def connect(self, **options):
        client = await RawClient.connect(self.address, **options)
        self.clients.append(client)
        return client


async def echo(call, reply):
    reply.send(200, [(b"x-target", call.target)], call.body)


@asynccontextmanager
async def serving(handler=echo, limits=None, **start_options):
    served = Served()

    async def recorded(call, reply):
        served.calls.append((call.method, call.target, call.body))
        await handler(call, reply)

    served.listener = Listener(recorded, limits or ListenerLimits(), served.errors.append)
    await served.listener.start("127.0.0.1", 0, **start_options)
    try:
        yield served
    finally:
        for client in served.clients:
            await client.close()
        await served.listener.drain(0)

"""One end of the socket between an owner and a worker: messages in, messages out, and the news that the other end is gone.

What a message means is the business of owner_end.py and owner_client.py. Messages sent in one turn of the event loop leave
in one write.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Generic, TypeVar, cast

from proxy.runtime.workers.frames import FrameReader, framed
from proxy.runtime.workers.messages import Message, encode

Incoming = TypeVar("Incoming")


class Link(asyncio.Protocol, Generic[Incoming]):
    """`receive` is called with each message in order, then `on_closed` once, when all the other end had sent is received.

    What `receive` or decoding raises is told to `on_error` and ends the link."""

    def __init__(
        self,
        decode: Callable[[bytes], Incoming],
        receive: Callable[[Incoming], None],
        on_closed: Callable[[], None],
        on_error: Callable[[BaseException], None],
    ) -> None:
        self._decode = decode
        self._receive = receive
        self._on_closed = on_closed
        self._on_error = on_error
        self._frames = FrameReader()
        self._outgoing: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._closed: asyncio.Future[None] = self._loop.create_future()

    async def connect(self, sock: socket.socket) -> None:
        """Take over one end of a socketpair. Raises OSError."""
        await self._loop.create_unix_connection(lambda: self, sock=sock)

    @property
    def is_closed(self) -> bool:
        """The other end is gone, or this one has closed; nothing is sent or received any more."""
        return self._closed.done() or self._transport is None or self._transport.is_closing()

    async def wait_closed(self) -> None:
        """Returns when the link is closed, whoever closed it."""
        await asyncio.shield(self._closed)

    def send(self, message: Message) -> None:
        """Send without waiting; nothing where the link is closed."""
        if self.is_closed:
            return
        if not self._outgoing:
            self._loop.call_soon(self._write)
        self._outgoing.append(framed(encode(message)))

    def flush(self) -> None:
        """Write what waits, now."""
        self._write()

    def close(self) -> None:
        """Write what waits, then close."""
        self._write()
        if self._transport is not None:
            self._transport.close()

    def _write(self) -> None:
        outgoing, self._outgoing = self._outgoing, []
        if outgoing and not self.is_closed:
            assert self._transport is not None
            self._transport.write(b"".join(outgoing))

    # --- asyncio's view -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not derive from asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            for body in self._frames.feed(data):
                self._receive(self._decode(body))
        except Exception as error:
            # The two ends have lost step, or this one cannot act on what it is told: a worker is better started afresh.
            self._on_error(error)
            if self._transport is not None:
                self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed.set_result(None)
        self._on_closed()

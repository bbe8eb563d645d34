"""An event loop whose connections are memory: what is written on one side is read on the other in the loop's next turn.

Lets the whole path of a call run in one thread without a socket, so that what is counted is the same on every machine and in
every run. Knows nothing of HTTP; the provider behind it is path.py's.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any, cast


class MemoryTransport(asyncio.Transport):
    """One end of a connection. Bytes written go to `sent`; `receive` hands bytes to the protocol."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sent: Callable[["MemoryTransport", bytes], None]) -> None:
        super().__init__()
        self._extra: dict[str, Any] = {"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)}
        self._loop = loop
        self._sent = sent
        self._protocol: asyncio.BaseProtocol | None = None
        self._is_closing = False

    def speaks(self, tls: ssl.SSLContext, server_hostname: str) -> None:
        """Have what a transport over TLS has to tell. Nothing is encrypted: that is not ours to make cheaper."""
        self._extra["ssl_object"] = tls.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=server_hostname)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._extra.get(name, default)

    def begin(self, protocol: asyncio.BaseProtocol) -> None:
        """Connect the protocol."""
        self._protocol = protocol
        protocol.connection_made(self)

    def receive(self, data: bytes) -> None:
        """Let the protocol read, as a transport does."""
        if self._is_closing:
            return
        protocol = self._protocol
        if hasattr(protocol, "get_buffer"):  # as uvloop tells them apart
            buffered = cast("asyncio.BufferedProtocol", protocol)
            while data:
                buffer = memoryview(buffered.get_buffer(len(data)))
                piece, data = data[: len(buffer)], data[len(buffer) :]
                buffer[: len(piece)] = piece
                buffered.buffer_updated(len(piece))
        else:
            cast("asyncio.Protocol", protocol).data_received(data)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._is_closing:
            self._sent(self, bytes(data))

    def close(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            self._loop.call_soon(self._lose)

    def abort(self) -> None:
        self.close()

    def _lose(self) -> None:
        if self._protocol is not None:
            self._protocol.connection_lost(None)

    def is_closing(self) -> bool:
        return self._is_closing

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing ever waits here."""

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """The other side does not care."""

    def pause_reading(self) -> None:
        """What is read is small."""

    def resume_reading(self) -> None:
        """Nothing was held back."""

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self._protocol is not None
        return self._protocol


class _NoServer:
    """What `create_server` gives: nothing listens."""

    sockets: tuple[socket.socket, ...] = ()

    def close(self) -> None:
        """Nothing to close."""


class MemoryLoop(asyncio.SelectorEventLoop):
    """Every outgoing connection leads to `provider`, every incoming one comes from `accept`."""

    def __init__(self, provider: Callable[[MemoryTransport, bytes], None]) -> None:
        super().__init__()
        self._provider = provider
        self._accepted: Callable[[], asyncio.BaseProtocol] | None = None

    def time(self) -> float:
        """Time stands still, so that no timer is ever due in the middle of what is counted."""
        return 1.0

    def accept(self, sent: Callable[[MemoryTransport, bytes], None]) -> MemoryTransport:
        """A client connects to the server that was created last; `sent` is told what the server writes."""
        assert self._accepted is not None
        transport = MemoryTransport(self, sent)
        transport.begin(self._accepted())
        return transport

    async def create_server(self, protocol_factory: Any, *args: Any, **kwargs: Any) -> Any:
        del args, kwargs
        self._accepted = protocol_factory
        return _NoServer()

    async def create_connection(self, protocol_factory: Any, *args: Any, **kwargs: Any) -> Any:
        del args
        sock = kwargs.get("sock")
        if sock is not None:
            sock.close()
        transport = MemoryTransport(self, self._provider)
        tls: ssl.SSLContext | None = kwargs.get("ssl")
        if tls is not None:
            transport.speaks(tls, kwargs["server_hostname"])
        protocol = protocol_factory()
        transport.begin(protocol)
        return transport, protocol

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        """Connected at once."""

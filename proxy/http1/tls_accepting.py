"""Accepts connections that begin with a TLS handshake, and bounds those that never finish one.

A server of asyncio tells of a connection only after its handshake: silent ones would hold descriptors that nobody counts.
So they are accepted here, and while there is no room the oldest unfinished handshake makes way for the next. What follows
a handshake is the listener's matter, as for a connection without TLS.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Final

_PAUSE_SECONDS: Final = 0.1


class TlsAcceptor:
    """Accepts on one socket, which listens already; that socket is its own from now on."""

    def __init__(
        self,
        listening: socket.socket,
        tls: ssl.SSLContext,
        make_protocol: Callable[[], asyncio.Protocol],
        room: Callable[[], int],
        handshake_seconds: float,
    ) -> None:
        """`room`: how many connections more there may be, those in their handshake among them."""
        listening.setblocking(False)
        self._listening = listening
        self._tls = tls
        self._make_protocol = make_protocol
        self._room = room
        self._handshake_seconds = handshake_seconds
        self._handshakes: dict[asyncio.Task[None], None] = {}
        self._accepting = asyncio.get_running_loop().create_task(self._accept())

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The one it accepts on, as a server of asyncio shows its own; none when it is closed."""
        return () if self._listening.fileno() < 0 else (self._listening,)

    def close(self) -> None:
        """Accept no more, and give up the handshakes under way. Safe to call twice."""
        self._accepting.cancel()
        for handshake in self._handshakes:
            handshake.cancel()

    async def wait_closed(self) -> None:
        """Returns when nothing is left of it but connections that passed."""
        await asyncio.gather(self._accepting, *self._handshakes, return_exceptions=True)
        self._listening.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, _ = await loop.sock_accept(self._listening)
            except OSError:
                # No descriptor is left, or the client is gone already.
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            if len(self._handshakes) >= self._room():
                if not self._handshakes:
                    sock.close()
                    continue
                oldest = next(iter(self._handshakes))
                del self._handshakes[oldest]
                oldest.cancel()
            task = loop.create_task(self._shake_hands(sock))
            self._handshakes[task] = None
            task.add_done_callback(self._done)
            # One at a time, so that what makes way is gone before more come.
            await asyncio.sleep(0)

    async def _shake_hands(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.connect_accepted_socket(
                self._make_protocol, sock, ssl=self._tls, ssl_handshake_timeout=self._handshake_seconds
            )
        except OSError:
            """The client spoke no TLS, offered nothing in common, left, or took too long."""
            sock.close()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._handshakes.pop(task, None)

"""Accepts clients of the admin application, and keeps room for an operator whoever else comes.

Connections are accepted here one at a time. Where there are as many as may be, one makes way for the next: the oldest without
a valid token that waits for a request, then the oldest idle one with a token, then the oldest request without a token; never
a request of somebody who proved who they are. So any number of silent connections keeps nobody out, because who has a
request to make sends it at once, and none of them takes a descriptor from the calls.

Decision: no deadline alone would do. 1,100 connections a second hold 11,000 descriptors within a head deadline of 10 s.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from typing import Any

from aiohttp import web

from proxy.edges.admin.admin_connection import AdminConnection, AdminLimits

__all__ = ["AdminLimits", "AdminListener"]

_BACKLOG = 1024
_PAUSE_SECONDS = 0.1
_MAX_SWEEP_SECONDS = 1.0
#: How long running requests have when the listener closes.
_CLOSE_SECONDS = 1.0


class _Place:
    """One accepted connection: in its handshake (`task`), then served (`connection`)."""

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self.connection: AdminConnection | None = None

    def precedence(self) -> int | None:
        """Who makes way first has the least; None: never."""
        connection = self.connection
        if connection is None or not (connection.is_busy or connection.is_authentic):
            return 0
        if not connection.is_busy:
            return 1
        return None if connection.is_authentic else 2

    def leave(self) -> None:
        if self.connection is not None:
            self.connection.drop()
        elif self.task is not None:
            self.task.cancel()


class AdminListener:
    """A server for one application. `log` takes an event's name and its members; `on_error` what nobody expected."""

    def __init__(
        self,
        app: web.Application,
        limits: AdminLimits,
        on_error: Callable[[BaseException], None],
        log: Callable[..., None],
    ) -> None:
        self.limits = limits
        self.on_error = on_error
        self.log = log
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=_CLOSE_SECONDS)
        self._listening: list[socket.socket] = []
        self._tasks: list[asyncio.Task[None]] = []
        #: In the order in which they came.
        self._places: dict[_Place, None] = {}

    @property
    def addresses(self) -> list[Any]:
        """What is listened on: `(host, port, …)` each."""
        return [sock.getsockname() for sock in self._listening]

    async def start(self, host: str, port: int, *, tls: ssl.SSLContext | None = None) -> None:
        """Listen; port 0 takes a free one. Raises OSError."""
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        # Bound by asyncio, which knows what a host's name stands for; accepted on here.
        server = await loop.create_server(asyncio.Protocol, host, port, start_serving=False)
        self._listening = [socket.socket(fileno=os.dup(bound.fileno())) for bound in server.sockets]
        server.close()
        for sock in self._listening:
            sock.setblocking(False)
            sock.listen(_BACKLOG)
            self._tasks.append(loop.create_task(self._accept(sock, tls)))
        self._tasks.append(loop.create_task(self._sweep()))

    async def close(self) -> None:
        """Accept no more, let running requests finish for a second, drop the rest. Safe to call twice."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        for sock in self._listening:
            sock.close()
        for place in [place for place in self._places if place.connection is None or not place.connection.is_busy]:
            place.leave()
        await self._runner.cleanup()

    async def _accept(self, listening: socket.socket, tls: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, _ = await loop.sock_accept(listening)
            except OSError:
                # No descriptor is left, or the client is gone already.
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            if not self._make_room():
                sock.close()
                continue
            place = _Place()
            self._places[place] = None
            place.task = loop.create_task(self._admit(place, sock, tls))
            place.task.add_done_callback(lambda _, place=place: self._admitted(place))
            # One at a time, so that what makes way is gone before more come.
            await asyncio.sleep(0)

    def _make_room(self) -> bool:
        """Whether one more may come, if need be in place of another."""
        if len(self._places) < self.limits.connections:
            return True
        ranked = [(rank, place) for place in self._places if (rank := place.precedence()) is not None]
        if not ranked:
            return False
        # The first of the least: they stand in the order in which they came.
        _, leaving = min(ranked, key=lambda one: one[0])
        del self._places[leaving]
        leaving.leave()
        return True

    async def _admit(self, place: _Place, sock: socket.socket, tls: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        manager = self._runner.server
        assert manager is not None

        def seated() -> AdminConnection:
            place.connection = AdminConnection(manager, self, lambda: self._left(place))
            return place.connection

        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            seconds = None if tls is None else self.limits.head_seconds
            await loop.connect_accepted_socket(seated, sock, ssl=tls, ssl_handshake_timeout=seconds)
        except OSError:
            """The client spoke no TLS, offered nothing in common, left, or took too long."""
            sock.close()
            self._left(place)

    def _admitted(self, place: _Place) -> None:
        if place.connection is None:
            self._left(place)

    def _left(self, place: _Place) -> None:
        self._places.pop(place, None)

    async def _sweep(self) -> None:
        limits = self.limits
        shortest = min(limits.head_seconds, limits.keep_alive_seconds, limits.no_progress_seconds)
        while True:
            await asyncio.sleep(min(_MAX_SWEEP_SECONDS, shortest / 4))
            now = asyncio.get_running_loop().time()
            for place in list(self._places):
                if place.connection is not None:
                    place.connection.check(now)

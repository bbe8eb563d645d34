"""Accepts clients and runs one task per call; keeps the deadlines of all connections with one timer.

The conductor's whole view of the client side: a handler `(Call, Reply) -> coroutine`. Bytes are the business of
`client_connection.py`. Its counterpart towards servers is `upstream.py`.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any, Final, cast

from proxy.http1.body_budget import BodyBudget
from proxy.http1.client_connection import ClientConnection
from proxy.http1.errors import UnfinishedReply
from proxy.http1.limits import ListenerLimits, sweep_seconds
from proxy.http1.message import HttpCall
from proxy.http1.outgoing import Turn
from proxy.http1.reply import HttpReply
from proxy.http1.request_head import RequestRefused, refusal_body
from proxy.http1.sockets import bind_unix
from proxy.http1.tls_accepting import TlsAcceptor

__all__ = ["Handler", "HttpReply", "Listener", "Refuse"]

Handler = Callable[[HttpCall, HttpReply], Coroutine[Any, Any, None]]
#: Answers a request that could not be taken with one `send`, at once; of the call there is what came, and no body.
Refuse = Callable[[HttpCall, HttpReply, RequestRefused], None]

_ABORT_GRACE_SECONDS: Final = 1.0
_BACKLOG: Final = 1024
_JSON: Final = [(b"content-type", b"application/json")]


class Listener:
    """A server for any number of addresses. `on_error` is told what a handler raised, or `UnfinishedReply`; `refuse` says in the
    words of those above what was not taken, from the request line on."""

    def __init__(
        self,
        handler: Handler,
        limits: ListenerLimits,
        on_error: Callable[[BaseException], None],
        refuse: Refuse | None = None,
    ) -> None:
        self.budget = BodyBudget(limits.buffered_bytes)
        self.draining = False
        self.turn = Turn()
        self._handler = handler
        self._limits = limits
        self._on_error = on_error
        self._refuse = refuse
        self._servers: list[asyncio.Server | TlsAcceptor] = []
        self._unix_paths: list[str] = []
        self._connections: set[ClientConnection] = set()
        self._turned_away: dict[ClientConnection, None] = {}
        self._tasks: dict[HttpReply, asyncio.Task[None]] = {}
        self._sweep: asyncio.TimerHandle | None = None
        self._all_closed: asyncio.Future[None] | None = None
        # From the start on. Asking for it is a system call (getpid) in Python 3.11, which each call would make.
        self._loop = cast("asyncio.AbstractEventLoop", None)

    async def start(
        self, host: str | None, port: int, *, tls: ssl.SSLContext | None = None, reuse_port: bool = False
    ) -> None:
        """Listen on TCP; port 0 takes a free one (see `addresses`). Raises OSError."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            self._connection, host, port, reuse_port=reuse_port or None, backlog=_BACKLOG, start_serving=tls is None
        )
        if tls is None:
            self._started(server)
            return
        # Bound by asyncio, which knows what a host's name stands for; accepted on here.
        sockets = [socket.socket(fileno=os.dup(bound.fileno())) for bound in _sockets(server)]
        server.close()
        for sock in sockets:
            await self.start_sock(sock, tls=tls)

    async def start_unix(self, path: str) -> None:
        """Listen on a unix socket, whose file is removed again by `drain`. Raises OSError, also where somebody listens."""
        sock = bind_unix(path)
        self._unix_paths.append(path)
        await self.start_sock(sock)

    async def start_sock(self, sock: socket.socket, *, tls: ssl.SSLContext | None = None) -> None:
        """Listen on a socket that is bound already, which is closed by `drain`; a unix socket takes no `tls`.
        Raises OSError."""
        loop = asyncio.get_running_loop()
        if sock.family == socket.AF_UNIX:
            self._started(await loop.create_unix_server(self._connection, sock=sock, backlog=_BACKLOG))
            return
        if tls is None:
            self._started(await loop.create_server(self._connection, sock=sock, backlog=_BACKLOG))
            return
        sock.listen(_BACKLOG)
        self._started(TlsAcceptor(sock, tls, self._connection, self._room, self._limits.header_seconds))

    @property
    def addresses(self) -> list[Any]:
        """What is listened on: `(host, port, …)` for TCP, the path for unix sockets."""
        return [sock.getsockname() for server in self._servers for sock in _sockets(server)]

    async def drain(self, timeout_seconds: float, on_timeout: Callable[[], None] | None = None) -> None:
        """Stop accepting, close idle connections, let running calls finish (their answers close the connection), and
        abort what is left after the timeout; `on_timeout` is called before, so that handlers may end their answers in
        their own way. Returns when nothing is left. Safe to call again, also meanwhile."""
        self.draining = True
        # Before the sockets are closed: a successor may bind the path as soon as nobody listens on it.
        for path in self._unix_paths:
            with suppress(FileNotFoundError):
                os.unlink(path)
        self._unix_paths.clear()
        for server in self._servers:
            server.close()
        for connection in list(self._connections):
            connection.close_if_idle()
        for server in self._servers:
            if isinstance(server, TlsAcceptor):
                await server.wait_closed()
        await self._wait_closed(timeout_seconds)
        if self._tasks and on_timeout is not None:
            on_timeout()
            await self._wait_closed(_ABORT_GRACE_SECONDS)
        for connection in list(self._connections):
            connection.drop()
        tasks = list(self._tasks.values())
        if tasks:
            await asyncio.wait(tasks, timeout=_ABORT_GRACE_SECONDS)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for reply in list(self._tasks):
            # Its handler was cancelled before it began.
            reply.abort()
            self._over(reply)
        await self._wait_closed(_ABORT_GRACE_SECONDS)
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None

    async def _wait_closed(self, timeout_seconds: float) -> None:
        if self._connections:
            if self._all_closed is None:
                self._all_closed = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._all_closed], timeout=timeout_seconds)

    # --- the connections' view (`CallSink`) -----------------------------------------------------------------------

    def call_ready(self, call: HttpCall, reply: HttpReply) -> None:
        """Run the handler in a task of its own."""
        self._tasks[reply] = self._loop.create_task(self._run(call, reply))

    def refuse(self, call: HttpCall | None, reply: HttpReply, refused: RequestRefused) -> None:
        """Have those above say it; in fixed words where they do not, or cannot."""
        if call is not None and self._refuse is not None:
            try:
                self._refuse(call, reply, refused)
            except Exception as error:
                self._on_error(error)
        if not reply.started:
            headers = list(_JSON)
            if refused.retry_after_seconds is not None:
                headers.append((b"retry-after", b"%d" % refused.retry_after_seconds))
            reply.send(refused.status, headers, refusal_body(refused.status))

    def opened(self, connection: ClientConnection) -> bool:
        """Count a new connection; False when there are too many, or when draining."""
        connections, turned_away = self._connections, self._turned_away
        connections.add(connection)
        if len(connections) - len(turned_away) <= self._limits.connections and not self.draining:
            return True
        turned_away[connection] = None
        if len(turned_away) > self._limits.turned_away:
            oldest = next(iter(turned_away))
            del turned_away[oldest]
            oldest.drop()
        return False

    def closed(self, connection: ClientConnection) -> None:
        """Forget a connection."""
        self._connections.discard(connection)
        self._turned_away.pop(connection, None)
        if not self._connections and self._all_closed is not None:
            self._all_closed.set_result(None)
            self._all_closed = None

    # --- inside ---------------------------------------------------------------------------------------------------

    def _connection(self) -> asyncio.Protocol:
        return cast("asyncio.Protocol", ClientConnection(self, self._limits, asyncio.get_running_loop()))

    def _room(self) -> int:
        return self._limits.connections + self._limits.turned_away - len(self._connections)

    def _started(self, server: asyncio.Server | TlsAcceptor) -> None:
        self._loop = asyncio.get_running_loop()
        self._servers.append(server)
        if self._sweep is None:
            self._schedule_sweep()

    def _schedule_sweep(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweep = loop.call_later(sweep_seconds(self._limits), self._check_deadlines, loop)

    def _check_deadlines(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for connection in list(self._connections):
            connection.check(now)
        self._schedule_sweep()

    async def _run(self, call: HttpCall, reply: HttpReply) -> None:
        try:
            await self._handler(call, reply)
            if not reply.finished and not reply.ended:
                reply.abort()
                self._on_error(UnfinishedReply())
        except asyncio.CancelledError:
            reply.abort()
            raise
        except Exception as error:
            if reply.started:
                reply.abort()
            else:
                reply.send(500, _JSON, refusal_body(500))
            self._on_error(error)
        finally:
            self._over(reply)

    def _over(self, reply: HttpReply) -> None:
        self._tasks.pop(reply, None)
        reply.give_back()


def _sockets(server: Any) -> Iterable[socket.socket]:
    """Typed by hand: uvloop gives a list where asyncio promises a tuple."""
    return server.sockets

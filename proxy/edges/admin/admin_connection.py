"""One connection to the admin listener: aiohttp's own, with deadlines, and with refusals that are ours.

aiohttp reads HTTP and runs the application; it has no deadline for a head that never ends or an answer that nobody reads, and
what it cannot parse it writes to the log, traceback and header values included. So this connection keeps the deadlines
(the listener sweeps them), says what is wrong as problem+json without repeating a byte, and logs a line of its own.

Decision: aiohttp's RequestHandler with the methods overridden that its documentation names, not a second HTTP server in front
of it: two parsers that read the same bytes can disagree about where a request ends.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from proxy.edges.admin.problems import problem
from proxy.edges.admin.security_headers import add_security_headers


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminLimits:
    """Bounds on what clients of the admin listener may hold open; deadlines in seconds."""

    connections: int = 128
    #: From the connection, or the first byte of a later request, to the end of the request's head.
    head_seconds: float = 10.0
    keep_alive_seconds: float = 75.0
    #: A client that takes no byte of its answer for so long is dropped.
    no_progress_seconds: float = 60.0
    #: How long a body that nobody wants is read and thrown away, so that its refusal is not lost to a reset.
    linger_seconds: float = 2.0
    line_bytes: int = 8190
    header_count: int = 100


class ConnectionKeeper(Protocol):
    """What a connection needs of its listener. `log` takes an event's name and its members."""

    limits: AdminLimits
    on_error: Callable[[BaseException], None]
    log: Callable[..., None]


#: For the places where aiohttp insists on a logger: all of what it says there could hold what a client sent.
_SILENT = logging.Logger("switchback.admin", logging.CRITICAL + 1)


class AdminConnection(web.RequestHandler):
    """Its states: waiting for a head (`_due_at` says until when), or busy with a request."""

    def __init__(self, manager: web.Server, keeper: ConnectionKeeper, on_lost: Callable[[], None]) -> None:
        limits = keeper.limits
        super().__init__(
            manager,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=limits.keep_alive_seconds,
            logger=_SILENT,
            access_log=None,  # pyright: ignore[reportArgumentType] aiohttp takes None for no access log
            max_line_size=limits.line_bytes,
            max_field_size=limits.line_bytes,
            max_headers=limits.header_count,
            lingering_time=limits.linger_seconds,
            # A small body could unpack to gigabytes; reading.py refuses codings.
            auto_decompress=False,
        )
        self._keeper = keeper
        self._limits = limits
        self._on_lost = on_lost
        #: Whether its latest request came with a valid token.
        self.is_authentic = False
        self.is_busy = False
        self._is_waiting = False
        self._got_more = False
        self._due_at = self._loop.time() + limits.head_seconds
        self._unread_bytes = 0
        self._progress_at = 0.0

    # --- transport events -----------------------------------------------------------------------------------------

    def connection_lost(self, exc: BaseException | None) -> None:
        """Also tells the listener."""
        self._on_lost()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """A head has a deadline from its first byte on."""
        if self.is_busy:
            self._got_more = True
        elif self._is_waiting:
            self._is_waiting = False
            self._due_at = self._loop.time() + self._limits.head_seconds
        super().data_received(data)

    # --- what the application tells -------------------------------------------------------------------------------

    def began(self) -> None:
        """A request's head is complete."""
        self.is_busy, self.is_authentic, self._got_more = True, False, False
        self._unread_bytes, self._progress_at = 0, self._loop.time()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Afterwards the connection waits for the next head; for the shorter time where some of that may be here already."""
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self.is_busy = False
            self._is_waiting = not self._got_more
            limits = self._limits
            self._due_at = self._loop.time() + (limits.keep_alive_seconds if self._is_waiting else limits.head_seconds)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What could not be parsed, or failed outside of every handler, as a problem; the connection ends with it."""
        if status == 400:
            code, status = ("head_too_large", 431) if isinstance(exc, LineTooLong) else ("bad_http", 400)
            self._keeper.log("admin_request_refused", code=code, peer=request.remote)
            detail = "the head is too large" if status == 431 else "this is not a request in HTTP/1.1"
        else:
            code, detail = "internal_error", "the proxy failed on this request; its log says more"
            if exc is not None and not isinstance(exc, ConnectionError):
                self._keeper.on_error(exc)
        if request.writer.output_size > 0:
            raise ConnectionResetError("an answer has begun already")
        answer = problem(status, code, detail)
        add_security_headers(answer)
        answer.force_close()
        return answer

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Its type and place only."""
        error = kw.get("exc_info")
        if isinstance(error, BaseException):
            self._keeper.on_error(error)

    # --- what the listener tells ----------------------------------------------------------------------------------

    def check(self, now: float) -> None:
        """The sweep: drop the connection if a deadline has passed at loop time `now`."""
        transport = self.transport
        if transport is None:
            return
        unread = transport.get_write_buffer_size()
        if unread == 0 or unread < self._unread_bytes:
            self._progress_at = now
        self._unread_bytes = unread
        is_stalled = unread > 0 and now - self._progress_at >= self._limits.no_progress_seconds
        if is_stalled or (not self.is_busy and now >= self._due_at):
            self.drop()

    def drop(self) -> None:
        """Close without waiting for anything."""
        if self.transport is not None:
            self.transport.abort()


def connection_of(request: web.BaseRequest) -> AdminConnection | None:
    """The connection a request came on; None where another server runs the application."""
    protocol = cast("object", request.protocol)
    return protocol if isinstance(protocol, AdminConnection) else None


@web.middleware
async def occupied(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """The outermost middleware: its connection is busy from here until the answer is sent."""
    connection = connection_of(request)
    if connection is not None:
        connection.began()
    return await handler(request)

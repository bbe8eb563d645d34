"""One upstream's answer: read whole, or relayed to a client while it comes.

The relay is the hot path of streams: `pump` is called once per read of the upstream socket and hands the bytes to the
client's transport in the same turn of the loop; the waiting coroutine wakes once, at the end. A client that cannot take
more pauses the upstream's socket, a client that leaves aborts it, at once. Bytes come from `upstream_connection.py`.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from proxy.http1.errors import ClientGone, Reason, UpstreamError
from proxy.http1.message import Headers

Tap = Callable[[bytes], bytes]
"""Sees every piece of a body on its way and returns what to pass on, which may be nothing."""


_LARGE_PIECE_BYTES: Final = 32 * 1024


class ReplyChannel(Protocol):
    """What a relay needs of a reply."""

    @property
    def writable(self) -> bool:
        """Whether more may be written."""
        ...

    def write(self, data: bytes) -> None:
        """Send one piece."""
        ...

    def write_chunk(self, data: bytes, chunk: bytes) -> None:
        """Send one piece, which came as this chunk."""
        ...

    def on_client_gone(self, callback: Callable[[], None]) -> None:
        """Register for the client's leaving."""
        ...

    def on_writable(self, callback: Callable[[], None] | None) -> None:
        """Register for the end of back-pressure."""
        ...


class AnswerSource(Protocol):
    """What an answer needs of the connection it comes from."""

    def pause(self) -> None:
        """Stop reading."""
        ...

    def resume(self) -> None:
        """Read on."""
        ...

    def abort(self) -> None:
        """Break the connection."""
        ...

    def drain(self) -> None:
        """Read what is left, for a short while: at its end the connection is used again."""
        ...


class HttpAnswer:
    """An answer whose head is there. Exactly one of `read`, `relay` and `close` must follow."""

    # Defaults live in the class: a call touches few of them, and creating the object is part of every call. Those of callables
    # and protocols are set by __init__: mypyc leaves such a default of a class out.
    status = 0
    complete = False
    _buffered = 0
    _limit: int | None = None
    _error: Exception | None = None
    _is_broken: bool = False
    _wants_end = False
    _is_left = False

    def __init__(self, source: AnswerSource, arrived: asyncio.Future[None], unclaimed_bytes: int) -> None:
        self.headers: Headers = []
        self.arrived = arrived
        """Done when the head is there, or never will be: `check` follows. Awaited once, by who sent the request."""
        self._waiter = arrived
        self._reply: ReplyChannel | None = None
        self._tap: Tap | None = None
        self._begun: Callable[[], None] | None = None
        self._is_finished: Callable[[], bool] | None = None
        self._watched: ReplyChannel | None = None
        self._source: AnswerSource | None = source
        self._unclaimed = unclaimed_bytes
        self._pieces: list[bytes] = []

    def whole(self) -> bytes | None:
        """The body, where all of it came with the head; None: it has to be waited for, by `read` or `relay`."""
        return _emptied(self._pieces) if self.complete else None

    async def read(self, limit_bytes: int | None = None) -> bytes:
        """The whole body. Raises UpstreamError (also when it is longer than the limit) and, when the client was named
        to `UpstreamClient.send`, ClientGone."""
        self._limit = limit_bytes
        self._check_limit()
        if self._source is not None:
            self._source.resume()
            await self._end()
        self.check()
        return _emptied(self._pieces)

    async def relay(
        self,
        reply: ReplyChannel,
        tap: Tap | None = None,
        begun: Callable[[], None] | None = None,
        is_finished: Callable[[], bool] | None = None,
    ) -> None:
        """Pass the body on until its clean end; finishing the reply is the caller's part. `begun` is called once, before
        the first piece is passed on. `is_finished` says, when the client leaves, whether all that matters has passed: then
        this is an end like any other, and what is left is drained.

        Raises UpstreamError when the answer breaks, ClientGone when the client leaves, and whatever `tap` raises; the
        upstream connection is aborted then.
        """
        self._reply = reply
        self._tap = tap
        self._begun = begun
        self._is_finished = is_finished
        self.watch(reply)
        self.pump(self._pieces)
        try:
            if self._source is not None:
                reply.on_writable(self._resume)
                if reply.writable:
                    self._source.resume()
                await self._end()
        finally:
            reply.on_writable(None)
            # They lead back to the caller, who holds this answer.
            self._reply = self._tap = self._begun = self._is_finished = self._watched = None
        self.check()

    def check(self) -> None:
        """Raises what `read` and `relay` raise, once, where the answer broke."""
        if self._error is not None:
            raise self._let_go()

    def close(self) -> None:
        """Abort the answer, unless it is complete; its connection is never used again."""
        self.fail("closed")

    # --- for the connection ---------------------------------------------------------------------------------------

    def watch(self, reply: ReplyChannel) -> None:
        """Abort at once when this client leaves."""
        if self._watched is not reply:
            self._watched = reply
            reply.on_client_gone(self._client_left)

    def finish(self) -> None:
        """The body is complete and its connection no longer ours; `pump` follows."""
        self.complete = True
        self._source = None

    def pump(self, pieces: list[bytes]) -> None:
        """Take what one read brought, which empties the list: to the client in a relay, else for whoever waits."""
        if pieces:
            reply = self._reply
            if reply is None:
                self._keep(pieces)
            else:
                self._pass_on(reply, _emptied(pieces), None)
        if (self.complete or not self._wants_end) and not self._waiter.done():
            self._waiter.set_result(None)

    def pump_chunk(self, piece: bytes, chunk: bytes) -> None:
        """As `pump`, where a read brought one piece, as this chunk. Never what comes first after the head."""
        if self._reply is None:
            self._keep([piece])
        else:
            self._pass_on(self._reply, piece, chunk)

    def fail(self, reason: Reason) -> None:
        """End with an UpstreamError, unless complete or failed before."""
        self._break(UpstreamError(reason, request_sent=True, answer_begun=self.status > 0))

    def break_off(self, reason: Reason, *, request_sent: bool, connection_kept: bool) -> None:
        """As `fail`, where the connection itself ended."""
        self._break(
            UpstreamError(
                reason, request_sent=request_sent, answer_begun=self.status > 0, connection_kept=connection_kept
            )
        )

    # --- inside ---------------------------------------------------------------------------------------------------

    async def _end(self) -> None:
        self._wants_end = True
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        except asyncio.CancelledError:
            self.close()
            raise

    def _keep(self, pieces: list[bytes]) -> None:
        if self._is_left:
            pieces.clear()
            return
        self._buffered += sum(map(len, pieces))
        self._pieces += pieces
        pieces.clear()
        if self._wants_end:
            self._check_limit()
        elif self._buffered > self._unclaimed and self._source is not None:
            self._source.pause()

    def _pass_on(self, reply: ReplyChannel, piece: bytes, chunk: bytes | None) -> None:
        try:
            if self._begun is not None:
                self._begun()
                self._begun = None
            passed = piece if self._tap is None else self._tap(piece)
            if chunk is not None and passed is piece:
                reply.write_chunk(piece, chunk)
            elif passed:
                reply.write(passed)
        except Exception as error:
            self.complete = False
            self._break(error)
            return
        if self._source is not None:
            if not reply.writable:
                self._source.pause()
            elif chunk is None and self._tap is not None and len(piece) >= _LARGE_PIECE_BYTES:
                # Reading it took a while, and a fast sender has the next one ready: others first.
                self._source.pause()
                asyncio.get_running_loop().call_soon(self._read_on)

    def _read_on(self) -> None:
        if self._source is not None and self._reply is not None and self._reply.writable:
            self._source.resume()

    def _check_limit(self) -> None:
        if self._limit is not None and self._buffered > self._limit:
            self.complete = False
            self.fail("answer_too_large")

    def _resume(self) -> None:
        if self._source is not None:
            self._source.resume()

    def _client_left(self) -> None:
        source = self._source
        if source is not None and self._is_finished is not None and self._is_finished():
            self._leave(source)
            return
        self._break(ClientGone(request_sent=True))

    def _leave(self, source: AnswerSource) -> None:
        """The relay is over; only the connection waits for the end of the body."""
        self._is_left = True
        self._reply = self._tap = self._is_finished = None
        source.drain()
        if not self._waiter.done():
            self._waiter.set_result(None)

    def _break(self, error: Exception) -> None:
        if self.complete or self._is_broken:
            return
        self._is_broken = True
        self._error = error
        source, self._source = self._source, None
        if source is not None:
            source.abort()
        if not self._waiter.done():
            self._waiter.set_result(None)

    def _let_go(self) -> Exception:
        """The error, which nothing of ours holds any more once it is raised: its traceback leads back to the answer, and such
        circles stay until the collector looks, which it seldom does."""
        error, self._error = self._error, None
        assert error is not None
        return error


def _emptied(pieces: list[bytes]) -> bytes:
    data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    pieces.clear()
    return data

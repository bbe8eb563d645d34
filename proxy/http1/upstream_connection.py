"""One connection to an upstream: a request out, the bytes of its answer in, one exchange at a time.

A state machine driven by llhttp's callbacks, with no task and no timer of its own: the pool sweeps the deadlines. What is
told apart: a clean end, an early close, a reset, framing that cannot be trusted, and a kept connection that was over before the
request came. After any doubt the connection is closed. Only a read that is one chunk is known without the parser (`chunks.py`).

Decision: reads go into one buffer of 64 KB shared by all connections of a pool (the transport fills it and calls back in one
step), since a plain protocol may be handed 256 KB at once by uvloop, which a slow client's reply would then have to hold.
An echo over loopback costs the same either way, 8 µs of CPU for reading 600 bytes or 8 KB and writing two.
"""

import asyncio
from typing import Final, Protocol, cast

import httptools

from proxy.http1.answer import HttpAnswer
from proxy.http1.answer_head import BadAnswer, check_answer, check_status
from proxy.http1.chunks import MAX_LONE_BYTES, only_chunk
from proxy.http1.errors import Reason
from proxy.http1.limits import UpstreamLimits
from proxy.http1.message import LF, NAMES, Headers, learn_name
from proxy.http1.origin import Origin
from proxy.http1.outgoing import Outgoing, Turn
from proxy.http1.sockets import LOST_TRANSPORT, abort, is_readable, unacknowledged_bytes

_COPY_BYTES: Final = 64 * 1024  # up to here head and body are joined into one write
#: What of a large body is handed over in one turn of the loop: 5 MB at once take 1 to 3 ms.
_PIECE_BYTES: Final = 256 * 1024
#: Idle for less, a close is noticed by the loop in the turn in which the connection is used again.
_LOOKED_AT_SECONDS = 0.05  # not Final: a test changes it
#: Of a request longer than this the framing of TLS may be as long as a whole record of it.
_PROVABLE_BYTES: Final = 8 * 1024 * 1024
_BREAKING: Final = httptools.HttpParserError, httptools.HttpParserUpgrade


class ConnectionPool(Protocol):
    """What a connection needs of its pool."""

    buffer: memoryview
    """Where every connection of the pool reads into."""
    turn: Turn

    def proved(self, connection: "UpstreamConnection") -> None:
        """The first answer of a connection is complete."""
        ...

    def give(self, connection: "UpstreamConnection") -> None:
        """Take a connection back for another request."""
        ...

    def closed(self, connection: "UpstreamConnection") -> None:
        """Forget a connection."""
        ...


class UpstreamConnection:
    """The asyncio protocol of one connection to an origin.

    Not a subclass of asyncio's: the compiled form of a class keeps its attributes in C only where its bases do.
    """

    def __init__(
        self, origin: Origin, pool: ConnectionPool, limits: UpstreamLimits, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.origin = origin
        self.transport = cast("asyncio.Transport", None)
        self.touched = False
        """Whether a byte of the present or latest answer came."""
        self.opened_at = self.since = loop.time()
        """`since`: when the present exchange began, or the last one ended."""
        self._pool = pool
        self._buffer = pool.buffer
        self._limits = limits
        self._loop = loop
        self._pieces: list[bytes] = []
        self.on_body = self._pieces.append  # llhttp's callback for body bytes: no Python code runs per chunk
        self._parser = httptools.HttpResponseParser(self)
        self._answer: HttpAnswer | None = None
        self._outgoing = Outgoing(pool.turn)
        self._is_proved = False
        self._request_bytes = 0
        self._unsent: memoryview | None = None
        self._is_full = False  # the transport has enough for now
        self._head_only = False
        self._head_bytes = 0
        self._headers: Headers = []
        self._head_done = False
        self._interim = False
        self._interims = 0
        self._until_close = False
        self._keep_alive = False
        self._complete = False
        # Whether the parser stands between two chunks for certain, so that it can be spared a read that is one chunk.
        self._is_between_chunks = False
        self._reason: Reason = "bad_framing"
        self._barren_bytes = 0
        self._paused = False
        self._active = False
        self._active_at = 0.0
        self._drains_since: float | None = None

    def begin(self, head: bytes, body: bytes, *, head_only: bool) -> HttpAnswer:
        """Send a request. The answer's `arrived` says when its head is there."""
        loop = self._loop
        answer = HttpAnswer(self, loop.create_future(), self._limits.unclaimed_bytes)
        self._answer = answer
        self.touched = False
        self.since = loop.time()
        self._head_only = head_only
        self._head_bytes = 0
        self._head_done = self._complete = self._until_close = self._is_between_chunks = False
        self._interims = 0
        self._request_bytes = len(head) + len(body)
        if len(body) < _COPY_BYTES:
            self._outgoing.write(head + body)
        else:
            self._outgoing.write(head)
            self._outgoing.flush()
            self._unsent = memoryview(body)
            self._send_on()
        return answer

    def is_usable(self) -> bool:
        """Whether an idle connection can take a request: open, and nothing came since its last answer, not even its end."""
        transport = self.transport
        if transport.is_closing():
            return False
        if self._loop.time() - self.since < _LOOKED_AT_SECONDS or not is_readable(transport):
            return True
        transport.abort()
        return False

    # --- for the answer -------------------------------------------------------------------------------------------

    def pause(self) -> None:
        """Stop reading: the reader of the answer is slower than its sender."""
        if not self._paused:
            self._paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._paused:
            self._paused = False
            self._active = True
            self.transport.resume_reading()

    def drain(self) -> None:
        """Nobody waits for the rest of the answer: read it all the same, until the sweep finds that it takes too long."""
        self._drains_since = self._loop.time()
        self.resume()

    def shut(self) -> None:
        """Close because the client is closed: an exchange under way fails with `closed`."""
        if self._answer is not None:
            self._answer.fail("closed")
        else:
            self.transport.abort()

    def abort(self) -> None:
        """Break the connection at once, so that the upstream stops working."""
        self._answer = None
        self._outgoing.flush()
        abort(self.transport)

    # --- transport events -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._outgoing.transport = self.transport

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def data_received(self, data: bytes) -> None:
        """What asyncio's own loop calls, which hands buffers to subclasses of its protocols only; uvloop does without."""
        for at in range(0, len(data), len(self._buffer)):
            piece = data[at : at + len(self._buffer)]
            self._buffer[: len(piece)] = piece
            self.buffer_updated(len(piece))

    def buffer_updated(self, nbytes: int) -> None:
        answer = self._answer
        if answer is None:
            self.transport.abort()  # bytes that nobody asked for
            return
        self._active = True
        if self._is_between_chunks and nbytes <= MAX_LONE_BYTES:
            read = self._buffer[:nbytes].tobytes()
            piece = only_chunk(read)
            if piece is not None:
                answer.pump_chunk(piece, read)
                return
        if self._head_done or self._may_be_head(nbytes):
            self._feed(answer, nbytes)
        else:
            answer.fail("bad_framing")

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        self._send_on()

    def eof_received(self) -> bool:
        answer = self._answer
        if answer is not None:
            if self._until_close and self._head_done:
                self._keep_alive = False
                self._end_exchange(answer)
                answer.pump(self._pieces)
            elif self._is_stale():
                answer.break_off("stale", request_sent=False, connection_kept=True)
            else:
                self._break_unanswered(answer, "early_close")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            self._break_unanswered(answer, "early_close" if exc is None else "reset")
        self._outgoing.drop()
        self._unsent = None
        self.transport = self._outgoing.transport = LOST_TRANSPORT
        self._pool.closed(self)
        self._parser = cast("httptools.HttpResponseParser", None)  # it refers to us

    # --- llhttp callbacks -----------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._complete:
            raise BadAnswer("bad_framing")  # something follows the answer

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._head_done:  # else a trailer, dropped
            self._headers.append((NAMES.get(name) or learn_name(name), value.rstrip(b" ")))

    def on_headers_complete(self) -> None:
        parser = self._parser
        limits = self._limits
        headers, self._headers = self._headers, []
        answer = self._answer
        try:
            status = parser.get_status_code()
            if len(headers) > limits.header_count or (
                self._head_bytes > limits.header_bytes
                and sum(len(name) + len(value) + 4 for name, value in headers) > limits.header_bytes
            ):
                raise BadAnswer("header_limits")
            if not check_status(status):
                self._count_interim()
                return
            headers, self._until_close = check_answer(headers, status, parser.get_http_version())
        except BadAnswer as bad:
            self._reason = bad.reason
            raise
        self._keep_alive = parser.should_keep_alive() and not self._until_close
        self._head_done = True
        self._barren_bytes = 0
        if answer is not None:
            answer.status = status
            answer.headers = headers
        if self._head_only:
            self._complete = True
            self._keep_alive = False  # llhttp cannot be told that no body follows

    def on_chunk_header(self) -> None:
        self._is_between_chunks = False

    def on_chunk_complete(self) -> None:
        self._is_between_chunks = True

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
        else:
            self._complete = True

    def _count_interim(self) -> None:
        self._interim = True
        self._interims += 1
        if self._interims > self._limits.interim_answers:
            raise BadAnswer("bad_framing")

    # --- inside ---------------------------------------------------------------------------------------------------

    def _send_on(self) -> None:
        """Hand over the next piece of a large body; the one after it when others had their turn."""
        unsent = self._unsent
        if unsent is None or self._is_full or self.transport.is_closing():
            return
        self._unsent = unsent[_PIECE_BYTES:] if len(unsent) > _PIECE_BYTES else None
        self._outgoing.pass_on(unsent[:_PIECE_BYTES])
        if self._unsent is not None and not self._is_full:
            self._loop.call_soon(self._send_on)

    def _feed(self, answer: HttpAnswer, nbytes: int) -> None:
        try:
            self._parser.feed_data(self._buffer[:nbytes])
        except _BREAKING:
            self._keep_alive = False
            if not self._complete:
                if self._head_done:
                    answer.pump(self._pieces)
                answer.fail(self._reason)
                return
        if self._buffer[nbytes - 1] != LF:
            self._is_between_chunks = False  # the next chunk's first line may have begun
        if self._complete:
            self._end_exchange(answer)
        elif self._pieces:
            self._barren_bytes = 0
        elif self._is_excessive(nbytes):
            answer.fail("bad_framing" if self._head_done else "header_limits")
            return
        if self._head_done:
            if self._head_only:
                self._pieces.clear()
            answer.pump(self._pieces)

    def _is_stale(self) -> bool:
        """Whether the upstream ended the connection before the request came: its end confirms nothing of it.

        An end that comes with or after a confirmation, or a reset, which confirms nothing in any case, proves nothing: the upstream
        may have begun.
        """
        if self.touched or not self._is_proved:
            return False
        unsent_bytes = 0 if self._unsent is None else len(self._unsent)
        given = self._request_bytes - unsent_bytes - self._outgoing.waiting_bytes
        return 0 <= given <= _PROVABLE_BYTES and unacknowledged_bytes(self.transport) >= given

    def _break_unanswered(self, answer: HttpAnswer, reason: Reason) -> None:
        answer.break_off(reason, request_sent=True, connection_kept=self._is_proved and not self.touched)

    def _may_be_head(self, nbytes: int) -> bool:
        self._head_bytes += nbytes
        if self.touched:
            return True
        self.touched = True
        return self._buffer[0] == 0x48  # "H": llhttp would also take line breaks, RTSP/ and ICE/

    def _is_excessive(self, nbytes: int) -> bool:
        """Whether a head, or framing without a body byte (chunk extensions, trailers), grows without end."""
        if not self._head_done:
            return self._head_bytes > self._limits.header_bytes * (1 + self._interims)
        self._barren_bytes += nbytes
        return self._barren_bytes > self._limits.header_bytes

    def _end_exchange(self, answer: HttpAnswer) -> None:
        self._answer = self._drains_since = None
        answer.finish()
        if not self._is_proved:
            self._is_proved = True
            self._pool.proved(self)
        if self._keep_alive and self._unsent is None and not self._outgoing.waiting_bytes:
            self.resume()
            self.since = self._loop.time()
            self._pool.give(self)
        else:
            self.transport.abort()  # nothing is left to be sent that anybody waits for

    # --- deadlines ------------------------------------------------------------------------------------------------

    def check(self, now: float) -> None:
        """The sweep: act on whatever deadline of the exchange has passed at loop time `now`."""
        answer = self._answer
        if answer is None:
            return
        limits = self._limits
        if self._drains_since is not None and now - self._drains_since >= limits.drain_seconds:
            answer.fail("closed")
        elif self._outgoing.stalled_seconds(now) >= limits.write_no_progress_seconds:
            answer.fail("write_timeout")
        elif not self._head_done:
            if now - self.since >= limits.first_byte_seconds:
                answer.fail("first_byte_timeout")
            self._active = True
        elif self._active or self._paused:
            self._active = False
            self._active_at = now
        elif now - self._active_at >= limits.idle_seconds:
            answer.fail("idle_timeout")

"""One client connection: which call is answered now, which wait, and when it is over.

No task and no timer of its own: the listener starts a task per call and sweeps the deadlines. Bytes become calls in
`request_parser.py`; answers are written by `reply.py`.

Policies: pipelined calls are answered in order, and beyond a bound reading pauses (a client that leaves is noticed late
then); a client that closes its sending side while a call runs is taken for gone, since it could not be told from one
that left; after a refusal input is thrown away for a short while so that the refusal is not lost to a TCP reset.
"""

import asyncio
from typing import Final, Protocol, cast

from proxy.http1.body_budget import BodyBudget
from proxy.http1.limits import ListenerLimits
from proxy.http1.message import HttpCall
from proxy.http1.outgoing import Outgoing, Turn
from proxy.http1.reply import HttpReply
from proxy.http1.request_head import RequestRefused
from proxy.http1.request_parser import BODY, HEAD, IDLE, RequestParser
from proxy.http1.sockets import abort

_LARGE_READ_BYTES: Final = 64 * 1024
_SLICE_BYTES: Final = 4096  # bounds how many pipelined calls one read can bring
_CHUNKS_A_TURN: Final = 4000  # of two bytes each, a read can hold enough of them to take 60 ms
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class CallSink(Protocol):
    """What a connection needs of its listener."""

    budget: BodyBudget
    draining: bool
    turn: Turn

    def call_ready(self, call: HttpCall, reply: HttpReply) -> None:
        """Start handling a complete call."""
        ...

    def refuse(self, call: HttpCall | None, reply: HttpReply, refused: RequestRefused) -> None:
        """Answer a request that cannot be taken, of which `call` is what came; None where no request line did."""
        ...

    def opened(self, connection: "ClientConnection") -> bool:
        """Count a new connection; False when there are too many."""
        ...

    def closed(self, connection: "ClientConnection") -> None:
        """Forget a connection."""
        ...


class ClientConnection:
    """The asyncio protocol of one accepted connection; not a subclass of asyncio's, see `UpstreamConnection`."""

    def __init__(self, sink: CallSink, limits: ListenerLimits, loop: asyncio.AbstractEventLoop) -> None:
        self.transport = cast("asyncio.Transport", None)
        self.outgoing = Outgoing(sink.turn)
        self.writable = True
        self._sink = sink
        self._limits = limits
        self._loop = loop
        self._parser = RequestParser(self, limits, loop.time, sink.budget)
        self._current: HttpReply | None = None
        self._queue: list[tuple[HttpCall, HttpReply]] = []  # an empty deque would hold 600 bytes
        self._deaf = False  # input is thrown away: refused, or closing
        self._refusal: RequestRefused | None = None  # waits for the answers before it
        self._lingering = False
        self._owes_continue = False
        self._held = b""  # read, but not parsed while too many calls wait
        self._paused = False
        self._since = loop.time()  # idle, or lingering
        self._progress = False
        self._progress_at = 0.0

    @property
    def draining(self) -> bool:
        """Whether the listener is shutting down."""
        return self._sink.draining

    @property
    def budget(self) -> BodyBudget:
        """Of all bodies of the listener."""
        return self._sink.budget

    # --- transport events -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(self._limits.write_buffer_bytes)
        self.outgoing.transport = self.transport
        if not self._sink.opened(self):
            self._refuse(RequestRefused(503))

    def data_received(self, data: bytes) -> None:
        self._progress = True
        if self._paused:
            self._held += data
            return
        if self._deaf:
            return
        if not self._parser.feed_plain(data):
            if len(data) > _SLICE_BYTES:
                self._feed_sliced(data)
            else:
                try:
                    self._parser.feed(data)
                except RequestRefused as refused:
                    self._refuse(refused)
        if self._paused:
            return
        if len(self._queue) >= self._limits.pipelined_calls:
            self._pause(b"")
        elif len(data) >= _LARGE_READ_BYTES and not self._deaf:
            # A transport reads on as long as there is something: 5 MB that are there already would be one turn of 5 ms.
            self.transport.pause_reading()
            self._loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        if not self._paused and not self.transport.is_closing():
            self.transport.resume_reading()

    def eof_received(self) -> bool:
        self._lose_client()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose_client()
        self._go_deaf()
        self._parser.close()
        self.outgoing.drop()
        self._sink.closed(self)

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        self.writable = True
        if self._current is not None:
            self._current.drained()

    # --- what the parser tells ------------------------------------------------------------------------------------

    def request_ready(self, call: HttpCall, *, http10: bool, keep_alive: bool) -> None:
        """Handle a complete request now, or after the ones before it."""
        reply = HttpReply(self, head_only=call.method == "HEAD", http10=http10, keep_alive=keep_alive)
        # The parser has counted them.
        reply.held_bytes = len(call.body)
        if self._current is None:
            self._current = reply
            self._sink.call_ready(call, reply)
        else:
            self._queue.append((call, reply))

    def continue_wanted(self) -> None:
        """Invite the body, now or after the answers before it."""
        self._owes_continue = self._current is not None
        if not self._owes_continue:
            self.outgoing.write(_CONTINUE)

    # --- what replies tell ----------------------------------------------------------------------------------------

    def reply_finished(self, closing: bool) -> None:
        """The current answer is complete: take the next call, refuse what came after it, or wait."""
        if self._lingering:  # it was a refusal
            return
        self._current = None
        if closing:
            self._close()
        elif self._queue:
            call, self._current = self._queue.pop(0)
            self._sink.call_ready(call, self._current)
            if self._paused:
                self._resume()
        elif self._refusal is not None:
            self._send_refusal(self._refusal)
        else:
            self._since = self._loop.time()
            if self._owes_continue:
                self.continue_wanted()
            if self._sink.draining:
                self.close_if_idle()

    def reply_aborted(self, reset: bool) -> None:
        """The current answer is broken: close without its end."""
        self._current = None
        if reset:
            self._go_deaf()
            self.outgoing.flush()
            abort(self.transport)
        else:
            self._close()

    # --- what the listener tells ----------------------------------------------------------------------------------

    def close_if_idle(self) -> None:
        """Close, unless a request is under way."""
        if self._current is None and self._parser.phase is IDLE and not self._lingering:
            self._close()

    def drop(self) -> None:
        """Give the client up: a deadline, or the end of a drain."""
        self._lose_client()
        self._go_deaf()
        self.transport.abort()

    def check(self, now: float) -> None:
        """The sweep: act on whatever deadline has passed at loop time `now`."""
        limits = self._limits
        phase = self._parser.phase
        if self.outgoing.stalled_seconds(now) >= limits.no_progress_seconds:
            self.drop()
        elif self._deaf:
            if self._lingering and now - self._since >= limits.linger_seconds:
                self.transport.abort()
        elif self._paused:
            self._progress = True  # not the client's fault
        elif phase is IDLE:
            if self._current is None and now - self._since >= limits.keep_alive_seconds:
                self._close()
        elif phase is HEAD:
            if now - self._parser.head_at >= limits.header_seconds:
                self._refuse(RequestRefused(408))
        elif phase is BODY:
            if self._progress:
                self._progress = False
                self._progress_at = now
            idle = now - self._progress_at >= limits.body_idle_seconds
            if idle or now - self._parser.head_at >= limits.body_total_seconds:
                self._refuse(RequestRefused(408))

    # --- ends -----------------------------------------------------------------------------------------------------

    def _refuse(self, refused: RequestRefused) -> None:
        self._deaf = True
        self._owes_continue = False
        self._refusal = refused
        if self._current is None:
            self._send_refusal(refused)

    def _send_refusal(self, refused: RequestRefused) -> None:
        call = self._parser.unread_call()
        self._go_deaf()
        self._lingering = True
        self._since = self._loop.time()
        head_only = call is not None and call.method == "HEAD"
        self._sink.refuse(call, HttpReply(self, head_only=head_only, http10=False, keep_alive=False), refused)
        self.outgoing.flush()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    def _go_deaf(self) -> None:
        self._deaf = True
        for _, reply in self._queue:
            reply.give_back()
        self._queue.clear()
        self._held = b""
        self._refusal = None

    def _close(self) -> None:
        self._go_deaf()
        self.outgoing.flush()
        self.transport.close()

    def _lose_client(self) -> None:
        reply, self._current = self._current, None
        if reply is not None:
            undelivered = self.outgoing.waiting_bytes > 0
            self._go_deaf()
            reply.lost(undelivered=undelivered)

    # --- back-pressure on pipelining ------------------------------------------------------------------------------

    def _feed_sliced(self, data: bytes) -> None:
        view = memoryview(data)
        at = 0
        chunks = self._parser.chunks
        while at < len(data) and not self._deaf:
            if len(self._queue) >= self._limits.pipelined_calls:
                self._pause(bytes(view[at:]))
                return
            if self._parser.chunks - chunks > _CHUNKS_A_TURN:
                self._pause(bytes(view[at:]))
                self._loop.call_soon(self._feed_held)
                return
            missing = self._parser.missing_bytes
            step = max(_SLICE_BYTES, missing)
            try:
                self._parser.feed(view[at : at + step] if missing else data[at : at + step])
            except RequestRefused as refused:
                self._refuse(refused)
            at += step

    def _pause(self, rest: bytes) -> None:
        self._held = rest
        self._paused = True
        self.transport.pause_reading()

    def _resume(self) -> None:
        if len(self._queue) < self._limits.pipelined_calls:
            self._parser.head_at = self._loop.time()  # the wait was ours
            self._feed_held()

    def _feed_held(self) -> None:
        if not self._paused or len(self._queue) >= self._limits.pipelined_calls:
            return
        held, self._held = self._held, b""
        self._paused = False
        self._feed_sliced(held)
        if not self._paused and not self.transport.is_closing():
            self.transport.resume_reading()

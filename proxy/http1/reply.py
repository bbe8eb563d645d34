"""The answer channel of one call: start, write, finish, or the whole in one go; and abort.

Chooses the framing (RFC 9112 §6) and keeps the promise that a broken answer looks broken: only `finish` and `send` end a
body cleanly. Never blocks: `writable` and `on_writable` tell a fast producer to wait. The connection it writes to is
`client_connection.py`.
"""

from collections.abc import Callable
from enum import Enum
from typing import Protocol

from proxy.http1.body_budget import BodyBudget
from proxy.http1.chunks import in_chunk
from proxy.http1.message import STATUS_LINES, Headers, render_head
from proxy.http1.outgoing import Outgoing


class _Body(Enum):
    NONE = 0  # HEAD, 204, 304
    FIXED = 1
    CHUNKED = 2
    UNTIL_CLOSE = 3  # HTTP/1.0


class ReplyConnection(Protocol):
    """What a reply needs of the connection under it."""

    outgoing: Outgoing
    writable: bool

    @property
    def draining(self) -> bool:
        """Whether this is the last answer of the connection."""
        ...

    @property
    def budget(self) -> BodyBudget:
        """Of all bodies."""
        ...

    def reply_finished(self, closing: bool) -> None:
        """The answer is complete; the connection may take the next call, or closes."""
        ...

    def reply_aborted(self, reset: bool) -> None:
        """The answer is broken; the connection closes, with a reset if a plain close would look like the end."""
        ...


class HttpReply:
    """One call's answer. After `client_gone` or `abort`, every method but `on_client_gone` is a no-op."""

    # Defaults live in the class: a call touches few of them, and creating the object is part of every call. Those of callables,
    # protocols and enums are set by __init__: mypyc leaves such a default of a class out.
    started = False
    finished = False
    client_gone = False
    """The client left, or takes nothing any more, before the answer was finished."""
    undelivered = False
    """Bytes were waiting for the client when it left."""
    ended = False
    """Nothing more reaches the client: it left, or the reply was aborted."""
    stopped = False
    """Nothing is to be fetched for the client any more: the reply has ended, or was interrupted."""
    held_bytes = 0
    """What is counted in the budget of bodies for this call."""
    _left = 0

    def __init__(self, connection: ReplyConnection, *, head_only: bool, http10: bool, keep_alive: bool) -> None:
        self._connection = connection
        self._head_only = head_only
        self._http10 = http10
        self._closing = not keep_alive
        self._body = _Body.NONE
        self._gone_callbacks: list[Callable[[], None]] | None = None
        self._writable_callback: Callable[[], None] | None = None

    @property
    def writable(self) -> bool:
        """False while the client's send buffer is above high water."""
        return self._connection.writable

    def hold(self, size: int) -> bool:
        """Count bytes that are kept for this call; False where there is no room for them (they are counted all the same)."""
        self.held_bytes += size
        return self._connection.budget.take(size)

    def give_back(self) -> None:
        """What was counted for this call is kept no longer. Safe to call twice."""
        held, self.held_bytes = self.held_bytes, 0
        self._connection.budget.give_back(held)

    def start(self, status: int, headers: Headers, length: int | None = None, *, lines: bytes = b"") -> None:
        """Send the head. With `length` the body must have exactly that many bytes; without, it is chunked.

        `lines` are header lines that are complete already, each with its line break. Hop-by-hop headers and `content-length` among `headers` are dropped. Raises KeyError for a status outside
        200-599, ValueError for a line break in a header, RuntimeError when called twice.
        """
        if self.started:
            raise RuntimeError("the reply has already started")
        if self.ended:
            return
        connection = self._connection
        last = lines
        if status in (204, 304):
            self._body = _Body.NONE
        elif length is not None:
            self._body = _Body.NONE if self._head_only else _Body.FIXED
            self._left = length
            last = b"%bcontent-length: %d\r\n" % (lines, length)
        elif self._head_only:
            self._body = _Body.NONE
        elif self._http10:
            self._body = _Body.UNTIL_CLOSE
            self._closing = True
        else:
            self._body = _Body.CHUNKED
            last = lines + b"transfer-encoding: chunked\r\n"
        head = render_head(STATUS_LINES[status], headers, last + self._connection_line())
        self.started = True
        connection.outgoing.write(head)

    def send(self, status: int, headers: Headers, body: bytes, *, lines: bytes = b"") -> None:
        """The whole answer in one write, with its length. Raises as `start` does."""
        if self.started:
            raise RuntimeError("the reply has already started")
        if self.ended:
            return
        last = lines + self._connection_line()
        if status not in (204, 304):
            last = b"content-length: %d\r\n%b" % (len(body), last)
            data = render_head(STATUS_LINES[status], headers, last)
            if not self._head_only:
                data += body
        else:
            data = render_head(STATUS_LINES[status], headers, last)
        self.started = self.finished = True
        self._gone_callbacks = None  # they refer to answers, which refer to us
        connection = self._connection
        connection.outgoing.write(data)
        connection.reply_finished(self._closing)

    def write(self, data: bytes) -> None:
        """Send one piece of the body. Raises RuntimeError before `start`, after `finish`, or beyond the length."""
        if self.ended or not data:
            return
        if not self.started or self.finished:
            raise RuntimeError("the reply is not open for writing")
        body = self._body
        if body is _Body.CHUNKED:
            data = in_chunk(data)
        elif body is _Body.NONE:
            return
        elif body is _Body.FIXED:
            self._left -= len(data)
            if self._left < 0:
                self.abort()
                raise RuntimeError("the body is longer than its promised length")
        self._connection.outgoing.relay(data)

    def write_chunk(self, data: bytes, chunk: bytes) -> None:
        """As `write`, for a piece that came as this chunk: it is sent on as it is where this body is in chunks as well."""
        if self._body is _Body.CHUNKED and not self.finished and not self.ended:
            self._connection.outgoing.relay(chunk)
        else:
            self.write(data)

    def finish(self) -> None:
        """End the body cleanly. Raises RuntimeError (and breaks the answer) when a promised length is not met."""
        if self.ended:
            return
        if not self.started or self.finished:
            raise RuntimeError("the reply is not open for finishing")
        if self._body is _Body.FIXED and self._left:
            self.abort()
            raise RuntimeError("the body is shorter than its promised length")
        self.finished = True
        self._gone_callbacks = None
        connection = self._connection
        if self._body is _Body.CHUNKED:
            connection.outgoing.write(b"0\r\n\r\n")
        connection.reply_finished(self._closing)

    def abort(self) -> None:
        """Break the answer for the client too: what was written is flushed, the body never ends cleanly.

        Callbacks of `on_client_gone` are told as well, so that a relay in flight stops at once.
        """
        if self.ended or self.finished:
            return
        self.ended = self.stopped = True
        self._connection.reply_aborted(reset=self._body in (_Body.UNTIL_CLOSE, _Body.NONE))
        self._tell_gone()

    def interrupt(self) -> None:
        """Break off what is being fetched for this reply, as if the client had gone. The client can still be answered."""
        if self.stopped or self.finished:
            return
        self.stopped = True
        self._tell_gone()

    def on_client_gone(self, callback: Callable[[], None]) -> None:
        """Call back once, synchronously, when nothing more can reach the client: it closed or half-closed its side,
        reset, stopped reading for too long, or the reply was aborted. At once if that is so already.
        Never after a finished answer."""
        if self.stopped:
            callback()
        elif self._gone_callbacks is not None:
            self._gone_callbacks.append(callback)
        elif not self.finished:
            self._gone_callbacks = [callback]

    def on_writable(self, callback: Callable[[], None] | None) -> None:
        """Call back each time the send buffer has drained again. One callback; None takes it away."""
        self._writable_callback = callback

    def lost(self, *, undelivered: bool) -> None:
        """For the connection: the client is gone, and whether bytes were waiting for it."""
        if self.ended or self.finished:
            return
        self.undelivered = undelivered
        self.ended = self.stopped = self.client_gone = True
        self._tell_gone()

    def drained(self) -> None:
        """For the connection: the send buffer is below low water again."""
        if self._writable_callback is not None:
            self._writable_callback()

    def _connection_line(self) -> bytes:
        if self._connection.draining:
            self._closing = True
        if self._closing:
            return b"connection: close\r\n"
        return b"connection: keep-alive\r\n" if self._http10 else b""

    def _tell_gone(self) -> None:
        callbacks, self._gone_callbacks = self._gone_callbacks, None
        self._writable_callback = None
        for callback in callbacks or ():
            callback()

"""Bytes of one client connection in, complete calls out: llhttp, the size limits, and what is ignored on the way.

llhttp is fed one part of a message at a time, a head or what came of a body, so that it is known where each begins: the protocol of a
request line and the size of a chunk are looked at here, because llhttp tells neither.

No sockets, no deadlines: `client_connection.py` has those, and acts on `RequestRefused`. Dropped here: trailers, chunk extensions,
and `Upgrade`, which never switches protocols.
"""

import re
from collections.abc import Callable
from enum import Enum
from io import BytesIO
from typing import Final, Protocol, cast

import httptools

from proxy.http1.body_budget import BodyBudget
from proxy.http1.chunk_sizes import ChunkSizes
from proxy.http1.limits import ListenerLimits
from proxy.http1.message import NAMES, Headers, HttpCall, learn_name
from proxy.http1.plain_request import read_plain
from proxy.http1.request_head import RequestRefused, check_headers, check_line

_CHUNK_OVERHEAD_BYTES: Final = 12  # size line and line ends of an ordinary chunk
_HEAD_END: Final = b"\r\n\r\n"
_LINE_END: Final = b"\r\n"
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)\Z")


class Phase(Enum):
    """How far the present message is. LAST: the latest one closes the connection, nothing after it is read."""

    IDLE = 0
    HEAD = 1
    BODY = 2
    LAST = 3


# Found faster than members, and asked for many times per call.
IDLE: Final = Phase.IDLE
HEAD: Final = Phase.HEAD
BODY: Final = Phase.BODY
LAST: Final = Phase.LAST


class RequestSink(Protocol):
    """What a parser tells its connection."""

    def request_ready(self, call: HttpCall, *, http10: bool, keep_alive: bool) -> None:
        """A complete request."""
        ...

    def continue_wanted(self) -> None:
        """The client waits for `100 Continue` before it sends a body that is welcome."""
        ...


class RequestParser:
    """llhttp's callbacks, gathered into calls. Unusable after `feed` raised, and after `close`."""

    def __init__(
        self, sink: RequestSink, limits: ListenerLimits, clock: Callable[[], float], budget: BodyBudget
    ) -> None:
        self.phase = IDLE
        self.head_at = 0.0
        """When the first byte of the present head came, in the clock's seconds."""
        self._sink = sink
        self._limits = limits
        self._budget = budget
        self._clock = clock
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._refused: RequestRefused | None = None
        self._resuming = False
        self._headers: Headers = []
        self._method = ""
        self._length: int | None = None
        self._chunked = False
        self._sizes: ChunkSizes | None = None
        self._keep_alive = False
        self._http10 = False
        self._begin_message()

    def _begin_message(self) -> None:
        self._fields: Headers = []  # where llhttp's header callbacks go: the headers, later the trailers
        self._target = b""
        self._line = b""  # of the request, as far as it came
        self._has_line = False
        self._tail = b""  # the last bytes of the head so far
        self._head_bytes = 0
        self._first = b""
        self._joined: BytesIO | None = None  # more pieces than the first
        self._body_bytes = 0
        self.chunks = 0  # of the present body
        self._wire_bytes = 0

    @property
    def missing_bytes(self) -> int:
        """How much of a body of known length is still to come; 0 otherwise."""
        if self.phase is BODY and self._length is not None:
            return self._length - self._body_bytes
        return 0

    def feed_plain(self, data: bytes) -> bool:
        """Read one whole request, where `data` is that and it is plain; False: nothing was read, `feed` it."""
        if self.phase is not IDLE or self._parser is None:
            return False
        call = read_plain(data, self._limits, self._clock())
        if call is None:
            return False
        self._budget.take(len(call.body))
        self._sink.request_ready(call, http10=False, keep_alive=True)
        return True

    def feed(self, data: bytes | memoryview) -> None:
        """Read on. Raises RequestRefused; nothing may be fed after that."""
        while len(data) and self.phase is not LAST and self._parser is not None:
            if self.phase is BODY:
                end = self._end_of_body(data)
            else:
                data = bytes(data)
                end = self._end_of_head(data)
            rest = data[end:]
            self._feed_part(self._parser, data[:end] if len(rest) else data)
            data = rest

    def _end_of_head(self, data: bytes) -> int:
        """How much of these bytes belongs to the present head, or to one that begins with them."""
        if self.phase is IDLE:
            self.phase = HEAD
            self.head_at = self._clock()
        blank = 0 if self._line else len(data) - len(data.lstrip(_LINE_END))  # llhttp skips these as well
        if not self._has_line:
            line, end, _ = (self._line + data[blank:]).partition(_LINE_END)
            self._line, self._has_line = line, bool(end)
        tail = self._tail
        head = tail + data[blank:]
        found = head.find(_HEAD_END)
        self._tail = head[-len(_HEAD_END) + 1 :]
        size = len(data) if found < 0 else blank + found + len(_HEAD_END) - len(tail)
        self._head_bytes += size
        return size

    def _end_of_body(self, data: bytes | memoryview) -> int:
        """How much of these bytes belongs to the present body. Raises RequestRefused (see `ChunkSizes.walk`)."""
        if not self._chunked:
            return min(self.missing_bytes, len(data))
        if self._sizes is None:
            self._sizes = ChunkSizes(self._limits.body_bytes)
        size = self._sizes.walk(bytes(data))
        self._wire_bytes += size
        return size

    def _feed_part(self, parser: httptools.HttpRequestParser, data: bytes | memoryview) -> None:
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._ignore_upgrade(parser)
        except httptools.HttpParserError as error:
            if self.phase is not LAST:
                self._find_field_before_fault(bytes(data))
                raise self._refusal(error) from None
        else:
            if self.phase is not IDLE:
                self._check_growth()

    def unread_call(self) -> HttpCall | None:
        """What is known of a request that is refused; None where no request line came."""
        if not self._target or self._parser is None:
            return None
        method = self._parser.get_method().decode("ascii", "replace")
        return HttpCall(method, self._target, self._headers or self._fields, b"", self.head_at)

    def close(self) -> None:
        """Break the reference cycles with llhttp's wrapper and the connection, and let go of a partial message."""
        self._parser = None
        self._sink = cast("RequestSink", None)
        self._budget.give_back(self._body_bytes)
        self._begin_message()

    def _find_field_before_fault(self, data: bytes) -> None:
        """llhttp's wrapper tells a field when the next one begins: the last before the one that cannot be read it never tells, though
        it may say who is refused."""
        if self.phase is not HEAD:
            return
        found: tuple[bytes, bytes] | None = None
        for number, line in enumerate(data.split(_LINE_END)):
            match = _FIELD.match(line)
            if match is not None:
                found = (match[1].lower(), match[2].rstrip())
            elif number > 0:  # the first may be the request line, or the rest of a field that began before
                break
        if found is not None and found not in self._fields[-1:]:
            self._fields.append(found)

    def _refusal(self, error: httptools.HttpParserError) -> RequestRefused:
        if self._refused is not None:
            return self._refused
        return RequestRefused(505 if error.args == ("Invalid HTTP version",) else 400)

    def _check_growth(self) -> None:
        limits = self._limits
        if self.phase is HEAD:
            if self._head_bytes > limits.header_bytes + limits.request_line_bytes:
                raise RequestRefused(431)
        elif self.phase is BODY and self._chunked:
            framing = self._wire_bytes - self._body_bytes - _CHUNK_OVERHEAD_BYTES * self.chunks
            if framing > limits.header_bytes:  # chunk extensions or trailers without end
                raise RequestRefused(400)

    def _ignore_upgrade(self, parser: httptools.HttpRequestParser) -> None:
        """Read on as if `Upgrade` were not there: llhttp stops at the head and leaves the body to a new protocol, so the
        same parser is given a head of ours with the same framing."""
        if self._resuming:
            framing = b"transfer-encoding: chunked" if self._chunked else b"content-length: %d" % (self._length or 0)
            parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n\r\n" % framing)

    def _stop(self, status: int) -> RequestRefused:
        self._refused = RequestRefused(status)
        return self._refused

    # --- llhttp callbacks -----------------------------------------------------------------------------------------

    def on_url(self, url: bytes) -> None:
        """A piece of the target."""
        if self._resuming:
            return
        if self.phase is not HEAD:  # where it begins was not seen as llhttp sees it
            raise self._stop(400)
        self._target += url
        if len(self._target) > self._limits.request_line_bytes:
            raise self._stop(414)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header field, or a trailer field, which is dropped."""
        lower = NAMES.get(name)
        if lower is None:
            lower = learn_name(name)
        self._fields.append((lower, value.rstrip()))  # llhttp leaves blanks at the end

    def on_headers_complete(self) -> None:
        """The end of a head: check it and learn how the body is framed."""
        parser = self._parser
        assert parser is not None
        if self._resuming:
            self._resuming = False
            return
        try:
            wants_continue = self._check_head(parser.get_method(), parser.get_http_version())
        except RequestRefused as refused:
            self._refused = refused
            raise
        self._keep_alive = parser.should_keep_alive()
        self.phase = BODY
        if self._length or self._chunked:
            self._resuming = parser.should_upgrade()
            if wants_continue:
                self._sink.continue_wanted()

    def _check_head(self, method: bytes, version: str) -> bool:
        limits, headers = self._limits, self._fields
        self._method = check_line(self._line, method, self._target, version)
        self._http10 = version == "1.0"
        if len(headers) > limits.header_count:
            raise RequestRefused(431)
        is_large = self._head_bytes > limits.header_bytes
        if is_large and sum(len(name) + len(value) + 4 for name, value in headers) > limits.header_bytes:
            raise RequestRefused(431)
        self._length, self._chunked, wants_continue = check_headers(headers, version)
        if self._length is not None and self._length > limits.body_bytes:
            raise RequestRefused(413)
        self._headers = headers
        self._fields = []
        return wants_continue

    def on_body(self, data: bytes) -> None:
        """A piece of the body. They are joined as they come: at the end 32 MB would take 20 ms, and crumbs ten times their size."""
        size = len(data)
        self._body_bytes += size
        has_room = self._budget.take(size)
        if self._body_bytes > self._limits.body_bytes:
            raise self._stop(413)
        if not has_room:
            raise self._stop(503)
        if self._joined is not None:
            self._joined.write(data)
        elif self._first:
            self._joined = BytesIO()
            self._joined.write(self._first)
            self._joined.write(data)
        else:
            self._first = data

    def on_chunk_header(self) -> None:
        """The size line of a chunk."""
        self.chunks += 1

    def on_message_complete(self) -> None:
        """The end of a message, trailers included."""
        if self._resuming:  # the end llhttp sees at an upgrade; the real one comes after `_ignore_upgrade`
            return
        body = self._first if self._joined is None else self._joined.getvalue()
        call = HttpCall(self._method, self._target, self._headers, body, self.head_at)
        self._headers, self._sizes = [], None
        self._begin_message()
        self.phase = IDLE if self._keep_alive else LAST
        self._sink.request_ready(call, http10=self._http10, keep_alive=self._keep_alive)

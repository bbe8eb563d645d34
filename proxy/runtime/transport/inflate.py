"""Compressed bodies, read in bounded pieces: a caller's body before it is injected, a copy of an answer for metering.

Read are gzip (of any number of members, RFC 1952 §2.2) and deflate (in a zlib wrapper as RFC 9110 §8.4.1.2 has it, or bare, as
many servers send it). br and zstd are not: a metered answer is asked for with `accept-encoding: identity`, so what comes in
them all the same passes on as it came, and its usage is estimated and flagged.

Decision: no more is inflated than 25 times what came, beyond a floor of 256 KB. JSON of conversations shrinks to a third or a
tenth, event streams to a thirtieth at their best, and what is inflated is held up to four times (the body, its edited copy),
so that 25 keeps one input below 100 times its own size; a bomb of zeros reaches 1,030.

Decision: what is inflated counts among all bodies that a process holds. A request that finds no room is refused (503); an answer goes
on, since its provider bills it and a client told to try again would be billed twice, and is metered as one that cannot be read.
"""

import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterator
from typing import Any, Final

from proxy.core.errors import BadInput, Refusal, TooLarge, Unavailable
from proxy.core.steps import Steps

MAX_RATIO: Final = 25
FLOOR_BYTES: Final = 256 * 1024
#: How much comes out at once, and how many slices of it between two turns of others.
_SLICE_BYTES: Final = 256 * 1024
_SLICES_A_TURN: Final = 4
#: The same for copies of answers: of events a reader takes 1 µs for ten bytes. One is read with each piece that comes, dozens of which
#: may come in one turn, and several between two turns once all has come.
_COPY_SLICE_BYTES: Final = 16 * 1024
_COPY_SLICES_A_TURN: Final = 4
#: How much of a compressed answer may wait for its reader.
_MOST_WAITING_BYTES: Final = 16 * 1024 * 1024
#: How much goes in at once: what is left of it is copied once a member.
_WINDOW_BYTES: Final = 16 * 1024
_GZIP_BITS: Final = 16 + zlib.MAX_WBITS
_GZIP: Final = frozenset({b"gzip", b"x-gzip"})
_READABLE: Final = _GZIP | {b"deflate"}
_PLAIN: Final = frozenset({b"", b"identity"})


#: Counts so many bytes more; False where there is no room for them.
Hold = Callable[[int], bool]


class _TooMuch(Exception):
    """More comes out than may."""


def coding_of(content_encoding: bytes | None) -> bytes | None:
    """The one coding of a body in lower case; None for a plain one. Several are one of their own, which nobody reads."""
    if content_encoding is None:
        return None
    codings = [coding.strip().lower() for coding in content_encoding.split(b",")]
    applied = [coding for coding in codings if coding not in _PLAIN]
    return b",".join(applied) or None


class Inflater:
    """Inflates one body as it comes. `total_out` never grows beyond what was allowed."""

    __slots__ = ("_coding", "_slice_bytes", "_start", "_stream", "_total_in", "total_out")

    def __init__(self, coding: bytes, slice_bytes: int = _SLICE_BYTES) -> None:
        """`coding`: gzip, x-gzip or deflate."""
        self._coding = coding
        self._slice_bytes = slice_bytes
        self._stream: Any = zlib.decompressobj(_GZIP_BITS) if coding in _GZIP else None
        #: The first byte of a deflated body, until the second tells how it is wrapped.
        self._start = b""
        self._total_in = 0
        self.total_out = 0

    @property
    def is_between_members(self) -> bool:
        """Whether what came so far is complete."""
        return self._stream is not None and bool(self._stream.eof)

    def feed(self, data: bytes) -> Generator[bytes, None, None]:
        """What comes out of `data`, in slices. Raises zlib.error, and _TooMuch where it is more than is allowed."""
        self._total_in += len(data)
        if self._stream is None:
            data = self._start + data
            if len(data) < 2:
                self._start = data
                return
            self._stream = zlib.decompressobj(zlib.MAX_WBITS if _is_zlib(data) else -zlib.MAX_WBITS)
        allowed = max(FLOOR_BYTES, self._total_in * MAX_RATIO)
        for at in range(0, len(data), _WINDOW_BYTES):
            window = data[at : at + _WINDOW_BYTES]
            while window and (not self._stream.eof or self._next_member(window)):
                plain: bytes = self._stream.decompress(window, self._slice_bytes)
                self.total_out += len(plain)
                if self.total_out > allowed:
                    raise _TooMuch
                yield plain
                window = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail

    def _next_member(self, data: bytes) -> bool:
        """Begin another member, where one may follow; False: nothing but padding is left."""
        if not data.strip(b"\0"):
            return False
        if self._coding not in _GZIP:
            raise zlib.error("bytes follow the end")
        self._stream = zlib.decompressobj(_GZIP_BITS)
        return True


def plain_body(body: bytes, content_encoding: bytes | None, limit_bytes: int, hold: Hold) -> Steps[bytes]:
    """The request body as the wire reads it, worked out in steps. `hold` is asked for room for what is inflated, before more is.

    Raises BadInput(`bad_content_encoding`, 415 for an unknown one), TooLarge(`body_too_large`, `compressed_too_far`),
    Unavailable(`busy`).
    """
    coding = coding_of(content_encoding)
    if coding is None:
        return body
    if coding not in _READABLE:
        raise BadInput("bad_content_encoding", "the body's content-encoding must be gzip, deflate or none", status=415)
    inflater = Inflater(coding)
    slices: list[bytes] = []
    count = 0
    try:
        for plain in inflater.feed(body):
            if inflater.total_out > limit_bytes:
                raise TooLarge("body_too_large", f"the body inflates to more than {limit_bytes} bytes")
            if not hold(len(plain)):
                raise Unavailable("busy", "no more is taken in now; try again", retry_after_seconds=1)
            if plain:
                slices.append(plain)
            count += 1
            if count % _SLICES_A_TURN == 0:
                yield
    except zlib.error:
        raise BadInput("bad_content_encoding", f"the body is not valid {coding.decode('latin-1')}") from None
    except _TooMuch:
        what = f"the body inflates to more than {MAX_RATIO} times its size; send it uncompressed"
        raise TooLarge("compressed_too_far", what) from None
    if not inflater.is_between_members:
        raise BadInput("bad_content_encoding", f"the {coding.decode('latin-1')} body is cut short")
    return slices[0] if len(slices) == 1 else b"".join(slices)


class RequestBody:
    """The body of a request as it is read: inflated once, and counted once, however often it is looked at."""

    __slots__ = ("_coding", "_hold", "is_unreadable", "plain", "sent")

    def __init__(self, sent: bytes, content_encoding: bytes | None, hold: Hold) -> None:
        """`hold`: asked for room for what is inflated."""
        #: As it came.
        self.sent = sent
        self._coding = content_encoding
        self._hold = hold
        #: As the wire reads it; None: it is compressed, and was not inflated yet, or cannot be.
        self.plain: bytes | None = sent if content_encoding is None else None
        #: It was refused when it was to be inflated.
        self.is_unreadable = False

    def read(self, limit_bytes: int) -> Steps[bytes]:
        """The plain body, in steps. Raises as `plain_body`."""
        if self.plain is None:
            try:
                self.plain = yield from plain_body(self.sent, self._coding, limit_bytes, self._hold)
            except Refusal:
                self.is_unreadable = True
                raise
        return self.plain


class TapOfCopy:
    """Passes compressed bytes on untouched and lets `read` see an inflated copy, as far as there is one to be had."""

    __slots__ = ("_hold", "_inflater", "_read", "_slices", "_waiting", "_waiting_bytes", "is_readable", "passed_bytes")

    def __init__(self, coding: bytes, read: Callable[[bytes], object], hold: Hold | None = None) -> None:
        """`hold`: asked for room where the reader keeps what it sees. Reading takes longer than passing on, so that some may have to
        wait for it (`rest`)."""
        self._read = read
        self._hold = hold
        self._inflater = Inflater(coding, _COPY_SLICE_BYTES) if coding in _READABLE else None
        #: What came and is not inflated yet.
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        #: Of the piece that is being inflated.
        self._slices: Iterator[bytes] | None = None
        #: False once what came cannot be read, or is too much.
        self.is_readable = self._inflater is not None
        self.passed_bytes = 0

    def tap(self, piece: bytes) -> bytes:
        """Let the reader see what this piece holds, or some of what came before; returns the piece."""
        self.passed_bytes += len(piece)
        if self.is_readable:
            self._waiting.append(piece)
            self._waiting_bytes += len(piece)
            self._see(1)
        return piece

    def rest(self) -> Steps[None]:
        """Let the reader see what still waits, with pauses: to be called when all has come."""
        while self.is_readable and (self._waiting or self._slices is not None):
            yield
            self._see(_COPY_SLICES_A_TURN)

    def _see(self, slices: int) -> None:
        """At most so many slices."""
        try:
            for _ in range(slices):
                plain = self._next_slice()
                if plain is None:
                    return
                if self._hold is not None and not self._hold(len(plain)):
                    raise _TooMuch
                if plain:
                    self._read(plain)
            if self._waiting_bytes > _MOST_WAITING_BYTES:
                raise _TooMuch
        except (zlib.error, _TooMuch):
            self.is_readable = False
            self._waiting.clear()
            self._slices = None

    def _next_slice(self) -> bytes | None:
        """None: everything that came is inflated."""
        while True:
            if self._slices is not None:
                plain = next(self._slices, None)
                if plain is not None:
                    return plain
                self._slices = None
            if not self._waiting or self._inflater is None:
                return None
            piece = self._waiting.popleft()
            self._waiting_bytes -= len(piece)
            self._slices = self._inflater.feed(piece)


def _is_zlib(data: bytes) -> bool:
    """Whether these bytes begin as RFC 1950 §2.2 has it: method 8 and a check of two bytes."""
    return data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0

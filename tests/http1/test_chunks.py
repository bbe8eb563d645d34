"""A read that is one chunk is passed on without the parser, and never otherwise than the parser would have it."""

import asyncio
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.http1.chunks import MAX_LONE_BYTES, in_chunk, only_chunk
from proxy.http1.errors import UpstreamError
from proxy.http1.limits import UpstreamLimits
from proxy.http1.origin import Origin
from proxy.http1.outgoing import Turn
from proxy.http1.upstream_connection import UpstreamConnection

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"


@pytest.mark.parametrize("fill", [b"x", b"\n", b"\r\n", b"1\r\n"])
def test_a_chunk_of_any_size_is_recognised_when_it_comes_alone(fill: bytes) -> None:
    for size in range(1, 2 * MAX_LONE_BYTES):
        body = (fill * size)[:size]
        chunk = in_chunk(body)
        assert chunk == b"%x\r\n%b\r\n" % (size, body)
        if len(chunk) <= MAX_LONE_BYTES:
            assert only_chunk(chunk) == body
        else:
            assert size > 1000


@pytest.mark.parametrize(
    "read",
    [
        b"\n",
        LAST,
        b"0\r\n\r\n\r\n",
        b"3\r\nabc\r",
        b"3\r\nabc\n\n",
        b"3\r\nabcd\r\n",
        b"3\r\nab\r\n",
        b"3\r\nabc\r\n0\r\n\r\n",
        b"03\r\nabc\r\n",
        b"3 \r\nabc\r\n",
        b"3;a\r\nabc\r\n",
        b"3\n\nabc\r\n",
        b"A\r\n0123456789\r\n",
        b"abcdefgh",
    ],
)
def test_what_is_written_otherwise_or_is_not_one_chunk_is_not_taken_for_one(read: bytes) -> None:
    assert only_chunk(read) is None


class BreakableTransport:
    """Takes what is written, and remembers that it was broken."""

    is_aborted = False

    def write(self, data: bytes) -> None:
        pass

    def abort(self) -> None:
        self.is_aborted = True

    def get_extra_info(self, name: str) -> None:
        return None

    def get_write_buffer_size(self) -> int:
        return 0


class ChunkPool:
    """A pool of one connection, which may come back to it."""

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(64 * 1024))
        self.turn = Turn()
        self.is_given_back = False

    def proved(self, connection: UpstreamConnection) -> None:
        pass

    def give(self, connection: UpstreamConnection) -> None:
        self.is_given_back = True

    def closed(self, connection: UpstreamConnection) -> None:
        pass


class KeptReply:
    """Keeps what is passed on; a chunk that is passed on as it came has to be that piece."""

    writable = True

    def __init__(self) -> None:
        self.body = b""
        self.chunks = 0

    def write(self, data: bytes) -> None:
        self.body += data

    def write_chunk(self, data: bytes, chunk: bytes) -> None:
        assert chunk == in_chunk(data)
        self.body += data
        self.chunks += 1

    def on_client_gone(self, callback: object) -> None:
        pass

    def on_writable(self, callback: object) -> None:
        pass


class Relayed:
    """What became of an answer that came in these reads, of its body and of its connection."""

    def __init__(self, reads: list[bytes]) -> None:
        self._reads = reads
        self.pool = ChunkPool()
        self.reply = KeptReply()
        self.outcome = "open"

    async def run(self) -> None:
        transport = BreakableTransport()
        origin = Origin.parse("http://provider")
        connection = UpstreamConnection(origin, self.pool, UpstreamLimits(), asyncio.get_running_loop())
        connection.connection_made(cast("asyncio.Transport", transport))
        answer = connection.begin(b"GET / HTTP/1.1\r\n\r\n", b"", head_only=False)
        connection.data_received(HEAD)
        await answer.arrived
        relay = asyncio.create_task(answer.relay(self.reply))
        await asyncio.sleep(0)
        for read in self._reads:
            if not transport.is_aborted and not self.pool.is_given_back:
                connection.data_received(read)
        if answer.complete or transport.is_aborted:
            try:
                await relay
                self.outcome = "complete"
            except UpstreamError as error:
                self.outcome = error.reason
        else:
            connection.connection_lost(None)
            with pytest.raises(UpstreamError):
                await relay


def relayed(reads: list[bytes]) -> Relayed:
    one = Relayed(reads)
    asyncio.run(one.run())
    return one


def assert_relayed_alike(reads: list[bytes]) -> None:
    """As these reads come, or each byte alone, where none can be a chunk: it is the same."""
    came, expected = relayed(reads), relayed([bytes([byte]) for byte in b"".join(reads)])
    assert (came.reply.body, came.outcome) == (expected.reply.body, expected.outcome)
    assert expected.reply.chunks == 0


def test_events_that_come_alone_are_passed_on_as_they_came() -> None:
    events = [b"data: %d\n\n" % number for number in range(20)]
    seen = relayed([*map(in_chunk, events), LAST])
    assert (seen.reply.body, seen.outcome, seen.pool.is_given_back) == (b"".join(events), "complete", True)
    assert seen.reply.chunks == 19  # the parser has to have seen the end of one


@pytest.mark.parametrize(
    "reads",
    [
        # What looks like a chunk is in the middle of one.
        [b"3\r\nabc\r\n18\r\n", b"12\r\n" + b"x" * 18 + b"\r\n", b"\r\n", LAST],
        [b"12\r\n", b"12\r\n" * 6, LAST],
        # It is the rest of a first line, or of an extension.
        [b"3\r\nabc\r\n1", b"3\r\nabc\r\n", b"x" * 14 + b"\r\n", LAST],
        [b"3\r\nabc\r\n3;x=", b"3\r\nabc\r\n", LAST],
        # It follows the last chunk, where trailers would be.
        [b"3\r\nabc\r\n0\r\n", b"3\r\nabc\r\n", b"\r\n"],
        # The line break between two chunks is missing yet.
        [b"3\r\nabc", b"3\r\nabc\r\n", LAST],
        [b"3\r\nabc\r", b"3\r\nabc\r\n", LAST],
        [b"3\r\nabc\r", b"\n", b"3\r\nabc\r\n", LAST],
    ],
)
def test_what_looks_like_a_chunk_is_none_where_no_chunk_begins(reads: list[bytes]) -> None:
    assert_relayed_alike(reads)


def test_a_body_with_a_length_is_never_taken_for_chunks() -> None:
    head = HEAD.replace(b"Transfer-Encoding: chunked", b"Content-Length: 16")

    async def bodies() -> bytes:
        pool = ChunkPool()
        origin = Origin.parse("http://provider")
        connection = UpstreamConnection(origin, pool, UpstreamLimits(), asyncio.get_running_loop())
        connection.connection_made(cast("asyncio.Transport", BreakableTransport()))
        first = connection.begin(b"GET / HTTP/1.1\r\n\r\n", b"", head_only=False)
        for read in (HEAD + in_chunk(b"abc"), in_chunk(b"def"), LAST):
            connection.data_received(read)
        assert await first.read() == b"abcdef"
        second = connection.begin(b"GET / HTTP/1.1\r\n\r\n", b"", head_only=False)
        for read in (head, b"3\r\nabc\r\n", b"3\r\nabc\r\n"):
            connection.data_received(read)
        return await second.read()

    assert asyncio.run(bodies()) == b"3\r\nabc\r\n" * 2


chunks = st.builds(
    lambda spelling, body: spelling % len(body) + body + b"\r\n",
    st.sampled_from([b"%x\r\n", b"%x\r\n", b"%x\r\n", b"%X\r\n", b"%03x\r\n", b"%x;a=1\r\n"]),
    st.binary(min_size=1, max_size=20) | st.sampled_from([b"3\r\nabc\r\n", b"\r\n", b"0\r\n\r\n"]),
)


@given(st.lists(chunks, max_size=6), st.sampled_from([LAST, b"0\r\na: b\r\n\r\n", b""]), st.data())
@settings(max_examples=300, deadline=None)
def test_streams_are_relayed_alike_however_they_are_cut_and_broken(
    chunks: list[bytes], end: bytes, data: st.DataObject
) -> None:
    reads = [*chunks, end]
    if data.draw(st.booleans()):
        stream = b"".join(reads)
        cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=6)))
        reads = [stream[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    reads = [read for read in reads if read]
    if reads and data.draw(st.booleans()):
        number = data.draw(st.integers(0, len(reads) - 1))
        at = data.draw(st.integers(0, len(reads[number]) - 1))
        changed = data.draw(st.sampled_from([b"", b"0", b"3", b"\r", b"\n", b"\r\n", b"x", b";"]))
        reads[number] = reads[number][:at] + changed + reads[number][at + 1 :]
    assert_relayed_alike([read for read in reads if read])

"""Bodies of megabytes are taken and handed over a piece at a time, so that whoever else is there has a turn between two."""

import asyncio
from typing import Any, cast

import pytest

from proxy.http1.body_budget import BodyBudget
from proxy.http1.client_connection import ClientConnection
from proxy.http1.limits import ListenerLimits, UpstreamLimits
from proxy.http1.outgoing import Turn
from proxy.http1.upstream import Origin
from proxy.http1.upstream_connection import ConnectionPool, UpstreamConnection

PIECE = 256 * 1024
BODY = bytes(range(256)) * 20_000


class Transport(asyncio.Transport):
    """Takes what is written, and `room` bytes more before it says that it has enough; keeps what was asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.protocol: Any = None
        self.written: list[bytes] = []
        self.is_reading = True
        self.is_closed = False
        self.room = 1 << 30
        self.waiting = 0

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))
        self.room -= len(data)
        if self.room <= 0:
            self.waiting = len(data)
            self.protocol.pause_writing()

    def has_room(self, size: int) -> None:
        self.room, self.waiting = size, 0
        self.protocol.resume_writing()

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        self.is_reading = True

    def is_closing(self) -> bool:
        return self.is_closed

    def abort(self) -> None:
        self.is_closed = True

    close = abort


class Pool:
    """Of one connection."""

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(64 * 1024))
        self.turn = Turn()
        self.kept: list[UpstreamConnection] = []

    def proved(self, connection: UpstreamConnection) -> None:
        pass

    def give(self, connection: UpstreamConnection) -> None:
        self.kept.append(connection)

    def closed(self, connection: UpstreamConnection) -> None:
        pass


async def turn_is_over() -> None:
    await asyncio.sleep(0)


@pytest.fixture
async def upstream() -> tuple[UpstreamConnection, Transport, Pool]:
    pool, transport, loop = Pool(), Transport(), asyncio.get_running_loop()
    connection = UpstreamConnection(
        Origin("http", "127.0.0.1", 1, b"127.0.0.1:1"), cast("ConnectionPool", pool), UpstreamLimits(), loop
    )
    connection.connection_made(transport)
    transport.protocol = connection
    return connection, transport, pool


def answered(connection: UpstreamConnection, pool: Pool, answer: bytes) -> None:
    pool.buffer[: len(answer)] = answer
    connection.buffer_updated(len(answer))


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


async def test_of_a_large_request_one_piece_a_turn_is_handed_over(
    upstream: tuple[UpstreamConnection, Transport, Pool],
) -> None:
    connection, transport, pool = upstream
    connection.begin(b"head", BODY, head_only=False)
    assert transport.written == [b"head", BODY[:PIECE]]
    turns = 0
    while sum(map(len, transport.written)) < 4 + len(BODY):
        before = len(transport.written)
        await turn_is_over()
        turns += 1
        assert len(transport.written) <= before + 1
    assert b"".join(transport.written) == b"head" + BODY
    assert max(map(len, transport.written)) == PIECE
    answered(connection, pool, OK)
    assert pool.kept == [connection]
    connection.begin(b"next", b"", head_only=False)
    await turn_is_over()
    assert transport.written[-1] == b"next"


async def test_a_large_request_waits_for_an_upstream_that_takes_its_time(
    upstream: tuple[UpstreamConnection, Transport, Pool],
) -> None:
    connection, transport, _ = upstream
    transport.room = 3 * PIECE
    connection.begin(b"head", BODY, head_only=False)
    for _ in range(10):
        await turn_is_over()
    assert len(transport.written) == 4
    while sum(map(len, transport.written)) < 4 + len(BODY):
        transport.has_room(PIECE)
        before = len(transport.written)
        for _ in range(3):
            await turn_is_over()
        assert len(transport.written) == before
    assert b"".join(transport.written) == b"head" + BODY


@pytest.mark.parametrize("is_full", [False, True])
async def test_a_connection_whose_request_was_answered_before_its_end_is_not_kept(
    upstream: tuple[UpstreamConnection, Transport, Pool], is_full: bool
) -> None:
    connection, transport, pool = upstream
    if is_full:
        transport.room = PIECE
    connection.begin(b"head", BODY, head_only=False)
    transport.waiting = 0
    answered(connection, pool, OK)
    assert (pool.kept, transport.is_closed) == ([], True)
    before = len(transport.written)
    for _ in range(5):
        await turn_is_over()
    connection.resume_writing()
    assert len(transport.written) == before


async def test_nothing_is_handed_to_a_connection_that_is_lost(
    upstream: tuple[UpstreamConnection, Transport, Pool],
) -> None:
    connection, transport, _ = upstream
    answer = connection.begin(b"head", BODY, head_only=False)
    before = len(transport.written)
    connection.connection_lost(ConnectionResetError())
    for _ in range(5):
        await turn_is_over()
    assert len(transport.written) == before
    assert answer.arrived.done()


async def test_after_each_large_read_others_have_a_turn() -> None:
    bodies: list[bytes] = []

    class Listener:
        budget, draining, turn = BodyBudget(1 << 30), False, Turn()

        def call_ready(self, call: Any, reply: Any) -> None:
            bodies.append(call.body)

        def opened(self, connection: Any) -> bool:
            return True

    transport = Transport()
    connection = ClientConnection(cast("Any", Listener()), ListenerLimits(), asyncio.get_running_loop())
    connection.connection_made(transport)
    sent = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
    for at in range(0, len(sent), PIECE):
        assert transport.is_reading
        connection.data_received(sent[at : at + PIECE])
        assert not transport.is_reading or at + PIECE >= len(sent)
        await turn_is_over()
    assert bodies == [BODY]

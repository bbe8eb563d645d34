"""All bodies of a listener together are bounded, and what they held is given back on every way out."""

import asyncio
import tracemalloc

import pytest

from proxy.http1.body_budget import BodyBudget
from proxy.http1.client_connection import ClientConnection
from proxy.http1.limits import ListenerLimits
from proxy.http1.listener import Listener
from proxy.http1.message import HttpCall
from proxy.http1.outgoing import Turn
from proxy.http1.reply import HttpReply
from proxy.http1.request_head import RequestRefused
from proxy.http1.request_parser import RequestParser
from tests.harness import eventually
from tests.http1.calls import ReadBodies

MEGABYTE = 1024 * 1024


class Server:
    """A listener whose calls wait until they are let go."""

    def __init__(self, **limits) -> None:
        self.let_go = asyncio.Event()
        self.bodies: list[int] = []
        self.errors: list[BaseException] = []
        self.listener = Listener(self._handle, ListenerLimits(**limits), self.errors.append)

    async def _handle(self, call, reply) -> None:
        self.bodies.append(len(call.body))
        await self.let_go.wait()
        reply.send(200, [], b"ok")

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self.listener.addresses[0][:2])

    @property
    def used(self) -> int:
        return self.listener.budget.used_bytes


@pytest.fixture
async def server():
    server = Server(buffered_bytes=4 * MEGABYTE)
    await server.listener.start("127.0.0.1", 0)
    yield server
    server.let_go.set()
    await server.listener.drain(1)
    assert server.used == 0


def head(length: int) -> bytes:
    return b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % length


async def test_a_body_beyond_the_total_is_refused_and_room_comes_back_with_the_end_of_a_call(server: Server) -> None:
    first, writer = await server.connect()
    writer.write(head(3 * MEGABYTE) + bytes(3 * MEGABYTE))
    await eventually(lambda: server.bodies == [3 * MEGABYTE])
    assert server.used == 3 * MEGABYTE
    second, other = await server.connect()
    other.write(head(3 * MEGABYTE) + bytes(3 * MEGABYTE))
    refusal = await second.read()
    assert refusal.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1\r\n" in refusal
    other.close()
    await eventually(lambda: server.used == 3 * MEGABYTE)
    server.let_go.set()
    assert (await first.readuntil(b"ok")).startswith(b"HTTP/1.1 200 ")
    await eventually(lambda: server.used == 0)
    third, again = await server.connect()
    again.write(head(3 * MEGABYTE) + bytes(3 * MEGABYTE))
    assert (await third.readuntil(b"ok")).startswith(b"HTTP/1.1 200 ")
    writer.close()
    again.close()


@pytest.mark.parametrize("leaving", ["in the body", "in the call", "with others waiting", "refused"])
async def test_nothing_is_held_for_a_client_that_left(server: Server, leaving: str) -> None:
    _, writer = await server.connect()
    if leaving == "in the body":
        writer.write(head(2 * MEGABYTE) + bytes(MEGABYTE))
        await eventually(lambda: server.used == MEGABYTE)
    elif leaving == "in the call":
        writer.write(head(MEGABYTE) + bytes(MEGABYTE))
        await eventually(lambda: server.bodies == [MEGABYTE])
    elif leaving == "with others waiting":
        writer.write((head(100_000) + bytes(100_000)) * 5)
        await eventually(lambda: server.used == 500_000)
    else:
        writer.write(head(5) + b"12345" + b"no request\r\n\r\n")
        await eventually(lambda: server.used == 5)
    writer.transport.abort()
    server.let_go.set()
    await eventually(lambda: server.used == 0)


async def test_a_handler_that_was_cancelled_before_it_began_gives_back_what_its_call_held(server: Server) -> None:
    connection = ClientConnection(server.listener, ListenerLimits(), asyncio.get_running_loop())
    connection.connection_made(_Silent())
    others = asyncio.all_tasks()
    connection.data_received(head(1000) + bytes(1000))
    assert server.used == 1000
    (handler,) = asyncio.all_tasks() - others
    handler.cancel()
    await server.listener.drain(0)
    assert (server.bodies, server.used) == ([], 0)


async def test_what_a_call_holds_beside_its_body_is_counted_until_it_says_so_or_ends() -> None:
    replies: list[HttpReply] = []
    let_go = asyncio.Event()

    async def handle(call: HttpCall, reply: HttpReply) -> None:
        replies.append(reply)
        await let_go.wait()
        reply.send(200, [], b"ok")

    listener = Listener(handle, ListenerLimits(buffered_bytes=10_000), pytest.fail)
    await listener.start("127.0.0.1", 0)
    connections = [await asyncio.open_connection(*listener.addresses[0][:2]) for _ in range(2)]
    for _, writer in connections:
        writer.write(head(1000) + bytes(1000))
    await eventually(lambda: len(replies) == 2)
    first, second = replies
    assert first.hold(7000)
    assert not second.hold(2000)
    assert listener.budget.used_bytes == 11_000
    first.give_back()
    first.give_back()
    assert (listener.budget.used_bytes, second.hold(500)) == (3000, True)
    let_go.set()
    await eventually(lambda: listener.budget.used_bytes == 0)
    for _, writer in connections:
        writer.close()
    await listener.drain(1)


async def test_small_bodies_are_counted_as_well(server: Server) -> None:
    reader, writer = await server.connect()
    writer.write(head(2) + b"{}")
    await eventually(lambda: server.bodies == [2])
    assert server.used == 2
    server.let_go.set()
    await reader.readuntil(b"ok")
    await eventually(lambda: server.used == 0)
    writer.close()


def test_a_body_in_tiny_chunks_takes_little_more_than_its_size() -> None:
    read = ReadBodies()
    budget = BodyBudget(1 << 30)
    parser = RequestParser(read, ListenerLimits(), lambda: 0.0, budget)
    parser.feed(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
    piece = b"2\r\nab\r\n" * 1000
    tracemalloc.start()
    try:
        for _ in range(200):
            parser.feed(piece)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert budget.used_bytes == 400_000
    assert peak < 5 * 400_000
    parser.feed(b"0\r\n\r\n")
    assert read.bodies == [b"ab" * 200_000]


@pytest.mark.parametrize("size", [1, 2, 4095, 4096, 70_000])
def test_a_body_in_pieces_of_any_size_is_whole(size: int) -> None:
    read = ReadBodies()
    sent = bytes(range(256)) * 800
    parser = RequestParser(read, ListenerLimits(), lambda: 0.0, BodyBudget(1 << 30))
    parser.feed(head(len(sent)))
    for at in range(0, len(sent), size):
        parser.feed(sent[at : at + size])
    assert read.bodies == [sent]


def test_a_body_that_breaks_off_gives_back_what_it_held() -> None:
    read = ReadBodies()
    budget = BodyBudget(1000)
    parser = RequestParser(read, ListenerLimits(), lambda: 0.0, budget)
    parser.feed(head(5000) + bytes(900))
    assert budget.used_bytes == 900
    with pytest.raises(RequestRefused) as refused:
        parser.feed(bytes(200))
    assert refused.value.status == 503
    parser.close()
    assert (budget.used_bytes, read.bodies) == (0, [])


class _Paused(asyncio.Transport):
    """Takes what a connection says of reading, and sends nothing."""

    def __init__(self):
        super().__init__()
        self.pauses = 0

    def set_write_buffer_limits(self, high=None, low=None):
        pass

    def pause_reading(self):
        self.pauses += 1

    def resume_reading(self):
        pass

    def is_closing(self):
        return False


class _Silent(_Paused):
    """Nobody is at the other end."""

    def write(self, data):
        pass

    def get_write_buffer_size(self):
        return 0

    def close(self):
        pass

    abort = close


async def test_a_read_full_of_tiny_chunks_is_taken_in_several_turns():
    bodies = []

    class BusyListener:
        budget, draining, turn = BodyBudget(1 << 30), False, Turn()

        def call_ready(self, call, reply):
            bodies.append(call.body)

        def opened(self, connection):
            return True

    transport = _Paused()
    connection = ClientConnection(BusyListener(), ListenerLimits(), asyncio.get_running_loop())
    connection.connection_made(transport)
    connection.data_received(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    connection.data_received(b"2\r\nab\r\n" * 30_000 + b"0\r\n\r\n")
    turns = 0
    while not bodies:
        turns += 1
        await asyncio.sleep(0)
    assert bodies == [b"ab" * 30_000]
    assert turns >= 5
    assert transport.pauses >= 5

"""One pace from the upstream to the client: who reads slowly holds the other back, and little is held between them."""

import asyncio

import pytest

from proxy.http1.limits import ListenerLimits, UpstreamLimits
from tests.http1.raw import largest_read_bytes, serving, until, within
from tests.http1.relaying import GET, HEAD, SHORT, Relay
from tests.http1.scripted import Client, upstream

pytestmark = pytest.mark.usefixtures("nothing_leaks")

PIECE = b"%x\r\n%b\r\n" % (50_000, b"x" * 50_000)


def endless(sent):
    async def script(server, reader, writer):
        await server.request(reader)
        writer.write(HEAD)
        while True:
            writer.write(PIECE)
            await writer.drain()
            sent.append(len(PIECE))

    return script


async def stalled(sent):
    """Wait until the producer has not got rid of anything for a while."""
    last = -1
    while last != len(sent):
        last = len(sent)
        await asyncio.sleep(0.1)


async def test_a_slow_client_pauses_the_upstream_and_little_is_held():
    sent = []
    async with upstream(endless(sent)) as server, Client() as client, serving(Relay(client, server)) as served:
        caller = await served.connect(limit=1000)
        caller.writer.transport.pause_reading()
        caller.send(GET)
        await within(until(lambda: sent))
        await within(stalled(sent))
        connection = next(iter(served.listener._connections))
        assert not connection.writable
        assert connection.transport.get_write_buffer_size() < 32 * 1024 + largest_read_bytes() + 1024
        before = len(sent)
        caller.writer.transport.resume_reading()
        while len(sent) == before:
            assert await within(caller.reader.read(1_000_000))


async def test_a_slow_client_gets_everything_in_the_end():
    pieces = 400

    async def script(server, reader, writer):
        await server.request(reader)
        writer.write(HEAD)
        for _ in range(pieces):
            writer.write(PIECE)
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await server.gone(reader)

    async with upstream(script) as server, Client() as client, serving(Relay(client, server)) as served:
        caller = await served.connect(limit=100_000)
        caller.send(GET)
        await asyncio.sleep(SHORT)
        assert len((await caller.answer())[2]) == pieces * 50_000


async def test_a_client_that_never_reads_is_dropped_and_its_upstream_with_it():
    sent = []
    limits = ListenerLimits(no_progress_seconds=8 * SHORT)
    async with (
        upstream(endless(sent)) as server,
        Client(UpstreamLimits(idle_seconds=4 * SHORT)) as client,
        serving(relay := Relay(client, server), limits) as served,
    ):
        caller = await served.connect(limit=1000)
        caller.writer.transport.pause_reading()
        caller.send(GET)
        await until(lambda: relay.outcomes)
        assert relay.outcomes == ["client gone"], "the upstream's silence while paused is not its fault"
        await until(lambda: not client._pool._all)

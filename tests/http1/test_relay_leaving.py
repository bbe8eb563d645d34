"""A client that leaves once all that matters has passed: the rest is drained for a moment, and the connection is used again."""

import asyncio
from contextlib import suppress

import pytest

from proxy.http1.limits import UpstreamLimits
from tests.http1.raw import serving, until, within
from tests.http1.relaying import CHUNKS, EVENTS, GET, HEAD, SHORT, Relay
from tests.http1.scripted import Client, origin_of, upstream

pytestmark = pytest.mark.usefixtures("nothing_leaks")

LAST = CHUNKS[-1]
PATIENT = UpstreamLimits(drain_seconds=60.0)


class FinishedRelay(Relay):
    """A relay that knows the last event."""

    def __init__(self, client, server):
        super().__init__(client, server)
        self.seen = b""

    async def __call__(self, call, reply):
        answer = await self.client.send(origin_of(self.server), call.method, call.target, [], call.body, reply)
        reply.start(answer.status, answer.headers)
        await answer.relay(reply, self.see, None, lambda: EVENTS[-1] in self.seen)
        self.outcomes.append("complete")
        reply.finish()

    def see(self, piece):
        self.seen += piece
        return piece


def holding(held, rest):
    """A script that answers every request, and holds back the end of each answer until told."""

    async def script(_, reader, writer):
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(HEAD + LAST)
            await held.wait()
            writer.write(rest)

    return script


@pytest.mark.parametrize("rest", [b"0\r\n\r\n", CHUNKS[0] * 1000 + b"0\r\n\r\n"], ids=["end", "more and end"])
@pytest.mark.parametrize("leave", ["half_close", "reset"])
async def test_the_rest_is_thrown_away_and_the_connection_used_again(leave, rest):
    held = asyncio.Event()
    async with (
        upstream(holding(held, rest)) as server,
        Client(PATIENT) as client,
        serving(relay := FinishedRelay(client, server)) as served,
    ):
        caller = await served.connect()
        caller.send(GET)
        await within(caller.reader.readuntil(EVENTS[-1]))
        getattr(caller, leave)()
        await until(lambda: relay.outcomes)  # nobody waits for the rest
        held.set()
        await until(lambda: any(client._pool._idle.values()))
        another = await served.connect()
        another.send(GET)
        await within(another.reader.readuntil(EVENTS[-1]))
        assert relay.outcomes[0] == "complete"
        assert server.connections == 1
        assert served.errors == []


async def test_a_rest_that_does_not_come_soon_is_not_waited_for():
    async def script(server, reader, writer):
        await server.request(reader)
        writer.write(HEAD + LAST)
        await server.request(reader)  # there is none: it tells that the connection was closed

    async with (
        upstream(script) as server,
        Client(UpstreamLimits(drain_seconds=SHORT)) as client,
        serving(relay := FinishedRelay(client, server)) as served,
    ):
        caller = await served.connect()
        caller.send(GET)
        await within(caller.reader.readuntil(EVENTS[-1]))
        caller.half_close()
        await within(server.closed.wait())
        assert relay.outcomes == ["complete"]
        assert served.errors == []


async def test_a_rest_that_never_ends_is_cut_as_well():
    async def script(server, reader, writer):
        await server.request(reader)
        writer.write(HEAD + LAST)
        # uvloop says by a RuntimeError that a transport is closed.
        with suppress(ConnectionError, RuntimeError):
            while not reader.at_eof():
                writer.write(CHUNKS[0])
                await writer.drain()
                await asyncio.sleep(0.001)
        server.closed.set()

    async with (
        upstream(script) as server,
        Client(UpstreamLimits(drain_seconds=SHORT)) as client,
        serving(relay := FinishedRelay(client, server)) as served,
    ):
        caller = await served.connect()
        caller.send(GET)
        await within(caller.reader.readuntil(EVENTS[-1]))
        caller.reset()
        await within(server.closed.wait())
        assert relay.outcomes == ["complete"]

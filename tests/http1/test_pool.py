"""Connections that wait for their next request: used again, once more where they were stale, closed, and bounded."""

import asyncio

import pytest

from proxy.http1.limits import UpstreamLimits
from tests.http1.raw import until, within
from tests.http1.scripted import OK, STREAM, Client, answering, failure, origin_of, reset, upstream

pytestmark = pytest.mark.usefixtures("nothing_leaks")

SHORT = 0.1


def stale_after_one(how):
    """A script whose first connection answers once and breaks on the second request; later ones answer."""

    async def script(server, reader, writer):
        first = server.connections == 1
        while await server.request(reader):
            if first and len(server.requests) == 2:
                how(writer)
                return
            writer.write(OK)

    return script


@pytest.mark.parametrize("how", [lambda writer: writer.close(), reset], ids=["closed", "reset"])
async def test_a_request_on_a_stale_connection_is_sent_once_more(how):
    async with upstream(stale_after_one(how)) as server, Client() as client:
        assert (await client.ask(server))[2] == b"abc"
        assert (await client.ask(server))[2] == b"abc"
        assert server.connections == 2
        assert len(server.requests) == 3


async def test_a_request_is_not_sent_again_once_a_byte_of_an_answer_came():
    def how(writer):
        writer.write(b"H")
        writer.close()

    async with upstream(stale_after_one(how)) as server, Client() as client:
        await client.ask(server)
        assert (await failure(client.ask(server))).reason == "early_close"
        assert len(server.requests) == 2


async def test_a_request_is_not_sent_a_third_time():
    async def script(server, reader, writer):
        while await server.request(reader):
            if len(server.requests) > 1:
                return
            writer.write(OK)

    async with upstream(script) as server, Client() as client:
        await client.ask(server)
        error = await failure(client.ask(server))
        assert (error.reason, error.request_sent) == ("early_close", True)
        assert len(server.requests) == 3


async def test_a_request_is_not_sent_again_after_a_timeout():
    async def script(server, reader, writer):
        while await server.request(reader):
            if len(server.requests) > 1:
                await server.gone(reader)
                return
            writer.write(OK)

    async with upstream(script) as server, Client(UpstreamLimits(first_byte_seconds=SHORT)) as client:
        await client.ask(server)
        assert (await failure(client.ask(server))).reason == "first_byte_timeout"
        assert len(server.requests) == 2


async def test_a_connection_closed_by_the_upstream_while_idle_is_noticed():
    async def script(server, reader, writer):
        await server.request(reader)
        writer.write(OK)

    async with upstream(script) as server, Client() as client:
        await client.ask(server)
        await until(lambda: not client._pool._all)
        await client.ask(server)
        assert len(server.requests) == 2


async def test_the_latest_connection_is_used_first():
    async with upstream(OK) as server, Client() as client:
        await asyncio.gather(*(client.ask(server) for _ in range(5)))
        assert server.connections == 5
        for _ in range(10):
            last = client._pool._idle[origin_of(server)][-1]
            await client.ask(server)
            assert client._pool._idle[origin_of(server)][-1] is last
        assert server.connections == 5


@pytest.mark.parametrize("limit", ["pool_idle_seconds", "connection_age_seconds"])
async def test_connections_that_are_idle_or_old_are_closed(limit):
    async with upstream(OK) as server, Client(UpstreamLimits(**{limit: SHORT})) as client:
        await client.ask(server)
        await until(lambda: not client._pool._all)
        await client.ask(server)
        assert server.connections == 2


async def test_an_origin_has_at_most_so_many_connections():
    async with (
        upstream(answering(STREAM)) as server,
        upstream(OK) as other,
        Client(UpstreamLimits(connections_per_origin=2)) as client,
    ):
        answers = [await client.send(origin_of(server), "GET", b"/", [], b"") for _ in range(2)]
        error = await failure(client.ask(server))
        assert (error.reason, error.request_sent) == ("pool_exhausted", False)
        assert (await client.ask(other))[2] == b"abc"
        answers[0].close()
        await until(lambda: client._pool._counts[origin_of(server)] == 1)
        (await client.send(origin_of(server), "GET", b"/", [], b"")).close()


async def test_closing_the_client_ends_what_is_under_way():
    async with upstream(answering(STREAM)) as server, Client() as client:
        answer = await client.send(origin_of(server), "GET", b"/", [], b"")
        reading = asyncio.ensure_future(answer.read())
        await asyncio.sleep(0)
        await within(client.close())
        assert (await failure(reading)).reason == "closed"
        await within(server.closed.wait())
        await within(client.close())


async def test_where_there_are_too_many_connections_in_all_the_longest_idle_makes_room():
    async with (
        upstream(OK) as one,
        upstream(OK) as two,
        upstream(OK) as three,
        Client(UpstreamLimits(connections=2)) as client,
    ):
        loop = asyncio.get_running_loop()
        for server in (one, two, one, three):
            await client.ask(server)
            now = loop.time()
            await until(lambda now=now: loop.time() > now)  # the clock of a loop counts in milliseconds
        await within(two.closed.wait())
        assert {origin.port for origin, idle in client._pool._idle.items() if idle} == {one.port, three.port}
        await client.ask(one)
        assert len(one.requests) == 3
        assert len(client._pool._all) == 2

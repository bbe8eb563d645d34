"""Connections that wait for their next request: used again, closed, and bounded; and what a request knows that found one closed."""

import asyncio
import socket
import ssl
import threading
from contextlib import suppress

import pytest

from proxy.http1 import upstream_connection
from proxy.http1.limits import UpstreamLimits
from proxy.http1.origin import Origin
from tests.http1.raw import until, within
from tests.http1.scripted import OK, STREAM, Client, answering, failure, origin_of, reset, upstream
from tests.http1.test_dial import server_tls, trusting

pytestmark = pytest.mark.usefixtures("nothing_leaks")

SHORT = 0.1


def breaking_on_the_second(how):
    """A script whose first connection answers once and breaks on the second request; later ones answer."""

    async def script(server, reader, writer):
        first = server.connections == 1
        while await server.request(reader):
            if first and len(server.requests) == 2:
                how(writer)
                return
            writer.write(OK)

    return script


def answer_begun(writer):
    writer.write(b"H")
    writer.close()


@pytest.mark.parametrize("body", [b"xyz", b"x" * 300_000], ids=["small", "large"])
@pytest.mark.parametrize(
    ("how", "reason", "is_kept"),
    [
        (lambda writer: writer.close(), "early_close", True),
        (reset, "reset", True),
        (answer_begun, "early_close", False),
    ],
    ids=["closed", "reset", "closed in the answer"],
)
async def test_a_request_that_a_kept_connection_took_is_never_sent_again(how, reason, is_kept, body):
    async with upstream(breaking_on_the_second(how)) as server, Client() as client:
        assert (await client.ask(server))[2] == b"abc"
        error = await failure(client.ask(server, body=body))
        assert (error.reason, error.request_sent, error.answer_begun) == (reason, True, False)
        assert error.connection_kept == is_kept
        assert len(server.requests) == 2


async def test_a_request_that_a_new_connection_took_is_not_said_to_have_found_a_kept_one():
    async with upstream(answering(then="close")) as server, Client() as client:
        error = await failure(client.ask(server))
        assert (error.reason, error.request_sent, error.connection_kept) == ("early_close", True, False)


class BlockingProvider:
    """A server that closes its first connection in a way of its own once it has answered, without a loop that would see more.
    Its side is blocking, so that the order of what happens on the wire is known."""

    def __init__(self, tls=None):
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._tls = tls
        self.sock = None
        self.left = threading.Event()

    def serve_once(self):
        self.sock, _ = self._listening.accept()
        if self._tls is not None:
            self.sock = self._tls.wrap_socket(self.sock, server_side=True)
        self.read()
        self.sock.sendall(OK)

    def read(self):
        received = b""
        while not received.endswith(b"xyz"):
            received += self.sock.recv(65536)

    def leave(self):
        """Close the connection, and say so first where TLS has words for it."""
        if self._tls is not None:
            self.sock.setblocking(False)
            with suppress(ssl.SSLWantReadError):
                self.sock.unwrap()
        self.sock.close()
        self.left.set()

    def close(self):
        self.sock.close()
        self._listening.close()


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("body", [b"xyz", b"x" * 20_000 + b"xyz"], ids=["gathered", "written at once"])
@pytest.mark.parametrize("is_looked_at", [True, False], ids=["seen before it is used", "seen after it was used"])
async def test_a_connection_closed_before_the_request_came_is_known_to_have_taken_nothing(
    scheme, body, is_looked_at, monkeypatch
):
    """The close arrives in the turn of the loop in which the next request is made: nobody has read it yet."""
    loop = asyncio.get_running_loop()
    provider = BlockingProvider(server_tls() if scheme == "https" else None)
    origin = Origin.parse(f"{scheme}://localhost:{provider.port}")

    async def local(host, port):
        return [(socket.AF_INET, ("127.0.0.1", port))]

    monkeypatch.setattr(upstream_connection, "_LOOKED_AT_SECONDS", -1.0 if is_looked_at else 1e9)
    try:
        async with Client(tls=trusting(), resolver=local) as client:

            async def ask(leaves=False):
                if leaves:
                    provider.leave()
                return await (await client.send(origin, "POST", b"/v1", [], body)).read()

            serving = loop.run_in_executor(None, provider.serve_once)
            assert await within(ask()) == b"abc"
            await serving
            if is_looked_at:
                serving = loop.run_in_executor(None, lambda: (provider.left.wait(10), provider.serve_once()))
                assert await within(ask(leaves=True)) == b"abc"
                await serving
            else:
                error = await failure(ask(leaves=True))
                assert (error.reason, error.request_sent, error.connection_kept) == ("stale", False, True)
    finally:
        provider.close()


async def test_a_request_is_not_sent_again_after_a_timeout():
    async def script(server, reader, writer):
        while await server.request(reader):
            if len(server.requests) > 1:
                await server.gone(reader)
                return
            writer.write(OK)

    async with upstream(script) as server, Client(UpstreamLimits(first_byte_seconds=5 * SHORT)) as client:
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

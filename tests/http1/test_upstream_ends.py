"""How waiting for an upstream ends other than by its answer: deadlines, a cancelled wait, a client that leaves, too much unread."""

import asyncio
import socket

import pytest

from proxy.http1.limits import UpstreamLimits
from proxy.http1.upstream import ClientGone, Origin
from proxy.http1.upstream_connection import UpstreamConnection
from tests.http1.raw import largest_read_bytes, serving, until, within
from tests.http1.scripted import LINE, OK, STREAM, Client, answering, failure, origin_of, upstream

pytestmark = pytest.mark.usefixtures("nothing_leaks")

SHORT = 0.1


async def test_an_upstream_that_does_not_answer_is_given_up():
    async with upstream(answering()) as server, Client(UpstreamLimits(first_byte_seconds=SHORT)) as client:
        error = await failure(client.ask(server))
        assert (error.reason, error.answer_begun) == ("first_byte_timeout", False)
        await within(server.closed.wait())


async def test_dripping_does_not_extend_the_wait_for_the_head():
    async def script(server, reader, writer):
        await server.request(reader)
        for byte in LINE + b"X: " + b"y" * 30_000:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(SHORT / 10)

    async with upstream(script) as server, Client(UpstreamLimits(first_byte_seconds=SHORT)) as client:
        assert (await failure(client.ask(server))).reason == "first_byte_timeout"


@pytest.mark.parametrize("parts", [(STREAM,), (STREAM, b"3\r\nabc\r\n"), (STREAM, b"3\r\nab"), (OK[:-1],)])
async def test_a_body_that_stalls_is_given_up(parts):
    async with upstream(answering(*parts)) as server, Client(UpstreamLimits(idle_seconds=SHORT)) as client:
        error = await failure(client.ask(server))
        assert (error.reason, error.answer_begun) == ("idle_timeout", True)
        await within(server.closed.wait())


async def test_a_body_that_drips_is_not_given_up():
    idle = 5 * SHORT  # a busy machine may let a drop wait for some of it

    async def script(server, reader, writer):
        await server.request(reader)
        writer.write(STREAM)
        for _ in range(20):
            writer.write(b"1\r\na\r\n")
            await asyncio.sleep(idle / 12)
        writer.write(b"0\r\n\r\n")
        await server.gone(reader)

    async with upstream(script) as server, Client(UpstreamLimits(idle_seconds=idle)) as client:
        assert (await client.ask(server))[2] == b"a" * 20


async def test_an_upstream_that_does_not_take_the_request_is_given_up():
    async def script(server, reader, writer):
        writer.transport.pause_reading()
        await asyncio.Event().wait()

    limits = UpstreamLimits(write_no_progress_seconds=SHORT)
    async with upstream(script) as server, Client(limits) as client:
        error = await failure(client.ask(server, body=b"x" * 30_000_000))
        assert (error.reason, error.request_sent) == ("write_timeout", True)


@pytest.mark.parametrize("parts", [(), (b"HTTP/1.1 2",), (STREAM,), (STREAM, b"3\r\nabc\r\n")])
async def test_cancelling_closes_the_connection(parts):
    async with upstream(answering(*parts)) as server, Client() as client:
        asking = asyncio.ensure_future(client.ask(server))
        await until(lambda: server.requests)
        await asyncio.sleep(0.01)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await within(server.closed.wait())
        assert not client._pool._all or not client._pool._idle.get(origin_of(server))


async def test_an_answer_that_is_closed_is_not_used_again():
    async with upstream(answering(STREAM, then="wait")) as server, Client() as client:
        answer = await client.send(origin_of(server), "GET", b"/", [], b"")
        answer.close()
        answer.close()
        await within(server.closed.wait())
        assert (await failure(answer.read())).reason == "closed"


@pytest.mark.parametrize("parts", [(), (STREAM, b"3\r\nabc\r\n")], ids=["before the head", "in the body"])
@pytest.mark.parametrize("leave", ["half_close", "reset"])
async def test_a_client_that_leaves_ends_the_wait_for_its_answer(parts, leave):
    outcome = asyncio.get_running_loop().create_future()

    async with upstream(answering(*parts)) as server, Client() as client:

        async def handler(call, reply):
            try:
                answer = await client.send(origin_of(server), "GET", b"/", [], b"", reply)
                await answer.read()
            except ClientGone as gone:
                outcome.set_result(gone)

        async with serving(handler) as served:
            caller = await served.connect()
            caller.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await until(lambda: server.requests)
            getattr(caller, leave)()
            assert (await within(outcome)).request_sent
            await within(server.closed.wait())
            assert served.errors == []


async def test_nothing_is_sent_for_a_client_that_is_gone():
    async with upstream(OK) as server, Client() as client:
        done = asyncio.Event()

        async def handler(call, reply):
            await until(lambda: reply.client_gone)
            with pytest.raises(ClientGone) as caught:
                await client.send(origin_of(server), "GET", b"/", [], b"", reply)
            assert not caught.value.request_sent
            done.set()

        async with serving(handler) as served:
            caller = await served.connect()
            caller.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            caller.half_close()
            await within(done.wait())
            assert served.errors == []
        assert server.requests == []


@pytest.mark.parametrize("leave", ["half_close", "interrupt"])
async def test_nothing_is_sent_for_a_client_that_leaves_while_the_upstream_is_dialled(leave):
    dialling, go_on = asyncio.Event(), asyncio.Event()
    outcome = asyncio.get_running_loop().create_future()

    async def resolver(host, port):
        dialling.set()
        await within(go_on.wait())
        return [(socket.AF_INET, (host, port))]

    async with upstream(OK) as server, Client(resolver=resolver) as client:

        async def handler(call, reply):
            replies.append(reply)
            with pytest.raises(ClientGone) as caught:
                await client.send(origin_of(server), "GET", b"/", [], b"", reply)
            outcome.set_result(caught.value.request_sent)
            reply.abort()

        replies = []
        async with serving(handler) as served:
            caller = await served.connect()
            caller.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await within(dialling.wait())
            if leave == "interrupt":
                replies[0].interrupt()
            else:
                caller.half_close()
                await until(lambda: replies[0].client_gone)
            go_on.set()
            assert await within(outcome) is False
            assert server.requests == []
            # The connection was made for nothing, and is kept for the next call.
            assert (await client.ask(server))[0] == 200


async def test_a_body_nobody_claims_is_not_buffered_without_end():
    async def script(server, reader, writer):
        await server.request(reader)
        writer.write(STREAM)
        for _ in range(2_000):
            writer.write(b"%x\r\n%b\r\n" % (10_000, b"x" * 10_000))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await server.gone(reader)

    limits = UpstreamLimits(unclaimed_bytes=50_000)
    async with upstream(script) as server, Client(limits) as client:
        answer = await client.send(origin_of(server), "GET", b"/", [], b"")
        await until(lambda: answer._buffered > 50_000)
        await asyncio.sleep(0.05)
        assert answer._buffered < 50_000 + largest_read_bytes()
        assert len(await within(answer.read())) == 20_000_000


async def test_framing_that_comes_apart_from_its_bytes_is_not_taken_for_framing_without_end():
    """A long stream whose line ends come in segments of their own: there is a body byte between any two of them."""

    class SilentTransport(asyncio.Transport):
        def write(self, data):
            pass

        def get_write_buffer_size(self):
            return 0

    async with Client() as client:
        loop = asyncio.get_running_loop()
        connection = UpstreamConnection(Origin.parse("http://a"), client._pool, UpstreamLimits(), loop)
        connection.connection_made(SilentTransport())
        answer = connection.begin(b"", b"", head_only=False)
        for part in [STREAM, *[b"1\r\nx", b"\r\n"] * 20_000, b"0\r\n\r\n"]:
            connection.get_buffer(-1)[: len(part)] = part
            connection.buffer_updated(len(part))
        assert await answer.read() == b"x" * 20_000
        client._pool._idle.clear()


async def test_requests_follow_each_other_on_one_socket_without_delay():
    """Nagle's algorithm is off: head and body in two writes do not wait for an acknowledgement."""
    async with upstream(OK) as server, Client() as client:
        await client.ask(server)
        connection = client._pool._idle[origin_of(server)][0]
        sock = connection.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

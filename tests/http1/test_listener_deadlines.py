"""Every wait for a client has a deadline, and shutting down has one too. Deadlines are small here."""

import asyncio

import pytest

from proxy.http1.limits import ListenerLimits
from tests.http1.raw import RawClient, serving, until, within
from tests.http1.test_listener import GET, POST, Held, streaming

pytestmark = pytest.mark.usefixtures("nothing_leaks")

SHORT = 0.1


async def drip(client, data):
    """One byte at a time, for ever, until the server hangs up."""
    try:
        for at in range(10**6):
            client.send(data[at % len(data) :][:1])
            await client.writer.drain()
            await asyncio.sleep(SHORT / 10)
    except ConnectionError:
        pass


@pytest.mark.parametrize("part", [b"G", GET[:-1], GET[:-3], b"\r\n"])
async def test_a_head_that_does_not_end_is_refused(part):
    async with serving(limits=ListenerLimits(header_seconds=SHORT)) as served:
        client = await served.connect()
        client.send(part)
        assert (await client.answer())[0] == 408
        assert await client.rest() == b""


async def test_dripping_does_not_extend_the_deadline_of_the_head():
    async with serving(limits=ListenerLimits(header_seconds=SHORT)) as served:
        client = await served.connect()
        dripping = asyncio.ensure_future(drip(client, b"GET /" + b"a" * 10**6))
        assert (await client.answer())[0] == 408
        dripping.cancel()
        assert served.calls == []


@pytest.mark.parametrize("framing", [b"Content-Length: 5", b"Transfer-Encoding: chunked"])
async def test_a_body_that_stalls_is_refused(framing):
    async with serving(limits=ListenerLimits(body_idle_seconds=SHORT)) as served:
        client = await served.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n3\r\n" % framing)
        assert (await client.answer())[0] == 408
        assert await client.rest() == b""
        assert served.calls == []


async def test_a_body_that_drips_is_refused_in_the_end():
    limits = ListenerLimits(body_idle_seconds=5, body_total_seconds=3 * SHORT)
    async with serving(limits=limits) as served:
        client = await served.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
        dripping = asyncio.ensure_future(drip(client, b"x"))
        assert (await client.answer())[0] == 408
        dripping.cancel()


async def test_an_idle_connection_is_closed_without_a_word():
    async with serving(limits=ListenerLimits(keep_alive_seconds=5 * SHORT)) as served:
        fresh, used = await served.connect(), await served.connect()
        used.send(GET)
        assert (await used.answer())[0] == 200
        assert await fresh.rest() == b""
        assert await used.rest() == b""


async def test_a_running_call_outlives_every_deadline_of_reading():
    held = Held()
    limits = ListenerLimits(
        header_seconds=SHORT, body_idle_seconds=SHORT, body_total_seconds=SHORT, keep_alive_seconds=SHORT
    )
    async with serving(held, limits) as served:
        client = await served.connect()
        client.send(POST)
        await within(held.entered.wait())
        await asyncio.sleep(4 * SHORT)
        held.go_on.set()
        assert (await client.answer())[0] == 200


async def test_a_client_that_never_reads_is_dropped():
    gone = asyncio.Event()

    async def handler(call, reply):
        reply.on_client_gone(gone.set)
        reply.start(200, [])
        while reply.writable:
            reply.write(b"x" * 65_536)
            await asyncio.sleep(0)
        await within(gone.wait())
        assert reply.client_gone

    async with serving(handler, ListenerLimits(no_progress_seconds=SHORT)) as served:
        client = await served.connect()
        client.writer.transport.pause_reading()
        client.send(GET)
        await within(gone.wait())
        assert served.errors == []


async def test_a_client_that_never_reads_the_rest_of_a_finished_answer_is_dropped():
    async with serving(streaming(b"x" * 20_000_000), ListenerLimits(no_progress_seconds=SHORT)) as served:
        client = await served.connect()
        client.writer.transport.pause_reading()
        client.send(GET)
        await until(lambda: served.calls)
        await until(lambda: not served.listener._connections)


async def test_a_client_that_reads_slowly_is_not_dropped():
    size, deadline = 16_000_000, 10 * SHORT
    handler = streaming(b"x" * size, length=size)
    async with serving(handler, ListenerLimits(no_progress_seconds=deadline)) as served:
        client = await served.connect(limit=65_536)
        client.send(GET)
        await within(client.reader.readuntil(b"\r\n\r\n"))
        got = 0
        for _ in range(60):  # longer than a client that takes nothing would last
            got += len(await within(client.reader.read(65_536)))
            await asyncio.sleep(deadline / 40)
        assert got < size
        await within(client.reader.readexactly(size - got))


async def test_lingering_after_a_refusal_ends():
    limits = ListenerLimits(linger_seconds=SHORT)
    async with serving(limits=limits) as served:
        client = await served.connect()
        client.send(b"bad\r\n\r\n")
        assert (await client.answer())[0] == 400
        await drip(client, b"x")


# --- drain ------------------------------------------------------------------------------------------------------------


async def test_draining_closes_idle_connections_and_accepts_no_more():
    async with serving() as served:
        address = served.address
        idle, used = await served.connect(), await served.connect()
        used.send(GET)
        await used.answer()
        await within(served.listener.drain(5))
        assert await idle.rest() == b""
        assert await used.rest() == b""
        with pytest.raises(ConnectionRefusedError):
            await RawClient.connect(address)


async def test_draining_lets_calls_finish_and_tells_their_clients_to_close():
    held = Held()
    async with serving(held) as served:
        client = await served.connect()
        client.send(POST)
        await within(held.entered.wait())
        draining = asyncio.ensure_future(served.listener.drain(5))
        await asyncio.sleep(0)
        held.go_on.set()
        status, headers, body = await client.answer()
        assert (status, headers[b"connection"], body) == (200, b"close", b"abc")
        assert await client.rest() == b""
        await within(draining)


async def test_a_stream_that_began_before_the_drain_ends_cleanly_and_closes():
    held = Held()

    async def handler(call, reply):
        reply.start(200, [])
        await held(call, reply)

    async def finish(call, reply):
        reply.write(b"last")
        reply.finish()

    held.answer = finish
    async with serving(handler) as served:
        client = await served.connect()
        client.send(GET)
        await within(held.entered.wait())
        draining = asyncio.ensure_future(served.listener.drain(5))
        await asyncio.sleep(0)
        held.go_on.set()
        assert (await client.answer())[2] == b"last"
        assert await client.rest() == b""
        await within(draining)


async def test_a_request_half_received_when_the_drain_begins_is_still_answered():
    async with serving() as served:
        client = await served.connect()
        client.send(POST[:20])
        await until(lambda: any(c._parser.head_at for c in served.listener._connections))
        draining = asyncio.ensure_future(served.listener.drain(5))
        await asyncio.sleep(0)
        client.send(POST[20:])
        assert (await client.answer())[2] == b"abc"
        await within(draining)


async def test_what_is_left_after_the_timeout_is_aborted():
    gone = asyncio.Event()

    async def handler(call, reply):
        reply.on_client_gone(gone.set)
        reply.start(200, [])
        await gone.wait()

    async with serving(handler) as served:
        client = await served.connect()
        client.send(GET)
        await within(client.reader.readuntil(b"\r\n\r\n"))
        await within(served.listener.drain(SHORT))
        assert gone.is_set()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await within(client.reader.readexactly(1))


async def test_at_the_timeout_handlers_may_end_their_answers_in_their_own_way():
    replies, end = [], asyncio.Event()

    async def handler(call, reply):
        replies.append(reply)
        if call.target == b"/begun":
            reply.start(200, [])
            reply.write(b"abc")
        await end.wait()
        if not reply.started:
            reply.send(503, [], b"stopping")

    def stop():
        end.set()
        for reply in replies:
            if reply.started:
                reply.write(b"the end")
                reply.abort()

    async with serving(handler) as served:
        clients = [await served.connect() for _ in range(2)]
        for client, target in zip(clients, (b"/begun", b"/waiting"), strict=True):
            client.send(GET.replace(b"/ ", target + b" "))
        await until(lambda: len(replies) == 2)
        await within(served.listener.drain(SHORT, stop))
        assert (await clients[0].rest()).endswith(b"3\r\nabc\r\n7\r\nthe end\r\n")
        assert (await clients[1].answer())[::2] == (503, b"stopping")
        assert served.errors == []


async def test_a_handler_that_ignores_the_end_is_cancelled():
    cancelled = asyncio.Event()

    async def handler(call, reply):
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with serving(handler) as served:
        client = await served.connect()
        client.send(GET)
        await until(lambda: served.calls)
        await within(served.listener.drain(0))
        assert cancelled.is_set()
        assert served.errors == []


async def test_draining_twice_is_safe_also_at_once():
    held = Held()
    async with serving(held) as served:
        client = await served.connect()
        client.send(POST)
        await within(held.entered.wait())
        both = asyncio.gather(served.listener.drain(5), served.listener.drain(5))
        await asyncio.sleep(0)
        held.go_on.set()
        await client.answer()
        await within(both)
        await within(served.listener.drain(5))

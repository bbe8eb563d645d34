"""From the upstream's socket to the client's: identical bytes, one pace, and every kind of end told apart on both sides."""

import asyncio
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.http1.answer import Answer
from proxy.http1.limits import ListenerLimits, UpstreamLimits
from proxy.http1.upstream import ClientGone, UpstreamError
from tests.http1.raw import largest_read_bytes, serving, until, within
from tests.http1.scripted import Client, answering, origin_of, upstream

pytestmark = pytest.mark.usefixtures("nothing_leaks")

GET = b"GET /v1 HTTP/1.1\r\nHost: a\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENTS = [b'data: {"a": "\xc3\xa4"}\n\n', b": ping\r\n\r\n", b"data: x\ndata: y\n\n", b"event: z\rdata: [DONE]\n\n"]
BODY = b"".join(EVENTS)
CHUNKS = [b"%x\r\n%b\r\n" % (len(event), event) for event in EVENTS]
STREAM = HEAD + b"".join(CHUNKS) + b"0\r\n\r\n"
SHORT = 0.1


class Relay:
    """A handler that relays, and what became of each call."""

    def __init__(self, client, server, tap=None):
        self.client, self.server, self.tap = client, server, tap
        self.outcomes = []

    async def __call__(self, call, reply):
        try:
            answer = await self.client.send(origin_of(self.server), call.method, call.target, [], call.body, reply)
            reply.start(answer.status, answer.headers)
            await answer.relay(reply, self.tap)
        except ClientGone:
            self.outcomes.append("client gone")
        except UpstreamError as error:
            self.outcomes.append(error.reason)
            reply.abort()
        else:
            self.outcomes.append("complete")
            reply.finish()


async def test_a_stream_is_relayed_byte_for_byte():
    async with upstream(STREAM) as server, Client() as client, serving(relay := Relay(client, server)) as served:
        caller = await served.connect()
        for _ in range(3):
            caller.send(GET)
            status, headers, body = await caller.answer()
            assert (status, body) == (200, BODY)
            assert headers == {b"content-type": b"text/event-stream", b"transfer-encoding": b"chunked"}
        assert relay.outcomes == ["complete"] * 3
        assert server.connections == 1


async def test_a_stream_is_the_same_wherever_it_is_cut():
    async def script(server, reader, writer):
        for cut in range(1, len(STREAM)):
            await server.request(reader)
            writer.write(STREAM[:cut])
            await writer.drain()
            await asyncio.sleep(0)
            writer.write(STREAM[cut:])
        await server.gone(reader)

    async with upstream(script) as server, Client() as client, serving(Relay(client, server)) as served:
        caller = await served.connect()
        for _ in range(1, len(STREAM)):
            caller.send(GET)
            assert (await caller.answer())[2] == BODY


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8), st.lists(st.integers(1, 30), min_size=1))
def test_any_body_in_any_pieces_passes_unchanged(chunks, sizes):
    """The answer alone, without sockets: whatever pieces it is given, the reply gets the same bytes in order."""
    written = []

    class Reply:
        writable = True
        write = staticmethod(written.append)

        def on_client_gone(self, callback):
            pass

        def on_writable(self, callback):
            pass

    class Source:
        def pause(self):
            pass

        resume = abort = pause

    async def scenario():
        answer = Answer(Source(), asyncio.get_running_loop().create_future(), 10**6)
        answer.status = 200
        relaying = asyncio.ensure_future(answer.relay(Reply()))
        await asyncio.sleep(0)
        read = []
        for number, chunk in enumerate(chunks):
            read.append(chunk)
            if sizes[number % len(sizes)] % 2:
                answer.pump(read)
        answer.finish()
        answer.pump(read)
        await relaying

    asyncio.run(scenario())
    assert b"".join(written) == b"".join(chunks)


@pytest.mark.parametrize("size", [600_000, 16_000_000])
async def test_an_event_of_any_size_passes(size):
    event = b"data: " + os.urandom(1000).hex().encode() * (size // 2000) + b"\n\n"
    wire = HEAD + b"%x\r\n%b\r\n0\r\n\r\n" % (len(event), event)
    async with upstream(wire) as server, Client() as client, serving(Relay(client, server)) as served:
        caller = await served.connect()
        caller.send(GET)
        assert (await caller.answer())[2] == event


async def test_ten_thousand_chunks_of_one_byte_pass():
    wire = HEAD + b"1\r\nx\r\n" * 10_000 + b"0\r\n\r\n"
    async with upstream(wire) as server, Client() as client, serving(Relay(client, server)) as served:
        caller = await served.connect()
        caller.send(GET)
        assert (await caller.answer())[2] == b"x" * 10_000


async def test_an_event_is_passed_on_when_it_comes_and_not_later():
    """The next event is sent only after the client has seen the one before."""
    seen = asyncio.Semaphore(0)

    async def script(server, reader, writer):
        await server.request(reader)
        writer.write(HEAD)
        for chunk in CHUNKS:
            await seen.acquire()
            writer.write(chunk)
        await seen.acquire()
        writer.write(b"0\r\n\r\n")
        await server.gone(reader)

    async with upstream(script) as server, Client() as client, serving(Relay(client, server)) as served:
        caller = await served.connect()
        caller.send(GET)
        await within(caller.reader.readuntil(b"\r\n\r\n"))
        for chunk in CHUNKS:
            seen.release()
            assert await within(caller.reader.readexactly(len(chunk))) == chunk
        seen.release()
        assert await within(caller.reader.readexactly(5)) == b"0\r\n\r\n"


async def test_a_tap_sees_every_byte_and_decides_what_passes():
    seen = []

    def tap(data):
        seen.append(data)
        return b"" if data == EVENTS[1] else data.upper()

    async def script(server, reader, writer):
        await server.request(reader)
        for part in (HEAD, *CHUNKS, b"0\r\n\r\n"):
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.01)
        await server.gone(reader)

    async with upstream(script) as server, Client() as client, serving(Relay(client, server, tap)) as served:
        caller = await served.connect()
        caller.send(GET)
        assert (await caller.answer())[2] == b"".join(EVENTS[:1] + EVENTS[2:]).upper()
        assert b"".join(seen) == BODY


@pytest.mark.parametrize("parts", [(STREAM,), (HEAD, CHUNKS[0])], ids=["all at once", "while waiting"])
async def test_a_tap_that_fails_breaks_both_sides(parts):
    def tap(data):
        raise LookupError

    script = answering(*parts)
    async with upstream(script) as server, Client() as client, serving(Relay(client, server, tap)) as served:
        caller = await served.connect()
        caller.send(GET)
        with pytest.raises(asyncio.IncompleteReadError):
            await caller.answer()
        assert [type(error) for error in served.errors] == [LookupError]
        if len(parts) > 1:
            await within(server.closed.wait())


async def test_a_caller_may_add_to_a_relayed_body():
    async with upstream(STREAM) as server, Client() as client:

        async def handler(call, reply):
            answer = await client.send(origin_of(server), "GET", b"/", [], b"")
            reply.start(200, [])
            await answer.relay(reply)
            reply.write(b"tail")
            reply.finish()

        async with serving(handler) as served:
            caller = await served.connect()
            caller.send(GET)
            assert (await caller.answer())[2] == BODY + b"tail"


# --- the upstream breaks ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("then", ["close", "reset"])
async def test_an_answer_that_breaks_at_any_byte_is_broken_for_the_client_too(then):
    for cut in range(len(HEAD), len(STREAM), 1 if then == "close" else 9):
        script = answering(STREAM[:cut], then=then)
        async with upstream(script) as server, Client() as client, serving(relay := Relay(client, server)) as served:
            caller = await served.connect()
            caller.send(GET)
            with pytest.raises(asyncio.IncompleteReadError):
                await caller.answer()
            assert relay.outcomes == ["early_close" if then == "close" else "reset"]
            assert served.errors == []


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ((HEAD, CHUNKS[0], b"zz\r\n"), "bad_framing"),
        ((HEAD, CHUNKS[0]), "idle_timeout"),
        ((HEAD, CHUNKS[0][:-4]), "idle_timeout"),
    ],
)
async def test_other_ways_to_break_are_named_and_passed_on(parts, reason):
    limits = UpstreamLimits(idle_seconds=SHORT)
    async with (
        upstream(answering(*parts)) as server,
        Client(limits) as client,
        serving(relay := Relay(client, server)) as served,
    ):
        caller = await served.connect()
        caller.send(GET)
        with pytest.raises(asyncio.IncompleteReadError):
            await caller.answer()
        assert relay.outcomes == [reason]
        await within(server.closed.wait())


async def test_what_came_before_the_break_reaches_the_client():
    async with (
        upstream(answering(HEAD, *CHUNKS[:2], then="close")) as server,
        Client() as client,
        serving(Relay(client, server)) as served,
    ):
        caller = await served.connect()
        caller.send(GET)
        received = await caller.rest()
        assert received.endswith(CHUNKS[1])
        assert CHUNKS[0] in received


async def test_a_break_is_a_reset_for_a_client_of_http_1_0():
    async with (
        upstream(answering(HEAD, CHUNKS[0], then="close")) as server,
        Client() as client,
        serving(Relay(client, server)) as served,
    ):
        caller = await served.connect()
        caller.send(b"GET / HTTP/1.0\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            await caller.rest()


async def test_a_body_until_close_ends_cleanly_for_the_client():
    script = answering(b"HTTP/1.0 200 OK\r\n\r\n", *EVENTS, then="close")
    async with upstream(script) as server, Client() as client, serving(relay := Relay(client, server)) as served:
        caller = await served.connect()
        caller.send(GET)
        assert (await caller.answer())[2] == BODY
        assert relay.outcomes == ["complete"]


# --- the client breaks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("leave", ["half_close", "reset"])
@pytest.mark.parametrize("events", range(len(CHUNKS)))
async def test_a_client_that_leaves_aborts_the_upstream_at_once(leave, events):
    async with (
        upstream(answering(HEAD, *CHUNKS[:events])) as server,
        Client() as client,
        serving(relay := Relay(client, server)) as served,
    ):
        caller = await served.connect()
        caller.send(GET)
        await within(caller.reader.readuntil(b"\r\n\r\n"))
        if events:
            await within(caller.reader.readuntil(EVENTS[events - 1]))
        getattr(caller, leave)()
        await within(server.closed.wait())
        await until(lambda: relay.outcomes)
        assert relay.outcomes == ["client gone"]
        assert served.errors == []


async def test_the_upstream_is_aborted_in_the_same_turn_of_the_loop_as_the_client_left():
    order = []
    async with upstream(answering(HEAD)) as server, Client() as client:

        async def handler(call, reply):
            answer = await client.send(origin_of(server), "GET", b"/", [], b"", reply)
            reply.start(200, [])
            connection = answer._source
            reply.on_client_gone(lambda: order.append(connection.transport.is_closing()))
            with pytest.raises(ClientGone):
                await answer.relay(reply)
            order.append("woken")

        async with serving(handler) as served:
            caller = await served.connect()
            caller.send(GET)
            await within(caller.reader.readuntil(b"\r\n\r\n"))
            caller.half_close()
            await until(lambda: len(order) == 2)
            assert order == [True, "woken"]


async def test_a_reply_aborted_from_outside_ends_the_relay():
    replies = []
    async with upstream(answering(HEAD, CHUNKS[0])) as server, Client() as client:
        relay = Relay(client, server)

        async def handler(call, reply):
            replies.append(reply)
            await relay(call, reply)

        async with serving(handler) as served:
            caller = await served.connect()
            caller.send(GET)
            await within(caller.reader.readuntil(CHUNKS[0]))
            replies[0].abort()
            with pytest.raises(asyncio.IncompleteReadError):
                await within(caller.reader.readexactly(1))
            await within(server.closed.wait())
            assert not replies[0].client_gone


async def test_cancelling_the_handler_closes_both_sides():
    async with (
        upstream(answering(HEAD, CHUNKS[0])) as server,
        Client() as client,
        serving(Relay(client, server)) as served,
    ):
        caller = await served.connect()
        caller.send(GET)
        await within(caller.reader.readuntil(CHUNKS[0]))
        for task in served.listener._tasks.values():
            task.cancel()
        with pytest.raises(asyncio.IncompleteReadError):
            await within(caller.reader.readexactly(1))
        await within(server.closed.wait())


# --- pace -------------------------------------------------------------------------------------------------------------

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
    limits = ListenerLimits(no_progress_seconds=2 * SHORT)
    async with (
        upstream(endless(sent)) as server,
        Client(UpstreamLimits(idle_seconds=SHORT)) as client,
        serving(relay := Relay(client, server), limits) as served,
    ):
        caller = await served.connect(limit=1000)
        caller.writer.transport.pause_reading()
        caller.send(GET)
        await until(lambda: relay.outcomes)
        assert relay.outcomes == ["client gone"], "the upstream's silence while paused is not its fault"
        await until(lambda: not client._pool._all)


async def test_many_disconnects_leave_nothing_behind():
    async with (
        upstream(answering(HEAD, *CHUNKS)) as server,
        Client() as client,
        serving(relay := Relay(client, server)) as served,
    ):

        async def leave_after(number):
            caller = await served.connect()
            caller.send(GET)
            if number % 3:
                await within(caller.reader.read(number))
            caller.reset()

        for start in range(0, 200, 20):
            await asyncio.gather(*(leave_after(number) for number in range(start, start + 20)))
        await until(lambda: not served.listener._connections and not served.listener._tasks)
        idle = client._pool._idle.get(origin_of(server), [])  # opened, but its client had left before it was used
        await until(lambda: client._pool._all == set(idle))
        assert set(relay.outcomes) == {"client gone"}
        assert len(relay.outcomes) == len(served.calls)
        assert served.errors == []

"""From the upstream's socket to the client's: identical bytes, however they were cut, each when it comes."""

import asyncio
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.http1.answer import HttpAnswer
from tests.http1.raw import serving, within
from tests.http1.relaying import BODY, CHUNKS, EVENTS, GET, HEAD, STREAM, Relay
from tests.http1.scripted import Client, answering, origin_of, upstream

CHUNK_OF_ABC = b"3\r\nabc\r\n"

pytestmark = pytest.mark.usefixtures("nothing_leaks")


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

    class WrittenReply:
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
        answer = HttpAnswer(Source(), asyncio.get_running_loop().create_future(), 10**6)
        answer.status = 200
        relaying = asyncio.ensure_future(answer.relay(WrittenReply()))
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


@pytest.mark.parametrize(
    ("version", "passed", "end"),
    [(b"1.1", CHUNKS, b"0\r\n\r\n"), (b"1.0", EVENTS, b"")],
    ids=["in chunks", "until the connection closes"],
)
async def test_an_event_is_passed_on_when_it_comes_and_not_later(version, passed, end):
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
        caller.send(GET.replace(b"1.1", version))
        await within(caller.reader.readuntil(b"\r\n\r\n"))
        for piece in passed:
            seen.release()
            assert await within(caller.reader.readexactly(len(piece))) == piece
        seen.release()
        assert await within(caller.reader.readexactly(len(end))) == end
        if not end:
            assert await within(caller.reader.read()) == b""


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


async def test_a_chunk_is_not_sent_after_an_answer_was_broken_or_finished():
    errors = []

    async def handler(call, reply):
        reply.start(200, [])
        reply.write_chunk(b"abc", CHUNK_OF_ABC)
        if call.target == b"/broken":
            reply.abort()
        else:
            reply.finish()
        try:
            reply.write_chunk(b"abc", CHUNK_OF_ABC)
        except RuntimeError as error:
            errors.append(str(error))

    async with serving(handler) as served:
        caller = await served.connect()
        caller.send(b"GET /whole HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await caller.answer())[2] == b"abc"
        assert errors == ["the reply is not open for writing"]
        caller.send(b"GET /broken HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await within(caller.reader.read())).endswith(b"\r\n\r\n" + CHUNK_OF_ABC)


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

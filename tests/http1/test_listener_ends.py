"""How calls end: a reply that is broken on purpose or by its handler, and a client that leaves or does not read."""

import asyncio

import pytest

from proxy.http1.errors import UnfinishedReply
from proxy.http1.request_head import refusal_body
from tests.http1.calls import GET, GET_10, POST, Held
from tests.http1.raw import serving, until, within

pytestmark = pytest.mark.usefixtures("nothing_leaks")


async def test_an_aborted_stream_is_broken_for_the_client_after_what_was_written():
    async def handler(call, reply):
        reply.start(200, [])
        reply.write(b"abc")
        reply.abort()

    async with serving(handler) as served:
        client = await served.connect()
        client.send(GET)
        with pytest.raises(asyncio.IncompleteReadError):
            await client.answer()
        assert served.errors == []
        client = await served.connect()
        client.send(GET)
        assert (await client.rest()).endswith(b"\r\n\r\n3\r\nabc\r\n")


async def test_an_abort_cannot_be_taken_for_the_end_by_a_client_of_http_1_0():
    held = Held()

    async def handler(call, reply):
        reply.start(200, [])
        reply.write(b"abc")
        await held(call, reply)

    async def abort(call, reply):
        reply.abort()

    held.answer = abort
    async with serving(handler) as served:
        client = await served.connect()
        client.send(GET_10)
        assert (await within(client.reader.readuntil(b"abc"))).endswith(b"abc")
        held.go_on.set()
        with pytest.raises(ConnectionResetError):
            await client.rest()


@pytest.mark.parametrize("started", [False, True])
async def test_a_handler_that_fails_is_reported_and_its_call_is_not_answered_cleanly(started):
    async def handler(call, reply):
        if started:
            reply.start(200, [])
            reply.write(b"abc")
        raise LookupError("secret")

    async with serving(handler) as served:
        client = await served.connect()
        client.send(GET)
        if started:
            with pytest.raises(asyncio.IncompleteReadError):
                await client.answer()
        else:
            assert (await client.answer())[0::2] == (500, refusal_body(500))
        assert [type(error) for error in served.errors] == [LookupError]


@pytest.mark.parametrize("started", [False, True])
async def test_a_handler_that_forgets_to_finish_is_reported_and_its_call_is_broken(started):
    async def handler(call, reply):
        if started:
            reply.start(200, [])

    async with serving(handler) as served:
        client = await served.connect()
        client.send(GET)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await client.answer()
        assert [type(error) for error in served.errors] == [UnfinishedReply]


async def test_a_reply_is_started_once_and_ended_once():
    mistakes = []

    def attempt(action, *arguments):
        try:
            action(*arguments)
        except RuntimeError:
            mistakes.append(action.__name__)

    async def handler(call, reply):
        attempt(reply.write, b"x")
        attempt(reply.finish)
        reply.start(200, [])
        attempt(reply.start, 200, [])
        attempt(reply.send, 200, [], b"")
        reply.finish()
        attempt(reply.write, b"x")
        attempt(reply.finish)
        reply.abort()

    async with serving(handler) as served:
        client = await served.connect()
        client.send(GET)
        assert (await client.answer())[0] == 200
        client.send(GET)
        assert (await client.answer())[0] == 200
        assert mistakes == ["write", "finish", "start", "send", "write", "finish"] * 2


@pytest.mark.parametrize("leave", ["close", "half_close", "reset"])
@pytest.mark.parametrize("started", [False, True])
async def test_a_client_that_leaves_is_noticed_at_once(leave, started):
    gone = asyncio.Event()
    told = []

    async def handler(call, reply):
        if started:
            reply.start(200, [])
        reply.on_client_gone(lambda: told.append(reply.client_gone))
        reply.on_client_gone(gone.set)
        await within(gone.wait())
        reply.on_client_gone(lambda: told.append("late"))
        if not started:
            reply.send(200, [], b"into the void")
        reply.write(b"into the void")
        reply.finish()
        assert not reply.finished

    async with serving(handler) as served:
        client = await served.connect()
        client.send(GET)
        if started:
            await within(client.reader.readuntil(b"\r\n\r\n"))
        else:
            await until(lambda: served.calls)
        result = getattr(client, leave)()
        if result is not None:
            await result
        await within(gone.wait())
        await until(lambda: not served.listener._tasks)
        assert told == [True, "late"]
        assert served.errors == []


async def test_a_client_that_leaves_after_its_answer_was_not_lost():
    told = []
    returned = asyncio.Event()
    go_on = asyncio.Event()

    async def handler(call, reply):
        reply.on_client_gone(lambda: told.append("gone"))
        reply.send(200, [], b"abc")
        await within(go_on.wait())
        assert not reply.client_gone
        returned.set()

    async with serving(handler) as served:
        client = await served.connect()
        client.send(GET)
        assert (await client.answer())[2] == b"abc"
        client.reset()
        await until(lambda: not served.listener._connections)
        go_on.set()
        await within(returned.wait())
    assert told == []
    assert served.errors == []


async def test_a_client_that_leaves_before_its_request_is_complete_makes_no_call():
    async with serving() as served:
        for part in (GET[:10], POST[:-1]):
            client = await served.connect()
            client.send(part)
            client.half_close()
            assert await client.rest() == b""
        assert served.calls == []


async def test_a_slow_client_makes_the_reply_unwritable_until_it_reads_on():
    drained = asyncio.Event()
    unwritable = asyncio.Event()

    async def handler(call, reply):
        reply.start(200, [])
        assert reply.writable
        reply.on_writable(drained.set)
        while reply.writable:
            reply.write(b"x" * 65_536)
            await asyncio.sleep(0)
        unwritable.set()
        await within(drained.wait())
        assert reply.writable
        reply.finish()

    async with serving(handler) as served:
        client = await served.connect()
        client.writer.transport.pause_reading()
        client.send(GET)
        await within(unwritable.wait())
        assert not drained.is_set()
        client.writer.transport.resume_reading()
        status, _, body = await client.answer()
        assert status == 200
        assert set(body) == {ord("x")}

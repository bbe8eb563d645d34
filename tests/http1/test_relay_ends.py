"""How a relayed answer ends: every kind of end is told apart, and told to the other side at once."""

import asyncio

import pytest

from proxy.http1.limits import UpstreamLimits
from proxy.http1.upstream import ClientGone
from tests.http1.raw import serving, until, within
from tests.http1.relaying import BODY, CHUNKS, EVENTS, GET, HEAD, SHORT, STREAM, Relay
from tests.http1.scripted import Client, answering, origin_of, upstream

pytestmark = pytest.mark.usefixtures("nothing_leaks")


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

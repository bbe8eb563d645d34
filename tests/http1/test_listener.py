"""What clients may rely on: how answers are framed, keep-alive, pipelining, continue, and how calls end."""

import asyncio
import socket
import ssl
import struct
from contextlib import suppress
from pathlib import Path

import pytest

from proxy.http1.errors import UnfinishedReply
from proxy.http1.limits import ListenerLimits
from proxy.http1.listener import Listener
from tests.http1.raw import RawClient, echo, serving, until, within

pytestmark = pytest.mark.usefixtures("nothing_leaks")

CERTIFICATES = Path(__file__).parent / "certificates"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
GET_10 = b"GET / HTTP/1.0\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"


class Held:
    """A handler that says when it runs and waits until it may go on."""

    def __init__(self, answer=echo):
        self.answer = answer
        self.entered = asyncio.Event()
        self.go_on = asyncio.Event()
        self.reply = None

    async def __call__(self, call, reply):
        self.reply = reply
        self.entered.set()
        await within(self.go_on.wait())
        await self.answer(call, reply)


def streaming(*pieces, status=200, headers=(), length=None):
    async def handler(call, reply):
        reply.start(status, list(headers), length)
        for piece in pieces:
            reply.write(piece)
        reply.finish()

    return handler


# --- framing of answers -----------------------------------------------------------------------------------------------


async def test_calls_follow_each_other_on_one_connection():
    async with serving() as served:
        client = await served.connect()
        for body in (b"abc", b"", b"xyz"):
            client.send(b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            status, headers, answered = await client.answer()
            assert (status, answered, headers[b"x-target"]) == (200, body, b"/p")
            assert b"connection" not in headers


async def test_a_call_carries_lower_case_names_in_order_with_duplicates():
    seen = []

    async def handler(call, reply):
        seen.extend(call.headers)
        reply.send(200, [], b"")

    async with serving(handler) as served:
        client = await served.connect()
        client.send(b"GET / HTTP/1.1\r\nHoST: a\r\nX-B:  1 \r\nx-a: 2\r\nX-b: 3\r\n\r\n")
        await client.answer()
    assert seen == [(b"host", b"a"), (b"x-b", b"1"), (b"x-a", b"2"), (b"x-b", b"3")]


async def test_the_time_of_a_call_is_when_its_first_byte_came():
    loop = asyncio.get_running_loop()
    times = []

    async def handler(call, reply):
        times.append(call.received_at)
        reply.send(200, [], b"")

    async with serving(handler) as served:
        client = await served.connect()
        before = loop.time()
        client.send(GET[:1])
        await client.writer.drain()
        await until(lambda: any(c._parser.head_at for c in served.listener._connections))
        after = loop.time()
        client.send(GET[1:])
        await client.answer()
    assert before <= times[0] <= after


async def test_a_stream_is_chunked():
    async with serving(streaming(b"a" * 70_000, b"", b"b")) as served:
        client = await served.connect()
        for _ in range(2):
            client.send(GET)
            status, headers, body = await client.answer()
            assert (status, body) == (200, b"a" * 70_000 + b"b")
            assert headers == {b"transfer-encoding": b"chunked"}


async def test_a_stream_of_known_length_is_not_chunked():
    async with serving(streaming(b"ab", b"c", length=3)) as served:
        client = await served.connect()
        client.send(GET)
        assert await client.answer() == (200, {b"content-length": b"3"}, b"abc")


@pytest.mark.parametrize("pieces", [(b"ab",), (b"ab", b"cd")])
async def test_a_promised_length_that_is_not_kept_breaks_the_answer(pieces):
    async with serving(streaming(*pieces, length=3)) as served:
        client = await served.connect()
        client.send(GET)
        with pytest.raises(asyncio.IncompleteReadError):
            await client.answer()
        assert [type(error) for error in served.errors] == [RuntimeError]


@pytest.mark.parametrize("handler", [echo, streaming(b"x"), streaming(b"xyz", length=3)])
async def test_an_answer_to_head_has_no_body(handler):
    async with serving(handler) as served:
        client = await served.connect()
        client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await client.answer("HEAD"))[0] == 200
        client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert (await client.answer("HEAD"))[0] == 200
        assert await client.rest() == b""


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_without_content_has_no_framing(status):
    async def handler(call, reply):
        if call.target == b"/whole":
            reply.send(status, [], b"")
        else:
            reply.start(status, [])
            reply.finish()

    async with serving(handler) as served:
        client = await served.connect()
        for target in (b"/whole", b"/parts", b"/whole"):
            client.send(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % target)
            assert await client.answer() == (status, {}, b"")


async def test_a_client_of_http_1_0_gets_a_length_or_the_end_of_the_connection():
    async with serving() as served:
        client = await served.connect()
        client.send(GET_10)
        assert (await client.answer())[1] == {
            b"x-target": b"/",
            b"content-length": b"0",
            b"connection": b"close",
        }
        assert await client.rest() == b""
    async with serving(streaming(b"ab", b"c")) as served:
        client = await served.connect()
        client.send(GET_10)
        assert await client.answer() == (200, {b"connection": b"close"}, b"abc")


async def test_a_client_of_http_1_0_may_keep_the_connection():
    async with serving() as served:
        client = await served.connect()
        for _ in range(2):
            client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            assert (await client.answer())[1][b"connection"] == b"keep-alive"


async def test_connection_close_is_honoured_and_what_follows_is_not_read():
    async with serving() as served:
        client = await served.connect()
        client.send(GET.replace(b"Host", b"Connection: close\r\nHost") + GET)
        assert (await client.answer())[1][b"connection"] == b"close"
        assert await client.rest() == b""
        assert len(served.calls) == 1


async def test_hop_by_hop_headers_of_the_handler_are_dropped():
    bad = [(b"connection", b"x"), (b"transfer-encoding", b"gzip"), (b"content-length", b"9"), (b"upgrade", b"x")]
    async with serving(streaming(b"abc", headers=[*bad, (b"x-good", b"1")])) as served:
        client = await served.connect()
        client.send(GET)
        headers = {b"x-good": b"1", b"transfer-encoding": b"chunked"}
        assert await client.answer() == (200, headers, b"abc")


@pytest.mark.parametrize("header", [(b"x", b"a\r\nb: c"), (b"x\r\ny", b"a"), (b"x", b"a\nb"), (b"x", b"a\rb")])
async def test_a_header_of_the_handler_cannot_become_two(header):
    async with serving(streaming(b"abc", headers=[header])) as served:
        client = await served.connect()
        client.send(GET)
        status, headers, body = await client.answer()
        assert (status, body) == (500, b"500 Internal Server Error\n")
        assert b"b" not in headers
        assert [type(error) for error in served.errors] == [ValueError]


# --- pipelining and continue ------------------------------------------------------------------------------------------


async def test_pipelined_calls_run_one_after_another():
    held = Held()
    async with serving(held) as served:
        client = await served.connect()
        client.send(b"".join(GET.replace(b"/ ", b"/%d " % n) for n in range(5)))
        await within(held.entered.wait())
        assert [target for _, target, _ in served.calls] == [b"/0"]
        held.go_on.set()
        answers = [await client.answer() for _ in range(5)]
        assert [headers[b"x-target"] for _, headers, _ in answers] == [b"/%d" % n for n in range(5)]


async def test_reading_pauses_while_too_many_calls_wait():
    held = Held()
    limits = ListenerLimits(pipelined_calls=4)
    async with serving(held, limits) as served:
        client = await served.connect()
        client.send(GET * 5_000)
        await within(held.entered.wait())
        connection = next(iter(served.listener._connections))
        assert connection._paused
        assert len(connection._queue) <= 4 + 4096 / len(GET)
        held.go_on.set()
        for _ in range(5_000):
            assert (await client.answer())[0] == 200
        assert not connection._paused


async def test_a_body_that_waits_for_continue_is_invited():
    async with serving() as served:
        client = await served.connect()
        head, body = POST.split(b"\r\n\r\n")
        client.send(head + b"\r\nExpect: 100-Continue\r\n\r\n")
        assert (await client.answer())[0] == 100
        assert served.calls == []
        client.send(body)
        assert (await client.answer())[2] == b"abc"


async def test_continue_waits_for_the_answers_before_it():
    held = Held()
    async with serving(held) as served:
        client = await served.connect()
        client.send(GET + POST.replace(b"Host", b"Expect: 100-continue\r\nHost")[:-3])
        await within(held.entered.wait())
        held.go_on.set()
        assert (await client.answer())[0] == 200
        assert (await client.answer())[0] == 100
        client.send(b"abc")
        assert (await client.answer())[2] == b"abc"


async def test_a_client_of_http_1_0_is_not_told_to_continue():
    async with serving() as served:
        client = await served.connect()
        client.send(POST.replace(b"1.1", b"1.0").replace(b"Host", b"Expect: 100-continue\r\nHost"))
        assert (await client.answer())[2] == b"abc"


# --- bodies and limits ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [4095, 4096, 4097, 65_536, 3_000_000])
async def test_a_body_arrives_whole_whatever_its_size(size):
    body = bytes(range(256)) * (size // 256 + 1)
    body = body[:size]
    async with serving() as served:
        client = await served.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (size, body) + GET)
        assert (await client.answer())[2] == body
        assert (await client.answer())[2] == b""
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        for at in range(0, size, 10_000):
            piece = body[at : at + 10_000]
            client.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        client.send(b"0\r\n\r\n" + GET)
        assert (await client.answer())[2] == body
        assert (await client.answer())[2] == b""


async def test_a_body_of_exactly_the_limit_passes_and_one_byte_more_does_not():
    async with serving(limits=ListenerLimits(body_bytes=1000)) as served:
        for size, status in ((1000, 200), (1001, 413)):
            for framing in (
                b"Content-Length: %d\r\n\r\n%b" % (size, b"x" * size),
                b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (size, b"x" * size),
            ):
                client = await served.connect()
                client.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + framing)
                assert (await client.answer())[0] == status
        assert len(served.calls) == 2


async def test_a_body_too_large_is_refused_before_it_is_sent():
    async with serving(limits=ListenerLimits(body_bytes=1000)) as served:
        client = await served.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n")
        assert (await client.answer())[0] == 413
        assert await client.rest() == b""


async def test_a_refusal_reaches_a_client_that_goes_on_sending():
    async with serving(limits=ListenerLimits(body_bytes=1000)) as served:
        client = await served.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n" + b"x" * 20_000_000)
        assert (await client.answer())[0] == 413


async def test_a_refusal_waits_for_the_answers_before_it():
    held = Held()
    async with serving(held) as served:
        client = await served.connect()
        client.send(GET + GET + b"bad\r\n\r\n")
        await within(held.entered.wait())
        held.go_on.set()
        assert [(await client.answer())[0] for _ in range(3)] == [200, 200, 400]
        assert await client.rest() == b""


async def test_connections_beyond_the_limit_are_told_so():
    async with serving(limits=ListenerLimits(connections=1)) as served:
        first = await served.connect()
        first.send(GET)
        assert (await first.answer())[0] == 200
        second = await served.connect()
        assert (await second.answer())[0] == 503
        assert await second.rest() == b""
        first.send(GET)
        assert (await first.answer())[0] == 200


async def test_connections_beyond_the_limit_hold_few_descriptors_and_do_not_count_against_it():
    limits = ListenerLimits(connections=2, turned_away=3, linger_seconds=30)
    async with serving(limits=limits) as served:
        first, second = await served.connect(), await served.connect()
        refused = [await served.connect() for _ in range(10)]
        for client in refused:
            client.send(GET[:10])  # and never reads: those are lingered for
        await until(lambda: len(served.listener._connections) == 5)
        await first.close()
        await until(lambda: len(served.listener._connections) == 4)
        third = await served.connect()
        for client in (second, third):
            client.send(GET)
            assert (await client.answer())[0] == 200
        assert len(served.listener._connections) == 5


async def test_an_interrupted_reply_is_told_like_one_whose_client_left_and_can_still_be_given():
    async def handler(call, reply):
        told = []
        reply.on_client_gone(lambda: told.append("before"))
        reply.interrupt()
        reply.interrupt()
        reply.on_client_gone(lambda: told.append("after"))
        assert (told, reply.stopped, reply.ended, reply.client_gone) == (["before", "after"], True, False, False)
        reply.send(503, [], b"stopped")

    async with serving(handler) as served:
        client = await served.connect()
        client.send(GET)
        assert (await client.answer())[::2] == (503, b"stopped")
        client.send(GET)
        assert (await client.answer())[0] == 503
        assert served.errors == []


# --- how calls end ----------------------------------------------------------------------------------------------------


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
            assert (await client.answer())[0::2] == (500, b"500 Internal Server Error\n")
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


# --- addresses --------------------------------------------------------------------------------------------------------


async def test_a_unix_socket_is_served_and_removed(tmp_path):
    path = str(tmp_path / "proxy.sock")
    listener = Listener(echo, ListenerLimits(), lambda error: None)
    await listener.start_unix(path)
    assert listener.addresses == [path]
    client = RawClient(*await asyncio.open_unix_connection(path))
    client.send(POST)
    assert (await client.answer())[2] == b"abc"
    await client.close()
    await listener.drain(0)
    assert list(tmp_path.iterdir()) == []


async def test_a_bound_socket_is_served():
    listener = Listener(echo, ListenerLimits(), lambda error: None)
    sock = socket.create_server(("127.0.0.1", 0))
    await listener.start_sock(sock)
    client = await RawClient.connect(listener.addresses[0])
    client.send(POST)
    assert (await client.answer())[2] == b"abc"
    await client.close()
    await listener.drain(0)


async def test_one_listener_serves_several_addresses():
    async with serving() as served:
        await served.listener.start("127.0.0.1", 0)
        assert len(served.listener.addresses) == 2
        for address in served.listener.addresses:
            client = await RawClient.connect(address)
            client.send(POST)
            assert (await client.answer())[2] == b"abc"
            await client.close()


async def test_tls_is_served_and_an_abort_is_still_seen():
    async def handler(call, reply):
        reply.start(200, [])
        reply.write(call.body)
        if call.target == b"/broken":
            reply.abort()
        else:
            reply.finish()

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(CERTIFICATES / "localhost.pem")
    trusting = ssl.create_default_context(cafile=CERTIFICATES / "authority.pem")
    async with serving(handler, tls=tls) as served:
        client = await served.connect(ssl=trusting, server_hostname="localhost")
        client.send(POST)
        assert (await client.answer())[2] == b"abc"
        client.send(POST.replace(b"/ ", b"/broken "))
        with pytest.raises(asyncio.IncompleteReadError):
            await client.answer()
        await client.close()
        client = await served.connect(ssl=trusting, server_hostname="localhost")
        client.send(b"bad\r\n\r\n")
        assert (await client.answer())[0] == 400
        assert await client.rest() == b""
        await client.close()


async def test_handshakes_that_are_never_finished_make_way_for_those_that_are():
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(CERTIFICATES / "localhost.pem")
    trusting = ssl.create_default_context(cafile=CERTIFICATES / "authority.pem")
    async with serving(limits=ListenerLimits(connections=2, turned_away=2), tls=tls) as served:
        silent = [await served.connect() for _ in range(30)]
        (acceptor,) = served.listener._servers
        await until(lambda: len(acceptor._handshakes) == 4)
        for client in silent[:-4]:
            assert await client.rest() == b""
        for _ in range(5):
            client = await served.connect(ssl=trusting, server_hostname="localhost")
            client.send(POST)
            assert (await client.answer())[2] == b"abc"
            await client.close()
        held = [await served.connect(ssl=trusting, server_hostname="localhost") for _ in range(2)]
        for client in held:
            client.send(POST)
            assert (await client.answer())[2] == b"abc"
        client = await served.connect(ssl=trusting, server_hostname="localhost")
        assert (await client.answer())[0] == 503
        assert served.errors == []


@pytest.mark.parametrize(
    "said", [b"", POST, b"\x16\x03\x01\x00\x05hello"], ids=["nothing", "HTTP", "half a TLS record"]
)
async def test_a_client_that_shakes_no_hands_is_let_go(said):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(CERTIFICATES / "localhost.pem")
    async with serving(limits=ListenerLimits(header_seconds=0.2), tls=tls) as served:
        clients = [await served.connect() for _ in range(3)]
        for client in clients:
            client.send(said)
        clients[0].reset()
        clients[1].half_close()
        with suppress(ConnectionResetError):
            await clients[2].rest()
        (acceptor,) = served.listener._servers
        await until(lambda: not acceptor._handshakes)
        assert (served.calls, served.errors) == ([], [])


async def test_a_reset_does_not_disturb_others():
    async with serving() as served:
        for _ in range(20):
            client = await served.connect()
            client.send(POST[:-1])
            sock = client.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.writer.transport.abort()
        client = await served.connect()
        client.send(POST)
        assert (await client.answer())[2] == b"abc"

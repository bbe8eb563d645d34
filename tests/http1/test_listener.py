"""What clients may rely on: how answers are framed, keep-alive, pipelining, continue, bodies and limits."""

import asyncio

import pytest

from proxy.http1.limits import ListenerLimits
from proxy.http1.request_head import refusal_body
from tests.http1.calls import GET, GET_10, POST, Held, streaming
from tests.http1.raw import echo, serving, until, within

pytestmark = pytest.mark.usefixtures("nothing_leaks")


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
        assert (status, body) == (500, refusal_body(500))
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

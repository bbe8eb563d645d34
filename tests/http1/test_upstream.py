"""What the conductor may rely on: requests as sent, answers as received, and a named error for everything else."""

import asyncio

import pytest

from proxy.http1.upstream import Origin
from tests.http1.raw import within
from tests.http1.scripted import LINE, OK, STREAM, Client, answering, failure, origin_of, upstream

pytestmark = pytest.mark.usefixtures("nothing_leaks")

SHORT = 0.1


# --- requests ---------------------------------------------------------------------------------------------------------


async def test_a_request_is_sent_with_host_and_length_and_without_hop_by_hop_headers():
    sent = [
        (b"host", b"evil"),
        (b"x-b", b"1"),
        (b"connection", b"close"),
        (b"transfer-encoding", b"chunked"),
        (b"content-length", b"99"),
        (b"expect", b"100-continue"),
        (b"te", b"trailers"),
        (b"proxy-authorization", b"x"),
        (b"x-b", b"2"),
    ]
    async with upstream(OK) as server, Client() as client:
        await client.ask(server, headers=sent)
        assert server.requests == [
            (
                b"POST /v1 HTTP/1.1\r\nhost: 127.0.0.1:%d\r\nx-b: 1\r\nx-b: 2\r\ncontent-length: 3\r\n\r\n"
                % server.port,
                b"xyz",
            )
        ]


async def test_a_request_without_a_body_has_a_length_only_where_one_is_expected():
    async with upstream(b"HTTP/1.1 204 No Content\r\n\r\n") as server, Client() as client:
        for method in ("GET", "POST", "DELETE"):
            await client.ask(server, method, b"")
        assert [b"content-length: 0" in head for head, _ in server.requests] == [False, True, True]


@pytest.mark.parametrize("target", [b"v1", b"http://x/", b"/a b", b"/a\r\nx: y", b""])
async def test_a_target_that_is_not_a_path_is_refused(target):
    async with Client() as client:
        with pytest.raises(ValueError, match="path"):
            await client.send(Origin.parse("http://127.0.0.1:1"), "GET", target, [], b"")


async def test_a_header_cannot_become_two():
    async with Client() as client:
        with pytest.raises(ValueError, match="line break"):
            await client.send(Origin.parse("http://127.0.0.1:1"), "GET", b"/", [(b"x", b"a\r\nb: c")], b"")


@pytest.mark.parametrize("size", [0, 65_535, 65_536, 5_000_000])
async def test_a_body_arrives_whole(size):
    body = bytes(range(250)) * (size // 250 + 1)
    complaints = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["message"]))
    async with upstream(OK) as server, Client() as client:
        assert (await client.ask(server, body=body[:size]))[2] == b"abc"
        assert server.requests[0][1] == body[:size]
    assert complaints == []


# --- answers ----------------------------------------------------------------------------------------------------------


async def test_an_answer_has_lower_case_names_in_order_with_duplicates():
    wire = b"HTTP/1.1 200 OK\r\nX-B: 1\r\nx-a:  2 \r\nX-b: 3\r\nContent-Length: 3\r\n\r\nabc"
    async with upstream(wire) as server, Client() as client:
        status, headers, body = await client.ask(server)
        assert (status, body) == (200, b"abc")
        assert headers == [(b"x-b", b"1"), (b"x-a", b"2"), (b"x-b", b"3"), (b"content-length", b"3")]


async def test_headers_that_connection_names_are_left_out():
    wire = b"HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nX-End: 2\r\nContent-Length: 0\r\n\r\n"
    async with upstream(wire) as server, Client() as client:
        headers = (await client.ask(server))[1]
        assert (b"x-hop", b"1") not in headers
        assert (b"x-end", b"2") in headers


GOOD = {
    "a fixed length": (OK, 200, b"abc"),
    "chunks": (STREAM + b"1\r\na\r\n2;x=y\r\nbc\r\n0\r\nTrailer: dropped\r\n\r\n", 200, b"abc"),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    "not modified with a length": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, b""),
    "no reason phrase": (b"HTTP/1.1 529\r\nContent-Length: 3\r\n\r\nabc", 529, b"abc"),
    "a redirect is not followed": (b"HTTP/1.1 307 X\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", 307, b""),
    "status 599": (b"HTTP/1.1 599 X\r\nContent-Length: 0\r\n\r\n", 599, b""),
    "continue first": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, 200, b"abc"),
    "fifty early hints": (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 50 + OK, 200, b"abc"),
    "a length in an interim answer": (b"HTTP/1.1 102 P\r\nContent-Length: 5\r\n\r\n" + OK, 200, b"abc"),
    "a header of 16 KB": (b"HTTP/1.1 200 OK\r\nX: %b\r\nContent-Length: 3\r\n\r\nabc" % (b"y" * 16_384), 200, b"abc"),
    "200 headers": (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"Content-Length: 3\r\n\r\nabc", 200, b"abc"),
    "an upgrade that is not taken": (OK.replace(b"Con", b"Upgrade: h2\r\nConnection: Upgrade\r\nCon"), 200, b"abc"),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
async def test_a_good_answer_is_read_and_its_connection_used_again(name):
    wire, status, body = GOOD[name]
    async with upstream(wire) as server, Client() as client:
        for _ in range(3):
            answered = await client.ask(server)
            assert (answered[0], answered[2]) == (status, body)
        assert server.connections == 1


@pytest.mark.parametrize("name", GOOD)
async def test_a_good_answer_is_the_same_however_it_is_cut(name):
    wire, status, body = GOOD[name]
    cuts = range(1, len(wire)) if len(wire) < 300 else [1, 9, len(wire) // 2, len(wire) - 9, len(wire) - 1]

    async def script(server, reader, writer):
        for cut in cuts:
            await server.request(reader)
            writer.write(wire[:cut])
            await writer.drain()
            await asyncio.sleep(0)
            writer.write(wire[cut:])
        await server.gone(reader)

    async with upstream(script) as server, Client() as client:
        for _ in cuts:
            answered = await client.ask(server)
            assert (answered[0], answered[2]) == (status, body)
        assert server.connections == 1


USED_ONCE = {
    "until the connection closes": (b"HTTP/1.1 200 OK\r\n\r\nabc", "close", "POST"),
    "HTTP/1.0 until the connection closes": (b"HTTP/1.0 200 OK\r\n\r\nabc", "close", "POST"),
    "HTTP/1.0 with a length": (b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", "wait", "POST"),
    "connection: close": (OK.replace(b"Con", b"Connection: close\r\nCon"), "wait", "POST"),
    "connection: close and garbage": (OK.replace(b"Con", b"Connection: close\r\nCon") + b"xx", "wait", "POST"),
    "garbage after the end": (OK + b"garbage", "wait", "POST"),
    "one byte after the end": (OK + b"H", "wait", "POST"),
    "a second answer": (OK + OK, "wait", "POST"),
    "a piece of a second answer": (OK + b"HTTP/1.1 200 OK\r\nContent-Le", "wait", "POST"),
    "garbage after the last chunk": (STREAM + b"3\r\nabc\r\n0\r\n\r\ngarbage", "wait", "POST"),
}


@pytest.mark.parametrize("name", USED_ONCE)
async def test_a_connection_in_doubt_is_not_used_again(name):
    wire, then, method = USED_ONCE[name]
    async with upstream(answering(wire, then=then)) as server, Client() as client:
        for _ in range(2):
            assert (await client.ask(server, method))[0::2] == (200, b"abc")
        assert server.connections == 2


@pytest.mark.parametrize("status", [204, 304])
async def test_a_body_where_none_is_allowed_does_not_reach_the_next_answer(status):
    wire = b"HTTP/1.1 %d X\r\nContent-Length: 3\r\n\r\nabc" % status
    async with upstream(answering(wire)) as server, Client() as client:
        for _ in range(2):
            assert (await client.ask(server))[0::2] == (status, b"")
        assert server.connections == 2


async def test_an_answer_to_head_has_no_body_whatever_it_says():
    async with upstream(answering(OK[:-3])) as server, Client() as client:
        status, headers, body = await client.ask(server, "HEAD", b"")
        assert (status, body) == (200, b"")
        assert (b"content-length", b"3") in headers


async def test_bytes_that_nobody_asked_for_close_an_idle_connection():
    go_on = asyncio.Event()

    async def script(server, reader, writer):
        await server.request(reader)
        writer.write(OK)
        await go_on.wait()
        writer.write(OK)
        await server.gone(reader)

    async with upstream(script) as server, Client() as client:
        await client.ask(server)
        go_on.set()
        await within(server.closed.wait())
        go_on.clear()
        assert (await client.ask(server))[0] == 200
        assert server.connections == 2


async def test_an_answer_may_come_before_the_request_is_read():
    async def script(server, reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nabc")
        await server.gone(reader)

    async with upstream(script) as server, Client() as client:
        assert (await client.ask(server, body=b"x" * 30_000_000))[0::2] == (413, b"abc")


# --- broken answers ---------------------------------------------------------------------------------------------------

BROKEN = {
    "garbage": (b"garbage\r\n\r\n", "bad_framing"),
    "a leading line break": (b"\r\n" + OK, "bad_framing"),
    "another protocol": (b"ICE/1.0 200 OK\r\n\r\n", "bad_framing"),
    "TLS": (b"\x15\x03\x01\x00\x02\x02\x28", "bad_framing"),
    "HTTP/2.0": (b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", "bad_framing"),
    "HTTP/1.2": (b"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n", "bad_framing"),
    "bare LF": (b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", "bad_framing"),
    "obs-fold": (LINE + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n", "bad_framing"),
    "NUL in a header": (LINE + b"X: a\x00\r\nContent-Length: 0\r\n\r\n", "bad_framing"),
    "space before a colon": (LINE + b"X : a\r\nContent-Length: 0\r\n\r\n", "bad_framing"),
    "two lengths": (LINE + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "bad_framing"),
    "a signed length": (LINE + b"Content-Length: +3\r\n\r\nabc", "bad_framing"),
    "a list of lengths": (LINE + b"Content-Length: 3, 3\r\n\r\nabc", "bad_framing"),
    "length and chunked": (LINE + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "bad_framing"),
    "chunked and length": (STREAM[:-2] + b"Content-Length: 3\r\n\r\n0\r\n\r\n", "bad_framing"),
    "chunked twice": (LINE + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "bad_framing"),
    "gzip, chunked": (LINE + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "bad_framing"),
    "gzip": (LINE + b"Transfer-Encoding: gzip\r\n\r\nabc", "bad_framing"),
    "identity": (LINE + b"Transfer-Encoding: identity\r\n\r\nabc", "bad_framing"),
    "chunked with a tab": (LINE + b"Transfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n", "bad_framing"),
    "chunked on 1.0": (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "bad_framing"),
    "status 000": (b"HTTP/1.1 000 X\r\nContent-Length: 0\r\n\r\n", "bad_status"),
    "status 099": (b"HTTP/1.1 099 X\r\nContent-Length: 0\r\n\r\n", "bad_status"),
    "status 101": (b"HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", "bad_status"),
    "status 600": (b"HTTP/1.1 600 X\r\nContent-Length: 0\r\n\r\n", "bad_status"),
    "status 999": (b"HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n", "bad_status"),
    "status of two digits": (b"HTTP/1.1 20 X\r\nContent-Length: 0\r\n\r\n", "bad_framing"),
    "early hints without end": (b"HTTP/1.1 103 X\r\n\r\n" * 100, "bad_framing"),
    "300 headers": (LINE + b"X: y\r\n" * 300 + b"\r\n", "header_limits"),
    "a header of 33 KB": (LINE + b"X: " + b"y" * 33_000 + b"\r\n\r\n", "header_limits"),
    "a header without end": (LINE + b"X: " + b"y" * 200_000, "header_limits"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_head_is_a_named_error_and_closes_the_connection(name):
    wire, reason = BROKEN[name]
    async with upstream(answering(wire)) as server, Client() as client:
        error = await failure(client.ask(server))
        assert (error.reason, error.request_sent, error.answer_begun) == (reason, True, False)
        await within(server.closed.wait())
        assert server.connections == 1


BROKEN_BODIES = {
    "a bad chunk size": (STREAM + b"3\r\nabc\r\nzz\r\n", "bad_framing"),
    "a chunk too long": (STREAM + b"3\r\nabcd\r\n0\r\n\r\n", "bad_framing"),
    "bare LF in chunks": (STREAM + b"3\nabc\n0\n\n", "bad_framing"),
    "an extension without end": (STREAM + b"3\r\nabc\r\n3;" + b"x" * 200_000, "bad_framing"),
    "a trailer without end": (STREAM + b"3\r\nabc\r\n0\r\nX: " + b"y" * 200_000, "bad_framing"),
    "a length among trailers": (STREAM + b"3\r\nabc\r\n0\r\nContent-Length: 3\r\n\r\n", "bad_framing"),
}


@pytest.mark.parametrize("name", BROKEN_BODIES)
async def test_a_broken_body_is_a_named_error_and_closes_the_connection(name):
    wire, reason = BROKEN_BODIES[name]
    async with upstream(answering(STREAM, wire[len(STREAM) :])) as server, Client() as client:
        error = await failure(client.ask(server))
        assert (error.reason, error.request_sent, error.answer_begun) == (reason, True, True)
        await within(server.closed.wait())


@pytest.mark.parametrize("then", ["close", "reset"])
@pytest.mark.parametrize("wire", [OK, STREAM + b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"], ids=["length", "chunks"])
async def test_an_answer_cut_at_any_byte_is_an_error_and_never_a_short_body(wire, then):
    head = wire.index(b"\r\n\r\n") + 4
    for cut in range(0, len(wire), 1 if then == "close" else 7):
        async with upstream(answering(wire[:cut], then=then)) as server, Client() as client:
            error = await failure(client.ask(server))
            assert error.reason == ("early_close" if then == "close" else "reset")
            assert error.answer_begun == (cut >= head)
            assert server.connections == 1, "only a pooled connection may be tried again"


async def test_an_answer_until_close_that_is_reset_is_an_error():
    async with upstream(answering(b"HTTP/1.1 200 OK\r\n\r\nabc", then="reset")) as server, Client() as client:
        error = await failure(client.ask(server))
        assert (error.reason, error.answer_begun) == ("reset", True)


async def test_a_body_larger_than_the_reader_wants_is_an_error():
    async with upstream(OK) as server, Client() as client:
        answer = await client.send(origin_of(server), "GET", b"/", [], b"")
        assert await answer.read(3) == b"abc"
        answer = await client.send(origin_of(server), "GET", b"/", [], b"")
        assert (await failure(answer.read(2))).reason == "answer_too_large"
    async with upstream(answering(STREAM, b"3\r\nabc\r\n")) as server, Client() as client:
        answer = await client.send(origin_of(server), "GET", b"/", [], b"")
        assert (await failure(answer.read(2))).reason == "answer_too_large"
        await within(server.closed.wait())

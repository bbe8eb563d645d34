"""The admin listener under people who mean no good: silent, slow, many, or not speaking HTTP at all."""

import asyncio
import io
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.edges.admin.admin_connection import AdminLimits
from tests.edges.admin.composition import TOKEN, Admin, serving
from tests.harness import PATIENCE_SECONDS

FEW = 6
PATIENT = AdminLimits(connections=FEW, head_seconds=600, keep_alive_seconds=600, no_progress_seconds=600)
HASTY = AdminLimits(connections=FEW, head_seconds=0.5, keep_alive_seconds=0.5, no_progress_seconds=0.5)
SECRET = "CANARY-7c1f-" + TOKEN
HEAD = b"GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n"
ASKING = HEAD + f"Authorization: Bearer {TOKEN}\r\n\r\n".encode()

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connected(admin: Admin, sent: bytes = b"") -> Streams:
    reader, writer = await asyncio.open_connection("127.0.0.1", admin.port)
    writer.write(sent)
    return reader, writer


async def until_closed(reader: asyncio.StreamReader) -> bytes:
    """All that comes before the connection ends, in whichever way."""
    got = bytearray()
    async with asyncio.timeout(PATIENCE_SECONDS):
        try:
            while piece := await reader.read(65536):
                got += piece
        except ConnectionError:
            pass
    return bytes(got)


async def answered(admin: Admin, sent: bytes) -> bytes:
    reader, writer = await connected(admin, sent)
    try:
        return await until_closed(reader)
    finally:
        writer.close()


async def one_answer(reader: asyncio.StreamReader) -> int:
    """The status of an answer with a length, which is read to its end."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))
    return int(head.split(b" ", 2)[1])


@asynccontextmanager
async def crowd(admin: Admin, number: int, sent: bytes) -> AsyncIterator[list[Streams]]:
    clients = [await connected(admin, sent) for _ in range(number)]
    try:
        yield clients
    finally:
        for _, writer in clients:
            writer.close()


@pytest.mark.parametrize("sent", [b"", b"G", HEAD, HEAD + b"X: ", b"\r\n\r\n"])
async def test_a_head_that_never_ends_is_not_waited_for(sent: bytes, tmp_path: Path) -> None:
    async with serving(tmp_path, limits=HASTY) as admin:
        await answered(admin, sent)
        assert (admin.errors, admin.told) == ([], [])


async def test_a_head_that_comes_byte_by_byte_gains_no_time(tmp_path: Path) -> None:
    async with serving(tmp_path, limits=HASTY) as admin:
        reader, writer = await connected(admin, HEAD)

        async def dribble() -> None:
            while True:
                writer.write(b"X: y\r\n")
                await asyncio.sleep(0.02)

        dribbling = asyncio.create_task(dribble())
        try:
            await until_closed(reader)
        finally:
            dribbling.cancel()
            writer.close()


async def test_a_connection_without_another_request_is_closed_and_a_second_head_has_its_deadline(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, limits=HASTY) as admin:
        for more in (b"", HEAD):
            reader, writer = await connected(admin, ASKING)
            assert await one_answer(reader) == 200
            writer.write(more)
            assert await until_closed(reader) == b""
            writer.close()


async def test_an_answer_that_nobody_reads_is_given_up(tmp_path: Path) -> None:
    async with serving(tmp_path, limits=HASTY) as admin:
        await admin.agent("a", "x" * 900_000)
        version = (
            f"GET /api/v1/agents/a/versions/1 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        )
        loop = asyncio.get_running_loop()
        with socket.create_connection(("127.0.0.1", admin.port)) as client:
            client.setblocking(False)
            await loop.sock_sendall(client, version.encode() * 24)
            async with asyncio.timeout(PATIENCE_SECONDS):
                with pytest.raises(ConnectionError):
                    while True:
                        # That it is gone is noticed by writing, since nothing is read.
                        await loop.sock_sendall(client, b"\r\n")
                        await asyncio.sleep(0.05)
        assert admin.errors == []


@pytest.mark.parametrize("sent", [b"", HEAD])
async def test_an_operator_gets_in_however_many_hold_connections(sent: bytes, tmp_path: Path) -> None:
    async with serving(tmp_path, limits=PATIENT) as admin, crowd(admin, 10 * FEW, sent) as clients:
        for _ in range(3):
            assert (await admin.get("/status")).status == 200
        # Those who came first made way; no more than the limit are left, the operator's own among them.
        gone = [reader for reader, _ in clients[: 9 * FEW]]
        assert await asyncio.gather(*(until_closed(reader) for reader in gone)) == [b""] * len(gone)


async def test_the_request_of_an_operator_does_not_make_way(tmp_path: Path) -> None:
    async with serving(tmp_path, limits=PATIENT) as admin:
        body = b'{"agent": "a"}'
        head = f"POST /api/v1/agents HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
        reader, writer = await connected(admin, head.encode() + b"Content-Length: 14\r\n\r\n" + body[:5])
        assert (await admin.get("/status")).status == 200
        async with crowd(admin, 10 * FEW, HEAD) as clients:
            await until_closed(clients[0][0])
            writer.write(body[5:])
            assert await one_answer(reader) == 201
        writer.close()


async def test_requests_without_a_token_make_way_for_one_with_it(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, limits=PATIENT) as admin,
        crowd(admin, 4 * FEW, b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ):
        assert (await admin.get("/status")).status == 200


NOT_HTTP = {
    "control character in a value": HEAD + b"Authorization: Bearer " + SECRET.encode() + b"\x01\r\n\r\n",
    "vertical tab in a value": HEAD + b"X-Api-Key: \x0b" + SECRET.encode() + b"\r\n\r\n",
    "NUL in a value": HEAD + b"Authorization: Bearer " + SECRET.encode() + b"\x00\r\n\r\n",
    "DEL in a value": HEAD + b"Cookie: " + SECRET.encode() + b"\x7f\r\n\r\n",
    "lone CR in a value": HEAD + b"Authorization: Bearer\r" + SECRET.encode() + b"\r\n\r\n",
    "space before the colon": HEAD + b"Authorization : Bearer " + SECRET.encode() + b"\r\n\r\n",
    "folded value": HEAD + b"Authorization: Bearer\r\n " + SECRET.encode() + b"\r\n\r\n",
    "no colon": HEAD + SECRET.encode() + b"\r\n\r\n",
    "bad name": HEAD + b"Auth(" + SECRET.encode() + b"): x\r\n\r\n",
    "bad length": HEAD + b"Content-Length: " + SECRET.encode() + b"\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\nX: " + SECRET.encode() + b"\r\n\r\n",
    "bad transfer coding": HEAD + b"Transfer-Encoding: " + SECRET.encode() + b"\r\n\r\n",
    "bad target": b"GET /api/v1/status?token=" + SECRET.encode() + b"\x01 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "bad version": b"GET / HTTP/" + SECRET.encode() + b"\r\n\r\n",
    "other protocol": b"GET / RTSP/1.0 " + SECRET.encode() + b"\r\n\r\n",
    "no method": SECRET.encode() + b" / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "two hosts": HEAD + b"Host: " + SECRET.encode() + b"\r\n\r\n",
    "long value": HEAD + b"Authorization: Bearer " + SECRET.encode() + b"x" * 9000 + b"\r\n\r\n",
    "long name": HEAD + SECRET.encode() * 200 + b": x\r\n\r\n",
    "many headers": HEAD + b"X: y\r\n" * 200 + SECRET.encode() + b": x\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + SECRET.encode() + b"\r\n\r\n",
}


@pytest.mark.parametrize("sent", NOT_HTTP.values(), ids=NOT_HTTP.keys())
async def test_what_is_no_http_is_refused_as_a_problem_and_repeated_nowhere(
    sent: bytes, admin: Admin, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    answer = await answered(admin, sent)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split(b" ", 2)[1] in (b"400", b"431")
    assert b"application/problem+json" in head
    for header in (b"Server: switchback", b"Cache-Control: no-store", b"X-Content-Type-Options: nosniff"):
        assert header in head
    assert json.loads(body)["code"] in ("bad_http", "head_too_large")
    assert [told["event"] for told in admin.told] == ["admin_request_refused"]
    said = answer + json.dumps(admin.told).encode() + "".join(capfd.readouterr()).encode() + caplog.text.encode()
    assert b"CANARY" not in said
    assert TOKEN.encode() not in said
    assert b"Traceback" not in said
    assert admin.errors == []
    assert (await admin.get("/status")).status == 200


FIELDS = st.binary(max_size=40)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(method=FIELDS, target=FIELDS, name=FIELDS, before=FIELDS, after=FIELDS, body=FIELDS)
async def test_no_bytes_around_a_token_bring_it_into_answer_or_log(
    admin: Admin, method: bytes, target: bytes, name: bytes, before: bytes, after: bytes, body: bytes
) -> None:
    secret = SECRET.encode()
    for head in (
        HEAD + b"Authorization: " + before + secret + after + b"\r\n\r\n" + body,
        HEAD + name + secret + b": " + before + b"\r\n\r\n" + body,
        b"GET /" + target + secret + after + b" HTTP/1.1\r\nHost: localhost\r\n\r\n" + body,
        method + secret + b" / HTTP/1.1\r\n\r\n" + body,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + before + secret + after,
    ):
        reader, writer = await connected(admin, head)
        writer.write_eof()
        answer = await until_closed(reader)
        writer.close()
        assert b"CANARY" not in answer
        assert "CANARY" not in json.dumps(admin.told)
        assert admin.errors == []


async def test_a_body_that_breaks_its_framing_is_a_bad_request(admin: Admin) -> None:
    head = f"POST /api/v1/agents HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
    reader, writer = await connected(admin, head.encode() + b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"age\r\n')
    writer.write(b"CANARY\r\n")
    answer = await until_closed(reader)
    writer.close()
    assert b" 400 " in answer.partition(b"\r\n")[0]
    assert b"CANARY" not in answer
    assert admin.errors == []
    assert await admin.audited() == []


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "GZIP", "gzip, identity", "CANARY"])
async def test_a_coded_body_is_refused_unread(coding: str, admin: Admin) -> None:
    reply = await admin.call("POST", "/agents", raw=b"CANARY", headers={"Content-Encoding": coding})
    assert (reply.status, reply.code) == (415, "unsupported_encoding")
    assert admin.errors == []


async def test_who_leaves_in_the_middle_of_a_body_is_no_error_of_ours(admin: Admin) -> None:
    head = f"POST /api/v1/agents HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
    for _ in range(3):
        _, writer = await connected(admin, head.encode() + b"Content-Length: 1000\r\n\r\n{")
        await writer.drain()
        assert (await admin.get("/status")).status == 200
        writer.transport.abort()
    assert (await admin.get("/status")).status == 200
    assert admin.errors == []
    assert await admin.audited() == []


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"{" + b",".join(b'"k%d":1' % number for number in range(200_000)) + b"}", 413),
        (b'{"agent": "a", "x": [' + b"{}," * 200_000 + b"{}]}", 413),
        (b'{"agent": "a", "x": ' + b"[" * 1_000_000 + b"}", 413),
        (b'{"agent": "' + b"\\n" * 3_000_000 + b'"}', 413),
        (b'{"agent": "' + b'\\"' * 400_000, 400),
        (b'{"agent": ' + b"1" * 4_000_000 + b"}", 400),
        (b'{"agent": "a", "description": "' + b"[{,]}1" * 500_000 + b'"}', 400),
        (b'{"agent": "a", ' + b",".join(b'"k%d":1' % number for number in range(5000)) + b"}", 400),
    ],
    ids=["members", "objects", "nesting", "escapes", "endless text", "number", "large text", "unknown members"],
)
async def test_a_body_of_very_many_parts_is_refused_before_it_is_built(raw: bytes, status: int, admin: Admin) -> None:
    reply = await admin.call("POST", "/agents", raw=io.BytesIO(raw))
    assert reply.status == status
    assert len(json.dumps(reply.content)) < 5000
    assert admin.errors == []

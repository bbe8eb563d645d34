"""What the listener cannot take: refused in the caller's own error shape, stamped, counted, and one run each."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.harness import Deployment, deployed, eventually
from tests.http1.raw import RawClient

LIMITS = {"body_bytes": 2048, "buffered_bytes": 4096}
OPENAI = b"/a/support/v1/chat/completions"
ANTHROPIC = b"/a/support/v1/messages"
TOO_LONG = b"Content-Length: 4000"


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    timeouts = {"request_head_seconds": 1.0, "request_body_idle_seconds": 1.0, "drain_seconds": 1}
    async with deployed(tmp_path, limits=LIMITS, timeouts=timeouts) as deployment:
        await deployment.operator.agent("support", "Be kind.", model="gpt-4o-mini")
        yield deployment


async def said(deployment: Deployment, sent: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
    host, port = deployment.server.traffic_url.removeprefix("http://").split(":")
    client = await RawClient.connect((host, int(port)))
    try:
        client.send(sent)
        return await client.answer()
    finally:
        await client.close()


def post(target: bytes, *lines: bytes, body: bytes = b"", version: bytes = b"HTTP/1.1") -> bytes:
    return b"\r\n".join((b"POST %b %b" % (target, version), b"Host: a", *lines, b"", body))


async def the_run(deployment: Deployment, run_id: bytes) -> dict[str, Any]:
    async def is_there() -> bool:
        return any(run["id"] == run_id.decode() for run in (await deployment.operator.get("/runs"))["items"])

    await eventually(is_there)
    return await deployment.operator.get(f"/runs/{run_id.decode()}")


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (post(OPENAI, b"X\x00: a"), 400, "bad_request"),
        (post(OPENAI, b"X: y")[:-3], 408, "request_timeout"),
        (post(OPENAI, b"Content-Length: 10", body=b"{"), 408, "request_timeout"),
        (post(OPENAI, TOO_LONG), 413, "body_too_large"),
        (post(OPENAI, b"Transfer-Encoding: chunked", body=b"fff\r\n"), 413, "body_too_large"),
        (post(OPENAI + b"?" + b"a" * 9000), 414, "target_too_long"),
        (post(OPENAI, b"X-Big: " + b"a" * 40_000), 431, "head_too_large"),
        (post(OPENAI, b"Transfer-Encoding: gzip, chunked"), 501, "not_implemented"),
        (post(OPENAI, version=b"HTTP/3.0"), 505, "http_version_not_supported"),
        (post(OPENAI, version=b"RTSP/1.0"), 505, "http_version_not_supported"),
    ],
)
async def test_what_cannot_be_read_is_a_refused_run_of_the_agent_its_path_names(
    deployment: Deployment, sent: bytes, status: int, code: str
) -> None:
    answered, headers, body = await said(deployment, sent)
    assert (answered, headers[b"content-type"], headers[b"connection"]) == (status, b"application/json", b"close")
    assert orjson.loads(body)["error"]["code"] == code
    assert headers[b"switchback-agent"] == b"support"
    run = await the_run(deployment, headers[b"switchback-run-id"])
    assert (run["agent"], run["result"], run["error_class"], run["status"]) == ("support", "refused", code, status)
    async with deployment.session.get(deployment.server.admin_url + "/metrics") as metrics:
        assert f'code="{code}"' in await metrics.text()


@pytest.mark.parametrize(
    "sent",
    [
        post(ANTHROPIC, TOO_LONG),
        post(ANTHROPIC + b"?" + b"a" * 9000),
        post(b"/nowhere", b"Anthropic-Version: 2023-06-01", TOO_LONG),
    ],
)
async def test_a_refusal_has_the_shape_of_the_path_or_of_the_version_header(
    deployment: Deployment, sent: bytes
) -> None:
    _, headers, body = await said(deployment, sent)
    error = orjson.loads(body)
    assert (error["type"], error["request_id"]) == ("error", headers[b"switchback-run-id"].decode())


async def test_bodies_beyond_the_total_are_told_to_come_again_in_the_callers_shape(deployment: Deployment) -> None:
    host, port = deployment.server.traffic_url.removeprefix("http://").split(":")
    clients = [await RawClient.connect((host, int(port))) for _ in range(3)]
    try:
        for client in clients:
            client.send(post(ANTHROPIC, b"Content-Length: 2000"))
            await asyncio.sleep(0)
            client.send(b"a" * 1900)
        answers = asyncio.as_completed([client.answer() for client in clients])
        status, headers, body = await next(answers)
        for other in answers:
            await other
    finally:
        for client in clients:
            await client.close()
    assert (status, headers[b"retry-after"]) == (503, b"1")
    assert orjson.loads(body)["error"]["type"] == "overloaded_error"


async def test_what_is_no_request_line_is_refused_without_a_run(deployment: Deployment) -> None:
    status, headers, _ = await said(deployment, b"\x16\x03\x01\x02\x00\x01\r\n\r\n")
    assert status == 400
    assert b"switchback-run-id" not in headers
    assert (await deployment.operator.get("/runs"))["items"] == []

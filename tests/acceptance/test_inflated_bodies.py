"""Compressed bodies count by what they inflate to, among all bodies of the process; what they took comes back at every end."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from tests.harness import PATIENCE_SECONDS, Deployment, deployed, eventually

ROOM_BYTES = 2_500_000
GZIP = {"content-type": "application/json", "content-encoding": "gzip"}
METERED, UNMETERED = "/a/support/v1/chat/completions", "/a/support/v1/embeddings"


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    async with deployed(tmp_path, limits={"buffered_bytes": ROOM_BYTES}, timeouts={"drain_seconds": 1}) as deployment:
        await deployment.operator.agent("support", "Be kind.", model="gpt-4o-mini")
        yield deployment
        await eventually(lambda: used_bytes(deployment) == 0)


def used_bytes(deployment: Deployment) -> int:
    plane = deployment.server._plane
    assert plane is not None
    return plane.listener.budget.used_bytes


def packed(size: int, **members: object) -> bytes:
    """A request that inflates to about so many bytes, from a tenth of them."""
    chance = Random(3)
    text = "".join([f"{chance.randrange(1 << 32):08x}{' and so on' * 5}, " for _ in range(size // 60)])
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}]} | members
    return gzip.compress(json.dumps(body).encode())


@pytest.mark.parametrize("path", [METERED, UNMETERED])
async def test_a_body_that_inflates_beyond_the_room_for_all_is_told_to_come_again(
    deployment: Deployment, path: str
) -> None:
    for _ in range(3):
        async with deployment.post(path, packed(2 * ROOM_BYTES), **GZIP) as answer:
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            assert (await answer.json())["error"]["code"] == "busy"
    async with deployment.post(METERED, packed(ROOM_BYTES // 2), **GZIP) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("path", [METERED, UNMETERED])
async def test_a_client_that_leaves_amid_inflation_leaves_nothing_behind(deployment: Deployment, path: str) -> None:
    body = packed(ROOM_BYTES * 9 // 10)
    host, port = deployment.server.traffic_url.removeprefix("http://").split(":")
    lines = "".join([f"{name}: {value}\r\n" for name, value in GZIP.items()])
    said = f"POST {path} HTTP/1.1\r\nhost: a\r\n{lines}content-length: {len(body)}\r\n\r\n".encode() + body
    for _ in range(3):
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(said)
        async with asyncio.timeout(PATIENCE_SECONDS):
            # The server has its turns in this loop, and pauses between two of its own.
            while not len(body) < used_bytes(deployment) < ROOM_BYTES * 8 // 10:  # noqa: ASYNC110 there is no event
                await asyncio.sleep(0)
        writer.transport.abort()
        await eventually(lambda: used_bytes(deployment) == 0)


async def test_a_body_that_is_the_providers_to_judge_takes_its_room_once(deployment: Deployment) -> None:
    # Its wire would refuse it, and who calls is looked for in it all the same: no agent is named.
    for _ in range(3):
        async with deployment.post("/v1/chat/completions", packed(ROOM_BYTES * 3 // 4, n=1.5), **GZIP) as answer:
            assert (answer.status, (await answer.json())["error"]["code"]) == (400, "invalid_type")  # the provider's
    async with deployment.post(METERED, packed(ROOM_BYTES * 3 // 4, n=1.5), **GZIP) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (400, "wrong_kind")

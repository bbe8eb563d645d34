"""Calls to several workers, each on a connection of its own, and what their owner says of them."""

import asyncio
import re
from collections import Counter
from contextlib import suppress
from typing import Any

import orjson

from tests.harness import CALLER_KEY, Deployment

CHAT = "/a/support/v1/chat/completions"
BODY = {"model": "x", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 100}


async def call(deployment: Deployment, path: str = CHAT, **headers: str) -> tuple[int, str]:
    """One call on a connection of its own: status, and the version that answered."""
    async with deployment.post(path, BODY, connection="close", **headers) as answer:
        await answer.read()
        return answer.status, answer.headers.get("switchback-version", "")


async def many(deployment: Deployment, count: int, path: str = CHAT, **headers: str) -> Counter[tuple[int, str]]:
    return Counter(await asyncio.gather(*(call(deployment, path, **headers) for _ in range(count))))


async def bare_call(url: str) -> int | None:
    """The status of one call on a connection of its own, None where it broke. Bare, because a connection that is reset while
    it is made is to leave nothing behind."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    body = orjson.dumps(BODY)
    head = f"POST {CHAT} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {CALLER_KEY}\r\nconnection: close\r\n"
    try:
        reader, writer = await asyncio.open_connection(host, int(port))
    except OSError:
        return None
    try:
        writer.write(f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        answer = await reader.read()
    except OSError:
        return None
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    return int(answer.split()[1]) if answer else None


async def workers(deployment: Deployment) -> list[dict[str, Any]]:
    return (await deployment.operator.get("/status"))["workers"]


async def are_in_flight(deployment: Deployment, count: int) -> bool:
    return sum(worker["runs_in_flight"] for worker in await workers(deployment)) == count


async def is_restarted(deployment: Deployment, name: str) -> bool:
    worker = next(worker for worker in await workers(deployment) if worker["name"] == name)
    return worker["serving"] and worker["restarts"] == 1


async def caps_by_unit(deployment: Deployment) -> dict[str, dict[str, Any]]:
    return {shown["unit"]: shown for shown in (await deployment.operator.get("/caps"))["items"]}


async def series(deployment: Deployment, name: str) -> float:
    """The sum of all series of a metric."""
    async with deployment.session.get(f"{deployment.server.admin_url}/metrics") as answer:
        found = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", await answer.text(), re.MULTILINE)
    return sum(float(value) for value in found)

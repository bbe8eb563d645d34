"""Calls at a steady rate, each on a connection of its own, and what became of them.

A call is due at its moment whether or not those before it were answered, so that a stall shows as waits.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from random import Random

from benchmarks.hostile.product import AGENT, ANTHROPIC_AGENTS, Product
from tests.hostile.conversation import HostileClient, split_answers

_CALL_SECONDS = 20


def request(agent: str = AGENT, text: str = "hi", *, streamed: bool = False, **members: object) -> bytes:
    """A whole call, after which the proxy closes."""
    content = {"model": "x", "max_tokens": 8, "messages": [{"role": "user", "content": text}], **members}
    body = json.dumps(content | ({"stream": True} if streamed else {})).encode()
    path, lines = (
        ("messages", ("Anthropic-Version: 2023-06-01",)) if agent in ANTHROPIC_AGENTS else ("chat/completions", ())
    )
    return framed(f"/a/{agent}/v1/{path}", body, *lines)


def framed(path: str, body: bytes, *lines: str) -> bytes:
    """A POST with a caller's key."""
    head = [f"POST {path} HTTP/1.1", "Host: a", "Authorization: Bearer sk-caller", "Connection: close", *lines]
    return "\r\n".join([*head, f"Content-Length: {len(body)}", "", ""]).encode() + body


async def status_of(address: tuple[str, int], said: bytes, *, seconds: float = _CALL_SECONDS) -> int:
    """The status of one call; 0 where it got no whole answer."""
    try:
        async with asyncio.timeout(seconds):
            client = await HostileClient.connect(address)
            try:
                await client.send(said)
                await client.read_to_end()
            finally:
                await client.close()
    except (OSError, TimeoutError):
        return 0
    answers, _ = split_answers(bytes(client.raw))
    return answers[0].status if answers and answers[0].is_complete else 0


class Traffic:
    """What was answered so far. `waits_seconds` has one for each call."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.waits_seconds: list[float] = []

    @property
    def served_percent(self) -> float:
        total = sum(self.statuses.values())
        return 100 * self.statuses[200] / total if total else 0.0

    def slowest_ms(self, share: float = 0.99) -> float:
        """The wait that this share of calls did not exceed."""
        waits = sorted(self.waits_seconds)
        return waits[min(len(waits) - 1, int(len(waits) * share))] * 1000 if waits else 0.0


@asynccontextmanager
async def flowing(product: Product, chance: Random, *, per_second: float, agent: str = AGENT) -> AsyncIterator[Traffic]:
    """Calls, a third of them streams, until the block ends and the last one is answered."""
    traffic, calls = Traffic(), set[asyncio.Task[None]]()

    async def call() -> None:
        began = time.monotonic()
        said = request(agent, "[[simulate: output_tokens=8]]", streamed=chance.random() < 0.3)
        traffic.statuses[await status_of(product.address, said)] += 1
        traffic.waits_seconds.append(time.monotonic() - began)

    async def flow() -> None:
        due = time.monotonic()
        while True:
            task = asyncio.create_task(call())
            calls.add(task)
            task.add_done_callback(calls.discard)
            due += 1 / per_second
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    flowing_on = asyncio.create_task(flow())
    try:
        yield traffic
    finally:
        flowing_on.cancel()
        with suppress(asyncio.CancelledError):
            await flowing_on
        await asyncio.gather(*calls)

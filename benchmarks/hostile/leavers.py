"""B7: clients that leave at any moment, by FIN or RST, with or without having read; then the books are compared.

The provider's own count, the runs that were recorded and what the cap was charged must be the same; no hold, socket or call is left.
"""

import asyncio
import os
import time
from contextlib import suppress
from typing import Any

from benchmarks.hostile.figures import Figure
from benchmarks.hostile.product import AGENT, Product, Trial, installed
from benchmarks.hostile.traffic import request
from tests.hostile.conversation import HostileClient

_AT_ONCE = 40
_MOST = 1_000
_REST_SECONDS = 20
_ABORT_BAR_SECONDS = 0.25


async def attack(trial: Trial) -> list[Figure]:
    """As many as time allows, at most a thousand."""
    async with installed(trial.folder, trial.workers) as product:
        before = _sockets(product)
        left = 0
        ends = time.monotonic() + trial.seconds
        while left < _MOST and time.monotonic() < ends:
            await asyncio.gather(*(_leave(trial, product) for _ in range(_AT_ONCE)))
            left += _AT_ONCE
        problems = await _books(product, before)
        slowest = max([await _abort_seconds(product) for _ in range(10)])
        if slowest > _ABORT_BAR_SECONDS:
            problems.append("a provider was kept waiting")
        received = await product.openai.received()
        charged = await product.counted(AGENT)
        await product.stop()
        runs = product.rows("SELECT count(*), count(DISTINCT id) FROM runs WHERE result <> 'refused'")[0]
        holds = product.rows("SELECT count(*) FROM holds WHERE settled_by IS NULL")[0][0]
    if runs[0] != runs[1] or runs[0] < received:
        problems.append(f"{runs[0]} runs of {received} calls")
    if holds:
        problems.append(f"{holds} holds are left")
    if charged < received:
        problems.append(f"{charged} of {received} charged")
    text = f"{trial.who}: {left} left, {received} reached the provider, {runs[0]} runs, {charged} charged, broken off ≤ {slowest * 1000:.0f} ms"
    return [Figure("B7", ", ".join([text, *problems]), not problems)]


async def _leave(trial: Trial, product: Product) -> None:
    chance = trial.chance
    orders = (
        f"[[simulate: delay_ms={chance.choice((0, 5, 50))}; events=20; event_delay_ms={chance.choice((0, 2, 10))}]]"
    )
    said = request(text=orders, streamed=chance.random() < 0.7)
    how = chance.choice(("inside the request", "after it", "while reading"))
    client = await HostileClient.connect(product.address)
    if how == "inside the request":
        said = said[: chance.randrange(1, len(said))]
    await client.send(said)
    if how == "after it":
        await asyncio.sleep(chance.uniform(0, 0.1))
    if how == "while reading":
        with suppress(TimeoutError):
            await asyncio.wait_for(client.read_at_least(chance.randrange(1, 3000)), 2)
    if chance.random() < 0.5:
        client.reset()
    await client.close()


async def _books(product: Product, before: int) -> list[str]:
    """What is left when all is quiet."""
    deadline = time.monotonic() + _REST_SECONDS
    problems: list[str] = []
    while time.monotonic() < deadline:
        totals = await product.openai.totals()
        cap = (await product.operator.get("/caps"))["items"][0]
        problems = []
        if totals["open_calls"]:
            problems.append(f"{totals['open_calls']} calls are open at the provider")
        if product.workers == 1 and float(cap["held"]):
            problems.append(f"{cap['held']} are held")
        if (sockets := _sockets(product)) > before + 10 * product.workers:  # connections kept to the provider
            problems.append(f"{sockets} sockets, {before} before")
        if not problems:
            break
        await asyncio.sleep(0.5)
    return problems


async def _abort_seconds(product: Product) -> float:
    """How long the provider has a call whose client has gone."""
    client = await HostileClient.connect(product.address)
    await client.send(request(text="[[simulate: stall_after_events=2]]", streamed=True))
    await client.read_at_least(300)
    client.reset()
    began = time.monotonic()
    await client.close()
    while True:
        took = time.monotonic() - began
        if took > 5 or not (await product.openai.totals())["open_calls"]:
            return took
        await asyncio.sleep(0.005)


def _sockets(product: Product) -> int:
    count = 0
    for pid in product.pids:
        folder = f"/proc/{pid}/fd"
        for descriptor in _listed(folder):
            with suppress(OSError):
                count += os.readlink(f"{folder}/{descriptor}").startswith("socket:")
    return count


def _listed(folder: str) -> list[Any]:
    with suppress(OSError):
        return os.listdir(folder)
    return []

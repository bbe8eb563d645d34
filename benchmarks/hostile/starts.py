"""B2 and B14: a start while the store is locked, with and without a last known good state; and a stop in the middle of streams."""

import asyncio
import signal
import sqlite3
import time
from contextlib import suppress

import aiohttp

from benchmarks.hostile.figures import Figure
from benchmarks.hostile.product import UNCAPPED, Product, Trial, installed
from benchmarks.hostile.traffic import request, status_of
from tests.harness import saved
from tests.hostile.conversation import HostileClient, split_answers

_READY_BAR_SECONDS = 2.0
_UNREADY_BAR_SECONDS = 0.1
_STREAMS = 50


async def attack(trial: Trial) -> list[Figure]:
    """Stop in the middle, start with the store away, start with nothing known."""
    async with installed(trial.folder, trial.workers) as product:
        stopped = await _stopped(trial, product)
        return [await _started(trial, product), stopped]


async def _started(trial: Trial, product: Product) -> Figure:
    await product.start()
    await saved(product.operator)
    await product.stop()
    locked = sqlite3.connect(product.database, isolation_level=None)
    locked.execute("BEGIN EXCLUSIVE")
    ready = await product.start()
    served = await status_of(product.address, request(UNCAPPED))
    await product.stop()
    (product.home / "last-known-good.json").unlink()
    await product.start(until_ready=False)
    await asyncio.sleep(_READY_BAR_SECONDS)  # long enough to become ready, if it did
    health = [await product.status_of(path) for path in ("/livez", "/readyz")]
    refused = await status_of(product.address, request(UNCAPPED))
    locked.rollback()
    locked.close()
    began = time.monotonic()
    with suppress(TimeoutError):
        await asyncio.wait_for(product.answers("/readyz", 200), 40)
    healed = time.monotonic() - began
    text = f"{trial.who}: ready in {ready:.2f} s and serves ({served}); with nothing known {health}, calls {refused}, ready {healed:.1f} s after the lock went"
    return Figure(
        "B2",
        text,
        ready <= _READY_BAR_SECONDS and served == 200 and health == [200, 503] and refused == 503 and healed <= 35,
    )


async def _stopped(trial: Trial, product: Product) -> Figure:
    clients = [await HostileClient.connect(product.address) for _ in range(_STREAMS)]
    for client in clients:
        orders = f"[[simulate: events={trial.chance.randrange(5, 20)}; event_delay_ms=100]]"
        await client.send(request(text=orders, streamed=True, max_tokens=64))
    for client in clients:
        await client.read_at_least(100)
    began = time.monotonic()
    assert product.process is not None
    # The connection is there already: what is measured is the answer, not a listener that closes.
    async with aiohttp.ClientSession() as session:
        product.process.send_signal(signal.SIGTERM)
        while True:
            try:
                async with session.get(product.admin + "/readyz") as answer:
                    if answer.status != 200:
                        break
            except aiohttp.ClientError:
                break
        unready = time.monotonic() - began
    await asyncio.gather(*(client.read_to_end() for client in clients))
    whole = 0
    for client in clients:
        answers, _ = split_answers(bytes(client.raw))
        whole += answers[0].is_complete and answers[0].body.endswith(b"data: [DONE]\n\n")
        await client.close()
    code = await product.process.wait()
    await product.is_gone()
    left = product.rows("SELECT count(*) FROM holds WHERE settled_by IS NULL")[0][0]
    text = f"{trial.who}: unready after {unready * 1000:.0f} ms, {whole} of {_STREAMS} streams whole, exit code {code}, {left} holds left"
    return Figure("B14", text, unready <= _UNREADY_BAR_SECONDS and whole == _STREAMS and code == 0 and left == 0)

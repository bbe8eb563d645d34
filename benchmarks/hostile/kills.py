"""B13: `kill -9` at random moments under calls, streams, caps and changes; all processes, the owner alone, or a worker.

After each kill the file is looked at as it lies there, then the next life has to know everything that was acknowledged in all lives before.
"""

import asyncio
import shutil
import sqlite3
import statistics
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field

import aiohttp

from benchmarks.hostile.figures import Figure
from benchmarks.hostile.product import AGENT, SMALL, Product, Trial, installed
from benchmarks.hostile.traffic import flowing
from tests.harness import Refused

_LOAD_SECONDS = 0.1, 1.5
_SMALL_LIMIT = 300
_START_BAR_SECONDS = 2.0


@dataclass
class _Books:
    """Over all lives."""

    agents: set[str] = field(default_factory=set[str])
    switches: set[str] = field(default_factory=set[str])
    starts_seconds: list[float] = field(default_factory=list[float])
    kills: int = 0
    failures: list[str] = field(default_factory=list[str])
    lost: set[str] = field(default_factory=set[str])

    def check(self, holds: bool, problem: str) -> None:
        if not holds and problem not in self.failures:
            self.failures.append(problem)


async def attack(trial: Trial) -> list[Figure]:
    """As many kills as time allows."""
    books = _Books()
    ends = time.monotonic() + trial.seconds
    async with installed(trial.folder, trial.workers) as product:
        small_cap = await product.cap(SMALL, _SMALL_LIMIT)
        while time.monotonic() < ends:
            await _one_life(trial, product, books)
            await _next_life(trial, product, books)
        proof = await product.operator.get("/audit/verify")
        books.check(bool(proof["ok"]), "the audit log proves nothing any more")
        charged, billed = await product.counted(AGENT), await product.openai.received()
        await product.operator.request("DELETE", f"/caps/{small_cap}")
        books.check(await product.stop() == 0, "it did not end well")
    starts = books.starts_seconds
    slow = sum(one > _START_BAR_SECONDS for one in starts)
    text = (
        f"{trial.who}: {books.kills} kills, {len(books.lost)} of {len(books.agents) + len(books.switches)} acknowledged changes lost, "
        f"{billed} calls billed, {charged} charged, start {statistics.median(starts):.2f} s ({slow} over 2 s)"
    )
    if books.failures:
        text += ": " + ", ".join(books.failures)
    return [
        Figure("B13", text, not books.failures and not books.lost and statistics.median(starts) <= _START_BAR_SECONDS)
    ]


async def _one_life(trial: Trial, product: Product, books: _Books) -> None:
    chance = trial.chance
    victims = product.pids
    kind = chance.choice(("all", "all", "owner", "worker"))
    if kind == "owner" or len(victims) == 1:
        assert product.process is not None
        victims = [product.process.pid]
    elif kind == "worker":
        victims = [chance.choice([pid for pid in victims if product.process is None or pid != product.process.pid])]
    async with (
        flowing(product, chance, per_second=40),
        flowing(product, chance, per_second=10, agent=SMALL),
    ):
        changing = asyncio.create_task(_change(product, books))
        await asyncio.sleep(chance.uniform(*_LOAD_SECONDS))
        await product.kill(victims)
        books.kills += 1
        if (
            kind == "worker"
            and len(victims) == 1
            and product.process is not None
            and product.process.returncode is None
        ):
            await asyncio.sleep(chance.uniform(0, 0.5))
            await product.kill()
        changing.cancel()
        with suppress(asyncio.CancelledError):
            await changing


async def _change(product: Product, books: _Books) -> None:
    """Changes one after the other; only those that were answered count."""
    operator = product.operator
    for number in range(100_000):
        name = f"agent-{books.kills}-{number}"
        try:
            await operator.post("/agents", agent=name, description="x" * 200)
            books.agents.add(name)
            switch = await operator.post("/switches", scope={"agent": name}, mode="block", why="hostile")
            books.switches.add(switch["id"])
        except (aiohttp.ClientError, OSError, Refused, TimeoutError):
            await asyncio.sleep(0.01)


async def _next_life(trial: Trial, product: Product, books: _Books) -> None:
    copy = trial.folder / "crashed"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for file in product.home.glob("switchback.db*"):
        if file.name.endswith((".db", "-wal")):
            shutil.copy2(file, copy / file.name)
    with closing(sqlite3.connect(copy / "switchback.db")) as plain:
        books.check(plain.execute("PRAGMA integrity_check").fetchall() == [("ok",)], "a broken file")
        stored = {name for (name,) in plain.execute("SELECT name FROM agents")}
    books.starts_seconds.append(await product.start())
    switches = {switch["id"] for switch in await product.listed("/switches")}
    books.lost |= (books.agents - stored) | (books.switches - switches)
    for agent, provider in ((AGENT, product.openai), (SMALL, product.anthropic)):
        charged, billed = await product.counted(agent), await provider.received()
        books.check(charged >= billed, f"a cap counted {charged} of {billed} calls of {agent}")
    books.check(await product.anthropic.received() <= _SMALL_LIMIT, "more calls than the cap allows")

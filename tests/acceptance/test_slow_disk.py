"""A disk on which every write takes long: what an operator's change is answered, and that the answer is true."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from benchmarks.hostile.disk import Disk, is_available
from benchmarks.hostile.product import UNCAPPED, Product, installed
from benchmarks.hostile.traffic import flowing
from tests.harness import Refused

pytestmark = pytest.mark.skipif(not is_available(), reason="gcc builds the slow disk")

REFUSED = {"503 store_slow", "503 store_unavailable"}


@asynccontextmanager
async def on_a_disk(folder: Path, workers: int) -> AsyncIterator[tuple[Product, Disk]]:
    disk = Disk(folder, folder / "home")
    async with installed(folder, workers, environment=disk.environment) as product:
        try:
            yield product, disk
        finally:
            disk.set()


async def changed(product: Product, name: str) -> str:
    """What a change is answered: `made`, or the code it is refused with."""
    try:
        await product.operator.post("/agents", agent=name, description="acknowledged")
    except Refused as refusal:
        return f"{refusal.status} {refusal.code}"
    return "made"


async def is_there(product: Product, name: str) -> bool:
    return name in {agent["agent"] for agent in await product.listed("/agents")}


async def well_again(product: Product, disk: Disk) -> None:
    disk.set()
    async with asyncio.timeout(60):
        while True:
            if await changed(product, "well-again") not in REFUSED:
                return
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("workers", [1, 3])
async def test_a_change_that_would_take_too_long_is_refused_before_it_begins_and_never_applies(
    tmp_path: Path, workers: int
) -> None:
    async with on_a_disk(tmp_path, workers) as (product, disk):
        disk.set(delay_ms=1500)
        answers: dict[str, str] = {}
        async with flowing(product, Random(1), per_second=20, agent=UNCAPPED) as traffic:
            for number in range(4):
                answers[f"slow-{number}"] = await changed(product, f"slow-{number}")
        assert set(answers.values()) <= REFUSED
        assert traffic.statuses.keys() == {200}
        await well_again(product, disk)
        for name in answers:
            assert not await is_there(product, name)


async def test_a_change_on_a_disk_that_is_only_somewhat_slow_is_made(tmp_path: Path) -> None:
    async with on_a_disk(tmp_path, 1) as (product, disk):
        disk.set(delay_ms=200)
        # What was waiting from before may have the first turns.
        async with asyncio.timeout(60):
            for number in range(20):
                if await changed(product, f"slow-{number}") == "made":
                    break
        assert await is_there(product, f"slow-{number}")
        disk.set()
        await product.kill()
        await product.start()
        assert await is_there(product, f"slow-{number}")

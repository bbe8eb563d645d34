"""A database that lost the end of what was written to it while the server ran: caps come out no lower for that after a restart."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from proxy.simulator.app import Simulator
from tests.acceptance.caps import cap
from tests.harness import Deployment, deployed, eventually

BODY = {"model": "x", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 100}


async def calls(deployment: Deployment, count: int) -> None:
    for number in range(count):
        async with deployment.post("/a/support/v1/chat/completions", {**BODY, "user": f"u{number % 3}"}) as answer:
            await answer.read()
            assert answer.status == 200


async def spent(deployment: Deployment) -> dict[str, float]:
    """What each cap counts: spent, or held by somebody who has not ended yet."""
    items = (await deployment.operator.get("/caps"))["items"]
    return {item["unit"]: item["spent"] + item["held"] for item in items}


async def is_written(deployment: Deployment, count: int) -> bool:
    database = deployment.server._control.store._database.path
    with closing(sqlite3.connect(database)) as plain:
        sums = "SELECT SUM(spent) FROM {} JOIN caps ON caps.id = cap WHERE caps.unit = 'calls' AND {}"
        rows = plain.execute(sums.format("hold_rows", "settled_at_microseconds IS NOT NULL")).fetchone()[0] or 0
        return rows + (plain.execute(sums.format("settled_batches", "TRUE")).fetchone()[0] or 0) >= count


def copied(database: Path) -> Path:
    copy = database.with_name("copy")
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    return copy


def replaced(database: Path, copy: Path) -> None:
    """As whoever restores without stopping does."""
    database.rename(database.with_name("before"))
    copy.rename(database)


def log_cut(database: Path, copy: Path) -> None:
    os.truncate(database.with_name(f"{database.name}-wal"), 0)


async def is_taken_up(deployment: Deployment, openings: int) -> bool:
    store = deployment.server._control.store
    up = (await deployment.operator.get("/status"))["store"]["up"]
    return up and store.openings > openings


@pytest.mark.parametrize("befalls", [replaced, log_cut])
@pytest.mark.parametrize("limit", [60, 100_000])
async def test_what_a_copy_or_a_cut_log_lacks_is_written_again_while_it_is_known(
    home: Path, simulator: Simulator, befalls: Callable[[Path, Path], Any], limit: int
) -> None:
    """`limit`: one without a lease, whose holds are rows, and one with."""
    async with deployed(home, simulator=simulator) as deployment:
        await deployment.operator.agent("support", "one")
        await cap(deployment.operator, "calls", limit)
        await cap(deployment.operator, "usd", 1000)
        await calls(deployment, 5)
        await eventually(lambda: is_written(deployment, 5))
        database = deployment.server._control.store._database.path
        copy = copied(database)
        await calls(deployment, 20)
        await eventually(lambda: is_written(deployment, 25))
        before, openings = await spent(deployment), deployment.server._control.store.openings
        befalls(database, copy)
        await eventually(lambda: is_taken_up(deployment, openings))
        await eventually(lambda: is_written(deployment, 25))
        assert await spent(deployment) == before
        await calls(deployment, 3)
    async with deployed(home, simulator=simulator) as deployment:
        after = await spent(deployment)
        # Exactly, and not only enough: nobody pays twice for a fault that was noticed.
        assert after["calls"] == 28
        assert after["usd"] == pytest.approx(simulator.billed_nanodollars / 1e9)


async def test_a_copy_made_while_the_server_ran_does_not_take_the_place_of_what_it_left(
    home: Path, simulator: Simulator
) -> None:
    async with deployed(home, simulator=simulator) as deployment:
        await deployment.operator.agent("support", "one")
        await cap(deployment.operator, "calls", 100_000)
        database = deployment.server._control.store._database.path
        copy = copied(database)
        await calls(deployment, 4)
    replaced(database, copy)
    async with deployed(home, simulator=simulator) as deployment:
        status = await deployment.operator.get("/status")
        assert (status["store"]["up"], "older" in status["store"]["problem"]) == (False, True)
    database.with_name("before").replace(database)
    async with deployed(home, simulator=simulator) as deployment:
        assert (await spent(deployment))["calls"] == 4

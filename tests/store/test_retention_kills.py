"""`kill -9` between and in the steps of retention: every counter and every day comes to the same as before."""

import asyncio
import signal
import sys
from pathlib import Path

from proxy.core.spending.caps import CounterKey
from proxy.core.spending.ledger import LedgerWrites
from proxy.store.sqlite import SqliteStore
from tests.store.given import audited, batch, cap, run
from tests.store.test_pruning import SUMS, recorded_runs

PROJECT = Path(__file__).parents[2]


async def killed_after(database: Path, steps: int) -> None:
    """Killed at any time in the step that follows so many, however late the kill comes."""
    program = (sys.executable, "-m", "tests.store.retention_steps", str(database))
    working = await asyncio.create_subprocess_exec(
        *program, cwd=PROJECT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert working.stdout is not None
    assert working.stdin is not None
    try:
        working.stdin.write(b"." * (steps + 1))
        for _ in range(steps):
            assert await working.stdout.readline()
    finally:
        working.kill()
    await working.stdout.read()
    assert await working.wait() == -signal.SIGKILL


async def test_sums_are_the_same_after_kills_on_the_way(database, rows):
    store = SqliteStore(database)
    await store.open()
    limit = cap("c1")
    async with audited(store) as change:
        await change.insert_cap(limit)
    keys = [CounterKey("c1", 0, user) for user in ("u1", "u2")]
    for number in range(0, 30_000, 10):
        batches = [batch(key, *((f"a{number + one:06}", one) for one in range(10))) for key in keys]
        await store.write_ledger(LedgerWrites(batches=batches))
    await store.record_runs([*recorded_runs(seed=1, count=5_000), run("last")], [])
    spent, sums = dict(await store.spent(limit, 0)), rows(SUMS)
    await store.close()
    for steps in (1, 3, 6):
        await killed_after(database, steps)
        await store.open()
        assert await store.spent(limit, 0) == spent
        assert rows(SUMS) == sums
        await store.close()
    assert 0 < rows("SELECT SUM(holds) FROM carried_sums")[0][0] < 60_000
    assert rows("PRAGMA integrity_check") == [("ok",)]

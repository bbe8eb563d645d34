"""Writes changes, holds, runs and their sums for ever and says so on standard output, until it is killed. Run by test_crash.py."""

import asyncio
import os
import sys
from pathlib import Path

from proxy.core.snapshot import Agent
from proxy.core.spending.caps import CounterKey
from proxy.core.spending.ledger import Hold, LedgerWrites
from proxy.store.sqlite import SqliteStore
from proxy.store.sqlite.runs import run_sums
from tests.store.given import NOON, draft, run


def acknowledge(kind: str, name: str) -> None:
    os.write(1, f"{kind} {name}\n".encode())


async def make_changes(store: SqliteStore) -> None:
    number = 0
    while True:
        number += 1
        name = f"agent-{os.getpid()}-{number}"
        async with store.change() as change:
            await change.insert_agent(Agent(name=name, description="x" * 300))
            await change.append_audit(draft(subject=name))
        acknowledge("change", name)


async def place_holds(store: SqliteStore) -> None:
    number = 0
    while True:
        number += 1
        name = f"attempt-{os.getpid()}-{number}"
        await store.write_ledger(LedgerWrites([Hold(name, CounterKey("c1", 0), "calls", 1, NOON)]))
        acknowledge("hold", name)


async def record_runs(store: SqliteStore) -> None:
    number = 0
    while True:
        number += 1
        names = [f"run-{os.getpid()}-{number}-{part}" for part in range(5)]
        await store.record_runs([run(name) for name in names], [])
        await store.sum_up_runs()
        acknowledge("runs", names[0])


async def main(database: Path) -> None:
    # A step of sums for every batch.
    run_sums._RUNS_AWAITED = 5
    store = SqliteStore(database)
    await store.open()
    await asyncio.gather(make_changes(store), place_holds(store), record_runs(store))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))

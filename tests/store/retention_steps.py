"""Prunes and carries step by step and says so on standard output, until it is killed. Run by test_retention_kills.py."""

import asyncio
import os
import sys
from pathlib import Path

from proxy.store.sqlite import SqliteStore
from tests.store.given import NOON

_LATER = NOON + 10_000 * 86_400_000_000


async def main(database: Path) -> None:
    store = SqliteStore(database)
    await store.open()
    after = None
    while True:
        carried = await store.carry_sums(_LATER, after)
        after = carried.after
        pruned = await store.prune_runs(_LATER)
        os.write(1, f"{carried.holds} {pruned}\n".encode())


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))

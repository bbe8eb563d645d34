"""Prunes and carries, one step for each byte on standard input, and says so on standard output. Run by test_retention_kills.py."""

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
    while os.read(0, 1):
        carried = await store.carry_sums(_LATER, after)
        after = carried.after
        pruned = await store.prune_runs(_LATER)
        os.write(1, f"{carried.holds} {pruned}\n".encode())


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))

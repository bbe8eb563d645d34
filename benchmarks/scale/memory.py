"""What the resident memory of a server with many agents is made of, step by step; run as a process of its own.

    python benchmarks/scale/memory.py HOME          prints JSON: MiB after each step

Each figure is memory this process allocated itself (without pages of files), so the difference between two is what the step
between them takes.
"""

import asyncio
import importlib
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


def _own_mib() -> float:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon")) / 1024


async def _steps(home: Path) -> dict[str, float]:
    taken = {"interpreter": _own_mib()}

    def took(step: str) -> None:
        taken[step] = _own_mib() - sum(taken.values())

    # Here, one after the other, so that each can be told apart.
    importlib.import_module("proxy.server")
    took("modules")
    file = importlib.import_module("proxy.store.files.snapshot_file").SnapshotFile(home / "last-known-good.json")
    store = importlib.import_module("proxy.store.sqlite").SqliteStore(home / "switchback.db")
    await store.open()
    took("open store")
    snapshot = await store.load_snapshot()
    took("snapshot")
    known = file.read()
    took("last known good, as read")
    file.write(known)
    took("last known good, as written")
    await store.close()
    return {step: round(mib, 1) for step, mib in taken.items()} | {"agents": len(snapshot.agents)}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_steps(Path(sys.argv[1])))))

"""Does release management stay flat? Cost of creating, listing, diffing, resolving and starting against the number of versions.

    python benchmarks/release_scale.py --quick           100 agents x 100 versions: under a minute, publishes nothing
    python benchmarks/release_scale.py                   1,000 x 1,000: a million versions and audit entries; 8 minutes, 4 GB of disk

One home grows; at each size the same operations are measured, in process and through the admin API of a real `switchback
serve`, and starts of that server are timed. At the end the whole record is proved. The full run writes release_scale.json and
the table in README.md. Parts: scale/building.py, scale/operations.py, scale/serving.py, scale/memory.py.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import machine
from benchmarks.scale import building, operations, report, serving
from proxy.store.sqlite import SqliteStore

_FOLDER = Path(__file__).resolve().parent
RESULTS = _FOLDER / "release_scale.json"
README = _FOLDER / "README.md"
#: The smallest still fills a page of every list.
FULL = ((60, 60), (200, 200), (1000, 200), (1000, 1000))
QUICK = ((60, 60), (100, 100))


async def _made(home: Path) -> Path:
    """An empty database."""
    database = home / "switchback.db"
    store = SqliteStore(database)
    await store.open()
    await store.close()
    return database


def _memory(home: Path) -> dict[str, float]:
    command = [sys.executable, str(_FOLDER / "scale" / "memory.py"), str(home)]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


def _measured(home: Path, sizes: tuple[tuple[int, int], ...], rounds: int) -> list[dict[str, Any]]:
    """One result per size."""
    database = asyncio.run(_made(home))
    results: list[dict[str, Any]] = []
    for agents, versions in sizes:
        began = time.perf_counter()
        building.grow(database, agents, versions)
        built_seconds = time.perf_counter() - began
        for left in ("last-known-good.json", "journal"):
            (home / left).unlink(missing_ok=True)
        result: dict[str, Any] = {
            "agents": agents,
            "versions_each": versions,
            "built_seconds": round(built_seconds, 1),
            "file_bytes": database.stat().st_size,
            "operations": asyncio.run(operations.measure(database, agents, rounds)),
            "server": serving.starts(home, agents, rounds),
            "memory_mib": _memory(home),
            "proof": asyncio.run(operations.prove(database)),
        }
        results.append(result)
        print(
            f"{agents:,} x {versions:,}: {time.perf_counter() - began:.0f} s, {built_seconds:.0f} of them building",
            flush=True,
        )
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes, one result printed and none published")
    parser.add_argument("--rounds", type=int, default=200, help="of each operation at each size")
    parser.add_argument("--folder", type=Path, help="where the home is made; a temporary folder by default")
    parser.add_argument("--date", default="", help="printed in the report")
    given = parser.parse_args()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=given.folder) as home:
        results = _measured(Path(home), QUICK if given.quick else FULL, given.rounds)
    measured = {
        "date": given.date,
        "machine": machine.description(),
        "rounds": given.rounds,
        "seconds": round(time.perf_counter() - began),
        "results": results,
    }
    print(report.section(measured))
    if not given.quick:
        RESULTS.write_text(json.dumps(measured, indent=2) + "\n")
        report.publish(measured, README)


if __name__ == "__main__":
    main()

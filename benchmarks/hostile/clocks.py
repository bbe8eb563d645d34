"""B22: the wall clock of a running process one day back and forth, by Debian's libfaketime.

A cap's window is not opened again, a switch that expired stays so, and no duration is negative. What counts is the ledger's sum of
each window, not how many calls were answered between two jumps: midnight may pass there, and the new window has a limit of its own.
"""

import asyncio
import glob
import os
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.hostile.figures import Figure
from benchmarks.hostile.product import AGENT, SMALL, Product, Trial, installed
from benchmarks.hostile.traffic import request, status_of

_LIBRARY = "/usr/lib/*/faketime/libfaketimeMT.so.1"
_LIMIT = 5
_SETTLE_SECONDS = 1.5


async def attack(trial: Trial) -> list[Figure]:
    """Back, forward, back; calls at each stop."""
    libraries = glob.glob(_LIBRARY)
    if not libraries:
        return [Figure("B22", "no libfaketime", None)]
    trial.folder.mkdir(parents=True, exist_ok=True)
    clock = trial.folder / "clock"
    environment = {
        "LD_PRELOAD": libraries[0],
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    _set(clock, 0)
    problems: list[str] = []
    began = datetime.now(UTC).date()
    async with installed(trial.folder, trial.workers, environment=environment) as product:
        cap = await product.operator.post(
            "/caps", scope={"agent": SMALL}, window="day", unit="calls", limit=_LIMIT, at_limit="block", why="hostile"
        )
        visited, total = {0}, await _asked(product)
        for days in _stops(trial):
            _set(clock, days)
            await asyncio.sleep(_SETTLE_SECONDS)  # the process looks at its clock once a second
            visited.add(days)
            total += await _asked(product)
        await product.stop()
        windows = product.rows(
            "SELECT window_start_microseconds, SUM(spent) FROM holds WHERE cap = ? GROUP BY window_start_microseconds",
            cap["id"],
        )
        negative = product.rows(
            "SELECT count(*) FROM runs WHERE duration_microseconds < 0 OR provider_duration_microseconds < 0"
        )[0][0]
    if negative:
        problems.append(f"{negative} negative durations")
    for start, spent in windows:
        if spent > _LIMIT:
            problems.append(
                f"{spent} calls in the window of {datetime.fromtimestamp(start // 1_000_000, UTC):%Y-%m-%d}"
            )
    # A day back is still the newest window. One more is there where midnight has passed.
    most = len([days for days in visited if days >= 0]) + (datetime.now(UTC).date() != began)
    if len(windows) > most or total != sum(spent for _, spent in windows):
        problems.append(f"{total} calls in {len(windows)} windows of {_LIMIT}, where {most} can be open")
    return [
        Figure("B22", ", ".join([f"{trial.who}: {len(visited)} days visited, {total} calls", *problems]), not problems)
    ]


def _set(clock: Path, days: int) -> None:
    """Whole at any moment: a process that reads half a file would be back in the present for one look."""
    beside = clock.with_suffix(".new")
    beside.write_text(f"{days:+d}d")
    os.replace(beside, clock)


def _stops(trial: Trial) -> list[int]:
    return trial.chance.choice(([-1, 0, 1, 0, -1, 1], [1, -1, 0, 1, -1], [-1, 1, 0, 2, 1]))


async def _asked(product: Product) -> int:
    """Twice as many calls as a window pays for; how many were served."""
    assert await status_of(product.address, request(AGENT)) == 200
    return [await status_of(product.address, request(SMALL)) for _ in range(2 * _LIMIT)].count(200)

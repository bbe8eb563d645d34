"""B22: the wall clock of a running process one day back and forth, by Debian's libfaketime.

A cap's window is not opened again, a switch that expired stays so, and no duration is negative.
"""

import asyncio
import glob

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
    clock.write_text("+0")
    problems: list[str] = []
    async with installed(trial.folder, trial.workers, environment=environment) as product:
        await product.operator.post(
            "/caps", scope={"agent": SMALL}, window="day", unit="calls", limit=_LIMIT, at_limit="block", why="hostile"
        )
        served = {0: await _asked(product)}
        for days in _stops(trial):
            clock.write_text(f"{days:+d}d")
            await asyncio.sleep(_SETTLE_SECONDS)  # the process looks at its clock once a second
            now = await _asked(product)
            if now and days <= max(served):
                problems.append(f"{now} calls in a window that was spent, at {days:+d} d")
            served[days] = served.get(days, 0) + now
        await product.stop()
        negative = product.rows(
            "SELECT count(*) FROM runs WHERE duration_microseconds < 0 OR provider_duration_microseconds < 0"
        )[0][0]
    if negative:
        problems.append(f"{negative} negative durations")
    total = sum(served.values())
    windows = len([days for days in served if days >= 0])
    if total > _LIMIT * windows:
        problems.append(f"{total} calls in {windows} windows of {_LIMIT}")
    return [
        Figure("B22", ", ".join([f"{trial.who}: {len(served)} days visited, {total} calls", *problems]), not problems)
    ]


def _stops(trial: Trial) -> list[int]:
    return trial.chance.choice(([-1, 0, 1, 0, -1, 1], [1, -1, 0, 1, -1], [-1, 1, 0, 2, 1]))


async def _asked(product: Product) -> int:
    """Twice as many calls as a window pays for; how many were served."""
    assert await status_of(product.address, request(AGENT)) == 200
    return [await status_of(product.address, request(SMALL)) for _ in range(2 * _LIMIT)].count(200)

"""python -m benchmarks.report_scale [--runs N] [--days N] [--folder F]: does every report answer within a second, however many runs there are?

    python -m benchmarks.report_scale --runs 100000    half a minute
    python -m benchmarks.report_scale                  three million runs: seven minutes, 2 GB of disk

Runs of four agents over so many days are recorded by the store and added up by its own steps, then each report is asked for over an hour, a day,
thirty days and everything, the first of them after the database was opened anew. Prints milliseconds of each, and what recording and
adding up take per run. Exit status 1 where a report takes a second or more.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final

import orjson

from proxy.core.calls.runs import Run
from proxy.core.reports.sums import DAY_MICROSECONDS, HOUR_MICROSECONDS
from proxy.runtime.reports.run_reports import RunReports
from proxy.store.sqlite import SqliteStore

_END: Final = 1_795_910_400_000_000 + 20 * 60_000_000
_BATCH: Final = 2_000
_USERS: Final = 20_000
#: By how much of the traffic each agent has.
_AGENTS: Final = {"support": 80, "billing": 10, "search": 6, "tiny": 4}
#: So often the next version is rolled out, over a part of the time until the one after it.
_RELEASES: Final = 12
_ROLLOUT_SHARE: Final = 0.4
_PERCENTAGES: Final = (5, 10, 25, 50)
_LIMIT_MS: Final = 1_000.0
_WINDOWS: Final = {
    "an hour": HOUR_MICROSECONDS,
    "a day": DAY_MICROSECONDS,
    "30 days": 30 * DAY_MICROSECONDS,
    "all": None,
}


class _Clock:
    def now_microseconds(self) -> int:
        return _END

    def monotonic_microseconds(self) -> int:
        return _END


def _runs(count: int, days: int) -> Iterator[Run]:
    rng = random.Random(7)
    agents = rng.choices(list(_AGENTS), list(_AGENTS.values()), k=count)
    for number, agent in enumerate(agents):
        at = _END - days * DAY_MICROSECONDS * (count - number) // count
        yield _run(rng, number, agent, at, number / count * _RELEASES)


def _run(rng: random.Random, number: int, agent: str, at: int, releases: float) -> Run:
    release, since = divmod(releases, 1)
    version, user = int(release) + 1, int(_USERS * rng.random() ** 3)
    label: str | None = "beta" if user % 10 == 0 else "prod"
    arm: dict[str, Any] = {}
    if user % 20 in (1, 2):
        # Some ask for a version all the time, so that two of them have runs in every hour.
        label, version = None, user % 20
    if label == "prod" and since < _ROLLOUT_SHARE and version > 1:
        step = int(since / _ROLLOUT_SHARE * len(_PERCENTAGES))
        is_candidate = user * 7919 % 100 < _PERCENTAGES[step]
        name = "candidate" if is_candidate else "stable"
        arm = {"arm": name, "rollout": f"r{version}", "step": step, "in_analysis": True, "reason": "rollout"}
        version -= 0 if is_candidate else 1
    is_bad = rng.random() < 0.02
    return Run(
        id=f"run_{number:012}",
        agent=agent,
        started_at_microseconds=at,
        duration_microseconds=round(rng.lognormvariate(13.5, 0.8)),
        time_to_first_byte_microseconds=round(rng.lognormvariate(12, 0.8)),
        status=500 if is_bad else 200,
        result="error" if is_bad else "ok",
        error_class="provider_error" if is_bad else None,
        finish=None if is_bad else "stop",
        version=version,
        label=label,
        user=f"user-{user}",
        tags={"tier": ("free", "paid", "internal")[user % 3]},
        cost_nanodollars=round(rng.lognormvariate(13, 1)),
        input_tokens=900,
        cached_tokens=300,
        output_tokens=200,
        **arm,
    )


async def _recorded(store: SqliteStore, count: int, days: int) -> tuple[float, float]:
    """Microseconds per run of recording, and of adding up."""
    recording = adding = 0.0
    batch: list[Run] = []
    for run in _runs(count, days):
        batch.append(run)
        if len(batch) == _BATCH:
            began = time.perf_counter()
            await store.record_runs(batch, [])
            recording += time.perf_counter() - began
            batch = []
            began = time.perf_counter()
            while await store.sum_up_runs():
                pass
            adding += time.perf_counter() - began
    await store.record_runs(batch, [])
    while await store.sum_up_runs():
        pass
    return recording / count * 1e6, adding / count * 1e6


async def _asked(report: Awaitable[Any]) -> tuple[float, int]:
    began = time.perf_counter()
    size = len(orjson.dumps(await report))
    return (time.perf_counter() - began) * 1e3, size


async def _measured(store: SqliteStore, agent: str) -> float:
    """The slowest, in milliseconds."""
    reports, slowest = RunReports(store, _Clock(), lambda _: None), 0.0
    questions: dict[str, Callable[[tuple[int, int]], Awaitable[Any]]] = {
        "versions": lambda window: reports.report(agent, window),
        "label": lambda window: reports.report(agent, window, label="prod"),
        "rollout": lambda window: reports.report(agent, window, label="prod", rollout=f"r{_RELEASES}"),
        "compare, of one rollout": lambda window: reports.comparison(agent, window, _RELEASES, _RELEASES - 1),
        "compare, of no rollout": lambda window: reports.comparison(agent, window, 2, 1),
    }
    for name, ask in questions.items():
        for words, length in _WINDOWS.items():
            taken, size = await _asked(ask((0 if length is None else _END - length, _END)))
            slowest = max(slowest, taken)
            print(f"{agent}, {name}, {words}: {taken:.0f} ms, {size / 1e3:.0f} kB", flush=True)
    return slowest


async def measured(database: Path, count: int, days: int) -> bool:
    """Fill the database, ask, print; whether every report took less than a second."""
    if count:
        store = SqliteStore(database)
        await store.open()
        recording, adding = await _recorded(store, count, days)
        await store.close()
        print(f"{count:,} runs: {recording:.1f} us each to record, {adding:.1f} us to add up", flush=True)
    store = SqliteStore(database)
    began = time.perf_counter()
    await store.open()
    print(f"opened in {(time.perf_counter() - began) * 1e3:.0f} ms")
    slowest = max([await _measured(store, agent) for agent in _AGENTS if agent in ("support", "tiny")])
    await store.close()
    return slowest < _LIMIT_MS


def main() -> None:
    """Measure as told."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("--runs", type=int, default=3_000_000)
    arguments.add_argument(
        "--days", type=int, default=60, help="over which they are spread: with 2, an hour has 60,000 of them"
    )
    arguments.add_argument(
        "--folder", type=Path, help="where the database is made, or is from before; a temporary folder by default"
    )
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = chosen.folder or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        is_quick = asyncio.run(measured(folder / "switchback.db", chosen.runs, chosen.days))
    sys.exit(0 if is_quick else 1)


if __name__ == "__main__":
    main()

"""What one operation costs over a file of one size: the commands and the store that serve the admin API, in this process.

Each operation is repeated over agents drawn at random, so that it finds its pages where a real one would: not in SQLite's cache.
Wall time, because creating waits for the disk. Counterpart: serving.py, which asks a real process.
"""

import asyncio
import base64
import json
import random
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.scale.building import components, name_of
from proxy.assembly import foundation
from proxy.control_half import control_half
from proxy.core.calls.caller import Caller
from proxy.core.calls.resolving import resolve
from proxy.core.snapshot import AgentState
from proxy.core.versions.diffing import diff_versions
from proxy.runtime.releasing.release_commands import ReleaseCommands, VersionDraft
from proxy.runtime.state.live_snapshot import LiveSnapshot
from proxy.runtime.state.record_verification import proofs
from proxy.settings import Settings
from proxy.store.sqlite import SqliteStore

PAGE = 25
#: Every operation in turn, so many times.
PASSES = 5
_RESOLUTIONS_A_ROUND = 100

Costs = dict[str, dict[str, float]]


async def measure(database: Path, agents: int, rounds: int) -> Costs:
    """Of each operation what `summary` tells."""
    async with _opened(database) as operations:
        return await operations.all(agents, rounds)


async def prove(database: Path) -> dict[str, float | int | bool]:
    """The whole record proved, as `switchback audit verify` has it proved."""
    store = SqliteStore(database)
    await store.open()
    began = time.perf_counter()
    async for proof in proofs(store):
        last = proof
    seconds = time.perf_counter() - began
    await store.close()
    return {"seconds": seconds, "entries": last.head.number, "components": last.components, "ok": last.document()["ok"]}


@asynccontextmanager
async def _opened(database: Path) -> AsyncIterator["_Operations"]:
    """The control path as the server puts it together, the last known good file included."""
    settings = _settings(database)
    store = SqliteStore(settings.database_path)
    control = control_half(foundation(bytes.__len__), settings, store, is_missing=lambda: False)
    await store.open()
    control.live.replace(await store.load_snapshot())
    known_good = control.standby.known_good
    known_good.loaded(control.live.current, "measured")
    writing = asyncio.ensure_future(known_good.run())
    try:
        yield _Operations(store, control.live, control.releases)
    finally:
        writing.cancel()
        await control.changes.close()
        await store.close()


def _settings(database: Path) -> Settings:
    """Of a server over this file whose own files are apart."""
    home = database.with_name("measured")
    home.mkdir(exist_ok=True)
    return Settings.model_validate({"home": home, "store": f"sqlite:///{database.absolute()}"})


class _Operations:
    def __init__(self, store: SqliteStore, live: LiveSnapshot, releases: ReleaseCommands) -> None:
        self._store = store
        self._live = live
        self._releases = releases
        self._random = random.Random(7)

    async def all(self, agents: int, rounds: int) -> Costs:
        names = sorted(self._live.current.agents)
        middle, last = names[len(names) // 2], names[max(0, len(names) - PAGE - 1)]
        entries = (await self._store.audit(None, 1)).items[0].number
        operations: dict[str, Callable[[str], Awaitable[object]]] = {
            "create a version": self._create,
            "move a label": self._move,
            "list versions, first page": lambda name: self._versions(name, None),
            "list versions, middle page": lambda name: self._versions(name, cursor(self._newest(name) // 2 + 1)),
            "list versions, last page": lambda name: self._versions(name, cursor(PAGE + 1)),
            "list agents, first page": lambda _: self._agents(None),
            "list agents, middle page": lambda _: self._agents(cursor(middle)),
            "list agents, last page": lambda _: self._agents(cursor(last)),
            "list the audit log, first page": lambda _: self._audit(None),
            "list the audit log, middle page": lambda _: self._audit(cursor(entries // 2)),
            "list the audit log, last page": lambda _: self._audit(cursor(PAGE + 1)),
            "diff newest with first": self._diff,
            "load a pinned version": self._pinned,
        }
        passes: dict[str, list[list[float]]] = {what: [] for what in (*operations, "resolve a call")}
        for _ in range(PASSES):
            for what, operation in operations.items():
                passes[what].append(await self._timed(operation, agents, rounds // PASSES))
            passes["resolve a call"].append(self._timed_resolving(agents, rounds // PASSES))
        return {what: summary(taken) for what, taken in passes.items()}

    async def _timed(self, operation: Callable[[str], Awaitable[object]], agents: int, rounds: int) -> list[float]:
        taken: list[float] = []
        for _ in range(rounds):
            name = name_of(self._random.randrange(agents))
            began = time.perf_counter()
            await operation(name)
            taken.append((time.perf_counter() - began) * 1e6)
        return taken

    def _timed_resolving(self, agents: int, rounds: int) -> list[float]:
        """Too short to time one by one; each call is of another agent."""
        taken: list[float] = []
        for _ in range(rounds):
            callers = [
                Caller(agent=name_of(self._random.randrange(agents)), user=f"user-{number}")
                for number in range(_RESOLUTIONS_A_ROUND)
            ]
            began = time.perf_counter()
            for caller in callers:
                resolve(self._state(caller.agent), caller)
            taken.append((time.perf_counter() - began) * 1e6 / _RESOLUTIONS_A_ROUND)
        return taken

    def _state(self, name: str | None) -> AgentState:
        state = self._live.agent(name or "")
        assert state is not None
        return state

    def _newest(self, name: str) -> int:
        return self._state(name).agent.newest

    async def _create(self, name: str) -> None:
        newest = self._newest(name)
        draft = VersionDraft(components=components(name, newest + 1), parent=newest, message="measured")
        _, is_new = await self._releases.create_version("ann", name, draft)
        assert is_new

    async def _move(self, name: str) -> None:
        state = self._state(name)
        other = state.agent.newest if state.labels["prod"].version == 1 else 1
        await self._releases.move_label("ann", name, "prod", other, "measured")

    async def _versions(self, name: str, after: str | None) -> None:
        assert (await self._store.versions(name, after, PAGE)).items

    async def _agents(self, after: str | None) -> None:
        assert (await self._store.agents(after, PAGE)).items

    async def _audit(self, after: str | None) -> None:
        assert (await self._store.audit(after, PAGE)).items

    async def _diff(self, name: str) -> None:
        first, newest = await self._store.version(name, 1), await self._store.version(name, self._newest(name))
        assert first is not None
        assert newest is not None
        diff_versions(first, newest).document()

    async def _pinned(self, name: str) -> None:
        assert await self._store.version(name, self._random.randint(1, self._newest(name))) is not None


def cursor(last_shown: str | int) -> str:
    """The cursor of a reader who paged until here: the key of the last item shown, as the store's lists write it."""
    return base64.urlsafe_b64encode(json.dumps([last_shown]).encode()).decode().rstrip("=")


def summary(passes: list[list[float]]) -> dict[str, float]:
    """Of the times of each pass, in microseconds: the median of the pass in which the machine was least busy with something else,
    and the 95th percentile of all."""
    every = sorted(time for taken in passes for time in taken)
    return {
        "median_us": min(statistics.median(taken) for taken in passes),
        "p95_us": every[int(len(every) * 0.95)],
    }

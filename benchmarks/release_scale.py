"""Does release management stay flat? Cost of creating, listing, diffing and resolving against the number of versions stored.

    python benchmarks/release_scale.py                                  200 agents x 500 versions: two minutes
    python benchmarks/release_scale.py --agents 1000 --versions 1000    a million versions, each with its audit entry

One file grows, first in versions, then in agents; at each size the same operations are measured over agents drawn at random, through the commands and the store
that serve the admin API. Start-up is measured in a process of its own. Prints a table and writes release_scale.json beside this
file. Every version is a true one: new prompt, shared tools, row, audit entry, and the whole record is proved at the end.
"""

import argparse
import asyncio
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from proxy.core.audit import AuditDraft
from proxy.core.components import parse_bundle
from proxy.core.diffing import diff_versions
from proxy.core.documents import release_document, version_summary
from proxy.core.identity import Caller
from proxy.core.releases import Release, whole
from proxy.core.resolution import resolve
from proxy.core.snapshot import Agent
from proxy.core.versions import Version
from proxy.runtime.changes import Changes
from proxy.runtime.clock import SystemClock
from proxy.runtime.live_snapshot import LiveSnapshot
from proxy.runtime.metrics import Metrics
from proxy.runtime.record_verification import proofs
from proxy.runtime.release_commands import ReleaseCommands, VersionDraft
from proxy.store.sqlite import SqliteStore

RESULTS = Path(__file__).parent / "release_scale.json"
VERSIONS_A_CHANGE = 250
_PAGE = 25
_DEEP_AGENTS = 20
SENTENCES = [f"Rule {number}: answer kindly, name the ticket, and never promise a refund." for number in range(30)]
TOOLS = {
    "mode": "merge",
    "items": [{"name": f"tool_{number}", "parameters": {"type": "object"}} for number in range(8)],
}


def components(agent: str, number: int) -> dict[str, Any]:
    """About 2 KB of prompt in which one line is this version's own."""
    lines = [f"You are {agent}, edition {number}.", *SENTENCES]
    return {
        "prompt": {"text": "\n".join(lines)},
        "model": {"provider": "openai", "name": "gpt-4o-mini", "parameters": {"temperature": number % 10 / 10}},
        "tools": TOOLS,
        "policy": {"max_tool_calls": 3},
    }


def name_of(index: int) -> str:
    return f"agent-{index:04}"


class Building:
    """Fills the file, agent by agent, many rows a change."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self._now = 1_790_000_000_000_000

    async def grow(self, agents: int, versions: int) -> None:
        """Let every agent have at least so many versions; the first of them is what `prod` serves."""
        for index in range(agents):
            while not await self._grew(name_of(index), versions):
                pass

    async def _grew(self, agent: str, versions: int) -> bool:
        """One change; True where the agent had enough already."""
        async with self._store.change() as change:
            found = await change.agent(agent)
            newest = 0 if found is None else found.newest
            if found is None:
                await change.insert_agent(Agent(name=agent, created_at_microseconds=self._now))
                await change.append_audit(self._draft("agent.created", agent, {}))
            for number in range(newest + 1, min(versions, newest + VERSIONS_A_CHANGE) + 1):
                version = Version(
                    agent=agent,
                    number=number,
                    bundle=parse_bundle(components(agent, number)),
                    parent=number - 1 or None,
                    author="ann",
                    message=f"edition {number}",
                    created_at_microseconds=self._now,
                )
                await change.insert_version(version)
                await change.append_audit(self._draft("version.created", agent, version_summary(version)))
            if found is None:
                release = Release(
                    agent=agent, number=1, kind="label_moved", label="prod", arms=whole(1), salt=None, rollout=None,
                    who="ann", approved_by=None, why="go", created_at_microseconds=self._now,
                )  # fmt: skip
                await change.append_release(release)
                await change.append_audit(self._draft("label.moved", agent, release_document(release)))
        return newest >= versions

    def _draft(self, what: str, agent: str, after: dict[str, Any]) -> AuditDraft:
        self._now += 1000
        subject = f"agents/{agent}"
        return AuditDraft(who="ann", what=what, subject=subject, why="scale", at_microseconds=self._now, after=after)


class Measuring:
    """The operations, each over a random agent of a file of one size."""

    def __init__(self, store: SqliteStore, live: LiveSnapshot, agents: int, rounds: int) -> None:
        self._store = store
        self._live = live
        self._agents = agents
        self._rounds = rounds
        self._random = random.Random(7)
        self._deep: list[tuple[str, str | None]] = []
        self._releases = ReleaseCommands(Changes(store, live, SystemClock()), Metrics("scale"))

    async def all(self) -> dict[str, dict[str, float]]:
        """Median and 95th percentile of each operation, in microseconds."""
        for index in range(0, self._agents, max(1, self._agents // _DEEP_AGENTS)):
            self._deep.append((name_of(index), await self._cursor_of_oldest(name_of(index))))
        operations: dict[str, Callable[[str], Awaitable[object]]] = {
            "create a version": self._create,
            "move a label": self._move,
            "list versions, first page": self._first_page,
            "list versions, deep page": self._deep_page,
            "list agents, a page": self._agents_page,
            "list the audit log, a page": self._audit_page,
            "diff newest with first": self._diff,
            "load a pinned version": self._pinned,
            "resolve a call": self._resolve,
        }
        return {name: await self._timed(operation) for name, operation in operations.items()}

    async def _timed(self, operation: Callable[[str], Awaitable[object]]) -> dict[str, float]:
        taken: list[float] = []
        for _ in range(self._rounds):
            agent = name_of(self._random.randrange(self._agents))
            began = time.perf_counter()
            await operation(agent)
            taken.append((time.perf_counter() - began) * 1e6)
        taken.sort()
        return {"median_us": statistics.median(taken), "p95_us": taken[int(len(taken) * 0.95)]}

    async def _cursor_of_oldest(self, agent: str) -> str | None:
        """The cursor of the page that ends with version 1, as a reader who paged so far has it."""
        cursor, left = None, self._newest(agent) - _PAGE
        while left > 0:
            page = await self._store.versions(agent, cursor, min(left, 500))
            cursor, left = page.next_cursor, left - len(page.items)
        return cursor

    def _newest(self, agent: str) -> int:
        state = self._live.agent(agent)
        assert state is not None
        return state.agent.newest

    async def _create(self, agent: str) -> None:
        newest = self._newest(agent)
        draft = VersionDraft(components=components(agent, newest + 1), parent=newest, message="measured")
        _, is_new = await self._releases.create_version("ann", agent, draft)
        assert is_new

    async def _move(self, agent: str) -> None:
        state = self._live.agent(agent)
        assert state is not None
        other = state.agent.newest if state.labels["prod"].version == 1 else 1
        await self._releases.move_label("ann", agent, "prod", other, "measured")

    async def _first_page(self, agent: str) -> None:
        assert (await self._store.versions(agent, None, _PAGE)).items

    async def _deep_page(self, agent: str) -> None:
        at, cursor = self._random.choice(self._deep)
        assert (await self._store.versions(at, cursor, _PAGE)).items

    async def _agents_page(self, agent: str) -> None:
        assert (await self._store.agents(None, _PAGE)).items

    async def _audit_page(self, agent: str) -> None:
        assert (await self._store.audit(None, _PAGE)).items

    async def _diff(self, agent: str) -> None:
        first, newest = await self._store.version(agent, 1), await self._store.version(agent, self._newest(agent))
        assert first is not None
        assert newest is not None
        diff_versions(first, newest).document()

    async def _pinned(self, agent: str) -> None:
        number = self._random.randint(1, self._newest(agent))
        assert await self._store.version(agent, number) is not None

    async def _resolve(self, agent: str) -> None:
        state = self._live.agent(agent)
        assert state is not None
        resolve(state, Caller(agent=agent, user="user-17"))


async def start_up(database: Path) -> dict[str, float]:
    """In a process of its own: how long until traffic could be served, and how much memory is resident then."""
    began = time.perf_counter()
    store = SqliteStore(database)
    await store.open()
    live = LiveSnapshot(store)
    live.replace(await store.load_snapshot())
    taken = time.perf_counter() - began
    await store.close()
    resident_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": taken, "resident_mb": resident_kib / 1024, "agents": len(live.current.agents)}


async def prove(store: SqliteStore) -> dict[str, Any]:
    """The whole record, as `audit verify` proves it."""
    began = time.perf_counter()
    async for proof in proofs(store):
        last = proof
    return {"seconds": time.perf_counter() - began, "entries": last.head.number, "ok": last.document()["ok"]}


async def measured(database: Path, sizes: list[tuple[int, int]], rounds: int) -> list[dict[str, Any]]:
    """One result per size; the file grows from one to the next."""
    results: list[dict[str, Any]] = []
    for agents, versions in sizes:
        store = SqliteStore(database)
        await store.open()
        began = time.perf_counter()
        await Building(store).grow(agents, versions)
        built_seconds = time.perf_counter() - began
        live = LiveSnapshot(store)
        live.replace(await store.load_snapshot())
        operations = await Measuring(store, live, agents, rounds).all()
        proof = await prove(store) if (agents, versions) == sizes[-1] else None
        await store.close()
        command = [sys.executable, __file__, "--start-up", str(database)]
        started = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=True)
        result = {
            "agents": agents,
            "versions_each": versions,
            "file_mb": round((await asyncio.to_thread(database.stat)).st_size / 1e6, 1),
            "built_seconds": round(built_seconds, 1),
            "operations": operations,
            "start_up": json.loads(started.stdout),
            "proof": proof,
        }
        results.append(result)
        print(
            f"  {agents} x {versions}: built in {built_seconds:.0f} s, starts in {result['start_up']['seconds']:.2f} s",
            flush=True,
        )
    return results


def table(results: list[dict[str, Any]]) -> str:
    """Sizes as columns, operations as rows; the last column is the largest size against the smallest."""
    sizes = [f"{result['agents']} x {result['versions_each']}" for result in results]
    lines = [f"{'median, us':<28}" + "".join(f"{size:>14}" for size in sizes) + f"{'growth':>9}"]
    for name in results[0]["operations"]:
        medians = [result["operations"][name]["median_us"] for result in results]
        cells = "".join(f"{median:>14,.0f}" for median in medians)
        lines.append(f"{name:<28}{cells}{medians[-1] / medians[0]:>8.1f}x")
    for name, unit in (("seconds", "s"), ("resident_mb", "MB")):
        shown = "".join(f"{result['start_up'][name]:>14,.2f}" for result in results)
        lines.append(f"{f'start-up, {unit}':<28}{shown}")
    lines.append(f"{'file, MB':<28}" + "".join(f"{result['file_mb']:>14,.0f}" for result in results))
    proof = results[-1]["proof"]
    lines.append(
        f"audit verify: {proof['entries']:,} entries and their rows in {proof['seconds']:.1f} s, ok: {proof['ok']}"
    )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=200)
    parser.add_argument("--versions", type=int, default=500, help="of each agent, at the largest size")
    parser.add_argument("--rounds", type=int, default=200, help="of each operation at each size")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--start-up", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.start_up is not None:
        print(json.dumps(asyncio.run(start_up(given.start_up))))
        return
    few = max(1, given.agents // 10)
    sizes = [(few, max(1, given.versions // 20)), (few, given.versions), (given.agents, given.versions)]
    with tempfile.TemporaryDirectory() as folder:
        results = asyncio.run(measured(Path(folder) / "switchback.db", sizes, given.rounds))
    print(table(results))
    given.output.write_text(json.dumps({"results": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()

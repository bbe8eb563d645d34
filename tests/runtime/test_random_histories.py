"""Random histories over the real commands and a real file, against a model that knows nothing of ledgers and buckets.

After each step: what a call gets, what the ledger says was served, and what the model says are the same, at every moment so far;
numbers never repeat; no row that was there has changed; and the proof of the record holds.
"""

import asyncio
import sqlite3
import tempfile
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.calls.caller import Caller
from proxy.core.calls.resolving import resolve
from proxy.core.errors import Refusal
from proxy.core.releasing.arms import RolloutDraft, candidate_arm
from proxy.core.releasing.timeline import served_at
from proxy.core.snapshot import Agent
from proxy.runtime.releasing.release_commands import ReleaseCommands, VersionDraft
from proxy.runtime.releasing.rollout_commands import RolloutCommands
from proxy.runtime.state.changes import Changes
from proxy.runtime.state.live_snapshot import LiveSnapshot
from proxy.runtime.state.record_verification import proofs
from proxy.runtime.telemetry.metrics import Metrics
from proxy.store.sqlite import SqliteStore
from tests.edges.admin.composition import NOON, SetClock

AGENTS, LABELS = ("a", "b"), ("prod", "staging")
APPEND_ONLY = {
    "components": "hash",
    "versions": "agent || '/' || number",
    "releases": "agent || '/' || number",
    "release_arms": "agent || '/' || release || '/' || position",
    "audit": "number",
}
USERS = [f"user-{number}" for number in range(40)]


class RefusedOrder(Exception):
    """The model says that this is not allowed now."""


@dataclass
class Split:
    """A rollout: who gets what, and since when it is known by which name."""

    stable: int
    candidate: int
    buckets: int


@dataclass
class LabelModel:
    """What a label serves, and the versions it went through that were not taken back."""

    trail: list[int] = field(default_factory=list)
    split: Split | None = None
    taken_back: bool = False

    def serves(self) -> dict[int, int]:
        """Thousandths of a percent by version."""
        if self.split is None:
            return {self.trail[-1]: 100_000}
        return {self.split.stable: 100_000 - self.split.buckets, self.split.candidate: self.split.buckets}

    def go_to(self, version: int) -> None:
        if not self.trail or self.trail[-1] != version:
            self.trail.append(version)


@dataclass
class HistoryModel:
    """Two agents as a person with a notebook would keep them."""

    contents: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in AGENTS})
    labels: dict[str, dict[str, LabelModel]] = field(default_factory=lambda: {name: {} for name in AGENTS})
    archived: set[str] = field(default_factory=set)

    def create(self, agent: str, text: str, parent_is_newest: bool) -> None:
        self._in_service(agent)
        contents = self.contents[agent]
        if contents and contents[-1] == text:
            return
        if not parent_is_newest:
            raise RefusedOrder
        contents.append(text)

    def label(self, agent: str, label: str, version: int) -> None:
        self._in_service(agent)
        self._exists(agent, version)
        found = self.labels[agent].get(label)
        if found is not None and found.split is not None:
            raise RefusedOrder
        found = self.labels[agent].setdefault(label, LabelModel())
        if not found.trail or found.trail[-1] != version:
            found.trail.append(version)
            found.taken_back = False

    def delete(self, agent: str, label: str) -> None:
        found = self._set(agent, label)
        if found.split is not None or label == "prod":
            raise RefusedOrder
        del self.labels[agent][label]

    def start(self, agent: str, label: str, candidate: int, buckets: int) -> None:
        self._in_service(agent)
        self._exists(agent, candidate)
        found = self._set(agent, label)
        if found.split is not None or found.trail[-1] == candidate:
            raise RefusedOrder
        found.split = Split(found.trail[-1], candidate, buckets)
        found.taken_back = False

    def share(self, agent: str, label: str, buckets: int) -> None:
        self._split(agent, label).buckets = buckets

    def promote(self, agent: str, label: str) -> None:
        candidate = self._split(agent, label).candidate
        found = self.labels[agent][label]
        found.split, found.taken_back = None, False
        found.trail.append(candidate)

    def abort(self, agent: str, label: str) -> None:
        self._split(agent, label)
        found = self.labels[agent][label]
        found.split, found.taken_back = None, True

    def rollback(self, agent: str, label: str, to: int | None) -> None:
        self._in_service(agent)
        if to is not None:
            self._exists(agent, to)
        found = self._set(agent, label)
        if found.split is not None:
            found.split = None
            self._back(found, found.trail[-1] if to is None else to)
        elif to is not None:
            if to != found.trail[-1]:
                self._back(found, to)
        elif not found.taken_back:
            if len(found.trail) < 2:
                raise RefusedOrder
            self._back(found, found.trail[-2])

    def archive(self, agent: str) -> None:
        self._in_service(agent)
        if any(label.split is not None for label in self.labels[agent].values()):
            raise RefusedOrder
        self.archived.add(agent)

    def _back(self, found: LabelModel, version: int) -> None:
        found.taken_back = True
        if version in found.trail:
            while found.trail[-1] != version:
                found.trail.pop()
        else:
            found.trail[-1] = version

    def _in_service(self, agent: str) -> None:
        if agent in self.archived:
            raise RefusedOrder

    def _exists(self, agent: str, version: int) -> None:
        if version > len(self.contents[agent]):
            raise RefusedOrder

    def _set(self, agent: str, label: str) -> LabelModel:
        self._in_service(agent)
        if label not in self.labels[agent]:
            raise RefusedOrder
        return self.labels[agent][label]

    def _split(self, agent: str, label: str) -> Split:
        split = self._set(agent, label).split
        if split is None:
            raise RefusedOrder
        return split


class World:
    """The real thing: one file, opened again and again."""

    def __init__(self, database: Path) -> None:
        self.database = database
        self.clock = SetClock()
        self.metrics = Metrics("test")

    async def open(self) -> None:
        self.store = SqliteStore(self.database)
        await self.store.open()
        self.live = LiveSnapshot(self.store)
        self.live.replace(await self.store.load_snapshot())
        changes = Changes(self.store, self.live, self.clock)
        self.releases = ReleaseCommands(changes, self.metrics)
        self.rollouts = RolloutCommands(changes)

    async def create(self, agent: str, text: str, parent_is_newest: bool) -> None:
        newest = await self._newest(agent)
        parent = newest if parent_is_newest else newest + 1
        draft = VersionDraft(components={"prompt": {"text": text}}, parent=parent or None, message=text)
        await self.releases.create_version("ann", agent, draft)

    async def label(self, agent: str, label: str, version: int) -> None:
        await self.releases.move_label("ann", agent, label, version, "")

    async def delete(self, agent: str, label: str) -> None:
        await self.releases.delete_label("ann", agent, label, "")

    async def start(self, agent: str, label: str, candidate: int, buckets: int) -> None:
        draft = RolloutDraft(label=label, arms=candidate_arm(candidate, buckets / 1000))
        await self.rollouts.start_rollout("ann", agent, draft, "")

    async def share(self, agent: str, label: str, buckets: int) -> None:
        await self.rollouts.set_percentage("ann", agent, self._rollout(agent, label), buckets / 1000, "")

    async def promote(self, agent: str, label: str) -> None:
        await self.rollouts.promote("ann", agent, self._rollout(agent, label), "")

    async def abort(self, agent: str, label: str) -> None:
        await self.rollouts.abort("ann", agent, self._rollout(agent, label), "")

    async def rollback(self, agent: str, label: str, to: int | None) -> None:
        await self.releases.rollback("ann", agent, label, "", to=to)

    async def archive(self, agent: str) -> None:
        await self.releases.archive_agent("ann", agent, "")

    async def _newest(self, agent: str) -> int:
        state = await self.store.agent_state(agent)
        assert state is not None
        return state.agent.newest

    def _rollout(self, agent: str, label: str) -> str:
        """The running rollout, else a name that no rollout has."""
        state = self.live.agent(agent)
        rollout = None if state is None else state.rollouts.get(label)
        return "r0" if rollout is None else rollout.id


@dataclass
class Checker:
    """Compares the two after each step, and remembers what was."""

    world: World
    model: HistoryModel
    rows: dict[str, dict[Any, tuple[Any, ...]]] = field(default_factory=lambda: defaultdict(dict))
    #: What each label served from a moment on, by the model.
    past: dict[tuple[str, str], dict[int, dict[int, int] | None]] = field(default_factory=lambda: defaultdict(dict))

    async def check(self) -> None:
        self._nothing_changed_in_place()
        assert self.world.live.current == await self.world.store.load_snapshot()
        for agent in AGENTS:
            for label in LABELS:
                found = self.model.labels[agent].get(label)
                serves = None if found is None else found.serves()
                self.past[agent, label][self.world.clock.now] = serves
                if agent not in self.model.archived:
                    self._calls_get(agent, label, serves)
                await self._ledger_says(agent, label)

    def _calls_get(self, agent: str, label: str, serves: dict[int, int] | None) -> None:
        state = self.world.live.agent(agent)
        assert state is not None
        if serves is None:
            assert label not in state.labels
            return
        for user in USERS:
            got = resolve(state, Caller(agent=agent, label=label, user=user))
            if got.bucket is None:
                assert {got.version.number: 100_000} == serves
            else:
                split = self.model.labels[agent][label].split
                assert split is not None
                is_inside = got.bucket < split.buckets
                assert got.version.number == (split.candidate if is_inside else split.stable)
            assert got.version.bundle.prompt.text == self.model.contents[agent][got.version.number - 1]

    async def _ledger_says(self, agent: str, label: str) -> None:
        history = list(reversed((await self.world.store.releases(agent, label, None, 500)).items))
        for moment, serves in self.past[agent, label].items():
            served = served_at(history, moment, self.world.clock.now)
            told = None if served is None else {arm.version: arm.share_buckets for arm in served.arms}
            assert told == serves, (agent, label, moment)

    def _nothing_changed_in_place(self) -> None:
        with closing(sqlite3.connect(self.world.database)) as plain:
            for table, key in APPEND_ONLY.items():
                rows = {row[0]: row[1:] for row in plain.execute(f"SELECT {key}, * FROM {table}")}
                known = self.rows[table]
                assert {name: rows[name] for name in known} == known
                known |= rows
            for table in ("versions", "releases"):
                for agent, count, newest in plain.execute(
                    f"SELECT agent, COUNT(DISTINCT number), MAX(number) FROM {table} GROUP BY agent"
                ):
                    assert count == newest, (table, agent)

    async def proved(self) -> None:
        async for proof in proofs(self.world.store):
            last = proof
        assert last.document()["ok"], last.first_broken


# Most of a history is about one label, so that it becomes long.
agents, labels = st.sampled_from(["a", "a", "a", "b"]), st.sampled_from(["prod", "prod", "prod", "staging"])
versions, shares = st.integers(1, 4), st.sampled_from([0, 1, 10_000, 12_500, 50_000, 99_999, 100_000])
steps = st.one_of(
    st.tuples(
        st.just("create"), agents, st.sampled_from(["one", "two", "three"]), st.sampled_from([True, True, False])
    ),
    st.tuples(st.just("label"), agents, labels, versions),
    st.tuples(st.just("label"), agents, labels, versions),
    st.tuples(st.just("start"), agents, labels, versions, shares),
    st.tuples(st.just("share"), agents, labels, shares),
    st.tuples(st.just("promote"), agents, labels),
    st.tuples(st.just("abort"), agents, labels),
    st.tuples(st.just("rollback"), agents, labels, st.none()),
    st.tuples(st.just("rollback"), agents, labels, st.none() | versions),
    st.tuples(st.just("delete"), agents, labels),
    st.tuples(st.just("restart")),
    st.tuples(st.just("archive"), st.just("b")),
)
histories = st.lists(st.tuples(steps, st.integers(0, 2)), min_size=20, max_size=40)
#: A history that has something to work with from its first drawn step on.
BEGINNING = [("create", agent, text, True) for agent in AGENTS for text in ("one", "two", "three")] + [
    ("label", agent, "prod", 1) for agent in AGENTS
]


@settings(max_examples=30, deadline=None)
@given(histories)
def test_a_random_history_is_served_told_and_proved_alike(history: list[tuple[tuple[Any, ...], int]]) -> None:
    asyncio.run(play([(step, 1) for step in BEGINNING] + history))


async def play(history: list[tuple[tuple[Any, ...], int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world, model = World(Path(folder) / "switchback.db"), HistoryModel()
        checker = Checker(world, model)
        await world.open()
        try:
            for agent in AGENTS:
                await world.releases.create_agent("ann", Agent(name=agent), "")
            for (step, *said), seconds in history:
                world.clock.now += seconds * 1_000_000
                if step == "restart":
                    await world.store.close()
                    await world.open()
                    await checker.proved()
                else:
                    await both(world, model, step, said)
                await checker.check()
            await checker.proved()
        finally:
            await world.store.close()
    assert world.clock.now >= NOON


async def both(world: World, model: HistoryModel, step: str, said: list[Any]) -> None:
    """The same order to both: both take it, or both refuse it."""
    is_refused_by_model = is_refused = False
    try:
        getattr(model, step)(*said)
    except RefusedOrder:
        is_refused_by_model = True
    try:
        await getattr(world, step)(*said)
    except Refusal:
        is_refused = True
    assert is_refused == is_refused_by_model, (step, said)

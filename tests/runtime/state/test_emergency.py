"""Store or journal: a command is wholly in the store and in force, or wholly in force and journalled, or nowhere."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from proxy.core.errors import BadInput, Conflict, NotFound, Unavailable
from proxy.core.proof.emergency import AbortOrder, RollbackOrder, SwitchOrder
from proxy.core.snapshot import Agent
from proxy.runtime.process.clock import Identifiers
from proxy.runtime.releasing.limit_commands import LimitCommands, SwitchDraft
from proxy.runtime.releasing.release_commands import ReleaseCommands, VersionDraft
from proxy.runtime.releasing.rollout_commands import RolloutCommands, RolloutDraft
from proxy.runtime.state.changes import Changes
from tests.edges.admin.composition import Commands, SetClock, commands

BLOCK = SwitchDraft(scope={"agent": "a"}, mode="block")
AWAY = Unavailable("store_unavailable", "away")


class Troubled:
    """The store, with something happening to its changes."""

    def __init__(self, control: Commands) -> None:
        self._store = control.store
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.fails_at_the_end = False
        self.waits: Callable[[], Any] | None = None

    @asynccontextmanager
    async def change(self) -> AsyncIterator[Any]:
        if self.waits is not None:
            await self.waits()
        async with self._store.change() as change:
            yield change
            self.begun.set()
            await self.go_on.wait()
            if self.fails_at_the_end:
                raise AWAY


class Scene:
    """Commands over a troubled store. Agent `a`: prod on 1, then 2; `b`: a rollout r1."""

    def __init__(self, control: Commands, store: Troubled) -> None:
        self.control = control
        self.store = store
        self.changes = Changes(store, control.live, control.clock, control.standby)
        self.releases = ReleaseCommands(self.changes, control.metrics)
        self.rollouts = RolloutCommands(self.changes)
        self.limits = LimitCommands(self.changes, Identifiers(SetClock(), 3), control.request_path)

    @property
    def orders(self) -> list[object]:
        return [entry.order for entry in self.control.standby.journal.entries]

    def serves(self, agent: str) -> int:
        return self.control.live.current.agents[agent].labels["prod"].version

    def lose(self) -> None:
        self.control.standby.presence.lost(AWAY)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with commands(tmp_path) as control:
        for name in ("a", "b"):
            await control.releases.create_agent("ann", Agent(name=name), "")
            for number, text in enumerate(("one", "two", "three")):
                draft = VersionDraft(components={"prompt": {"text": text}}, parent=number or None, message="")
                await control.releases.create_version("ann", name, draft)
            await control.releases.move_label("ann", name, "prod", 1, "")
        await control.releases.move_label("ann", "a", "prod", 2, "")
        await control.rollouts.start_rollout("ann", "b", RolloutDraft(label="prod", candidate=2, percentage=50), "")
        made = Scene(control, Troubled(control))
        yield made
        made.store.go_on.set()
        await made.changes.close()
        await control.standby.journal.close()


async def test_while_the_store_is_there_nothing_is_journalled(scene: Scene) -> None:
    await scene.limits.switch_on("ann", BLOCK, "stop")
    await scene.releases.rollback("ann", "a", "prod", "bad")
    await scene.rollouts.abort("ann", "b", "r1", "bad")
    assert scene.orders == []
    assert await scene.control.store.load_snapshot() == scene.control.live.current


async def test_what_fails_at_the_commit_is_journalled_and_in_force(scene: Scene) -> None:
    scene.store.fails_at_the_end = True
    switch = await scene.limits.switch_on("ann", BLOCK, "stop")
    moved = await scene.releases.rollback("bob", "a", None, "bad")
    ended = await scene.rollouts.abort("cyd", "b", "r1", "bad")
    assert scene.orders == [
        SwitchOrder(switch=switch),
        RollbackOrder(who="bob", agent="a", label="prod", why="bad", undoes=2, to=1),
        AbortOrder(who="cyd", agent="b", rollout="r1", why="bad"),
    ]
    live = scene.control.live.current
    assert live.switches == (switch,)
    assert (moved.version, scene.serves("a"), ended.state, live.agents["b"].rollouts) == (1, 1, "aborted", {})
    assert (await scene.control.store.load_snapshot()).switches == ()


async def test_rules_hold_without_the_store(scene: Scene) -> None:
    scene.lose()
    before = scene.control.live.current
    for refused, kind, code in (
        (scene.releases.rollback("ann", "nobody", "prod", ""), NotFound, "agent_not_found"),
        (scene.releases.rollback("ann", "a", "staging", ""), NotFound, "label_not_set"),
        (scene.releases.rollback("ann", "a", "prod", "", to=9), NotFound, "version_not_found"),
        (scene.releases.rollback("ann", "a", "prod", "", to=3), Unavailable, "store_unavailable"),
        (scene.releases.rollback("ann", "a", "prod", "x" * 2001), BadInput, "bad_why"),
        (scene.rollouts.abort("ann", "b", "r9", ""), Unavailable, "store_unavailable"),
        (
            scene.limits.switch_on("ann", SwitchDraft(scope={"agent": "x"}, mode="block"), ""),
            NotFound,
            "agent_not_found",
        ),
        (scene.releases.create_agent("ann", Agent(name="c"), ""), Unavailable, "store_unavailable"),
        (scene.rollouts.promote("ann", "b", "r1", ""), Unavailable, "store_unavailable"),
    ):
        with pytest.raises(kind) as raised:
            await refused
        assert raised.value.code == code
    assert scene.control.live.current is before
    assert scene.orders == []


async def test_the_same_rollback_ordered_twice_moves_once(scene: Scene) -> None:
    scene.lose()
    first = await scene.releases.rollback("ann", "a", "prod", "bad", undoes=2)
    second = await scene.releases.rollback("bob", "a", "prod", "bad", undoes=2)
    third = await scene.releases.rollback("cyd", "a", "prod", "bad")
    assert (first.changed, second.changed, third.changed) == (True, False, False)
    assert "no longer in force" in second.reason
    assert len(scene.orders) == 1


async def test_a_rollback_ends_the_rollout_of_its_label(scene: Scene) -> None:
    scene.lose()
    moved = await scene.releases.rollback("ann", "b", "prod", "errors")
    assert (moved.version, scene.control.live.current.agents["b"].rollouts) == (1, {})


async def test_a_label_whose_history_is_not_at_hand_is_not_guessed_at(scene: Scene) -> None:
    scene.control.standby.known_good._pasts.clear()
    scene.lose()
    with pytest.raises(Unavailable) as refused:
        await scene.releases.rollback("ann", "a", "prod", "bad")
    assert "nor is another; put the store back" in refused.value.message
    assert (await scene.releases.rollback("ann", "b", "prod", "a rollout can always be ended")).changed


async def test_a_store_that_does_not_begin_a_change_is_not_waited_for(scene: Scene) -> None:
    stuck = asyncio.Event()
    scene.store.waits = stuck.wait
    waiting = asyncio.ensure_future(scene.releases.create_agent("ann", Agent(name="c"), ""))
    async with asyncio.timeout(10):
        switch = await scene.limits.switch_on("ann", BLOCK, "stop")
    with pytest.raises(Unavailable):
        await waiting
    assert scene.orders == [SwitchOrder(switch=switch)]
    stuck.set()
    assert (await scene.control.store.load_snapshot()).switches == ()


async def test_a_command_cancelled_while_it_commits_is_in_store_and_in_force(scene: Scene) -> None:
    scene.store.go_on.clear()
    scene.store.begun.clear()
    command = asyncio.ensure_future(scene.releases.move_label("ann", "a", "prod", 3, ""))
    await scene.store.begun.wait()
    for _ in range(3):
        command.cancel()
        await asyncio.sleep(0)
    assert not command.done()
    scene.store.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await command
    assert scene.serves("a") == 3
    assert await scene.control.store.load_snapshot() == scene.control.live.current
    await scene.releases.move_label("ann", "a", "prod", 1, "the next one has its turn")


async def test_a_command_cancelled_before_it_commits_leaves_nothing_and_nothing_open(scene: Scene) -> None:
    stuck = asyncio.Event()
    scene.store.waits = stuck.wait
    before = scene.control.live.current
    command = asyncio.ensure_future(scene.releases.move_label("ann", "a", "prod", 3, ""))
    for _ in range(5):
        await asyncio.sleep(0)
    command.cancel()
    with pytest.raises(asyncio.CancelledError):
        await command
    scene.store.waits = None
    assert scene.control.live.current is before
    assert (await scene.releases.move_label("ann", "a", "prod", 3, "")).changed


async def test_a_refusal_of_the_rules_is_no_reason_to_think_the_store_away(scene: Scene) -> None:
    with pytest.raises(Conflict):
        await scene.releases.move_label("ann", "a", "prod", 1, "", if_release=1)
    assert not scene.control.standby.presence.is_away


async def test_without_the_store_a_refused_rollback_says_what_to_name(scene: Scene) -> None:
    """Back to a version that was taken back earlier, what stood before it is in the store alone."""
    await scene.releases.move_label("ann", "a", "prod", 3, "")
    scene.lose()
    await scene.releases.rollback("ann", "a", "prod", "bad")
    again = await scene.releases.rollback("ann", "a", "prod", "it was not 3", to=3)
    with pytest.raises(Unavailable) as refused:
        await scene.releases.rollback("ann", "a", "prod", "it was", undoes=again.release)
    assert "name one in `to`; possible are 1, 2" in refused.value.message
    assert (refused.value.code, refused.value.param) == ("store_unavailable", "to")
    for earlier in range(1, again.release):
        late = await scene.releases.rollback("bob", "a", "prod", "it was", undoes=earlier)
        assert (late.changed, late.reason) == (False, f"release {earlier} is no longer in force; nothing was moved")
    with pytest.raises(Unavailable) as refused:
        await scene.releases.rollback("ann", "a", "prod", "it was", undoes=again.release + 1)
    assert f"'prod' is at release {again.release}" in refused.value.message
    back = await scene.releases.rollback("ann", "a", "prod", "it was", undoes=again.release, to=1)
    assert (back.changed, scene.serves("a")) == (True, 1)

"""Store or journal: a command is wholly in the store and in force, or wholly in force and journalled, or nowhere."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from proxy.core.errors import BadInput, Conflict, NotFound, Unavailable
from proxy.core.proof.emergency import AbortOrder, RollbackOrder, SwitchOrder
from proxy.core.releasing.arms import RolloutDraft, candidate_arm
from proxy.core.snapshot import Agent
from proxy.runtime.process.clock import Identifiers
from proxy.runtime.releasing.limit_commands import LimitCommands, SwitchDraft, switch_on_now
from proxy.runtime.releasing.release_commands import ReleaseCommands, VersionDraft
from proxy.runtime.releasing.rollout_commands import RolloutCommands
from proxy.runtime.state.changes import Changes
from tests.edges.admin.composition import Commands, SetClock, commands
from tests.harness import PATIENCE_SECONDS

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
    async def change(self, longest_commit_seconds: float | None = None) -> AsyncIterator[Any]:
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
        self.limits = LimitCommands(self.changes, Identifiers(SetClock(), 3), control.data_path)

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
        await control.rollouts.start_rollout("ann", "b", RolloutDraft(label="prod", arms=candidate_arm(2, 50)), "")
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
    async with asyncio.timeout(PATIENCE_SECONDS):
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


async def in_force(happened: Callable[[], bool]) -> None:
    """Returns when it is, without any wait for time to pass."""
    for _ in range(50):
        if happened():
            return
        await asyncio.sleep(0)
    raise AssertionError("not in force")


async def test_an_emergency_is_in_force_while_another_change_hangs_in_its_commit(scene: Scene) -> None:
    scene.store.go_on.clear()
    scene.store.begun.clear()
    hanging = asyncio.ensure_future(scene.releases.create_agent("ann", Agent(name="c"), ""))
    await scene.store.begun.wait()
    live = scene.control.live
    ordered = [
        asyncio.ensure_future(scene.limits.switch_on("ann", BLOCK, "stop")),
        asyncio.ensure_future(scene.releases.rollback("ann", "a", None, "bad")),
        asyncio.ensure_future(scene.rollouts.abort("ann", "b", "r1", "bad")),
    ]
    await in_force(
        lambda: bool(live.current.switches) and scene.serves("a") == 1 and not live.current.agents["b"].rollouts
    )
    await asyncio.gather(*ordered)
    journal = scene.control.standby.journal
    assert [journal.is_in_file(entry) for entry in journal.entries] == [True] * 3
    scene.store.go_on.set()
    await hanging
    assert set(live.current.agents) == {"a", "b", "c"}
    assert (len(live.current.switches), scene.serves("a"), live.current.agents["b"].rollouts) == (1, 1, {})
    await journal.emptied()
    assert await scene.control.store.load_snapshot() == live.current
    entries = await scene.control.audit_entries()
    assert entries[-4:] == ["agent.created", "switch.on", "label.rolled_back", "rollout.aborted"]


async def test_a_rollback_holds_over_a_move_that_was_being_committed_when_it_was_ordered(scene: Scene) -> None:
    scene.store.go_on.clear()
    scene.store.begun.clear()
    moving = asyncio.ensure_future(scene.releases.move_label("bob", "a", "prod", 3, "new"))
    await scene.store.begun.wait()
    rolled_back = asyncio.ensure_future(scene.releases.rollback("ann", "a", "prod", "bad"))
    await in_force(lambda: scene.serves("a") == 1)
    scene.store.go_on.set()
    assert (await moving).changed
    assert scene.serves("a") == 1
    moved = await rolled_back
    await scene.control.standby.journal.emptied()
    assert (moved.version, scene.serves("a")) == (1, 1)
    assert await scene.control.store.load_snapshot() == scene.control.live.current
    releases = (await scene.control.store.releases("a")).items
    assert [(row.kind, row.version) for row in releases][:2] == [("rolled_back", 1), ("label_moved", 3)]


async def test_a_change_that_was_open_when_its_agent_was_taken_back_does_not_happen(scene: Scene) -> None:
    rolled_back: list[asyncio.Future[Any]] = []
    with pytest.raises(Conflict) as refused:
        async with scene.changes.begin("a") as work:
            await scene.control.standby.journal.emptied()
            rolled_back.append(asyncio.ensure_future(scene.releases.rollback("ann", "a", "prod", "bad")))
            await in_force(lambda: scene.serves("a") == 1)
            await work.audit("bob", "agent.updated", "agents/a", "")
    assert refused.value.code == "emergency_meanwhile"
    assert (await rolled_back[0]).version == scene.serves("a") == 1
    assert await scene.control.store.load_snapshot() == scene.control.live.current


async def test_a_change_ordered_after_an_emergency_waits_until_the_store_has_that(scene: Scene) -> None:
    stuck = asyncio.Event()
    scene.store.waits = stuck.wait
    switch = asyncio.ensure_future(scene.limits.switch_on("ann", BLOCK, "stop"))
    await in_force(lambda: bool(scene.control.live.current.switches))
    later = asyncio.ensure_future(scene.releases.create_agent("ann", Agent(name="c"), ""))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not later.done()
    stuck.set()
    await asyncio.gather(switch, later)
    assert (await scene.control.audit_entries())[-2:] == ["switch.on", "agent.created"]
    assert scene.orders == []


async def test_what_the_stores_rules_refuse_is_in_force_no_longer(scene: Scene) -> None:
    """Somebody else put a switch of this id into the store; nobody does, but memory cannot know."""
    first = await scene.limits.switch_on("ann", BLOCK, "stop")
    scene.control.live.start_from(replace(scene.control.live.current, switches=()))
    with pytest.raises(Conflict):
        await scene.changes.emergency(SwitchOrder(switch=first), switch_on_now)
    assert scene.control.live.current.switches == ()
    assert scene.orders == []
    assert (await scene.control.audit_entries())[-1] == "journal.not_applied"


async def test_a_disk_that_hangs_delays_an_answer_by_less_than_a_second_and_it_says_so(scene: Scene) -> None:
    stuck, disk = asyncio.Event(), threading.Event()
    scene.store.waits = stuck.wait
    file: Any = scene.control.standby.journal._file
    writing, file.append = file.append, lambda entries: disk.wait()
    started = asyncio.get_running_loop().time()
    switch = await scene.limits.switch_on("ann", BLOCK, "stop")
    assert asyncio.get_running_loop().time() - started < PATIENCE_SECONDS
    note = scene.control.standby.journal.note(f"switches/{switch.id}")
    assert note["journalled"] is False
    assert "neither the store nor the journal" in note["warning"]
    file.append = writing
    disk.set()
    stuck.set()
    await scene.control.standby.journal.keep()
    assert scene.control.live.current.switches == (switch,)


class TestACommitThatTakesLong:
    async def test_is_answered_as_unknown_keeps_its_turn_and_is_in_force_when_it_is_through(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("proxy.runtime.state.changes.ANSWER_SECONDS", 0.05)
        scene.store.go_on.clear()
        with pytest.raises(Unavailable) as caught:
            await scene.releases.move_label("ann", "b", "other", 1, "")
        assert caught.value.code == "store_outcome_unknown"
        monkeypatch.setattr("proxy.runtime.state.slow_store._TURN_SECONDS", 0.05)
        monkeypatch.setattr("proxy.runtime.state.slow_store._MOVING_SECONDS", 0.01)
        with pytest.raises(Unavailable, match="nothing was changed"):
            await scene.releases.move_label("ann", "b", "third", 1, "")
        monkeypatch.undo()
        scene.store.go_on.set()
        await scene.releases.move_label("ann", "b", "third", 1, "")
        assert {"other", "third"} <= set(scene.control.live.current.agents["b"].labels)

    async def test_that_fails_in_the_end_is_not_in_force_and_the_store_is_away(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("proxy.runtime.state.changes.ANSWER_SECONDS", 0.05)
        scene.store.go_on.clear()
        scene.store.fails_at_the_end = True
        with pytest.raises(Unavailable, match="not known yet"):
            await scene.releases.move_label("ann", "b", "other", 1, "")
        scene.store.go_on.set()
        async with scene.changes.turn():
            pass
        assert scene.control.standby.presence.is_away
        assert "other" not in scene.control.live.current.agents["b"].labels

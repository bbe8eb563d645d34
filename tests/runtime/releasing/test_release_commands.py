"""The control path: each command is one row, one audit entry, one new snapshot; refused ones are none of these."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from proxy.core.errors import BadInput, Conflict, NotFound
from proxy.core.releasing.arms import RolloutDraft, candidate_arm
from proxy.core.snapshot import Agent, AgentState
from proxy.runtime.releasing.release_commands import Moved, VersionDraft
from tests.edges.admin.composition import Commands, commands
from tests.two_arms import split


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[Commands]:
    """An agent `a` with three versions, `prod` on 1, then 2, then 3 (releases 1, 2, 3)."""
    async with commands(tmp_path) as made:
        await made.releases.create_agent("ann", Agent(name="a"), "")
        for number, text in enumerate(("one", "two", "three")):
            await made.releases.create_version("ann", "a", draft(text, number or None))
        for version in (1, 2, 3):
            await made.releases.move_label("ann", "a", "prod", version, "")
        yield made


def draft(text: str, parent: int | None, message: str = "") -> VersionDraft:
    return VersionDraft(components={"prompt": {"text": text}}, parent=parent, message=message)


def state_of(control: Commands) -> AgentState:
    state = control.live.agent("a")
    assert state is not None
    return state


def serving(control: Commands, label: str = "prod") -> int:
    return state_of(control).labels[label].version


async def start(control: Commands, candidate: int, percentage: float = 10, **more: Any) -> str:
    wanted = RolloutDraft(label="prod", arms=candidate_arm(candidate, percentage), **more)
    return (await control.rollouts.start_rollout("ann", "a", wanted, "")).id


async def kinds(control: Commands) -> list[str]:
    return [release.kind for release in reversed((await control.store.releases("a")).items)]


async def test_every_change_has_one_audit_entry_and_one_revision(control: Commands) -> None:
    revision = control.live.current.revision
    entries = await control.audit_entries()
    assert entries == ["agent.created", *["version.created"] * 3, *["label.moved"] * 3]
    assert revision == len(entries)
    rollout = await start(control, 1)
    await control.rollouts.set_percentage("ann", "a", rollout, 20, "")
    await control.rollouts.promote("ann", "a", rollout, "")
    await control.releases.rollback("ann", "a", None, "")
    await control.releases.move_label("ann", "a", "staging", 1, "")
    await control.releases.delete_label("ann", "a", "staging", "")
    await control.releases.update_agent("ann", "a", {"description": "new"}, "")
    await control.releases.archive_agent("ann", "a", "")
    assert (await control.audit_entries())[len(entries) :] == [
        "rollout.started",
        "rollout.share_changed",
        "rollout.promoted",
        "label.rolled_back",
        "label.moved",
        "label.deleted",
        "agent.updated",
        "agent.archived",
    ]
    assert control.live.current.revision == revision + 8
    assert await control.store.load_snapshot() == control.live.current


async def test_what_finds_nothing_to_do_or_is_refused_leaves_no_trace(control: Commands) -> None:
    before, entries = control.live.current, await control.audit_entries()
    releases = control.releases
    assert not (await releases.move_label("bob", "a", "prod", 3, "")).changed
    assert not (await releases.rollback("bob", "a", "prod", "", undoes=1)).changed
    assert not (await releases.rollback("bob", "a", "prod", "", to=3)).changed
    assert (await releases.create_version("bob", "a", draft("three", 3)))[1] is False
    assert await releases.update_agent("bob", "a", {"description": ""}, "") == state_of(control).agent
    for refused, kind, code in (
        (releases.create_agent("bob", Agent(name="a"), ""), Conflict, "agent_exists"),
        (releases.create_agent("bob", Agent(name="A"), ""), BadInput, "bad_name"),
        (releases.update_agent("bob", "b", {}, ""), NotFound, "agent_not_found"),
        (releases.update_agent("bob", "a", {"default_label": "latest"}, ""), BadInput, "bad_name"),
        (releases.create_version("bob", "a", draft("four", 2)), Conflict, "stale_parent"),
        (releases.create_version("bob", "a", draft("{{x}}", 3)), BadInput, "bad_version"),
        (releases.move_label("bob", "a", "prod", 4, ""), NotFound, "version_not_found"),
        (releases.move_label("bob", "a", "prod", 0, ""), BadInput, "bad_version_number"),
        (releases.move_label("bob", "a", "latest", 1, ""), BadInput, "bad_name"),
        (releases.move_label("bob", "a", "prod", 1, "", if_release=2), Conflict, "label_moved"),
        (releases.move_label("bob", "a", "prod", 1, "x" * 2001), BadInput, "bad_why"),
        (releases.delete_label("bob", "a", "prod", ""), Conflict, "default_label"),
        (releases.delete_label("bob", "a", "staging", ""), NotFound, "label_not_set"),
        (releases.rollback("bob", "a", "staging", ""), NotFound, "label_not_set"),
        (releases.rollback("bob", "a", "prod", "", to=9), NotFound, "version_not_found"),
        (releases.rollback("bob", "a", "prod", "", undoes=9), NotFound, "release_not_found"),
        (control.rollouts.promote("bob", "a", "r1", ""), NotFound, "rollout_not_found"),
        (control.rollouts.set_percentage("bob", "a", "r1", 101, ""), BadInput, "bad_percentage"),
        (start(control, 3), BadInput, "same_version"),
        (start(control, 9), NotFound, "version_not_found"),
        (start(control, 1, 0.0001), BadInput, "bad_percentage"),
    ):
        with pytest.raises(kind) as raised:
            await refused
        assert raised.value.code == code
    assert control.live.current is before
    assert await control.audit_entries() == entries


async def test_a_version_keeps_who_made_it_and_the_log_why(control: Commands) -> None:
    version, is_new = await control.releases.create_version("bob", "a", draft("four", 3, "kinder"), "ticket 7")
    assert (is_new, version.number, version.author, version.message, version.parent) == (True, 4, "bob", "kinder", 3)
    newest = (await control.store.audit(None, 1)).items[0]
    assert (newest.who, newest.what, newest.subject, newest.why) == (
        "bob",
        "version.created",
        "agents/a/versions/4",
        "ticket 7",
    )
    await control.releases.create_version("bob", "a", draft("five", 4, "briefer"))
    assert (await control.store.audit(None, 1)).items[0].why == "briefer"


async def test_the_content_of_an_older_version_may_come_again(control: Commands) -> None:
    version, is_new = await control.releases.create_version("ann", "a", draft("one", 3))
    first = await control.store.version("a", 1)
    assert first is not None
    assert (is_new, version.number) == (True, 4)
    assert version.bundle.bundle_hash == first.bundle.bundle_hash


async def test_a_rollback_goes_to_the_last_version_that_was_not_undone(control: Commands) -> None:
    releases = control.releases
    first = await releases.rollback("ann", "a", "prod", "bad", undoes=3)
    assert first.row is not None
    assert (first.changed, first.version, first.release, first.row.undoes, first.row.kind) == (
        True,
        2,
        4,
        3,
        "rolled_back",
    )
    again = await releases.rollback("bob", "a", "prod", "me too", undoes=3)
    assert again == Moved(False, "prod", 2, 4, again.reason)
    assert "no longer in force" in again.reason
    unnamed = await releases.rollback("bob", "a", "prod", "me too")
    assert not unnamed.changed
    assert "took it back already" in unnamed.reason
    further = await releases.rollback("ann", "a", "prod", "worse than thought", undoes=4)
    assert (further.changed, further.version, serving(control)) == (True, 1, 1)
    with pytest.raises(Conflict) as raised:
        await releases.rollback("ann", "a", "prod", "", undoes=5)
    assert raised.value.code == "nothing_to_roll_back"


async def test_a_rollback_can_name_its_version(control: Commands) -> None:
    moved = await control.releases.rollback("ann", "a", None, "", to=1)
    assert (moved.label, moved.version, serving(control)) == ("prod", 1, 1)


async def test_a_label_moved_after_a_rollback_is_rolled_back_to_what_served_before_it(control: Commands) -> None:
    await control.releases.rollback("ann", "a", "prod", "")
    await control.releases.move_label("ann", "a", "prod", 1, "")
    assert (await control.releases.rollback("ann", "a", "prod", "")).version == 2


async def test_a_rollback_ends_the_rollout_and_the_stable_version_serves_everyone(control: Commands) -> None:
    rollout = await start(control, 1)
    moved = await control.releases.rollback("ann", "a", "prod", "errors", cause="operator")
    assert moved.row is not None
    assert (moved.version, moved.row.undoes, moved.row.rollout) == (3, 4, rollout)
    assert state_of(control).rollouts == {}
    assert [arm.version for arm in moved.row.arms] == [3]
    ended = (await control.store.rollouts("a")).items[0]
    assert (ended.state, ended.ended_at_microseconds) == ("rolled_back", control.clock.now)
    with pytest.raises(Conflict) as raised:
        await control.rollouts.promote("ann", "a", rollout, "")
    assert raised.value.code == "rollout_ended"


async def test_a_rollback_of_a_share_that_grew_meanwhile_still_ends_the_rollout(control: Commands) -> None:
    rollout = await start(control, 1)
    await control.rollouts.set_percentage("ann", "a", rollout, 50, "")
    moved = await control.releases.rollback("bob", "a", "prod", "saw release 4", undoes=4)
    assert (moved.changed, moved.version) == (True, 3)
    assert (await control.releases.rollback("bob", "a", "prod", "", undoes=4)).changed is False


async def test_a_rollback_during_a_rollout_of_a_release_before_it_moves_nothing(control: Commands) -> None:
    await start(control, 1)
    moved = await control.releases.rollback("ann", "a", "prod", "", undoes=3)
    assert (moved.changed, len(state_of(control).rollouts)) == (False, 1)


async def test_a_rollback_during_a_rollout_can_name_its_version(control: Commands) -> None:
    await start(control, 1)
    assert (await control.releases.rollback("ann", "a", "prod", "", to=2)).version == 2
    assert (serving(control), state_of(control).rollouts) == (2, {})


async def test_while_a_rollout_runs_its_label_stays(control: Commands) -> None:
    rollout = await start(control, 1)
    for refused in (
        control.releases.move_label("ann", "a", "prod", 2, ""),
        control.releases.delete_label("ann", "a", "prod", ""),
        control.releases.archive_agent("ann", "a", ""),
        start(control, 2),
    ):
        with pytest.raises(Conflict) as raised:
            await refused
        assert raised.value.code == "rollout_running"
        assert rollout in raised.value.message
    assert (await control.releases.move_label("ann", "a", "staging", 1, "")).changed
    await control.rollouts.abort("ann", "a", rollout, "")
    assert (await control.releases.move_label("ann", "a", "prod", 2, "")).changed


async def test_a_promoted_candidate_is_what_the_label_points_to(control: Commands) -> None:
    rollout = await start(control, 1, 25)
    assert serving(control) == 3
    assert state_of(control).rollouts["prod"].arms == split(3, 1, 25_000)
    ended = await control.rollouts.promote("ann", "a", rollout, "good")
    assert (ended.state, serving(control), state_of(control).rollouts) == ("promoted", 1, {})
    assert (await control.releases.rollback("ann", "a", "prod", "not good after all")).version == 3
    assert (await kinds(control))[3:] == ["rollout_started", "promoted", "rolled_back"]


async def test_the_same_candidate_tried_again_meets_the_same_users_another_one_does_not(control: Commands) -> None:
    first = await start(control, 1)
    await control.rollouts.abort("ann", "a", first, "")
    again = await start(control, 1)
    assert state_of(control).rollouts["prod"].salt == "a/r1"
    await control.releases.rollback("ann", "a", "prod", "")
    await start(control, 2)
    assert (again, state_of(control).rollouts["prod"].salt) == ("r2", "a/r3")


async def test_shares_from_nothing_to_everything_keep_both_arms(control: Commands) -> None:
    rollout = await start(control, 1, 0)
    for step, percentage in enumerate((0.001, 33.333, 100, 0), start=1):
        changed = await control.rollouts.set_percentage("ann", "a", rollout, percentage, "")
        assert (changed.step, changed.arms) == (step, split(3, 1, round(percentage * 1000)))
        assert state_of(control).rollouts["prod"] == changed
    releases = (await control.store.releases("a")).items
    assert [release.arms for release in releases[:2]] == [split(3, 1, 0), split(3, 1, 100_000)]
    assert {release.salt for release in releases[:5]} == {"a/r1"}


async def test_a_deleted_label_is_in_the_ledger_and_begins_anew(control: Commands) -> None:
    for version in (1, 2):
        await control.releases.move_label("ann", "a", "staging", version, "")
    await control.releases.delete_label("ann", "a", "staging", "unused")
    assert (await kinds(control))[3:] == ["label_moved", "label_moved", "label_deleted"]
    assert "staging" not in state_of(control).labels
    with pytest.raises(NotFound):
        await control.releases.rollback("ann", "a", "staging", "")
    await control.releases.move_label("ann", "a", "staging", 3, "", if_release=0)
    with pytest.raises(Conflict) as raised:
        await control.releases.rollback("ann", "a", "staging", "")
    assert raised.value.code == "nothing_to_roll_back"
    assert await control.store.load_snapshot() == control.live.current


async def test_an_archived_agent_serves_nothing_and_takes_no_changes(control: Commands) -> None:
    await control.releases.archive_agent("ann", "a", "over")
    assert control.live.agent("a") is None
    for refused in (
        control.releases.move_label("ann", "a", "prod", 1, ""),
        control.releases.create_version("ann", "a", draft("four", 3)),
        control.releases.rollback("ann", "a", "prod", ""),
        control.releases.archive_agent("ann", "a", ""),
    ):
        with pytest.raises(NotFound):
            await refused
    with pytest.raises(Conflict):
        await control.releases.create_agent("ann", Agent(name="a"), "")


async def test_what_was_acknowledged_is_there_after_a_restart(tmp_path: Path) -> None:
    async with commands(tmp_path) as before:
        await before.releases.create_agent("ann", Agent(name="a", allow_latest=True), "")
        for number, text in enumerate(("one", "two")):
            await before.releases.create_version("ann", "a", draft(text, number or None))
        await before.releases.move_label("ann", "a", "prod", 1, "")
        await start(before, 2, 12.5, eligible={"tenant": "acme"})
        snapshot = before.live.current
    async with commands(tmp_path) as after:
        assert after.live.current == snapshot
        assert state_of(after).rollouts["prod"].eligible == {"tenant": "acme"}

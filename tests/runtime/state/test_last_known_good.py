"""The last known good state follows every change, is written a moment later, and knows what rollbacks need."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.core.errors import Unavailable
from proxy.core.proof.known_good import KnownGood
from proxy.core.releasing.arms import RolloutDraft, candidate_arm
from proxy.core.snapshot import Agent
from proxy.runtime.releasing.release_commands import VersionDraft
from proxy.runtime.state.last_known_good import LastKnownGood
from proxy.store.files.snapshot_file import SnapshotFile
from tests.edges.admin.composition import Commands, commands
from tests.harness import eventually


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[Commands]:
    async with commands(tmp_path) as made:
        made.standby.known_good.loaded(made.live.current, "here")
        yield made


async def grown(control: Commands, name: str = "a", moves: int = 6) -> None:
    await control.releases.create_agent("ann", Agent(name=name), "")
    for number in range(moves):
        draft = VersionDraft(components={"prompt": {"text": f"{number}"}}, parent=number or None, message="")
        await control.releases.create_version("ann", name, draft)
        await control.releases.move_label("ann", name, "prod", number + 1, "")


def kept(path: Path) -> KnownGood:
    known = SnapshotFile(path / "last-known-good.json").read()
    assert known is not None
    return known


async def test_what_is_written_is_the_newest_state_with_histories_and_the_versions_before(
    control: Commands, tmp_path: Path
) -> None:
    await grown(control)
    assert await control.standby.known_good.flush()
    known = kept(tmp_path)
    assert (known.snapshot, known.installation) == (control.live.current, "here")
    assert [row.version for row in known.pasts["a"].histories["prod"]] == [1, 2, 3, 4, 5, 6]
    assert sorted(known.pasts["a"].versions) == [3, 4, 5]


async def test_histories_kept_up_by_changes_are_those_read_from_the_store(control: Commands, tmp_path: Path) -> None:
    await grown(control)
    await control.releases.rollback("ann", "a", "prod", "")
    await control.rollouts.start_rollout("ann", "a", RolloutDraft(label="prod", arms=candidate_arm(6, 5)), "")
    await control.releases.move_label("ann", "a", "staging", 2, "")
    await control.releases.move_label("ann", "a", "canary", 2, "")
    await control.releases.delete_label("ann", "a", "canary", "")
    read = LastKnownGood(SnapshotFile(tmp_path / "other.json"))
    read.loaded(control.live.current, "here")
    await read.complete(control.live.current, control.store)
    assert read.is_complete
    await control.standby.known_good.complete(control.live.current, control.store)
    assert read.pasts == control.standby.known_good.pasts
    assert set(read.pasts["a"].histories) == {"prod", "staging"}


async def test_a_history_that_a_rollback_may_have_gone_past_is_read_again(control: Commands) -> None:
    await grown(control, moves=3)
    await control.releases.rollback("ann", "a", "prod", "")
    await control.releases.rollback("ann", "a", "prod", "it was good after all", to=3)
    known_good = control.standby.known_good
    assert [row.version for row in known_good.pasts["a"].histories["prod"]] == [3]
    await known_good.complete(control.live.current, control.store)
    assert [row.version for row in known_good.pasts["a"].histories["prod"]] == [1, 2, 3, 2, 3]
    assert sorted(known_good.pasts["a"].versions) == [1]
    assert known_good.is_complete


async def test_an_archived_agent_is_forgotten(control: Commands) -> None:
    await grown(control)
    await control.releases.archive_agent("ann", "a", "")
    assert control.standby.known_good.pasts == {}


async def test_a_change_is_in_the_file_soon_without_anybody_asking(control: Commands, tmp_path: Path) -> None:
    writing = asyncio.ensure_future(control.standby.known_good.run())
    await grown(control, moves=1)
    revision = control.live.current.revision
    await eventually(lambda: control.standby.known_good.status()["revision"] == revision)
    assert kept(tmp_path).snapshot.revision == revision
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)


async def test_a_file_that_cannot_be_written_is_told_and_tried_again(control: Commands, tmp_path: Path) -> None:
    obstacle = tmp_path / "last-known-good.json.new"
    obstacle.mkdir()
    await grown(control, moves=1)
    known_good = control.standby.known_good
    assert not await known_good.flush()
    assert "cannot be written" in known_good.status()["problem"]
    obstacle.rmdir()
    assert await known_good.flush()
    assert known_good.status() == {"revision": control.live.current.revision, "problem": None}


async def test_a_store_lost_while_histories_are_read_leaves_what_was_read(control: Commands, tmp_path: Path) -> None:
    await grown(control, "a", 2)
    await grown(control, "b", 2)
    read = LastKnownGood(SnapshotFile(tmp_path / "other.json"))
    read.loaded(control.live.current, "here")

    class LostHalfWay:
        """Answers about one agent only."""

        version = staticmethod(control.store.version)

        async def releases(self, agent: str, *more: object) -> object:
            if agent == "b":
                raise Unavailable("store_unavailable", "away")
            return await control.store.releases(agent, *more)

    with pytest.raises(Unavailable):
        await read.complete(control.live.current, LostHalfWay())
    assert set(read.pasts) == {"a"}
    await read.complete(control.live.current, control.store)
    assert set(read.pasts) == {"a", "b"}

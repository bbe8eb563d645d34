"""What every store promises of releases and rollouts: the label follows them, and the history of both is kept whole."""

from dataclasses import replace

import pytest

from proxy.core.errors import Conflict, NotFound
from tests.store.given import NOON, a_rollout, an_agent, audited, release, rollout
from tests.two_arms import split


class TestReleases:
    async def test_move_the_label_they_are_about(self, store):
        await an_agent(store, versions=2)
        async with audited(store) as change:
            await change.append_release(release("support", 2, 2))
            await change.append_release(release("support", 3, 1, label="staging"))
        labels = (await store.agent_state("support")).labels
        assert (labels["prod"].version, labels["prod"].release) == (2, 2)
        assert (labels["staging"].version, labels["staging"].release) == (1, 3)

    async def test_come_back_with_everything_they_said(self, store):
        await an_agent(store, versions=2)
        said = release(
            "support",
            2,
            2,
            kind="rolled_back",
            arms=split(1, 2, 12_345),
            salt="s",
            approved_by="bob",
            evidence=({"incident": 7},),
            undoes=1,
        )
        async with audited(store) as change:
            await change.append_release(said)
            assert await change.next_release_number("support") == 3
        assert (await store.releases("support")).items[0] == said

    async def test_are_one_history_per_label(self, store):
        await an_agent(store)
        async with audited(store) as change:
            for number, label in ((2, "staging"), (3, "prod"), (4, "staging")):
                await change.append_release(release("support", number, 1, label=label))
            history = await change.label_history("support", "staging")
        assert [found.number for found in history] == [2, 4]
        assert [found.number for found in (await store.releases("support")).items] == [4, 3, 2, 1]
        page = await store.releases("support", "staging", limit=1)
        assert [found.number for found in page.items] == [4]
        assert [found.number for found in (await store.releases("support", "staging", page.next_cursor)).items] == [2]

    async def test_of_a_version_that_is_not_there_are_refused(self, store):
        await an_agent(store)
        with pytest.raises(Conflict):
            async with audited(store) as change:
                await change.append_release(release("support", 2, 9))

    async def test_outlive_the_label_they_moved(self, store):
        await an_agent(store)
        async with audited(store) as change:
            await change.delete_label("support", "prod")
        assert (await store.agent_state("support")).labels == {}
        assert len((await store.releases("support", "prod")).items) == 1
        with pytest.raises(NotFound):
            async with audited(store) as change:
                await change.delete_label("support", "prod")


class TestRollouts:
    async def test_are_part_of_the_state_while_active(self, store):
        await an_agent(store, versions=2)
        started = await a_rollout(store)
        assert (await store.agent_state("support")).rollouts == {"prod": started}
        async with audited(store) as change:
            await change.update_rollout(replace(started, state="paused", step=1))
        assert (await store.agent_state("support")).rollouts["prod"].state == "paused"
        async with audited(store) as change:
            await change.update_rollout(replace(started, state="aborted", ended_at_microseconds=NOON + 5))
        assert (await store.agent_state("support")).rollouts == {}
        assert (await store.rollouts("support")).items[0].ended_at_microseconds == NOON + 5

    async def test_have_the_arms_of_their_newest_split(self, store):
        await an_agent(store, versions=2)
        started = await a_rollout(store)
        grown = split(1, 2, 25_000)
        async with audited(store) as change:
            grow = release("support", 3, 1, kind="share_changed", arms=grown, salt=started.salt, rollout=started.id)
            await change.append_release(grow)
        state = await store.agent_state("support")
        assert state.rollouts["prod"].arms == grown
        assert state.labels["prod"].release == 3

    async def test_that_ended_still_show_what_they_tried(self, store):
        await an_agent(store, versions=2)
        started = await a_rollout(store)
        async with audited(store) as change:
            await change.update_rollout(replace(started, state="rolled_back", ended_at_microseconds=NOON))
            ended = release("support", 3, 1, kind="rolled_back", rollout=started.id, undoes=2)
            await change.append_release(ended)
            assert (await change.rollout("support", started.id)).arms == started.arms

    async def test_are_numbered_per_agent_and_one_at_a_time_on_a_label(self, store):
        await an_agent(store, versions=3)
        started = await a_rollout(store)
        with pytest.raises(Conflict):
            await a_rollout(store, candidate=3)
        async with audited(store) as change:
            await change.update_rollout(replace(started, state="promoted", ended_at_microseconds=NOON))
        assert (started.id, (await a_rollout(store, candidate=3)).id) == ("r1", "r2")
        assert [found.id for found in (await store.rollouts("support")).items] == ["r2", "r1"]

    async def test_are_found_by_their_id_whatever_became_of_them(self, store):
        await an_agent(store, versions=2)
        started = await a_rollout(store)
        assert await store.rollout("support", started.id) == started
        async with audited(store) as change:
            await change.update_rollout(replace(started, state="aborted", ended_at_microseconds=NOON))
        ended = await store.rollout("support", started.id)
        assert (ended.state, ended.arms) == ("aborted", started.arms)
        assert await store.rollout("support", "r2") is None
        assert await store.rollout("billing", started.id) is None

    async def test_are_found_by_the_candidate_they_tried(self, store):
        await an_agent(store, versions=3)
        first = await a_rollout(store, candidate=2)
        async with audited(store) as change:
            await change.update_rollout(replace(first, state="aborted"))
        second = await a_rollout(store, candidate=2)
        async with audited(store) as change:
            assert (await change.last_rollout_of("support", "prod", 2)).id == second.id
            assert await change.last_rollout_of("support", "prod", 3) is None
            assert await change.last_rollout_of("support", "prod", 1) is None
            assert await change.last_rollout_of("support", "staging", 2) is None

    async def test_keep_everything_they_were_started_with(self, store):
        await an_agent(store, versions=2)
        started = await a_rollout(store, salt="another/r9")
        async with audited(store) as change:
            assert await change.rollout("support", "r1") == started
            assert await change.rollout("support", "r2") is None
            with pytest.raises(NotFound):
                await change.update_rollout(rollout("support", "r2", 2))

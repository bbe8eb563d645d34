"""What every store promises of the state that traffic is decided on: what is in force is in it, once, and nothing else."""

from dataclasses import replace

import pytest

from proxy.core.errors import NotFound
from proxy.core.scopes import Scope
from proxy.core.snapshot import Agent, SnapshotChanges, with_changes
from proxy.core.spending.caps import CounterKey
from proxy.core.spending.ledger import Hold, LedgerWrites
from tests.store.given import NOON, a_rollout, an_agent, audited, cap, release, switch, version


class TestTheSnapshot:
    async def test_holds_the_versions_traffic_can_reach_and_no_others(self, store):
        await an_agent(store, versions=6)
        await an_agent(store, "other", versions=4)
        await a_rollout(store, candidate=3)
        async with audited(store) as change:
            await change.append_release(release("support", 3, 5, label="staging"))
            await change.insert_switch(switch("k1", scope=Scope(agent="support"), mode="fallback", fallback_version=2))
            await change.insert_switch(switch("k2", mode="fallback", fallback_version=4))
        snapshot = await store.load_snapshot()
        assert sorted(snapshot.agents["support"].versions) == [1, 2, 3, 4, 5]
        assert sorted(snapshot.agents["other"].versions) == [1, 4]
        assert snapshot.agents["support"] == await store.agent_state("support")

    async def test_holds_the_newest_version_where_latest_is_allowed(self, store):
        await an_agent(store, versions=3, allow_latest=True)
        assert sorted((await store.agent_state("support")).versions) == [1, 3]

    async def test_of_an_agent_without_versions_is_empty_but_there(self, store):
        await an_agent(store, versions=0, allow_latest=True)
        state = (await store.load_snapshot()).agents["support"]
        assert (state.labels, state.rollouts, state.versions) == ({}, {}, {})

    async def test_of_many_agents_is_right_for_each(self, store):
        async with audited(store) as change:
            for index in range(60):
                name = f"agent-{index}"
                await change.insert_agent(Agent(name=name))
                await change.insert_version(version(name, 1, f"I am {index}"))
                await change.append_release(release(name, 1, 1))
        agents = (await store.load_snapshot()).agents
        assert [agents[f"agent-{index}"].versions[1].bundle.prompt.text for index in range(60)] == [
            f"I am {index}" for index in range(60)
        ]

    async def test_holds_a_component_that_versions_have_in_common_once(self, store):
        tools = {"mode": "merge", "items": [{"name": "look_up"}]}
        async with audited(store) as change:
            for name in ("one", "two"):
                await change.insert_agent(Agent(name=name))
                await change.insert_version(version(name, 1, name, tools=tools))
                await change.append_release(release(name, 1, 1))
        agents = (await store.load_snapshot()).agents
        first, second = (agents[name].versions[1].bundle for name in ("one", "two"))
        assert first.tools is second.tools
        assert (first.prompt.text, second.prompt.text) == ("one", "two")


class TestWhatWasChangedSince:
    async def test_is_what_this_change_and_those_before_it_wrote_and_nothing_else(self, store):
        await an_agent(store, "support", versions=2)
        await an_agent(store, "other")
        known = await store.load_snapshot()
        async with audited(store) as change:
            await change.append_release(release("support", 2, 2))
            first = await change.changes_since(known.revision)
        assert (set(first.agents), first.switches, first.caps, first.tokens) == ({"support"}, None, None, None)
        async with audited(store) as change:
            await change.insert_cap(cap("c1"))
            second, both = await change.changes_since(first.revision), await change.changes_since(known.revision)
        assert (second.agents, second.caps) == ({}, (cap("c1"),))
        assert both.agents == first.agents
        loaded = await store.load_snapshot()
        assert with_changes(with_changes(known, first), second) == with_changes(known, both) == loaded

    async def test_has_the_agents_that_a_switch_lets_fall_back_as_long_as_it_does(self, store):
        await an_agent(store, "support", versions=3)
        await an_agent(store, "other", versions=3)
        for switch_id, scope, agents in (
            ("k1", Scope(agent="support"), ["support"]),
            ("k2", Scope(), ["other", "support"]),
        ):
            async with audited(store) as change:
                await change.insert_switch(switch(switch_id, scope=scope, mode="fallback", fallback_version=2))
                on = await change.changes_since(change.revision - 1)
            assert sorted(name for name, state in on.agents.items() if 2 in state.versions) == agents
            async with audited(store) as change:
                await change.end_switch(switch_id, "bob", NOON + 1)
                off = await change.changes_since(on.revision)
            assert sorted(name for name, state in off.agents.items() if 2 not in state.versions) == agents

    async def test_of_a_change_that_is_undone_is_forgotten(self, store):
        await an_agent(store, "support", versions=2)
        known = await store.load_snapshot()
        with pytest.raises(RuntimeError):
            async with audited(store) as change:
                await change.append_release(release("support", 2, 2))
                await change.changes_since(known.revision)
                raise RuntimeError
        async with audited(store) as change:
            assert await change.changes_since(known.revision) == SnapshotChanges(revision=known.revision + 1)


class TestSwitchesAndCaps:
    async def test_are_in_force_until_they_are_ended(self, store):
        on = switch("k1", scope=Scope(tag=("tenant", "acme")), reply_text="closed", cut_streams=True)
        limit = cap("c1", scope=Scope(agent="support", user="*"), window="day")
        async with audited(store) as change:
            await change.insert_switch(on)
            await change.insert_cap(limit)
            assert (await change.switch("k1"), await change.cap("c1")) == (on, limit)
        snapshot = await store.load_snapshot()
        assert (snapshot.switches, snapshot.caps) == ((on,), (limit,))
        async with audited(store) as change:
            await change.end_switch("k1", "bob", NOON + 1)
            await change.end_cap("c1", "bob", NOON + 1)
            assert (await change.switch("k1"), await change.cap("c1")) == (None, None)
        snapshot = await store.load_snapshot()
        assert (snapshot.switches, snapshot.caps) == ((), ())

    async def test_cannot_be_ended_twice(self, store):
        async with audited(store) as change:
            await change.insert_switch(switch("k1"))
            await change.end_switch("k1", "bob", NOON)
        with pytest.raises(NotFound):
            async with audited(store) as change:
                await change.end_switch("k1", "bob", NOON)

    async def test_a_replaced_cap_keeps_what_it_counted(self, store):
        before = cap("c1")
        async with audited(store) as change:
            await change.insert_cap(before)
        key = CounterKey("c1", 0)
        await store.write_ledger(LedgerWrites([Hold("a1", key, "usd", 70, NOON)]))
        after = replace(before, limit_amount=5, at_limit="warn", why="less")
        async with audited(store) as change:
            await change.replace_cap(after)
        assert (await store.load_snapshot()).caps == (after,)
        assert await store.spent(after, 0) == {key: 70}

    async def test_are_listed_oldest_first(self, store):
        async with audited(store) as change:
            await change.insert_switch(switch("k2", created_at_microseconds=NOON + 2))
            await change.insert_switch(switch("k1", created_at_microseconds=NOON + 3))
        assert [found.id for found in (await store.load_snapshot()).switches] == ["k2", "k1"]

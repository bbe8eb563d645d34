"""What every store promises (proxy/store/store.py), whatever it is made of; about runs and spending in test_record_contract.py."""

import asyncio
from dataclasses import replace

import pytest

from proxy.core.audit import NO_PREVIOUS, seal
from proxy.core.caps import CounterKey
from proxy.core.errors import BadInput, Conflict, NotFound
from proxy.core.ledger import Hold, LedgerWrites
from proxy.core.releases import split
from proxy.core.scopes import Scope
from proxy.core.snapshot import Agent
from proxy.store.store import UnauditedChange
from tests.store.given import (
    NOON,
    a_rollout,
    an_agent,
    audited,
    cap,
    draft,
    release,
    rollout,
    switch,
    version,
)


class TestAChange:
    async def test_is_seen_whole_once_it_ended(self, store):
        async with audited(store) as change:
            await change.insert_agent(Agent(name="support", description="helps", created_at_microseconds=NOON))
            assert (await change.agent("support")).description == "helps"
            assert await store.agent_state("support") is None
        assert (await store.agent_state("support")).agent.description == "helps"

    async def test_leaves_nothing_when_its_block_raises(self, store):
        async def failing():
            async with audited(store) as change:
                await change.insert_agent(Agent(name="support"))
                raise KeyError

        with pytest.raises(KeyError):
            await failing()
        assert await store.agent_state("support") is None
        assert (await store.load_snapshot()).revision == 0

    async def test_without_an_audit_entry_is_refused_and_leaves_nothing(self, store):
        with pytest.raises(UnauditedChange):
            async with store.change() as change:
                await change.insert_agent(Agent(name="support"))
        assert await store.agent_state("support") is None

    async def test_that_wrote_nothing_needs_no_audit_entry_and_is_no_revision(self, store):
        async with store.change() as change:
            assert await change.agent("support") is None
        assert (await store.load_snapshot()).revision == 0

    async def test_raises_the_revision_by_one_and_knows_it(self, store):
        for expected in (1, 2, 3):
            async with audited(store) as change:
                assert change.revision == expected
            assert (await store.load_snapshot()).revision == expected

    async def test_runs_alone_so_that_numbers_never_repeat(self, store):
        await an_agent(store)

        async def move():
            async with audited(store) as change:
                number = await change.next_release_number("support")
                await asyncio.sleep(0)
                await change.append_release(release("support", number, 1))
                return number

        numbers = await asyncio.gather(*(move() for _ in range(8)))
        assert sorted(numbers) == list(range(2, 10))

    async def test_survives_closing_and_opening(self, store):
        await an_agent(store, versions=2)
        before = await store.load_snapshot()
        await store.close()
        await store.open()
        assert await store.load_snapshot() == before

    async def test_cancelled_inside_leaves_nothing_and_the_next_one_works(self, store):
        inside = asyncio.Event()

        async def stuck():
            async with audited(store) as change:
                await change.insert_agent(Agent(name="support"))
                inside.set()
                await asyncio.Event().wait()

        task = asyncio.ensure_future(stuck())
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await an_agent(store, "support")
        assert [entry.number for entry in (await store.audit()).items] == [1]

    async def test_cancelled_at_any_step_is_whole_or_absent(self, store):
        for steps in range(12):
            name = f"agent-{steps}"
            task = asyncio.ensure_future(an_agent(store, name))
            for _ in range(steps * 3):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            async with audited(store) as change:
                found = await change.agent_state(name)
                assert found is None or found.labels["prod"].version == 1
        revisions = (await store.load_snapshot()).revision
        assert len((await store.audit()).items) == revisions


class TestAgents:
    async def test_change_their_members_but_not_their_newest_version(self, store):
        await an_agent(store, versions=2)
        async with audited(store) as change:
            found = await change.agent("support")
            await change.update_agent(replace(found, description="new", default_label="staging", newest=99))
        agent = (await store.agent_state("support")).agent
        assert (agent.description, agent.default_label, agent.newest) == ("new", "staging", 2)

    async def test_that_are_archived_are_in_no_snapshot_but_still_known(self, store):
        await an_agent(store)
        async with audited(store) as change:
            await change.update_agent(Agent(name="support", archived=True))
        assert (await store.load_snapshot()).agents == {}
        assert (await store.agent_state("support")).agent.archived
        assert [agent.name for agent in (await store.agents()).items] == ["support"]

    async def test_cannot_be_made_twice(self, store):
        await an_agent(store)
        with pytest.raises(Conflict):
            await an_agent(store)

    async def test_that_are_not_there_cannot_be_changed(self, store):
        with pytest.raises(NotFound) as refused:
            async with audited(store) as change:
                await change.update_agent(Agent(name="nobody"))
        assert refused.value.code == "agent_not_found"

    async def test_are_listed_by_name_page_by_page(self, store):
        for name in ("c", "a", "b"):
            await an_agent(store, name, versions=0)
        first = await store.agents(limit=2)
        second = await store.agents(first.next_cursor, limit=2)
        assert [agent.name for agent in first.items] == ["a", "b"]
        assert ([agent.name for agent in second.items], second.next_cursor) == (["c"], None)


class TestVersions:
    async def test_come_back_equal_to_what_was_stored(self, store):
        stored = version(
            "support",
            1,
            "Hello {{name}} \u2028 \U0001f600\r\n\x1b[31m",
            prompt={"text": "Hi {{name}}\r\n\U0001f600", "variables": {"name": {"default": "you"}}},
            model={"provider": "openai", "name": "gpt-4o-mini", "parameters": {"temperature": {"default": 0.2}}},
            tools={"mode": "merge", "items": [{"name": "lookup", "description": "d"}]},
            retrieval={"index": "kb", "top_k": 8},
            policy={"max_tool_calls": 3, "other": [1, 2.5, None]},
        )
        async with audited(store) as change:
            await change.insert_agent(Agent(name="support"))
            await change.insert_version(stored)
            assert await change.version("support", 1) == stored
        assert await store.version("support", 1) == stored
        assert await store.version("support", 2) is None

    async def test_share_components_with_equal_content(self, store):
        await an_agent(store, versions=3)
        await an_agent(store, "other", versions=3)
        versions = (await store.versions("other")).items
        assert [found.number for found in versions] == [3, 2, 1]
        assert versions[0].bundle_hash == (await store.version("support", 3)).bundle.bundle_hash

    async def test_must_have_the_next_number(self, store):
        await an_agent(store, versions=2)
        for number in (2, 4):
            with pytest.raises(Conflict):
                async with audited(store) as change:
                    await change.insert_version(version("support", number))

    async def test_are_listed_newest_first_page_by_page(self, store):
        await an_agent(store, versions=5)
        first = await store.versions("support", limit=3)
        second = await store.versions("support", first.next_cursor, limit=3)
        assert [found.number for found in first.items] == [5, 4, 3]
        assert [found.number for found in second.items] == [2, 1]
        assert second.next_cursor is None


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


class TestTheAudit:
    async def test_is_a_chain_in_the_order_of_the_changes(self, store):
        first = draft("label.moved", before={"version": 1}, after={"version": 2}, evidence=({"run": "x"},))
        async with store.change() as change:
            one = await change.append_audit(first)
            two = await change.append_audit(draft("cap.made"))
        assert one == seal(first, 1, NO_PREVIOUS)
        assert (two.number, two.previous) == (2, one.hash)
        assert (await store.audit()).items == [two, one]

    async def test_is_listed_newest_first_page_by_page(self, store):
        async with store.change() as change:
            for _ in range(5):
                await change.append_audit(draft())
        first = await store.audit(limit=2)
        second = await store.audit(first.next_cursor, limit=5)
        assert [entry.number for entry in (*first.items, *second.items)] == [5, 4, 3, 2, 1]

    async def test_of_what_json_cannot_carry_undoes_the_change(self, store):
        async def unspeakable():
            async with store.change() as change:
                await change.insert_agent(Agent(name="support"))
                await change.append_audit(draft(after={"text": "\ud800"}))

        with pytest.raises(BadInput):
            await unspeakable()
        assert await store.agent_state("support") is None


class TestTheFacts:
    async def test_tell_what_kind_of_store_this_is(self, store, database):
        facts = await store.diagnostics()
        assert (facts["kind"], facts["path"], facts["schema_version"]) == ("sqlite", str(database), 1)
        assert facts["size_bytes"] > 0
        assert facts["revision"] == 0

    async def test_tell_the_revision_of_the_newest_change_also_after_a_restart(self, store):
        await an_agent(store)
        assert (await store.diagnostics())["revision"] == (await store.load_snapshot()).revision == 1
        await store.close()
        await store.open()
        assert (await store.diagnostics())["revision"] == 1

    async def test_a_ping_of_a_store_that_works_says_nothing(self, store):
        assert await store.ping() is None

"""What every store promises of agents and their versions: they come back equal, number by number, and are made once."""

from dataclasses import replace

import pytest

from proxy.core.errors import Conflict, NotFound
from proxy.core.snapshot import Agent
from tests.store.given import an_agent, audited, version


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

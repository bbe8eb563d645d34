"""What every store promises of a change: whole or absent, alone, and never without its entry in the audit's chain."""

import asyncio

import pytest

from proxy.core.errors import BadInput
from proxy.core.proof.audit import NO_PREVIOUS, seal
from proxy.core.snapshot import Agent
from proxy.store.ports.changes import UnauditedChange
from tests.store.given import NOON, an_agent, audited, draft, release


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

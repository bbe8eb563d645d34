"""What every store says of itself: its kind, its size, its revision, and nothing while it works."""

from proxy.store.sqlite.opening.migrate import migrations
from tests.store.given import an_agent


class TestTheFacts:
    async def test_tell_what_kind_of_store_this_is(self, store, database):
        facts = await store.diagnostics()
        assert (facts["kind"], facts["path"], facts["schema_version"]) == ("sqlite", str(database), max(migrations()))
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

"""The store that benchmarks measure is a true one: built in bulk, it is what commands one by one would have made."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from benchmarks.scale.building import components, grow, name_of
from proxy.core.snapshot import Agent
from proxy.runtime.releasing.release_commands import VersionDraft
from proxy.runtime.state.record_verification import proofs
from proxy.store.sqlite import SqliteStore
from tests.edges.admin.composition import commands


def rows(database: Path, table: str, columns: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as plain:
        return sorted(plain.execute(f"SELECT {columns} FROM {table}"))


async def ordered(folder: Path, agents: int, versions: int) -> Path:
    """The same, by commands."""
    async with commands(folder) as control:
        for index in range(agents):
            name = name_of(index)
            await control.releases.create_agent("ann", Agent(name=name), "scale")
            for number in range(1, versions + 1):
                draft = VersionDraft(
                    components=components(name, number), parent=number - 1 or None, message=f"edition {number}"
                )
                await control.releases.create_version("ann", name, draft, "scale")
            await control.releases.move_label("ann", name, "prod", 1, "scale")
        return control.database


async def test_a_store_that_grew_in_bulk_has_the_rows_that_commands_write_and_is_proved(
    store: SqliteStore, database: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    await store.close()
    grow(database, 2, 3)
    grow(database, 3, 4)
    commanded = await ordered(tmp_path_factory.mktemp("commanded"), 3, 4)
    for table, columns in {
        "components": "hash, kind, content",
        "versions": "agent, number, parent, bundle_hash, prompt, model, tools, retrieval, policy, author, message, source",
        "releases": "agent, number, kind, label, arm_count, who, why",
        "release_arms": "*",
        "labels": "*",
        "audit": "who, what, subject, why, before, json_remove(after, '$.created_at')",
    }.items():
        assert rows(database, table, columns) == rows(commanded, table, columns), table
    await store.open()
    async for proof in proofs(store):
        last = proof
    assert (last.document()["ok"], last.head.number) == (True, 3 * (1 + 4 + 1))
    assert (await store.load_snapshot()).agents["agent-0002"].agent.newest == 4

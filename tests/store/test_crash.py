"""`kill -9` at random moments: the file stays whole, and everything acknowledged is there."""

import asyncio
import random
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from proxy.core.errors import Unavailable
from proxy.core.proof.audit import NO_PREVIOUS, AuditDraft, seal
from proxy.core.reports.sums import HOUR_MICROSECONDS, read_sums
from proxy.store.sqlite import SqliteStore
from tests.store.given import NOON, audited, cap

KILLS = 15
PROJECT = Path(__file__).parents[2]
_BETWEEN_MARKS = """
SELECT COUNT(*) FROM run_sum_marks CROSS JOIN run_records WHERE number BETWEEN summed_from AND summed_to
"""


async def killed_writer(database: Path, after_acknowledgements: int) -> set[str]:
    """Run the writer, kill it in the middle of its work; the lines it managed to say."""
    writer = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.store.crashing_writer", str(database), cwd=PROJECT, stdout=asyncio.subprocess.PIPE
    )
    assert writer.stdout is not None
    try:
        lines = [await writer.stdout.readline() for _ in range(after_acknowledgements)]
    finally:
        writer.kill()
    rest = await writer.stdout.read()
    assert await writer.wait() == -signal.SIGKILL
    return {line.decode().strip() for line in (*lines, *rest.splitlines()) if line}


def in_sums(plain: sqlite3.Connection) -> int:
    """How many runs the sums of reports have."""
    hours = plain.execute("SELECT sums FROM run_sums WHERE span_microseconds = ?", (HOUR_MICROSECONDS,))
    return sum(read_sums(sums).get("counts", "runs") for (sums,) in hours)


def stored(plain: sqlite3.Connection) -> set[str]:
    changes = {f"change {name}" for (name,) in plain.execute("SELECT name FROM agents")}
    holds = {f"hold {attempt}" for (attempt,) in plain.execute("SELECT attempt FROM holds")}
    return changes | holds | {f"runs {name}" for (name,) in plain.execute("SELECT id FROM runs")}


async def test_nothing_acknowledged_is_lost_and_nothing_is_half_done(database):
    store = SqliteStore(database)
    await store.open()
    async with audited(store) as change:
        await change.insert_cap(cap("c1", unit="calls"))
    await store.close()
    chance = random.Random(7)  # the moments differ anyway: the writer's own pace decides what is under way
    acknowledged: set[str] = set()
    for _ in range(KILLS):
        acknowledged |= await killed_writer(database, chance.randint(1, 60))
        with closing(sqlite3.connect(database)) as plain:
            assert plain.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert acknowledged <= stored(plain)
            agents = {name for (name,) in plain.execute("SELECT name FROM agents")}
            audited_agents = {subject for (subject,) in plain.execute("SELECT subject FROM audit WHERE number > 1")}
            assert agents == audited_agents
            assert plain.execute("SELECT revision FROM meta").fetchone()[0] == len(agents) + 1
            assert plain.execute("SELECT COUNT(*) % 5 FROM runs").fetchone() == (0,)
            assert in_sums(plain) == plain.execute(_BETWEEN_MARKS).fetchone()[0]
    with closing(sqlite3.connect(database)) as plain:
        assert in_sums(plain) > 0
    await store.open()
    assert await store.recover_holds(NOON) > 0
    assert_is_chain((await store.audit(limit=500)).items[::-1])
    await store.close()


def assert_is_chain(entries):
    previous = entries[0].previous if entries[0].number > 1 else NO_PREVIOUS
    for entry in entries:
        members = {name: getattr(entry, name) for name in AuditDraft.__dataclass_fields__}
        assert entry == seal(AuditDraft(**members), entry.number, previous)
        previous = entry.hash


async def test_a_killed_process_leaves_no_lock_behind(database):
    await killed_writer(database, 1)
    store = SqliteStore(database)
    await store.open()
    await store.ping()
    await store.close()


async def test_a_file_in_use_by_another_process_is_refused_and_the_process_named(database):
    writer = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.store.crashing_writer", str(database), cwd=PROJECT, stdout=asyncio.subprocess.PIPE
    )
    assert writer.stdout is not None
    try:
        await writer.stdout.readline()
        with pytest.raises(Unavailable) as caught:
            await SqliteStore(database).open()
    finally:
        writer.kill()
        await writer.communicate()
    assert caught.value.code == "store_in_use"
    assert str(writer.pid) in caught.value.message

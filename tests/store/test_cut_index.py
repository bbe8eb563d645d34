"""The index of the log (-shm) is cut short in place while it is mapped: the process lives, and nothing acknowledged is lost.

Each process here is one of its own, because what is tried would end it.
"""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.core.calls.run_filter import RunFilter
from proxy.store.sqlite import SqliteStore
from proxy.store.sqlite.restoring import check
from tests.harness import ended

#: Of a life that hangs: each takes a second or two.
LIFE_SECONDS = 200
LIFE = '''
import asyncio, os, sys
from contextlib import suppress
from pathlib import Path
from proxy.core.errors import Unavailable
from proxy.store.sqlite import SqliteStore
from tests.store.given import NOON, an_agent, run

database, size, moment = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
index = database.with_name(database.name + "-shm")
agents, runs, stopped = [], [], False

async def persisted(make):
    """Until the store is back."""
    for _ in range(200):
        with suppress(Unavailable):
            return await make()
        await asyncio.sleep(0.02)
    raise SystemExit("the store did not come back")

async def writes(store):
    while not stopped:
        name = f"agent-{len(agents)}"
        try:
            await an_agent(store, name)
            agents.append(name)
        except Unavailable:
            await asyncio.sleep(0.005)

async def records(store):
    while not stopped:
        name = f"run-{len(runs)}"
        try:
            await store.record_runs([run(name, started_at_microseconds=NOON + len(runs))], [])
            runs.append(name)
        except Unavailable:
            await asyncio.sleep(0.005)

async def reads(store):
    while not stopped:
        with suppress(Unavailable):
            await store.load_snapshot()
            await store.scrub()

async def grown(log, count):
    while len(log) < count:
        await asyncio.sleep(0.005)

async def main():
    global stopped
    store = SqliteStore(database, busy_timeout_seconds=2)
    await store.open()
    if moment == "idle":
        for number in range(5):
            await an_agent(store, f"agent-{number}")
            agents.append(f"agent-{number}")
        os.truncate(index, size)
    else:
        tasks = [asyncio.create_task(one(store)) for one in (writes, records, reads)]
        for number in range(1, 6):
            await grown(agents, 4 * number)
            os.truncate(index, size)
            await grown(runs, len(runs) + 4)
        stopped = True
        await asyncio.gather(*tasks)
    await persisted(store.ping)
    await persisted(lambda: an_agent(store, "afterwards"))
    if moment == "stopped at once":
        os.truncate(index, size)
    await store.close()
    print(len(agents), len(runs))

asyncio.run(main())
'''


async def nothing_is_missing(database: Path, agents: int, runs: int) -> None:
    assert not check(database).findings
    store = SqliteStore(database)
    await store.open()
    there = (await store.load_snapshot()).agents
    assert {f"agent-{number}" for number in range(agents)} | {"afterwards"} <= set(there)
    assert await store.count_runs(RunFilter()) >= runs
    await store.close()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the process ends, as it did")
@pytest.mark.parametrize("size", [0, 4096, 20_000])
@pytest.mark.parametrize("moment", ["idle", "busy", "stopped at once"])
async def test_an_index_that_is_cut_in_place_costs_neither_the_process_nor_anything_acknowledged(
    tmp_path, size: int, moment: str
):
    database = tmp_path / "switchback.db"
    command = [sys.executable, "-c", LIFE, str(database), str(size), moment]
    life = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    async with ended(life), asyncio.timeout(LIFE_SECONDS):
        said, problem = await life.communicate()
    assert life.returncode == 0, problem[-2000:]
    agents, runs = map(int, said.split())
    await nothing_is_missing(database, agents, runs)

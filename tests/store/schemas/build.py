"""Makes the database of a schema with a bit of everything in it: `python -m tests.store.schemas.build FILE.db.xz`.

Run once by the program whose schema it is, before the next migration is written; what it made stays as it is, because a later
program writes other rows. The real server, the simulator and an operator make it, and it is copied while calls are
under way, so that it has open holds and leases like the database of a process that was killed.

`schema-1.db.xz` was made on 2026-11-28 by the program of commit 25e3d3a, `schema-2.db.xz` by that of
19cd9b4, `schema-3.db.xz` by that of 795e53f, `schema-4.db.xz` by that of 3a4f5ef, `schema-5.db.xz` by that of aa5b765,
`schema-6.db.xz` by that of f64f02a, `schema-7.db.xz` by that of 40df540,
`schema-8.db.xz` by that of 147a9a7, `schema-9.db.xz` by that of cb5f570.
"""

import asyncio
import lzma
import sqlite3
import sys
import tempfile
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import aiohttp

from tests.harness import Deployment, Operator, deployed

#: One more than a segment of runs, so that there is a full one with its owners, and runs after it.
CALLS = 4_100
AT_ONCE = 40


FAULTS = {7: "status=500", 11: "status=429", 20: "cut_after_events=1", 33: "cut_before_answer"}


def body(number: int) -> dict[str, Any]:
    message = {"role": "user", "content": f"question {number % 7}"}
    return {"model": "gpt-4o-mini", "messages": [message], "max_tokens": 50, "stream": number % 5 == 0}


async def ask(deployment: Deployment, number: int) -> None:
    """One call by one of 40 users in one of 80 conversations; every tenth without an agent, some of which fail."""
    agent = ("support", "billing")[number % 2]
    path = "/v1/chat/completions" if number % 10 == 9 else f"/a/{agent}/v1/chat/completions"
    names = {"switchback_user": f"user-{number % 40}", "switchback_conversation": f"c-{number % 80}"}
    names["switchback_tags"] = f"tenant=t{number % 3}"
    names["x_simulate"] = FAULTS.get(number % 50, "events=3")
    async with deployment.post(path, body(number), **names) as answer:
        with suppress(aiohttp.ClientPayloadError):
            await answer.read()


async def ask_all(deployment: Deployment, numbers: Iterable[int]) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def gated(number: int) -> None:
        async with gate:
            await ask(deployment, number)

    await asyncio.gather(*(gated(number) for number in numbers))


async def releases(operator: Operator) -> None:
    await operator.agent("support", "one", "two", "three")
    await operator.label("support", "prod", 2)
    await operator.post("/agents/support/rollback", label="prod", why="worse")
    await operator.label("support", "staging", 3)
    await operator.agent("billing", "eins", "zwei", tools={"items": []}, policy={"max_tool_calls": 3})
    ended = await operator.post("/agents/billing/rollouts", label="prod", candidate=2, percentage=10, why="try")
    await operator.post(f"/agents/billing/rollouts/{ended['id']}/set-percentage", percentage=30, why="good")
    await operator.post(f"/agents/billing/rollouts/{ended['id']}/abort", why="bad")
    await operator.post("/agents/billing/rollouts", label="prod", candidate=2, percentage=50, why="again")
    await operator.agent("retired", "old")
    await operator.post("/agents/retired/archive", why="done")


async def people(deployment: Deployment) -> None:
    operator = deployment.operator
    made = [await operator.post("/tokens", name=name, role="operator", why="a test") for name in ("ann", "bob", "cid")]
    await operator.request("DELETE", f"/tokens/{made[2]['id']}")
    bob = Operator(deployment.server.admin_url, made[1]["token"], deployment.session)
    await operator.request("PUT", "/agents/support/labels/prod/protection", {"approval_required": True})
    for version, end in ((2, "approve"), (3, "reject"), (3, None)):
        proposed = await operator.post("/agents/support/proposals", label="staging", version=version, why="better")
        if end is not None:
            await bob.post(f"/agents/support/proposals/{proposed['id']}/{end}", why="read it")


async def limits(operator: Operator) -> None:
    for scope, window, unit, limit in (
        ({"agent": "support"}, "day", "usd", 100),
        ({"user": "*"}, "minute", "calls", 10_000),
        ({"user": "*"}, "month", "usd", 50),
        ({}, "total", "usd", 1_000),
        ({"agent": "billing"}, "total", "in_flight", 500),
    ):
        await operator.post("/caps", scope=scope, window=window, unit=unit, limit=limit, why="a test")
    ended = await operator.post("/caps", scope={}, window="hour", unit="calls", limit=9_000, why="a test")
    await operator.request("DELETE", f"/caps/{ended['id']}", {"why": "too low"})
    await operator.post("/switches", scope={"tag": "tenant=t99"}, mode="block", why="a test")
    off = await operator.post("/switches", scope={"model": "gpt-4o"}, mode="observe", why="a test")
    await operator.request("DELETE", f"/switches/{off['id']}", {"why": "fine"})


async def outcomes(operator: Operator) -> None:
    for number, run in enumerate(await operator.runs(20)):
        await operator.post(f"/runs/{run['id']}/outcomes", name="solved", value=number % 2 == 0, why="a test")


async def make(home: Path) -> None:
    async with deployed(home) as deployment:
        operator = deployment.operator
        await releases(operator)
        await limits(operator)
        await people(deployment)
        await ask_all(deployment, range(CALLS))
        await outcomes(operator)
        await operator.post("/runs/quarantine", agent="billing", version=2, why="a test")
        asked = deployment.simulator.record.received
        deployment.simulator.hold_answers()
        waiting = asyncio.ensure_future(ask_all(deployment, range(10)))
        await deployment.simulator.wait_for_calls(asked + 10)
        copy(home / "switchback.db", home / "copy.db")
        deployment.simulator.release_answers()
        await waiting


def copy(database: Path, target: Path) -> None:
    """A whole copy of a database that is in use, in one file."""
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(target)) as copied:
        source.backup(copied)
        copied.execute("PRAGMA journal_mode = DELETE")


def main(target: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(make(Path(folder)))
        target.write_bytes(lzma.compress((Path(folder) / "copy.db").read_bytes(), preset=9))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

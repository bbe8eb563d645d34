"""Workers and their owner may be killed or told to stop: others go on, nothing is left running, and what was held is charged."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import aiohttp
import orjson

from proxy.simulator.app import Simulator
from tests.acceptance.caps import cap
from tests.acceptance.several_workers import (
    BODY,
    CHAT,
    are_in_flight,
    bare_call,
    call,
    caps_by_unit,
    is_restarted,
    many,
    series,
    workers,
)
from tests.harness import CALLER_KEY, PATIENCE_SECONDS, Deployment, Operator, deployed, eventually

KEY = {"authorization": f"Bearer {CALLER_KEY}"}


async def test_a_worker_killed_under_load_breaks_only_its_own_calls_and_its_holds_are_charged(
    three: Deployment,
) -> None:
    await cap(three.operator, "usd", 1000)
    await cap(three.operator, "in_flight", 40, window="total")
    three.simulator.hold_answers()
    calls = [asyncio.ensure_future(call(three)) for _ in range(40)]
    await eventually(lambda: three.simulator.record.received == 40)
    await eventually(lambda: are_in_flight(three, 40))
    victim = max(await workers(three), key=lambda worker: worker["runs_in_flight"])
    held = (await caps_by_unit(three))["usd"]["held"]
    os.kill(victim["pid"], signal.SIGKILL)
    await three.simulator.wait_for_clients_left(victim["runs_in_flight"])
    three.simulator.release_answers()
    ended = await asyncio.gather(*calls, return_exceptions=True)
    broken = [one for one in ended if isinstance(one, aiohttp.ClientError)]
    assert len(broken) == victim["runs_in_flight"]
    assert [one for one in ended if one not in broken] == [(200, "support@1")] * (40 - len(broken))

    await eventually(lambda: is_restarted(three, victim["name"]))
    assert await series(three, "switchback_worker_restarts_total") == 1
    await three.operator.runs(40 - len(broken))
    after = await caps_by_unit(three)
    usd, in_flight = after["usd"], after["in_flight"]
    # What the killed worker held is charged in full; nothing stays held, and its places are free again.
    assert (usd["held"], in_flight["held"]) == (0, 0)
    assert usd["spent"] >= three.simulator.billed_nanodollars / 1e9
    assert usd["spent"] >= held / 40 * len(broken)
    assert await many(three, 30) == {(200, "support@1"): 30}


@dataclass(slots=True)
class Owned:
    """Two workers and their owner, a process of its own, that serve the agent `support`. `pids`: of the workers."""

    session: aiohttp.ClientSession
    process: asyncio.subprocess.Process
    traffic: str
    operator: Operator
    pids: list[int]


@asynccontextmanager
async def owned(home: Path, simulator: Simulator) -> AsyncIterator[Owned]:
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        served(home, simulator, session) as (process, traffic, operator),
    ):
        await operator.agent("support", "one")
        pids = [worker["pid"] for worker in (await operator.get("/status"))["workers"]]
        yield Owned(session, process, traffic, operator, pids)


@asynccontextmanager
async def served(
    home: Path, simulator: Simulator, session: aiohttp.ClientSession
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str, Operator]]:
    """`switchback serve` with two workers as a process of its own: process, traffic URL, operator."""
    config = home.with_suffix(".yaml")
    content = {
        "listen": "127.0.0.1:0",
        "admin": {"listen": "127.0.0.1:0"},
        "workers": 2,
        "providers": {"openai": {"wire": "openai", "base_url": simulator.url}},
    }
    config.write_bytes(orjson.dumps(content))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "proxy", "serve", "--config", str(config),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "SWITCHBACK_HOME": str(home)},
    )  # fmt: skip
    try:
        assert process.stderr is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            while "LLM traffic on" not in (line := (await process.stderr.readline()).decode()):
                assert line, "the process ended before it listened"
        traffic, admin = re.findall(r"http://[0-9.:]+", line)
        yield process, traffic, Operator(admin, (home / "admin-token").read_text().strip(), session)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def is_running(pid: int) -> bool:
    """Whether the process lives; one that has ended and waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def test_after_the_owner_is_killed_its_workers_end_and_spent_is_at_least_what_was_billed(
    simulator: Simulator, home: Path
) -> None:
    async with owned(home, simulator) as two:
        await cap(two.operator, "usd", 1000)

        async def load() -> None:
            while await bare_call(two.traffic) is not None:
                pass

        clients = [asyncio.ensure_future(load()) for _ in range(20)]
        await simulator.wait_for_calls(300)
        two.process.kill()
        await two.process.wait()
        # The workers notice by themselves, and nobody is left who takes calls.
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.gather(*clients)
        await eventually(lambda: not any(is_running(pid) for pid in two.pids))
    await simulator.wait_until_idle()
    async with deployed(home, simulator=simulator, workers=2) as restarted:
        shown = (await restarted.operator.get("/caps"))["items"][0]
        assert shown["held"] == 0
        assert simulator.billed_nanodollars / 1e9 <= shown["spent"] < 1000
        assert await many(restarted, 6) == {(200, "support@1"): 6}


async def test_lives_that_all_end_in_kills_charge_a_cap_no_more_than_one_lease_and_never_too_little(
    simulator: Simulator, home: Path
) -> None:
    """Calls are answered before anything is killed, so that only what the lease stood for can be charged beside them."""
    async with aiohttp.ClientSession() as session:
        for life in range(3):
            async with served(home, simulator, session) as (process, traffic, operator):
                if not life:
                    await operator.agent("support", "one")
                    await cap(operator, "calls", 640)
                (shown,) = (await operator.get("/caps"))["items"]
                received, charged = simulator.record.received, shown["charged_by_crashes"]
                assert received <= shown["spent"] <= received + charged
                assert shown["charged_by_crashes_at_most"] == 10
                assert charged <= 10
                assert (charged > 0) == (life > 0)
                pids = [worker["pid"] for worker in (await operator.get("/status"))["workers"]]
                for victim in pids:
                    assert [await bare_call(traffic) for _ in range(10)] == [200] * 10
                    os.kill(victim, signal.SIGKILL)
                    await eventually(partial(all_serve, operator, victim))
                process.kill()
                await process.wait()


async def all_serve(operator: Operator, gone: int) -> bool:
    """Whether every worker takes calls, and none of them is the one that was killed."""
    now = (await operator.get("/status"))["workers"]
    return all(worker["serving"] and worker["pid"] != gone for worker in now)


async def test_sigterm_to_the_owner_drains_every_worker_and_ends_with_code_zero(
    simulator: Simulator, home: Path
) -> None:
    async with owned(home, simulator) as two:
        simulator.hold_answers()

        async def one() -> int:
            async with two.session.post(two.traffic + CHAT, json=BODY, headers=KEY) as answer:
                await answer.read()
                return answer.status

        calls = [asyncio.ensure_future(one()) for _ in range(20)]
        await simulator.wait_for_calls(20)
        two.process.send_signal(signal.SIGTERM)
        await eventually(lambda: _refuses_connections(two.traffic))
        simulator.release_answers()
        assert await asyncio.gather(*calls) == [200] * 20
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await two.process.wait() == 0
        assert not any(is_running(pid) for pid in two.pids)
    async with deployed(home, simulator=simulator) as restarted:
        assert len(await restarted.operator.runs(20)) == 20


async def _refuses_connections(url: str) -> bool:
    host, _, port = url.removeprefix("http://").rpartition(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except ConnectionError as error:  # a reset: it is about to
        return isinstance(error, ConnectionRefusedError)
    writer.close()
    return False


async def test_without_any_worker_the_proxy_is_not_ready_and_is_again_when_they_are_back(three: Deployment) -> None:
    async def readiness() -> tuple[int, list[str]]:
        async with three.session.get(f"{three.server.admin_url}/readyz") as answer:
            return answer.status, (await answer.json())["reasons"]

    async def is_ready() -> bool:
        return await readiness() == (200, [])

    async def nobody_serves() -> bool:
        return await readiness() == (503, ["no worker takes calls"])

    assert await is_ready()
    for worker in await workers(three):
        os.kill(worker["pid"], signal.SIGKILL)
    await eventually(nobody_serves)
    await eventually(is_ready)
    assert await call(three) == (200, "support@1")

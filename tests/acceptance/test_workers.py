"""Several workers on one port behave like one process: same caps, same switches, same counts; and each may die alone."""

import asyncio
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from proxy.simulator.app import Simulator
from tests.harness import CALLER_KEY, PATIENCE_SECONDS, Deployment, Operator, deployed, eventually

CHAT = "/a/support/v1/chat/completions"
BODY = {"model": "x", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 100}
KEY = {"authorization": f"Bearer {CALLER_KEY}"}


@pytest.fixture
async def three(tmp_path: Path) -> AsyncIterator[Deployment]:
    """A deployment with three workers and an agent `support` of two versions."""
    async with deployed(tmp_path / "home", workers=3) as running:
        await running.operator.agent("support", "one", "two")
        yield running


async def call(deployment: Deployment, path: str = CHAT, **headers: str) -> tuple[int, str]:
    """One call on a connection of its own: status, and the version that answered."""
    async with deployment.post(path, BODY, connection="close", **headers) as answer:
        await answer.read()
        return answer.status, answer.headers.get("switchback-version", "")


async def many(deployment: Deployment, count: int, path: str = CHAT, **headers: str) -> Counter[tuple[int, str]]:
    return Counter(await asyncio.gather(*(call(deployment, path, **headers) for _ in range(count))))


async def bare_call(url: str) -> int | None:
    """The status of one call on a connection of its own, None where it broke. Bare, because a connection that is reset while
    it is made is to leave nothing behind."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    body = orjson.dumps(BODY)
    head = f"POST {CHAT} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {CALLER_KEY}\r\nconnection: close\r\n"
    try:
        reader, writer = await asyncio.open_connection(host, int(port))
    except OSError:
        return None
    try:
        writer.write(f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        answer = await reader.read()
    except OSError:
        return None
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    return int(answer.split()[1]) if answer else None


async def workers(deployment: Deployment) -> list[dict[str, Any]]:
    return (await deployment.operator.get("/status"))["workers"]


async def cap(operator: Operator, unit: str, limit: Any, window: str = "day") -> Any:
    return await operator.post("/caps", scope={"agent": "support"}, window=window, unit=unit, limit=limit, why="a test")


async def series(deployment: Deployment, name: str) -> float:
    """The sum of all series of a metric."""
    async with deployment.session.get(f"{deployment.server.admin_url}/metrics") as answer:
        found = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", await answer.text(), re.MULTILINE)
    return sum(float(value) for value in found)


async def test_connections_spread_evenly_over_the_workers(three: Deployment) -> None:
    three.simulator.hold_answers()
    running = asyncio.ensure_future(many(three, 300))
    await eventually(lambda: three.simulator.record.received == 300)
    await eventually(lambda: _in_flight(three, 300))
    shares = [worker["runs_in_flight"] for worker in await workers(three)]
    three.simulator.release_answers()
    assert await running == {(200, "support@1"): 300}
    # A fair share is 100; with 300 connections one worker gets fewer than 60 in less than one of 100,000 times.
    assert min(shares) >= 60


async def _in_flight(deployment: Deployment, count: int) -> bool:
    return sum(worker["runs_in_flight"] for worker in await workers(deployment)) == count


async def test_a_label_move_and_a_switch_are_in_force_everywhere_before_they_are_answered(three: Deployment) -> None:
    for number in (2, 1, 2, 1, 2):
        moved = await three.operator.label("support", "prod", number)
        assert moved["stragglers"] == []
        assert await many(three, 20) == {(200, f"support@{number}"): 20}
        switch = await three.operator.post("/switches", scope={"agent": "support"}, mode="block", why="a test")
        assert switch["stragglers"] == []
        assert await many(three, 20) == {(403, f"support@{number}"): 20}
        await three.operator.request("DELETE", f"/switches/{switch['id']}", {"why": "a test"})


async def test_a_switch_cuts_streams_on_every_worker(three: Deployment) -> None:
    await three.operator.version("support", "[[simulate: stall_after_events=2]]", parent=2)
    await three.operator.label("support", "prod", 3)

    async def stream() -> str:
        async with three.post(CHAT, BODY | {"stream": True}) as answer:
            await answer.content.readany()
            begun.release()
            try:
                await answer.read()
            except aiohttp.ClientError:
                return "broken"
            return "whole"

    begun = asyncio.Semaphore(0)
    streams = [asyncio.ensure_future(stream()) for _ in range(12)]
    for _ in streams:
        await begun.acquire()
    await three.operator.post("/switches", scope={}, mode="block", cut_streams=True, why="now")
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await asyncio.gather(*streams) == ["broken"] * 12


async def test_a_worker_that_does_not_confirm_in_time_is_named_and_has_the_change_when_it_wakes(
    three: Deployment,
) -> None:
    (victim, *_) = await workers(three)
    os.kill(victim["pid"], signal.SIGSTOP)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            switch = await three.operator.post("/switches", scope={}, mode="block", why="a test")
        assert switch["stragglers"] == [victim["name"]]
    finally:
        os.kill(victim["pid"], signal.SIGCONT)
    confirmed = await three.operator.post("/switches", scope={"agent": "support"}, mode="observe", why="a test")
    assert confirmed["stragglers"] == []
    assert await many(three, 30) == {(403, "support@1"): 30}


async def test_two_hundred_parallel_calls_over_three_workers_against_a_cap_of_twenty_holds_admit_exactly_twenty(
    three: Deployment,
) -> None:
    hold = await one_hold(three)
    limit = round(hold * 20 + hold / 2, 9)
    await cap(three.operator, "usd", limit)
    three.simulator.hold_answers()
    running = asyncio.ensure_future(many(three, 200))
    await eventually(lambda: three.simulator.record.received == 21)
    await three.operator.runs(181)
    shown = (await three.operator.get("/caps"))["items"][0]
    assert shown["spent"] + shown["held"] <= limit
    three.simulator.release_answers()
    assert await running == {(200, "support@1"): 20, (402, "support@1"): 180}
    await three.operator.runs(201)
    after = (await three.operator.get("/caps"))["items"][0]
    billed = three.simulator.billed_nanodollars - three.simulator.calls[0].billed_nanodollars
    assert (after["spent"], after["held"]) == (pytest.approx(billed / 1e9), 0)


async def one_hold(deployment: Deployment) -> float:
    """What one call of BODY holds, in dollars, as a cap shows it while the provider thinks."""
    wide = await cap(deployment.operator, "usd", 1000)
    deployment.simulator.hold_answers()
    running = asyncio.ensure_future(call(deployment))
    await deployment.simulator.wait_for_calls(1)
    shown = (await deployment.operator.get("/caps"))["items"][0]
    deployment.simulator.release_answers()
    await running
    await deployment.operator.request("DELETE", f"/caps/{wide['id']}", {"why": "measured"})
    return shown["held"]


async def test_a_worker_killed_under_load_breaks_only_its_own_calls_and_its_holds_are_charged(
    three: Deployment,
) -> None:
    await cap(three.operator, "usd", 1000)
    await cap(three.operator, "in_flight", 40, window="total")
    three.simulator.hold_answers()
    calls = [asyncio.ensure_future(call(three)) for _ in range(40)]
    await eventually(lambda: three.simulator.record.received == 40)
    await eventually(lambda: _in_flight(three, 40))
    victim = max(await workers(three), key=lambda worker: worker["runs_in_flight"])
    held = (await caps_by_unit(three))["usd"]["held"]
    os.kill(victim["pid"], signal.SIGKILL)
    await three.simulator.wait_for_clients_left(victim["runs_in_flight"])
    three.simulator.release_answers()
    ended = await asyncio.gather(*calls, return_exceptions=True)
    broken = [one for one in ended if isinstance(one, aiohttp.ClientError)]
    assert len(broken) == victim["runs_in_flight"]
    assert [one for one in ended if one not in broken] == [(200, "support@1")] * (40 - len(broken))

    await eventually(lambda: _restarted(three, victim["name"]))
    assert await series(three, "switchback_worker_restarts_total") == 1
    await three.operator.runs(40 - len(broken))
    after = await caps_by_unit(three)
    usd, in_flight = after["usd"], after["in_flight"]
    # What the killed worker held is charged in full; nothing stays held, and its places are free again.
    assert (usd["held"], in_flight["held"]) == (0, 0)
    assert usd["spent"] >= three.simulator.billed_nanodollars / 1e9
    assert usd["spent"] >= held / 40 * len(broken)
    assert await many(three, 30) == {(200, "support@1"): 30}


async def caps_by_unit(deployment: Deployment) -> dict[str, dict[str, Any]]:
    return {shown["unit"]: shown for shown in (await deployment.operator.get("/caps"))["items"]}


async def _restarted(deployment: Deployment, name: str) -> bool:
    worker = next(worker for worker in await workers(deployment) if worker["name"] == name)
    return worker["serving"] and worker["restarts"] == 1


async def test_a_cap_holds_while_workers_are_killed(three: Deployment) -> None:
    limit = 0.004
    await cap(three.operator, "usd", limit)

    async def load() -> None:
        # Where the worker of a call is killed, the next call goes to another.
        while await bare_call(three.server.traffic_url) != 402:
            pass

    clients = [asyncio.ensure_future(load()) for _ in range(12)]
    for round_number in range(1, 3):
        await three.simulator.wait_for_calls(60 * round_number)
        victim = next(worker for worker in await workers(three) if worker["serving"])
        os.kill(victim["pid"], signal.SIGKILL)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await asyncio.gather(*clients)
    await three.simulator.wait_until_idle()
    await eventually(lambda: _nothing_held(three))
    shown = (await three.operator.get("/caps"))["items"][0]
    assert three.simulator.billed_nanodollars / 1e9 <= shown["spent"] <= limit
    # Close to the limit, too: what killed workers held costs the cap a few calls and no more.
    assert shown["spent"] > limit * 0.9


async def _nothing_held(deployment: Deployment) -> bool:
    return (await deployment.operator.get("/caps"))["items"][0]["held"] == 0


async def test_under_a_large_cap_workers_hold_by_themselves_and_all_of_it_is_counted_exactly_once(
    tmp_path: Path,
) -> None:
    async with deployed(tmp_path / "home", workers=3) as deployment:
        await deployment.operator.agent("support", "one")
        await cap(deployment.operator, "usd", 1000)
        await cap(deployment.operator, "calls", 100_000)
        for _ in range(6):
            assert await many(deployment, 60) == {(200, "support@1"): 60}
        # What workers were lent and did not use goes back within seconds.
        await eventually(lambda: _nothing_held(deployment))
        after = await caps_by_unit(deployment)
        assert after["usd"]["spent"] == pytest.approx(deployment.simulator.billed_nanodollars / 1e9)
        assert after["calls"]["spent"] == 360
        assert await many(deployment, 60) == {(200, "support@1"): 60}
    # A clean stop gives everything back: nothing is charged beyond what was billed.
    async with deployed(tmp_path / "home", simulator=deployment.simulator) as restarted:
        after = await caps_by_unit(restarted)
        assert after["usd"]["spent"] == pytest.approx(deployment.simulator.billed_nanodollars / 1e9)
        assert (after["calls"]["spent"], after["calls"]["held"]) == (420, 0)


async def test_metrics_and_runs_of_all_workers_are_counted_once(tmp_path: Path) -> None:
    lines: list[bytes] = []
    async with deployed(tmp_path / "home", workers=3, log=lines.append) as deployment:
        await deployment.operator.agent("support", "one")
        assert await many(deployment, 150) == {(200, "support@1"): 150}
        assert await series(deployment, "switchback_runs_total") == deployment.simulator.record.received == 150
        assert await series(deployment, "switchback_run_duration_seconds_count") == 150
        billed = deployment.simulator.billed_nanodollars / 1e9
        assert await series(deployment, "switchback_cost_usd_total") == pytest.approx(billed)
        assert await series(deployment, "switchback_runs_in_flight") == 0
        # A worker that ends keeps its counts: what it had counted is not counted twice nor lost.
        os.kill((await workers(deployment))[0]["pid"], signal.SIGTERM)
        await eventually(lambda: _restarted(deployment, "worker-1"))
        assert await series(deployment, "switchback_runs_total") == 150
        await many(deployment, 30)
        assert await series(deployment, "switchback_runs_total") == 180
        runs = await deployment.operator.runs(180)
        assert len({run["id"] for run in runs}) == len(runs) == 180
    logged = [orjson.loads(line) for batch in lines for line in batch.splitlines()]
    assert len([line for line in logged if line["event"] == "run"]) == 180
    assert [line["worker"] for line in logged if line["event"] == "worker_ended"] == ["worker-1"]
    assert not [line for line in logged if line["event"] == "internal_error"]


async def test_a_pinned_version_that_no_label_reaches_is_found_from_every_worker(three: Deployment) -> None:
    assert await many(three, 30, "/a/support@2/v1/chat/completions") == {(200, "support@2"): 30}
    assert await many(three, 9, "/a/support@7/v1/chat/completions") == {(404, ""): 9}


async def test_a_conversation_stays_on_its_arm_whichever_worker_serves_it(three: Deployment) -> None:
    rollout = await three.operator.post(
        "/agents/support/rollouts", label="prod", candidate=2, percentage=0, why="a test"
    )
    for name in ("a", "b", "c"):
        assert await call(three, switchback_conversation=name) == (200, "support@1")
    path = f"/agents/support/rollouts/{rollout['id']}/set-percentage"
    await three.operator.post(path, percentage=100, why="a test")
    for name in ("a", "b", "c"):
        assert await many(three, 12, switchback_conversation=name) == {(200, "support@1"): 12}
    assert await many(three, 12, switchback_conversation="new") == {(200, "support@2"): 12}
    # A worker that starts later knows them too.
    os.kill((await workers(three))[0]["pid"], signal.SIGKILL)
    await eventually(lambda: _restarted(three, "worker-1"))
    assert await many(three, 24, switchback_conversation="a") == {(200, "support@1"): 24}


@asynccontextmanager
async def served(
    home: Path, simulator: Simulator, session: aiohttp.ClientSession, **settings: Any
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str, Operator]]:
    """`switchback serve` with two workers as a process of its own: process, traffic URL, operator."""
    config = home.with_suffix(".yaml")
    content = {
        "listen": "127.0.0.1:0",
        "admin": {"listen": "127.0.0.1:0"},
        "workers": 2,
        "providers": {"openai": {"wire": "openai", "base_url": simulator.url}},
    }
    config.write_bytes(orjson.dumps(content | settings))
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


async def test_after_the_owner_is_killed_its_workers_end_and_spent_is_at_least_what_was_billed(tmp_path: Path) -> None:
    simulator = Simulator()
    await simulator.start()
    home = tmp_path / "home"
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        served(home, simulator, session) as (process, traffic, operator),
    ):
        await operator.agent("support", "one")
        await cap(operator, "usd", 1000)
        pids = [worker["pid"] for worker in (await operator.get("/status"))["workers"]]

        async def load() -> None:
            while await bare_call(traffic) is not None:
                pass

        clients = [asyncio.ensure_future(load()) for _ in range(20)]
        await simulator.wait_for_calls(300)
        process.kill()
        await process.wait()
        # The workers notice by themselves, and nobody is left who takes calls.
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.gather(*clients)
        await eventually(lambda: not any(is_running(pid) for pid in pids))
    await simulator.wait_until_idle()
    async with deployed(home, simulator=simulator, workers=2) as restarted:
        shown = (await restarted.operator.get("/caps"))["items"][0]
        assert shown["held"] == 0
        assert simulator.billed_nanodollars / 1e9 <= shown["spent"] < 1000
        assert await many(restarted, 6) == {(200, "support@1"): 6}
    await simulator.stop()


async def test_sigterm_to_the_owner_drains_every_worker_and_ends_with_code_zero(tmp_path: Path) -> None:
    simulator = Simulator()
    await simulator.start()
    home = tmp_path / "home"
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        served(home, simulator, session) as (process, traffic, operator),
    ):
        await operator.agent("support", "one")
        pids = [worker["pid"] for worker in (await operator.get("/status"))["workers"]]
        simulator.hold_answers()

        async def one() -> int:
            async with session.post(traffic + CHAT, json=BODY, headers=KEY) as answer:
                await answer.read()
                return answer.status

        calls = [asyncio.ensure_future(one()) for _ in range(20)]
        await simulator.wait_for_calls(20)
        process.send_signal(signal.SIGTERM)
        await eventually(lambda: _refuses_connections(traffic))
        simulator.release_answers()
        assert await asyncio.gather(*calls) == [200] * 20
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await process.wait() == 0
        assert not any(is_running(pid) for pid in pids)
    async with deployed(home, simulator=simulator) as restarted:
        assert len(await restarted.operator.runs(20)) == 20
    await simulator.stop()


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


async def test_a_port_that_is_taken_is_said_so_and_nothing_is_left_running(tmp_path: Path, three: Deployment) -> None:
    taken = three.server.traffic_url.removeprefix("http://")
    with pytest.raises(OSError, match="in use"):
        async with deployed(tmp_path / "other", workers=2, listen=taken):
            pass
    assert await many(three, 6) == {(200, "support@1"): 6}

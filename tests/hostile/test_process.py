"""`python -m proxy serve` as a process of its own: told to stop in the middle of work, told twice, and short of descriptors.

What it recorded is read from its SQLite file once it is gone.
"""

import asyncio
import os
import signal
import sqlite3
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from proxy.simulator.app import Simulator
from tests.harness import PATIENCE_SECONDS, Operator, eventually, signalled_until_gone
from tests.hostile.conversation import HostileClient, Said, split_answers
from tests.hostile.provider import KINDS, Kind

pytestmark = pytest.mark.usefixtures("nothing_leaks")

STREAMS_OPEN = 100
DRAIN_SECONDS = 3
DESCRIPTORS = 64
STREAM = Kind("openai", is_streamed=True)


class HostedProxy:
    """A running process of the proxy and its provider."""

    def __init__(self, process: asyncio.subprocess.Process, urls: list[str], home: Path, operator: Operator) -> None:
        self.process = process
        self.traffic, self.admin = urls
        self.home = home
        self.operator = operator
        self.clients: list[HostileClient] = []

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.traffic.removeprefix("http://").split(":")
        return host, int(port)

    async def connect(self) -> HostileClient:
        """A client that is closed with the process at the latest. Raises OSError."""
        client = await HostileClient.connect(self.address)
        self.clients.append(client)
        return client

    async def refuses(self) -> bool:
        """Whether nobody listens any more."""
        try:
            await self.connect()
        except ConnectionRefusedError:
            return True
        return False

    async def status_of(self, path: str) -> int:
        """What the admin listener answers; 0 where it cannot be reached."""
        try:
            async with aiohttp.request("GET", self.admin + path, timeout=aiohttp.ClientTimeout(total=2)) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError):
            return 0

    async def ended(self) -> int:
        """The exit code, once it has one."""
        return await asyncio.wait_for(self.process.wait(), PATIENCE_SECONDS)

    async def says(self) -> str:
        """What it wrote to stderr after its first line, once it has ended."""
        assert self.process.stderr is not None
        return (await self.process.stderr.read()).decode()

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The lines of one kind that it wrote so far."""
        lines = map(orjson.loads, self.home.with_suffix(".log").read_bytes().splitlines())
        return [line for line in lines if line["event"] == event]

    def rows(self, query: str) -> list[Any]:
        """What the file says when the process is gone."""
        connection = sqlite3.connect(self.home / "switchback.db")
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def processor_seconds(self) -> float:
        """CPU time used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.fixture
async def simulator(nothing_leaks: None) -> AsyncIterator[Simulator]:
    one = Simulator()
    await one.start()
    yield one
    await one.stop()


@asynccontextmanager
async def serving(home: Path, simulator: Simulator, *prefix: str, workers: int = 1) -> AsyncIterator[HostedProxy]:
    """A process with the agent `support`, and a cap that nothing reaches."""
    config = home.with_suffix(".yaml")
    content = {
        "listen": "127.0.0.1:0",
        "admin": {"listen": "127.0.0.1:0"},
        "workers": workers,
        # Nobody is let go for being slow to speak.
        "timeouts": {"drain_seconds": DRAIN_SECONDS, "request_head_seconds": 60},
        "providers": {"openai": {"wire": "openai", "base_url": simulator.url}},
    }
    config.write_bytes(orjson.dumps(content))
    with home.with_suffix(".log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *prefix, sys.executable, "-m", "proxy", "serve", "--config", str(config),
            stdout=log, stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "SWITCHBACK_HOME": str(home)},
        )  # fmt: skip
    try:
        assert process.stderr is not None
        said = (await asyncio.wait_for(process.stderr.readline(), PATIENCE_SECONDS)).decode()
        urls = [word for word in said.replace(",", "").split() if word.startswith("http://")]
        assert len(urls) == 2, said + (await process.stderr.read()).decode()
        async with aiohttp.ClientSession() as session:
            operator = Operator(urls[1], (home / "admin-token").read_text().strip(), session)
            await operator.agent("support", "one")
            await operator.post("/caps", scope={}, window="day", unit="usd", limit=1000, why="a test")
            served = HostedProxy(process, urls, home, operator)
            try:
                yield served
            finally:
                for client in served.clients:
                    await client.close()
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def open_streams(served: HostedProxy, simulator: Simulator, ends: int, stalls: int) -> list[HostileClient]:
    """Streams of which the provider holds back the rest: of the first ones until released, of the others for good."""
    clients: list[HostileClient] = []
    for number in range(ends + stalls):
        orders = "delay_ms=400; events=4; event_delay_ms=100" if number < ends else "stall_after_events=2"
        client = await served.connect()
        clients.append(client)
        await client.send(STREAM.said(f"[[simulate: {orders}]]"))
    await simulator.wait_for_calls(ends + stalls)
    return clients


def error_code(said: Said) -> str:
    """Of the event that ends a stream badly."""
    return orjson.loads(said.body.rstrip().rpartition(b"data: ")[2])["error"]["code"]


async def read_all(clients: list[HostileClient]) -> list[Said | None]:
    """What each was answered in the end."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        await asyncio.gather(*(client.read_to_end() for client in clients))
    return [next(iter(split_answers(bytes(client.raw))[0]), None) for client in clients]


@pytest.mark.parametrize("workers", [1, 2])
async def test_told_to_stop_it_finishes_what_can_be_finished_and_breaks_the_rest_visibly(
    tmp_path: Path, simulator: Simulator, workers: int
) -> None:
    half = STREAMS_OPEN // 2
    async with serving(tmp_path / "home", simulator, workers=workers) as served:
        clients = await open_streams(served, simulator, half, STREAMS_OPEN - half)
        assert await served.status_of("/readyz") == 200
        served.process.send_signal(signal.SIGTERM)

        async def is_unready() -> bool:
            return await served.status_of("/readyz") == 503

        await eventually(is_unready)
        await eventually(served.refuses)
        answers = await read_all(clients)
        assert await served.ended() == 0
        ended, cut = answers[:half], answers[half:]
        assert all(said is not None and (said.status, said.is_complete) == (200, True) for said in ended)
        assert all(said.body.endswith(b"data: [DONE]\n\n") for said in ended if said is not None)
        assert all(said is not None and not said.is_complete for said in cut)
        assert all(error_code(said) == "proxy_stopped" for said in cut if said is not None)
        results = Counter(served.rows("SELECT result, error_class FROM runs"))
        assert results == {("ok", None): half, ("error", "proxy_stopped"): STREAMS_OPEN - half}
        assert served.rows("SELECT count(*) FROM holds WHERE settled_by IS NULL") == [(0,)]
    assert simulator.record.received == STREAMS_OPEN


async def test_told_to_stop_twice_it_stops_once(tmp_path: Path, simulator: Simulator) -> None:
    """Also at its very end, when nothing of it listens any more."""
    async with serving(tmp_path / "home", simulator) as served:
        clients = await open_streams(served, simulator, 10, 10)
        served.process.send_signal(signal.SIGTERM)
        served.process.send_signal(signal.SIGTERM)
        answers = await read_all(clients)
        await signalled_until_gone(served.process.pid, signal.SIGINT)
        assert (await served.ended(), await served.says()) == (0, "")
        assert [said is not None and said.is_complete for said in answers] == [True] * 10 + [False] * 10
        assert served.rows("SELECT count(*) FROM runs") == [(20,)]


async def test_a_worker_told_to_stop_again_and_again_stops_once(tmp_path: Path, simulator: Simulator) -> None:
    async with serving(tmp_path / "home", simulator, workers=2) as served:
        clients = await open_streams(served, simulator, 10, 0)
        worker = (await served.operator.get("/status"))["workers"][0]
        await signalled_until_gone(worker["pid"], signal.SIGTERM, signal.SIGINT)
        answers = await read_all(clients)
        assert [said is not None and said.is_complete for said in answers] == [True] * 10
        await eventually(lambda: bool(served.logged("worker_ended")))
        (line,) = served.logged("worker_ended")
        assert (line["worker"], line["exit_code"]) == (worker["name"], 0)
        served.process.send_signal(signal.SIGTERM)
        assert (await served.ended(), await served.says()) == (0, "")
        assert served.rows("SELECT result, count(*) FROM runs") == [("ok", 10)]


async def test_workers_that_are_killed_are_replaced_and_what_replaced_them_serves_and_ends_well(
    tmp_path: Path, simulator: Simulator
) -> None:
    """The first are forked, those that replace them are interpreters of their own."""
    async with serving(tmp_path / "home", simulator, workers=2) as served:
        for _ in range(2):
            before = (await served.operator.get("/status"))["workers"]
            for worker in before:
                os.kill(worker["pid"], signal.SIGKILL)
            gone = {worker["pid"] for worker in before}

            async def are_others(gone: set[int] = gone) -> bool:
                now = (await served.operator.get("/status"))["workers"]
                return all(worker["serving"] and worker["pid"] not in gone for worker in now)

            await eventually(are_others)
        assert [await one_call(served) for _ in range(10)] == [200] * 10
        assert [line["exit_code"] for line in served.logged("worker_ended")] == [-signal.SIGKILL] * 4
        served.process.send_signal(signal.SIGTERM)
        assert (await served.ended(), await served.says()) == (0, "")
        assert served.rows("SELECT result, count(*) FROM runs") == [("ok", 10)]


async def test_idle_it_stops_at_once(tmp_path: Path, simulator: Simulator) -> None:
    async with serving(tmp_path / "home", simulator) as served:
        idle = await served.connect()
        await idle.send(KINDS[0].said("hello", connection=""))
        await idle.read_at_least(1)
        served.process.send_signal(signal.SIGTERM)
        assert await served.ended() == 0
        await idle.read_to_end()
        await idle.close()
        assert served.rows("SELECT result FROM runs") == [("ok",)]


def limited_to(descriptors: int, *, kind: str = "") -> tuple[str, ...]:
    """A prefix under which a process may open so many files; `kind` S: it may raise that itself."""
    return ("bash", "-c", f'ulimit -{kind}n {descriptors}; exec "$@"', "bash")


async def is_well(served: HostedProxy) -> bool:
    """Whether health and the admin API answer."""
    healthy = [await served.status_of(path) for path in ("/livez", "/readyz", "/metrics")]
    return healthy == [200, 200, 200] and len((await served.operator.get("/agents"))["items"]) == 1


async def one_call(served: HostedProxy) -> int:
    """The status of a call on a connection of its own; 0 where it was not answered."""
    client = await served.connect()
    await client.send(KINDS[0].said("hello"))
    await client.read_to_end()
    await client.close()
    answers, _ = split_answers(bytes(client.raw))
    return answers[0].status if answers else 0


async def test_short_of_descriptors_it_refuses_calls_answers_the_operator_and_recovers(
    tmp_path: Path, simulator: Simulator
) -> None:
    async with serving(tmp_path / "home", simulator, *limited_to(DESCRIPTORS)) as served:
        crowd = [await served.connect() for _ in range(4 * DESCRIPTORS)]
        for client in crowd:
            await client.send(b"POST /v1/chat/completions HTTP/1.1\r\n")
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert [await one_call(served) for _ in range(20)] == [503] * 20
            assert await is_well(served)
        used = served.processor_seconds()
        await asyncio.sleep(1)  # what is measured: a loop that turns idly would take all of it
        assert served.processor_seconds() - used < 0.5
        assert await is_well(served)
        assert served.process.returncode is None
        for client in crowd:
            client.reset()
            await client.close()

        async def is_served() -> bool:
            return await one_call(served) == 200

        await eventually(is_served)
        assert [await one_call(served) for _ in range(20)] == [200] * 20
        assert await is_well(served)
        served.process.send_signal(signal.SIGTERM)
        assert await served.ended() == 0
        assert served.rows("SELECT count(*), min(result), max(result) FROM runs") == [(21, "ok", "ok")]
        (line,) = served.logged("connections_limited")
        assert line["connections"] < DESCRIPTORS / 2 < line["wanted"]
        assert served.logged("internal_error") == []


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_crowd_at_the_admin_port_takes_nothing_from_calls_and_keeps_no_operator_out(
    tmp_path: Path, simulator: Simulator, workers: int
) -> None:
    async with serving(tmp_path / "home", simulator, *limited_to(2 * DESCRIPTORS), workers=workers) as served:
        host, port = served.admin.removeprefix("http://").split(":")
        crowd = [await HostileClient.connect((host, int(port))) for _ in range(4 * DESCRIPTORS)]
        served.clients += crowd
        for client in crowd:
            await client.send(b"GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nX: ")
        assert [await one_call(served) for _ in range(20)] == [200] * 20
        assert await is_well(served)
        assert (await served.operator.post("/switches", scope={}, mode="observe", why="x"))["id"]
        assert served.process.returncode is None


async def test_streams_of_as_many_clients_as_descriptors_allow_are_all_served(
    tmp_path: Path, simulator: Simulator
) -> None:
    async with serving(tmp_path / "home", simulator, *limited_to(DESCRIPTORS)) as served:
        admitted, refused = 0, 0
        clients = [await served.connect() for _ in range(DESCRIPTORS)]
        for client in clients:
            await client.send(STREAM.said("[[simulate: delay_ms=300; events=3]]"))
        assert await is_well(served)
        for said in await read_all(clients):
            admitted += said is not None and said.status == 200 and said.body.endswith(b"data: [DONE]\n\n")
            refused += said is not None and said.status == 503
        assert admitted >= 5
        assert admitted + refused == DESCRIPTORS
        served.process.send_signal(signal.SIGTERM)
        assert await served.ended() == 0
        assert served.rows("SELECT result, count(*) FROM runs") == [("ok", admitted)]


@pytest.mark.parametrize("workers", [1, 2])
async def test_it_raises_its_own_limit_of_descriptors(tmp_path: Path, simulator: Simulator, workers: int) -> None:
    async with serving(tmp_path / "home", simulator, *limited_to(DESCRIPTORS, kind="S"), workers=workers) as served:
        clients = await open_streams(served, simulator, 3 * DESCRIPTORS, 0)
        answers = await read_all(clients)
        assert all(said is not None and (said.status, said.is_complete) == (200, True) for said in answers)

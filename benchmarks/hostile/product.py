"""The real command as a process group of its own, its simulated providers beside it, and an operator.

One `Product` is one home over all its lives: it is started, killed and started again. Ports are free ones, found anew in each life. Nothing that
was not started here is ever signalled.
"""

import asyncio
import json
import os
import re
import signal
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import aiohttp

from benchmarks import machine
from tests.harness import Operator

ROOT = Path(__file__).resolve().parents[2]
AGENT, SMALL, UNCAPPED, VICTIM = "support", "small", "uncapped", "victim"
#: Those that call the other provider.
ANTHROPIC_AGENTS = SMALL, VICTIM
_START_SECONDS = 60
_STOP_SECONDS = 40
_COMMAND = [sys.executable, "-m", "proxy"]


class Trial(NamedTuple):
    """What one attack is given."""

    chance: Random
    folder: Path
    workers: int
    seconds: float
    """About how long it may take."""
    faults: tuple[str, ...] = ()
    """Of the store, by name, where only some are wanted."""
    fault_seconds: float | None = None
    """How long each of them lasts; every one is then tried, however long that takes."""

    @property
    def who(self) -> str:
        return f"{self.workers} worker{'s' if self.workers > 1 else ''}"


class Provider:
    """`switchback simulate`: what it received is the truth that everything is compared with."""

    def __init__(self, process: asyncio.subprocess.Process, url: str, session: aiohttp.ClientSession) -> None:
        self._process, self.url, self._session = process, url, session

    @classmethod
    async def start(cls, session: aiohttp.ClientSession) -> "Provider":
        process = await asyncio.create_subprocess_exec(
            *_COMMAND, "simulate", "--listen", "127.0.0.1:0", cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )  # fmt: skip
        provider = cls(process, "", session)
        try:
            async with asyncio.timeout(_START_SECONDS):
                await provider._listens()
        except BaseException:
            await provider.stop()
            raise
        return provider

    async def _listens(self) -> None:
        assert self._process.stdout is not None
        while not self.url:
            line = (await self._process.stdout.readline()).decode()
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                self.url = found[0]
            elif not line:
                raise RuntimeError("the simulator did not start")

    async def totals(self) -> dict[str, int]:
        """received, open_calls, billed_calls, billed_nanodollars, …"""
        async with self._session.get(f"{self.url}/_simulator/calls?last=0") as answer:
            return await answer.json()

    async def received(self) -> int:
        return (await self.totals())["received"]

    async def stop(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.communicate()


class Product:
    """One home. `openai` serves the agents AGENT and UNCAPPED, `anthropic` the others, so that each has a count of its own."""

    def __init__(
        self, home: Path, openai: Provider, anthropic: Provider, session: aiohttp.ClientSession, workers: int,
        environment: Mapping[str, str], settings: Mapping[str, Any],
    ) -> None:  # fmt: skip
        self.home, self.openai, self.anthropic, self.workers = home, openai, anthropic, workers
        self._session = session
        self._environment, self._settings = environment, settings
        self.process: asyncio.subprocess.Process | None = None
        self.address = ("127.0.0.1", 0)
        self.admin = ""
        self._known: set[int] = set()

    @property
    def database(self) -> Path:
        return self.home / "switchback.db"

    @property
    def operator(self) -> Operator:
        return Operator(self.admin, (self.home / "admin-token").read_text().strip(), self._session)

    async def start(self, *prefix: str, until_ready: bool = True) -> float:
        """Start and wait until it is ready; how long that took, in seconds. Raises RuntimeError, TimeoutError."""
        config = self.home.with_suffix(".yaml")
        content = {
            "listen": "127.0.0.1:0",
            "admin": {"listen": "127.0.0.1:0"},
            "workers": self.workers,
            "timeouts": {"drain_seconds": 5},
            "providers": {
                "openai": {"wire": "openai", "base_url": self.openai.url},
                "anthropic": {"wire": "anthropic", "base_url": self.anthropic.url},
            },
            **self._settings,
        }
        config.write_text(json.dumps(content))
        began = time.monotonic()
        said = self.home.with_suffix(".err")
        with self.home.with_suffix(".log").open("ab") as log, said.open("wb") as errors:
            self.process = await asyncio.create_subprocess_exec(
                *prefix, *_COMMAND, "serve", "--config", str(config), cwd=ROOT, stdout=log, stderr=errors, start_new_session=True,
                env={**os.environ, "SWITCHBACK_HOME": str(self.home), **self._environment},
            )  # fmt: skip
        async with asyncio.timeout(_START_SECONDS):
            while len(urls := re.findall(r"http://(127\.0\.0\.1):(\d+)", said.read_text())) < 2:
                if self.process.returncode is not None:
                    raise RuntimeError(f"it ended with {self.process.returncode}: {said.read_text()[-400:]}")
                await asyncio.sleep(0.01)
            self.address = urls[0][0], int(urls[0][1])
            self.admin = f"http://{urls[1][0]}:{urls[1][1]}"
            if until_ready:
                await self.answers("/readyz", 200)
        return time.monotonic() - began

    async def answers(self, path: str, status: int) -> None:
        """Returns when the admin listener answers so. Has no end of its own."""
        while True:
            if await self.status_of(path) == status:
                return
            await asyncio.sleep(0.01)

    async def status_of(self, path: str, *, seconds: float = 5) -> int:
        """What the admin listener answers without a token; 0 where it does not."""
        try:
            timeout = aiohttp.ClientTimeout(total=seconds)
            async with aiohttp.request("GET", self.admin + path, timeout=timeout) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError):
            return 0

    @property
    def pids(self) -> list[int]:
        """The owner of the store and its workers."""
        assert self.process is not None
        found = machine.group_members(self.process.pid)
        self._known |= set(found)
        return found

    async def kill(self, pids: list[int] | None = None) -> None:
        """`kill -9` of all of its processes, or of some of them; returns when the owner is gone, if it was among them."""
        assert self.process is not None
        for pid in self.pids if pids is None else pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if pids is None or self.process.pid in pids:
            await self.process.wait()
            await self.is_gone()

    async def is_gone(self) -> None:
        """Returns when no process of the group is left; those that stay are ended. Raises TimeoutError."""
        assert self.process is not None
        async with asyncio.timeout(_STOP_SECONDS):
            while True:
                if not machine.group_members(self.process.pid):
                    return
                await asyncio.sleep(0.01)

    async def stop(self) -> int:
        """SIGTERM; the exit code. Raises TimeoutError."""
        assert self.process is not None
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(_STOP_SECONDS):
            code = await self.process.wait()
        await self.is_gone()
        return code

    async def end(self) -> None:
        """Whatever state it is in."""
        if self.process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
            await self.process.wait()

    async def set_up(self) -> None:
        """Agents for each purpose; AGENT is under a cap that counts its calls and that nothing reaches."""
        operator = self.operator
        await operator.agent(AGENT, "Be kind.", model="gpt-4o-mini")
        await operator.agent(SMALL, "Be brief.", model="claude-sonnet-4-5")
        await operator.agent(VICTIM, "Be gone.", model="claude-sonnet-4-5")
        await operator.agent(UNCAPPED, "Be free.", model="gpt-4o-mini")
        await self.cap(AGENT, 10_000_000)

    async def cap(self, agent: str, limit: int, *, unit: str = "calls") -> str:
        """A hard cap over all time; its id."""
        cap = await self.operator.post(
            "/caps", scope={"agent": agent}, window="total", unit=unit, limit=limit, at_limit="block", why="hostile"
        )
        return cap["id"]

    async def listed(self, path: str) -> list[Any]:
        """All items of a list, page by page."""
        items: list[Any] = []
        page = await self.operator.get(f"{path}?limit=500")
        while True:
            items += page["items"]
            if page["next"] is None:
                return items
            page = await self.operator.get(f"{path}?limit=500&cursor={page['next']}")

    async def counted(self, agent: str) -> int:
        """What the agent's only cap says was spent or is held."""
        caps = (await self.operator.get("/caps"))["items"]
        (cap,) = (cap for cap in caps if cap["scope"] == {"agent": agent})
        return int(float(cap["spent"]) + float(cap["held"]))

    def rows(self, query: str, *parameters: object) -> list[Any]:
        """What the file says; only when the process is gone."""
        with closing(sqlite3.connect(self.database)) as plain:
            return plain.execute(query, parameters).fetchall()


@asynccontextmanager
async def installed(
    folder: Path,
    workers: int,
    *,
    environment: Mapping[str, str] | None = None,
    prefix: tuple[str, ...] = (),
    settings: Mapping[str, Any] | None = None,
) -> AsyncIterator[Product]:
    """A product that runs and is set up; whatever is left of it is ended."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=30)) as session:
        openai, anthropic = await Provider.start(session), await Provider.start(session)
        product = Product(folder / "home", openai, anthropic, session, workers, environment or {}, settings or {})
        try:
            await product.start(*prefix)
            await product.set_up()
            yield product
        finally:
            await product.end()
            await asyncio.gather(openai.stop(), anthropic.stop())

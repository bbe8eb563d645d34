"""A whole deployment in one process for tests: the real server on free ports, the simulator as its provider, an operator.

Nothing here replaces a part of ours. Apps are the official SDKs; the operator speaks the admin API over HTTP.
"""

import asyncio
import itertools
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
from anthropic import Anthropic, AsyncAnthropic
from openai import AsyncOpenAI, OpenAI

from proxy.runtime.rollouts.rollout_loop import TICK_SECONDS
from proxy.server import Server
from proxy.settings import Settings
from proxy.simulator.app import Simulator

CALLER_KEY = "sk-the-callers-own-key-0123456789"
MODEL = "gpt-4o-mini"
CLAUDE = "claude-sonnet-4-5"
#: How long anything may take: beyond it something hangs, also where eight busy processes run beside this one.
PATIENCE_SECONDS = 60
DATABASE_FILES = ("switchback.db", "switchback.db-wal", "switchback.db-shm")


class Refused(Exception):
    """An admin call answered with an error."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(f"{status} {problem}")
        self.status = status
        self.problem = problem

    @property
    def code(self) -> str:
        return self.problem["code"]


class Operator:
    """Somebody with the admin token."""

    def __init__(self, url: str, token: str, session: aiohttp.ClientSession) -> None:
        self._base = f"{url}/api/v1"
        self._headers = {"authorization": f"Bearer {token}"}
        self._session = session

    async def request(self, method: str, path: str, body: Any = None, *, change_id: str | None = None) -> Any:
        """One admin call; the answer's JSON. Raises Refused."""
        named = {} if change_id is None else {"switchback-change-id": change_id}
        headers = {**self._headers, **named}
        async with self._session.request(method, self._base + path, json=body, headers=headers) as answer:
            content = await answer.json(content_type=None) if answer.status != 204 else None
            if answer.status >= 400:
                raise Refused(answer.status, content)
            return content

    async def get(self, path: str) -> Any:
        return await self.request("GET", path)

    async def post(self, path: str, **body: Any) -> Any:
        return await self.request("POST", path, body)

    async def agent(self, name: str = "support", *prompts: str, model: str = MODEL, **components: Any) -> None:
        """An agent with one version per prompt, `prod` on the first."""
        await self.post("/agents", agent=name, description="for a test")
        for number, prompt in enumerate(prompts, start=1):
            await self.version(name, prompt, parent=number - 1 or None, model=model, **components)
        if prompts:
            await self.label(name, "prod", 1)

    async def version(
        self, agent: str, text: str, *, parent: int | None, model: str | dict[str, Any] = MODEL, **components: Any
    ) -> Any:
        """One more version."""
        body = {
            "prompt": {"text": text},
            "model": model if isinstance(model, dict) else {"name": model},
            "message": "a test",
            "parent": parent,
        }
        return await self.post(f"/agents/{agent}/versions", **(body | components))

    async def label(self, agent: str, label: str, version: int, **more: Any) -> Any:
        """Move it, also to a version of which a preflight thinks little."""
        body = {"version": version, "why": "a test", "force": True, **more}
        return await self.request("PUT", f"/agents/{agent}/labels/{label}", body)

    async def runs(self, count: int, query: str = "") -> list[dict[str, Any]]:
        """The newest runs, once at least `count` are recorded."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                page = await self.get(f"/runs?limit=500&{query}")
                if len(page["items"]) >= count:
                    return page["items"]
                await asyncio.sleep(0.02)


class Deployment:
    """Server, simulator and operator that belong together."""

    def __init__(
        self, server: Server, simulator: Simulator, operator: Operator, session: aiohttp.ClientSession
    ) -> None:
        self.server = server
        self.simulator = simulator
        self.operator = operator
        self.session = session
        self._apps: list[AsyncOpenAI | AsyncAnthropic] = []

    async def close(self) -> None:
        """Close every SDK client that was handed out."""
        for app in self._apps:
            await app.close()

    def base_url(self, agent: str | None = "support") -> str:
        """The base URL an Anthropic SDK is given; OpenAI's wants `/v1` behind it."""
        return self.server.traffic_url + (f"/a/{agent}" if agent else "")

    def openai(self, agent: str | None = "support", **options: Any) -> AsyncOpenAI:
        settings = {"base_url": self.base_url(agent) + "/v1", "api_key": CALLER_KEY, "max_retries": 0}
        app = AsyncOpenAI(**(settings | options))
        self._apps.append(app)
        return app

    def openai_sync(self, agent: str | None = "support", **options: Any) -> OpenAI:
        settings = {"base_url": self.base_url(agent) + "/v1", "api_key": CALLER_KEY, "max_retries": 0}
        return OpenAI(**(settings | options))

    def anthropic(self, agent: str | None = "support", **options: Any) -> AsyncAnthropic:
        settings = {"base_url": self.base_url(agent), "api_key": CALLER_KEY, "max_retries": 0}
        app = AsyncAnthropic(**(settings | options))
        self._apps.append(app)
        return app

    def anthropic_sync(self, agent: str | None = "support", **options: Any) -> Anthropic:
        settings = {"base_url": self.base_url(agent), "api_key": CALLER_KEY, "max_retries": 0}
        return Anthropic(**(settings | options))

    @asynccontextmanager
    async def post(self, path: str, body: Any, **headers: str) -> AsyncIterator[aiohttp.ClientResponse]:
        """A plain HTTP call to the data plane; bytes are sent as they are."""
        url = self.server.traffic_url + path
        data = {"data": body} if isinstance(body, bytes) else {"json": body}
        all_headers = {"authorization": f"Bearer {CALLER_KEY}", "content-type": "application/json"}
        all_headers |= {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.post(url, headers=all_headers, **data) as answer:
            yield answer


def settings_for(home: Path, provider_url: str, **changes: Any) -> Settings:
    """Settings for tests: free ports, both wires at one provider."""
    content: dict[str, Any] = {
        "home": home,
        "listen": "127.0.0.1:0",
        "admin": {"listen": "127.0.0.1:0"},
        "timeouts": {"drain_seconds": 2},
        "providers": {
            "openai": {"wire": "openai", "base_url": provider_url},
            "anthropic": {"wire": "anthropic", "base_url": provider_url},
        },
    }
    return Settings.model_validate(content | changes)


@asynccontextmanager
async def deployed(
    home: Path,
    *,
    simulator: Simulator | None = None,
    log: Callable[[bytes], object] | None = None,
    rollout_tick_seconds: float = TICK_SECONDS,
    **changes: Any,
) -> AsyncIterator[Deployment]:
    """A running deployment; give a started simulator to keep it over restarts."""
    own = simulator is None
    provider = simulator or Simulator()
    if own:
        await provider.start()
    settings = settings_for(home, provider.url, **changes)
    server = Server(settings, log=log, rollout_tick_seconds=rollout_tick_seconds)
    try:
        await server.start()
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            token = server.admin_token_path.read_text().strip()
            deployment = Deployment(server, provider, Operator(server.admin_url, token, session), session)
            try:
                yield deployment
            finally:
                await deployment.close()
    finally:
        await server.stop()
        if own:
            await provider.stop()


async def eventually(happened: Callable[[], bool | Awaitable[bool]]) -> None:
    """Returns when `happened()` is true. Raises TimeoutError."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            result = happened()
            if (await result) if isinstance(result, Awaitable) else result:
                return
            await asyncio.sleep(0.01)


async def signalled_until_gone(pid: int, *numbers: signal.Signals) -> None:
    """Sends a process these signals by turns, to its very end; returns when it is gone. Raises TimeoutError."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        for number in itertools.cycle(numbers):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                return
            await asyncio.sleep(0.002)


@asynccontextmanager
async def ended(child: asyncio.subprocess.Process) -> AsyncIterator[None]:
    """However the block is left, the child is gone afterwards."""
    try:
        yield
    finally:
        if child.returncode is None:
            with suppress(ProcessLookupError):
                child.kill()
        await child.communicate()


async def saved(operator: Operator) -> None:
    """Returns when the last known good state is as new as the store."""

    async def is_saved() -> bool:
        status = await operator.get("/status")
        return status["last_known_good"]["revision"] == status["revision"]

    await eventually(is_saved)

"""A deployment to be hostile to: the whole proxy, with short deadlines where they are waited for, and everything needed to hold it to account.

Counted independently of each other: what the listener handed to the conductor (`heard`), what was recorded (`runs`), what
the provider received. Nothing of the proxy is replaced; its listener's calls are counted on their way to the conductor.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import orjson

from proxy.http1.message import HttpCall
from proxy.http1.reply import HttpReply
from proxy.http1.request_head import RequestRefused
from proxy.runtime.calls.routing import is_base_url
from tests.harness import CLAUDE, MODEL, PATIENCE_SECONDS, Deployment, deployed, eventually

PROMPT = "Be kind."
BODY_LIMIT_BYTES = 1024 * 1024
#: For those who wait for a deadline: long enough for a busy machine to send a head in several pieces, short enough to be waited for.
QUICK = {
    "request_head_seconds": 0.8,
    "request_body_idle_seconds": 0.8,
    "request_body_seconds": 3.0,
    "keep_alive_seconds": 1.6,
    "slow_reader_seconds": 1.0,
    "drain_seconds": 2,
}
#: For everybody else: a busy machine may stop a client in the middle of its head, or of its answer.
PATIENT = dict.fromkeys(QUICK, PATIENCE_SECONDS) | {"drain_seconds": 2}


class Stage:
    """One deployment with the agents `support` (OpenAI) and `claude` (Anthropic)."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.operator = deployment.operator
        self.simulator = deployment.simulator
        self.heard: list[HttpCall] = []
        """Every call the listener gave to the conductor, in order, those among them that it could not take."""
        self.finished = 0
        self.complaints: list[Any] = []
        """Exceptions nobody expected, as the proxy logs them."""

    @property
    def address(self) -> tuple[str, int]:
        """Where clients connect."""
        host, port = self.deployment.server.traffic_url.removeprefix("http://").split(":")
        return host, int(port)

    async def idle(self) -> None:
        """Returns when no call is under way."""
        await eventually(lambda: self.finished == len(self.heard))

    async def at_rest(self) -> None:
        """Returns when the proxy, still running, has let go of everything: no client, no task of a call, no connection to
        a provider but those kept for the next call. Raises TimeoutError."""
        plane = self.deployment.server._plane
        assert plane is not None
        listener, pool = plane.listener, plane._upstream._client._pool

        def is_at_rest() -> bool:
            kept = sum(map(len, pool._idle.values()))
            under_way = (listener._connections, listener._tasks, plane.request_path._flights)
            return not any(under_way) and len(pool._all) == kept

        await eventually(is_at_rest)

    async def runs(self) -> list[dict[str, Any]]:
        """Every run, in the order of the calls, once there is one for each call that was heard. Raises TimeoutError."""
        await self.idle()
        runs: list[dict[str, Any]] = []
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(runs) < len(self.heard):
                await asyncio.sleep(0.02)
                runs = await self._read_runs()
        return sorted(runs, key=lambda run: run["id"])

    async def _read_runs(self) -> list[dict[str, Any]]:
        runs: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = await self.operator.get(f"/runs?limit=500{cursor}")
            runs += page["items"]
            if page["next"] is None:
                return runs
            cursor = f"&cursor={page['next']}"

    async def cap(self) -> dict[str, Any]:
        """The one cap of this stage, as it stands."""
        (shown,) = (await self.operator.get("/caps"))["items"]
        return shown

    async def metric(self, name: str) -> float:
        """One metric without labels."""
        async with self.deployment.session.get(self.deployment.server.admin_url + "/metrics") as answer:
            for line in (await answer.text()).splitlines():
                if line.startswith(name + " "):
                    return float(line.split()[1])
        raise AssertionError(f"there is no metric {name}")

    def listen_in(self) -> None:
        """Count from now on what the listener hands to the conductor."""
        plane = self.deployment.server._plane
        assert plane is not None
        handle, refuse = plane.listener._handler, plane.listener._refuse
        assert refuse is not None

        async def recorded(call: HttpCall, reply: HttpReply) -> None:
            if _is_aside(call):
                await handle(call, reply)
                return
            self.heard.append(_as_heard(call))
            try:
                await handle(call, reply)
            finally:
                self.finished += 1

        def refused(call: HttpCall, reply: HttpReply, why: RequestRefused) -> None:
            self.heard.append(_as_heard(call))
            refuse(call, reply, why)
            self.finished += 1

        plane.listener._handler, plane.listener._refuse = recorded, refused


def _as_heard(call: HttpCall) -> HttpCall:
    """A call of its own: the proxy lets go of a request's headers and body while a slow answer is still under way."""
    return HttpCall(call.method, call.target, call.headers, call.body, call.received_at)


def _is_aside(call: HttpCall) -> bool:
    """Whether the proxy answers it as no call: is anybody there, or may a page of this origin call. No run is made of it."""
    if call.method in ("GET", "HEAD"):
        return is_base_url(call.target)
    return call.method == "OPTIONS" and any(name.lower() == b"origin" for name, _ in call.headers)


@asynccontextmanager
async def staged(
    home: Path,
    *,
    provider: Any = None,
    timeouts: Mapping[str, float] = MappingProxyType({}),
    cap_usd: float | None = None,
    **changes: Any,
) -> AsyncIterator[Stage]:
    """A stage; `provider` is anything with a `url`, by default a simulator of its own. `timeouts`: QUICK for who waits for a deadline of
    clients, [PATIENT]."""
    changes = {"limits": {"body_bytes": BODY_LIMIT_BYTES}, "timeouts": PATIENT | dict(timeouts)} | changes
    complaints: list[Any] = []

    def log(lines: bytes) -> None:
        entries = map(orjson.loads, lines.splitlines())
        complaints.extend(entry for entry in entries if entry["event"] == "internal_error")

    async with deployed(home, simulator=provider, log=log, **changes) as deployment:
        stage = Stage(deployment)
        stage.complaints = complaints
        await stage.operator.agent("support", PROMPT, model=MODEL)
        await stage.operator.agent("claude", PROMPT, model=CLAUDE)
        if cap_usd is not None:
            await stage.operator.post("/caps", scope={}, window="day", unit="usd", limit=cap_usd, why="a test")
        stage.listen_in()
        yield stage


def open_descriptors() -> list[str]:
    """What this process has open: sockets and files by what they are, not by number."""
    found: list[str] = []
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:  # the listing's own
            continue
        found.append(
            target.split(":", maxsplit=1)[0] if target.startswith(("socket:", "pipe:", "anon_inode:")) else target
        )
    return sorted(found)

"""The admin application over a real store and a real socket, without data plane traffic; for tests of edges and commands."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp

from proxy.assembly import DataParts, Foundation, data_half
from proxy.control_half import Commands as Orders
from proxy.control_half import ControlHalf, Served, admin_parts, control_half
from proxy.control_half import commands as orders_of
from proxy.edges.admin.admin_app import AdminParts, build_admin_app
from proxy.edges.admin.admin_listener import AdminLimits, AdminListener
from proxy.http1.limits import UpstreamLimits
from proxy.http1.upstream import UpstreamClient
from proxy.runtime.calls.conversations import Conversations
from proxy.runtime.own_calls.drill_calls import OwnCrew
from proxy.runtime.process.clock import Identifiers
from proxy.runtime.process.tasks import TaskSet
from proxy.runtime.releasing.run_commands import RunCommands
from proxy.runtime.rollouts.rollout_loop import RolloutLoop
from proxy.runtime.telemetry.metrics import Metrics
from proxy.runtime.telemetry.outcome_counts import OutcomeCounts
from proxy.settings import Settings
from proxy.store.sqlite import SqliteStore
from tests.edges.admin.described import undescribed

TOKEN = "sb_a-token-that-only-these-tests-know-0123456789"
NOON = 1_795_176_000_000_000
"""2026-11-20T12:00:00Z in microseconds."""
AN_HOUR = 3_600_000_000
PROVIDERS = {
    "openai": {"wire": "openai", "base_url": "https://api.openai.com"},
    "anthropic": {"wire": "anthropic", "base_url": "https://api.anthropic.com"},
    "keyless": {"wire": "openai", "base_url": "https://llm.example"},
    "xai": {"wire": "openai", "base_url": "https://api.x.ai", "api_key": "key"},
}


class SetClock:
    """Time that moves when a test says so."""

    def __init__(self) -> None:
        self.now = NOON

    def now_microseconds(self) -> int:
        return self.now

    def monotonic_microseconds(self) -> int:
        return self.now


class Commands:
    """The control path of a server over a store of its own: what it can be ordered, and all that is behind it."""

    def __init__(self, on: Foundation, settings: Settings, control: ControlHalf, served: Served) -> None:
        self.on, self.settings, self.control, self.served = on, settings, control, served
        self.orders: Orders = orders_of(on, control, served)
        self.clock, self.metrics = on.clock, on.metrics
        self.database, self.store = settings.database_path, control.store
        self.standby, self.changes, self.live = control.standby, control.changes, control.live
        self.ledger, self.recorder = control.ledger, control.recorder
        self.releases, self.rollouts, self.rollout_loop = control.releases, control.rollouts, control.rollout_loop
        self.proposals, self.tokens = self.orders.proposals, self.orders.tokens
        self.limits, self.runs = self.orders.limits, self.orders.runs
        self.data_path = served.data_path

    def runs_into(self, loop: RolloutLoop) -> RunCommands:
        """Outcomes told to another controller than its own."""
        identifiers = Identifiers(self.clock, 9)
        counts = OutcomeCounts(self.metrics, self.store.runs_by_id, self.live.is_reachable, loop.reported)
        return RunCommands(self.changes, self.store, self.recorder, self.clock, identifiers, counts.reported)

    async def audit_entries(self) -> list[str]:
        """What was done, oldest first."""
        return [entry.what for entry in reversed((await self.store.audit()).items)]


@asynccontextmanager
async def commands(folder: Path) -> AsyncIterator[Commands]:
    """Open a store in `folder` with the commands over it, as a server has them; no loop of it runs."""
    clock = SetClock()
    on = Foundation(
        clock=clock,
        identifiers=Identifiers(clock, 7),
        metrics=Metrics("test"),
        log=lambda line: None,
        on_error=lambda error: None,
        tasks=TaskSet(lambda error: None),
        version="9.9.9",
    )
    settings = Settings.model_validate({"home": folder, "providers": PROVIDERS})
    control = control_half(on, settings, SqliteStore(settings.database_path), is_missing=lambda: False)
    await control.store.open()
    conversations = Conversations()
    parts = DataParts(
        live=control.live,
        ledger=control.ledger,
        recorder=control.recorder,
        conversations=conversations,
        validation=control.validation,
        providers=control.providers,
        prices=control.prices,
        # A bare TLS context: nothing is called, and reading the machine's certificates takes its time.
        upstream=UpstreamClient(UpstreamLimits(), tls=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)),
    )
    plane = data_half(on, settings, parts)
    try:
        control.live.replace(await control.store.load_snapshot())
        crew = OwnCrew(plane.drill_caller, on.tasks)
        served = Served(data_path=plane.request_path, drill_crew=crew, conversations=conversations)
        yield Commands(on, settings, control, served)
    finally:
        await plane.close()
        await control.store.close()


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer of the admin application; `content` is its JSON, or its text."""

    status: int
    content: Any
    headers: Any

    def __getitem__(self, name: str) -> Any:
        return self.content[name]

    @property
    def code(self) -> str:
        """The code of a problem, with the shape of the document checked."""
        assert self.headers["Content-Type"] == "application/problem+json"
        assert self.content["status"] == self.status
        assert self.content["type"] == "about:blank"
        assert self.content["title"]
        assert self.content["detail"]
        return self.content["code"]


@dataclass(slots=True)
class Admin:
    """Somebody who calls the admin API."""

    commands: Commands
    port: int
    session: aiohttp.ClientSession
    draining: asyncio.Event = field(default_factory=asyncio.Event)
    errors: list[BaseException] = field(default_factory=list)
    told: list[dict[str, object]] = field(default_factory=list)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def parts(self, listen_host: str = "127.0.0.1") -> AdminParts:
        """What the application is built from."""
        made = self.commands
        parts = admin_parts(
            made.on,
            made.settings,
            made.control,
            made.orders,
            made.served,
            token=TOKEN,
            is_draining=self.draining.is_set,
        )
        return replace(parts, listen_host=listen_host, on_error=self.errors.append)

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = TOKEN,
        headers: dict[str, str] | None = None,
        raw: Any = None,
    ) -> Reply:
        """One call below /api/v1."""
        given = dict(headers or {})
        if token is not None:
            given.setdefault("Authorization", f"Bearer {token}")
        if raw is not None:
            given.setdefault("Content-Type", "application/json")
        url = f"{self.origin}/api/v1{path}"
        more: dict[str, Any] = {"data": raw} if raw is not None else {} if body is None else {"json": body}
        async with self.session.request(method, url, headers=given, **more) as answer:
            is_json = method != "HEAD" and answer.content_type in ("application/json", "application/problem+json")
            content = await answer.json(content_type=None) if is_json else await answer.text(errors="replace")
            media = answer.headers.get("Content-Type", "")
            faults = undescribed(method, f"/api/v1{path}", answer.status, media, content)
            assert faults == [], faults
            return Reply(answer.status, content, answer.headers)

    async def get(self, path: str) -> Reply:
        return await self.call("GET", path)

    async def post(self, path: str, body: Any = None) -> Reply:
        return await self.call("POST", path, {} if body is None else body)

    async def agent(self, name: str, *prompts: str) -> None:
        """An agent with one version per prompt, `prod` on the first."""
        assert (await self.post("/agents", {"agent": name})).status == 201
        for number, prompt in enumerate(prompts):
            body = {"parent": number or None, "prompt": {"text": prompt}, "message": "made for a test"}
            assert (await self.post(f"/agents/{name}/versions", body)).status == 201
        if prompts:
            assert (await self.call("PUT", f"/agents/{name}/labels/prod", {"version": 1})).status == 200

    async def audited(self) -> list[str]:
        """What the audit log says was done, oldest first."""
        return await self.commands.audit_entries()


@asynccontextmanager
async def serving(
    folder: Path, *, listen_host: str = "127.0.0.1", limits: AdminLimits | None = None
) -> AsyncIterator[Admin]:
    """The admin application on a free port."""
    async with commands(folder) as made, aiohttp.ClientSession() as session:
        admin = Admin(made, 0, session)
        app = build_admin_app(admin.parts(listen_host))
        told = admin.told

        def log(event: str, **members: object) -> None:
            told.append({"event": event, **members})

        listener = AdminListener(app, limits or AdminLimits(), admin.errors.append, log)
        try:
            await listener.start("127.0.0.1", 0)
            admin.port = listener.addresses[0][1]
            yield admin
        finally:
            await listener.close()

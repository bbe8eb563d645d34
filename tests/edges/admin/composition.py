"""The admin application over a real store and a real socket, without data plane traffic; for tests of edges and commands."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from proxy.data_plane import JUDGE
from proxy.edges.admin.admin_app import AdminParts, build_admin_app
from proxy.edges.admin.admin_listener import AdminLimits, AdminListener
from proxy.http1.limits import UpstreamLimits
from proxy.http1.upstream import UpstreamClient
from proxy.runtime.calls.conversations import Conversations
from proxy.runtime.calls.request_path import PathOptions, PathParts, RequestPath
from proxy.runtime.calls.routing import Routes
from proxy.runtime.preflight.facts import PreflightSource
from proxy.runtime.process.clock import Identifiers
from proxy.runtime.providers import Provider, Providers
from proxy.runtime.releasing.limit_commands import LimitCommands
from proxy.runtime.releasing.proposal_commands import ProposalCommands
from proxy.runtime.releasing.release_commands import ReleaseCommands
from proxy.runtime.releasing.retention_commands import RetentionCommands
from proxy.runtime.releasing.rollout_commands import RolloutCommands
from proxy.runtime.releasing.run_commands import RunCommands
from proxy.runtime.releasing.token_commands import TokenCommands
from proxy.runtime.releasing.token_uses import TokenUses
from proxy.runtime.retention import Retention, RetentionRules
from proxy.runtime.rollouts.applying import Applying
from proxy.runtime.rollouts.rollout_loop import LoopParts, RolloutLoop
from proxy.runtime.spending.ledger import SpendLedger
from proxy.runtime.spending.prices import PriceBook
from proxy.runtime.state.changes import Changes
from proxy.runtime.state.journal import Journal
from proxy.runtime.state.last_known_good import LastKnownGood
from proxy.runtime.state.live_snapshot import LiveSnapshot
from proxy.runtime.state.standby import Standby, StorePresence
from proxy.runtime.telemetry.metrics import Metrics
from proxy.runtime.telemetry.recorder import Recorder
from proxy.runtime.transport.upstream import Upstream
from proxy.runtime.validation.validation import Validation
from proxy.store.files.journal_file import JournalFile
from proxy.store.files.snapshot_file import SnapshotFile
from proxy.store.sqlite import SqliteStore
from proxy.wires.anthropic_messages.wire import AnthropicMessages
from proxy.wires.openai_chat.wire import OpenAIChat
from tests.edges.admin.described import undescribed

TOKEN = "sb_a-token-that-only-these-tests-know-0123456789"
NOON = 1_795_176_000_000_000
"""2026-11-20T12:00:00Z in microseconds."""
AN_HOUR = 3_600_000_000


class SetClock:
    """Time that moves when a test says so."""

    def __init__(self) -> None:
        self.now = NOON

    def now_microseconds(self) -> int:
        return self.now

    def monotonic_microseconds(self) -> int:
        return self.now


@dataclass(slots=True)
class Commands:
    """The control path over a store of its own."""

    database: Path
    clock: SetClock
    store: SqliteStore
    standby: Standby
    changes: Changes
    live: LiveSnapshot
    metrics: Metrics
    releases: ReleaseCommands
    rollouts: RolloutCommands
    rollout_loop: RolloutLoop
    proposals: ProposalCommands
    tokens: TokenCommands
    limits: LimitCommands
    runs: RunCommands
    request_path: RequestPath
    ledger: SpendLedger
    recorder: Recorder
    conversations: Conversations
    providers: Providers
    prices: PriceBook

    def runs_into(self, loop: RolloutLoop) -> RunCommands:
        """Outcomes told to another controller than its own."""
        identifiers = Identifiers(self.clock, 9)
        return RunCommands(self.changes, self.store, self.recorder, self.clock, identifiers, loop.reported)

    async def audit_entries(self) -> list[str]:
        """What was done, oldest first."""
        return [entry.what for entry in reversed((await self.store.audit()).items)]


@asynccontextmanager
async def commands(folder: Path) -> AsyncIterator[Commands]:
    """Open a store in `folder` with the commands over it."""
    clock = SetClock()
    store = SqliteStore(folder / "switchback.db")
    await store.open()
    # A bare TLS context: nothing is called, and reading the machine's certificates takes its time.
    upstream = Upstream(UpstreamClient(UpstreamLimits(), tls=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)))
    try:
        live = LiveSnapshot(store)
        live.replace(await store.load_snapshot())
        identifiers = Identifiers(clock, 7)
        providers = Providers(
            [
                Provider(name="openai", family="openai", base_url="https://api.openai.com"),
                Provider(name="anthropic", family="anthropic", base_url="https://api.anthropic.com"),
                Provider(name="keyless", family="openai", base_url="https://llm.example"),
                Provider(name="xai", family="openai", base_url="https://api.x.ai", api_key="key"),
            ]
        )
        parts = PathParts(
            live=live,
            routes=Routes(()),
            providers=providers,
            prices=PriceBook({}, clock),
            ledger=SpendLedger(store, clock),
            upstream=upstream,
            recorder=Recorder(store, lambda runs: None),
            metrics=Metrics("test"),
            conversations=Conversations(),
            validation=Validation(JUDGE, Metrics("test"), lambda judged: None, lambda event, **members: None),
            clock=clock,
            identifiers=identifiers,
            on_error=lambda error: None,
        )
        request_path = RequestPath(parts, PathOptions())
        standby = Standby(
            presence=StorePresence(),
            journal=Journal(JournalFile(folder / "journal"), identifiers),
            known_good=LastKnownGood(SnapshotFile(folder / "last-known-good.json")),
        )
        changes = Changes(store, live, clock, standby)
        preflight = PreflightSource(live, store, providers, parts.prices, (OpenAIChat(), AnthropicMessages()))
        preflight.recorder = parts.recorder
        releases = ReleaseCommands(changes, parts.metrics, preflight)
        rollouts = RolloutCommands(changes, preflight)
        rollout_loop = RolloutLoop(
            LoopParts(
                live=live,
                store=store,
                applying=Applying(live, releases, rollouts),
                clock=clock,
                log=lambda line: None,
                on_error=lambda error: None,
            )
        )
        yield Commands(
            database=folder / "switchback.db",
            clock=clock,
            store=store,
            standby=standby,
            changes=changes,
            live=live,
            metrics=parts.metrics,
            releases=releases,
            rollouts=rollouts,
            proposals=ProposalCommands(changes, preflight),
            tokens=TokenCommands(changes, identifiers, TokenUses(store, clock)),
            limits=LimitCommands(changes, identifiers, request_path, preflight=preflight),
            rollout_loop=rollout_loop,
            runs=RunCommands(changes, store, parts.recorder, clock, identifiers, rollout_loop.reported),
            request_path=request_path,
            ledger=parts.ledger,
            recorder=parts.recorder,
            conversations=parts.conversations,
            providers=providers,
            prices=parts.prices,
        )
    finally:
        await upstream.close()
        await store.close()


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
        return AdminParts(
            releases=made.releases,
            rollouts=made.rollouts,
            rollout_loop=made.rollout_loop,
            proposals=made.proposals,
            tokens=made.tokens,
            limits=made.limits,
            runs=made.runs,
            store=made.store,
            retention=RetentionCommands(
                made.changes,
                Retention(
                    made.store,
                    made.ledger,
                    made.recorder,
                    RetentionRules(runs_days=400, holds_days=7),
                    made.clock,
                    lambda event, **members: None,
                ),
            ),
            standby=made.standby,
            live=made.live,
            ledger=made.ledger,
            metrics=made.metrics,
            recorder=made.recorder,
            conversations=made.conversations,
            request_path=made.request_path,
            providers=made.providers,
            prices=made.prices,
            clock=made.clock,
            token=TOKEN,
            listen_host=listen_host,
            is_draining=self.draining.is_set,
            on_error=self.errors.append,
            version="9.9.9",
        )

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

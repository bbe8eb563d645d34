"""Composition root: the only module that knows concrete stores and wires, and the order in which parts start and stop.

Start: home and token, store, snapshot, ledger, background loops, admin listener, traffic listener last. Stop the other way
round: no new calls, drain, settle and record what is left, close the store.
"""

import asyncio
import contextlib
import os
import secrets
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import uvloop
from aiohttp import web

from proxy import __version__
from proxy.core.bucketing import BUCKETS
from proxy.core.errors import Refusal
from proxy.core.releases import CANDIDATE
from proxy.core.snapshot import Snapshot
from proxy.core.spend import FREE, Price
from proxy.edges.admin_app import AdminParts, build_admin_app
from proxy.http1.egress import egress_from_environment
from proxy.http1.limits import ListenerLimits, UpstreamLimits
from proxy.http1.listener import Listener
from proxy.http1.upstream import UpstreamClient
from proxy.runtime.admin_token import FILE_NAME, admin_token
from proxy.runtime.changes import Changes
from proxy.runtime.clock import Identifiers, SystemClock
from proxy.runtime.conversations import Conversations
from proxy.runtime.error_log import ErrorLog
from proxy.runtime.guard_commands import GuardCommands
from proxy.runtime.heartbeat import Heartbeat
from proxy.runtime.ledger_start import take_over_ledger
from proxy.runtime.line_writer import LineWriter
from proxy.runtime.live_snapshot import LiveSnapshot
from proxy.runtime.metrics import Metrics
from proxy.runtime.prices import PriceBook, override_price
from proxy.runtime.providers import Provider, Providers
from proxy.runtime.recorder import Recorder
from proxy.runtime.release_commands import ReleaseCommands
from proxy.runtime.request_path import PathOptions, PathParts, RequestPath
from proxy.runtime.routing import Routes
from proxy.runtime.run_log import RunLog
from proxy.runtime.spend_ledger import SpendLedger
from proxy.runtime.tasks import TaskSet
from proxy.runtime.upstream import Upstream
from proxy.settings import PriceSettings, Settings
from proxy.store.sqlite import SqliteStore
from proxy.wires.anthropic_messages import AnthropicMessages
from proxy.wires.openai_chat import OpenAIChat

#: Every wire the proxy speaks; the first of a family renders the paths no wire meters.
WIRES = (OpenAIChat(), AnthropicMessages())
_FLUSH_SECONDS = 2.0


class Server:
    """One whole proxy process: data plane, admin listener, background loops."""

    def __init__(self, settings: Settings, *, log: Callable[[bytes], object] | None = None) -> None:
        """`log` takes whole JSON lines; without it nothing is logged."""
        self._settings = settings
        self._log = log or _discard
        self._stopped = False
        clock = self._clock = SystemClock()
        self._identifiers = Identifiers(clock, secrets.randbits(40))
        self._on_error = ErrorLog(self._log, clock)
        self._tasks = TaskSet(self._on_error)
        self._metrics = Metrics(__version__)
        self._store = SqliteStore(settings.database_path)
        self._live = LiveSnapshot(self._store)
        self._live.on_change(self._mirror_snapshot)
        self._ledger = SpendLedger(self._store, clock)
        self._ledger.on_warning = lambda cap: self._metrics.cap_warnings.labels(cap.id).inc()
        self._recorder = Recorder(self._store, RunLog(self._log))
        self._conversations = Conversations()
        self._providers = Providers(_providers(settings))
        self._prices = PriceBook({name: _price(name, price) for name, price in settings.prices.items()}, clock)
        self._listener: Listener | None = None
        self._upstream: Upstream | None = None
        self._admin: web.AppRunner | None = None
        self.traffic_url = ""
        self.admin_url = ""

    @property
    def admin_token_path(self) -> Path:
        """The file with the admin token; made by `start`."""
        return self._settings.home / FILE_NAME

    async def start(self) -> None:
        """Start everything. Raises Refusal (store, token), OSError (a port is taken); nothing is left running then."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop taking calls, let running ones finish up to the drain deadline, write what is left. Safe to call twice."""
        if self._stopped:
            return
        self._stopped = True
        if self._listener is not None:
            await self._listener.drain(self._settings.timeouts.drain_seconds)
        if self._admin is not None:
            await self._admin.cleanup()
        if self._upstream is not None:
            await self._upstream.close()
        await self._tasks.close()
        with contextlib.suppress(Refusal):
            await asyncio.wait_for(self._flush(), _FLUSH_SECONDS)
        await self._store.close()

    async def _start(self) -> None:
        settings = self._settings
        token = admin_token(settings.home)
        await self._store.open()
        self._live.replace(await self._store.load_snapshot())
        await take_over_ledger(self._store, self._live, self._ledger, self._clock)
        request_path = self._request_path()
        self._tasks.spawn(self._ledger.run(), "spend ledger")
        self._tasks.spawn(self._recorder.run(), "recorder")
        heartbeat = Heartbeat(self._store, self._live, self._ledger, self._metrics, self._clock)
        await heartbeat.beat()
        self._tasks.spawn(heartbeat.run(), "heartbeat")
        await self._start_admin(request_path, token)
        limits = ListenerLimits(body_bytes=settings.limits.body_bytes, connections=settings.limits.connections)
        self._listener = Listener(request_path.handle, limits, self._on_error)
        await self._listener.start(settings.listen.host, settings.listen.port)
        self.traffic_url = _url(self._listener.addresses[0])

    def _request_path(self) -> RequestPath:
        settings = self._settings
        limits = UpstreamLimits(
            connect_seconds=settings.timeouts.connect_seconds,
            first_byte_seconds=settings.timeouts.first_byte_seconds,
            idle_seconds=settings.timeouts.stream_idle_seconds,
        )
        self._upstream = Upstream(UpstreamClient(limits, egress=egress_from_environment(os.environ)))
        parts = PathParts(
            live=self._live,
            routes=Routes(WIRES),
            providers=self._providers,
            prices=self._prices,
            ledger=self._ledger,
            upstream=self._upstream,
            recorder=self._recorder,
            metrics=self._metrics,
            conversations=self._conversations,
            clock=self._clock,
            identifiers=self._identifiers,
            on_error=self._on_error,
        )
        options = PathOptions(
            default_agent=settings.default_agent,
            passes_unassigned=settings.unassigned == "pass",
            output_ceiling=settings.limits.max_output_tokens,
        )
        return RequestPath(parts, options)

    async def _start_admin(self, request_path: RequestPath, token: str) -> None:
        changes = Changes(self._store, self._live, self._clock)
        app = build_admin_app(
            AdminParts(
                releases=ReleaseCommands(changes, self._metrics),
                guards=GuardCommands(changes, self._identifiers, request_path),
                store=self._store,
                live=self._live,
                ledger=self._ledger,
                metrics=self._metrics,
                recorder=self._recorder,
                conversations=self._conversations,
                request_path=request_path,
                providers=self._providers,
                prices=self._prices,
                clock=self._clock,
                token=token,
                listen_host=self._settings.admin.listen.host,
                is_draining=lambda: self._stopped,
                on_error=self._on_error,
                version=__version__,
            )
        )
        self._admin = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await self._admin.setup()
        site = web.TCPSite(self._admin, self._settings.admin.listen.host, self._settings.admin.listen.port)
        await site.start()
        self.admin_url = _url(self._admin.addresses[0])

    async def _flush(self) -> None:
        await self._ledger.flush()
        await self._recorder.flush()

    def _mirror_snapshot(self, snapshot: Snapshot) -> None:
        """Gauges that follow the snapshot, set when it is swapped."""
        metrics = self._metrics
        metrics.snapshot_revision.set(snapshot.revision)
        metrics.snapshot_loaded.set(self._clock.now_microseconds() / 1e6)
        metrics.rollout_share_ratio.clear()
        for name, state in snapshot.agents.items():
            for label, rollout in state.rollouts.items():
                candidate = rollout.arm(CANDIDATE)
                share = 0 if candidate is None else candidate.share_buckets / BUCKETS
                metrics.rollout_share_ratio.labels(name, label).set(share)


async def run_until_signal(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; the exit code. Says on stderr where it listens, logs runs to stdout."""
    writer = LineWriter(sys.stdout.buffer)
    server = Server(settings, log=writer)
    try:
        await server.start()
    except (Refusal, OSError) as error:
        sys.stderr.write(f"switchback: cannot start: {error}\n")
        return 1
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    sys.stderr.write(
        f"switchback {__version__}: LLM traffic on {server.traffic_url}, admin on {server.admin_url}, "
        f"admin token in {server.admin_token_path}\n"
    )
    sys.stderr.flush()
    await stop.wait()
    await server.stop()
    writer.close()
    return 0


def serve(settings: Settings) -> int:
    """Run the proxy in this process until it is told to stop; the exit code."""
    return uvloop.run(run_until_signal(settings))


def _providers(settings: Settings) -> list[Provider]:
    return [
        Provider(
            name=name,
            family=provider.wire,
            base_url=provider.base_url,
            api_key=None if provider.api_key is None else provider.api_key.get_secret_value(),
        )
        for name, provider in settings.providers.items()
    ]


def _price(name: str, price: PriceSettings | str) -> Price:
    if isinstance(price, str):
        return FREE
    return override_price(
        name,
        input_mtok=price.input,
        output_mtok=price.output,
        cached_mtok=price.cached,
        cache_write_mtok=price.cache_write,
        context_window=price.context_window,
    )


def _url(address: tuple[str, int]) -> str:
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    return f"http://{host}:{address[1]}"


def _discard(lines: bytes) -> None:
    """Nobody wants the log."""

"""A whole server: which store it has, and the order in which its parts start and stop.

Start: home and token, store, snapshot, ledger, background loops, admin listener, traffic listener last. Stop the other way
round: no new calls, drain, settle and record what is left, close the store. What its parts are, and how they are put together,
is in assembly.py and control_half.py.
"""

import asyncio
import contextlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import uvloop

from proxy import __version__
from proxy.assembly import DataParts, certificate_of, data_half, foundation
from proxy.control_half import Served, admin_parts, commands, control_half
from proxy.core.addresses import Address, ListenAddress, url_of
from proxy.core.characters import plain_text
from proxy.core.errors import Refusal
from proxy.data_plane import DataPlane
from proxy.edges.admin.admin_app import AdminParts, build_admin_app
from proxy.edges.admin.admin_listener import AdminLimits, AdminListener
from proxy.http1.sockets import bind_unix
from proxy.runtime.calls.conversations import Conversations
from proxy.runtime.heartbeat import Heartbeat
from proxy.runtime.kept_chains import KeptChains
from proxy.runtime.own_calls.drill_calls import OwnCrew
from proxy.runtime.process.admin_token import FILE_NAME, admin_token
from proxy.runtime.process.certificate_watch import CertificateWatch
from proxy.runtime.process.descriptors import admin_connections, raise_descriptor_limit
from proxy.runtime.process.event_line import event_line
from proxy.runtime.process.garbage import collect_seldom
from proxy.runtime.process.line_writer import LineWriter
from proxy.runtime.process.memory import give_back_memory
from proxy.runtime.process.uncaught import tell_uncaught
from proxy.runtime.releasing.switch_expiry import SwitchExpiry
from proxy.runtime.rollouts.rollout_loop import TICK_SECONDS
from proxy.runtime.rollouts.weekly_drills import WeeklyDrills
from proxy.runtime.spending.prices import read_library
from proxy.runtime.state.record_verification import HeadLog
from proxy.runtime.telemetry.summing import Summing
from proxy.runtime.workers.forked import ForkedWorker, fork_workers
from proxy.runtime.workers.owner_end import OwnerParts
from proxy.runtime.workers.program import WorkerProgram
from proxy.runtime.workers.supervisor import Workers
from proxy.settings import Settings, settings_bytes
from proxy.stop_signals import on_stop_signal
from proxy.store.sqlite import SqliteStore
from proxy.worker import run as run_worker

#: What a worker's process runs, and where it is found.
_WORKER_MODULE = "proxy.worker"
_IMPORT_FROM = Path(__file__).parent.parent
_FLUSH_SECONDS = 2.0


class Server:
    """One whole proxy process: data plane, admin listener, background loops."""

    def __init__(
        self,
        settings: Settings,
        *,
        log: Callable[[bytes], object] | None = None,
        rollout_tick_seconds: float = TICK_SECONDS,
        forked: Sequence[ForkedWorker] = (),
    ) -> None:
        """`log` takes whole JSON lines; without it nothing is logged. `forked`: workers that are there already."""
        self._settings = settings
        self._forked = list(forked)
        self._stopped = False
        self._on = foundation(log or bytes.__len__)
        self._control = control_half(
            self._on,
            settings,
            SqliteStore(settings.database_path),
            is_missing=lambda: _is_missing(settings.database_path),
            rollout_tick_seconds=rollout_tick_seconds,
        )
        self._conversations = Conversations()
        self._chains = KeptChains(self._control.store, self._conversations.chains, self._on.clock)
        #: One of the two serves the calls.
        self._plane: DataPlane | None = None
        self._workers: Workers | None = None
        self._admin: AdminListener | None = None
        self._store_was_up = True
        #: Made by `start`.
        self.weekly_drills: WeeklyDrills | None = None
        #: Where calls are taken, in the order of the settings; a unix socket as `unix:/PATH`.
        self.traffic_urls: list[str] = []
        self.admin_url = ""

    @property
    def traffic_url(self) -> str:
        """The first place where calls are taken."""
        return self.traffic_urls[0]

    def log_limits(self) -> None:
        """Say in the log where open files allow fewer clients than the settings. The first of several workers says it for all."""
        if self._plane is not None and (line := self._plane.limited_connections(self._on.clock)) is not None:
            self._on.log(line)

    @property
    def store_problem(self) -> str | None:
        """Why the store cannot be used now; None where it can."""
        problem = self._control.standby.presence.problem
        return None if problem is None else problem.message

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
        control = self._control
        if self._plane is not None:
            await self._plane.drain()
        if self._workers is not None:
            await self._workers.drain()
        if self._admin is not None:
            await self._admin.close()
        if self._plane is not None:
            await self._plane.close()
        await control.validation.drain()
        await self._on.tasks.close()
        await control.changes.close()
        # A store that hangs must not keep the process: what it then lacks is recovered conservatively at the next start.
        with contextlib.suppress(Refusal, TimeoutError):
            await asyncio.wait_for(self._flush(), _FLUSH_SECONDS)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(control.webhooks.close(), _FLUSH_SECONDS)
        await control.standby.known_good.flush()
        await control.standby.journal.close()
        await control.store.close()

    async def _start(self) -> None:
        on, control, settings = self._on, self._control, self._settings
        token = admin_token(settings.home)
        await control.takeover.start(on.tasks)
        control.standby.presence.on_change(self._tell_of_store)
        self._tell_of_store(control.standby.presence.problem)
        await self._chains.load()
        served = self._served()
        orders = commands(on, control, served)
        await self._start_loops()
        on.tasks.spawn(control.judged.run(orders.verdicts), "judged runs")
        on.tasks.spawn(SwitchExpiry(control.live, orders.limits, on.clock).run(), "switch expiry")
        self.weekly_drills = WeeklyDrills(
            control.live, orders.drills, on.clock, on.tell, is_wanted=settings.weekly_drills
        )
        on.tasks.spawn(self.weekly_drills.run(), "drills")
        await self._start_admin(
            admin_parts(on, settings, control, orders, served, token=token, is_draining=lambda: self._stopped)
        )
        where: list[ListenAddress] = []
        if self._plane is not None:
            where = await self._plane.listen(settings.traffic_addresses)
            on.tasks.spawn(self._plane.renew_certificate(on.log, on.clock), "certificate")
        if self._workers is not None:
            where = await self._workers.start(settings.traffic_addresses, bind_unix)
        self.traffic_urls = [url_of(address, is_tls=settings.tls.certificate is not None) for address in where]

    def _served(self) -> Served:
        """Where calls are served: here, or with several workers in processes of their own."""
        if self._settings.workers > 1:
            self._workers = self._new_workers()
            return Served(
                data_path=self._workers,
                drill_crew=self._workers,
                conversations=self._conversations,
                workers=self._workers,
            )
        parts = DataParts(
            live=self._control.live,
            ledger=self._control.ledger,
            recorder=self._control.recorder,
            conversations=self._conversations,
            validation=self._control.validation,
            providers=self._control.providers,
            prices=self._control.prices,
            admin_connections=admin_connections(),
        )
        self._plane = data_half(self._on, self._settings, parts)
        return Served(
            data_path=self._plane.request_path,
            drill_crew=OwnCrew(self._plane.drill_caller, self._on.tasks),
            conversations=self._conversations,
        )

    def _new_workers(self) -> Workers:
        program = WorkerProgram(
            count=self._settings.workers,
            module=_WORKER_MODULE,
            import_from=_IMPORT_FROM,
            settings=settings_bytes(self._settings),
            drain_seconds=self._settings.timeouts.drain_seconds,
            forked=self._forked,
        )
        parts = OwnerParts(
            live=self._control.live,
            versions=self._control.store,
            ledger=self._control.ledger,
            recorder=self._control.recorder,
            conversations=self._conversations,
            log=self._on.log,
            judged=self._control.judged.add,
            on_error=self._on.on_error,
            tasks=self._on.tasks,
        )
        return Workers(program, parts, self._on.metrics, self._on.clock)

    async def _start_loops(self) -> None:
        on, control = self._on, self._control
        on.tasks.spawn(control.standby.known_good.run(), "last known good")
        on.tasks.spawn(control.ledger.run(), "spend ledger")
        on.tasks.spawn(control.recorder.run(), "recorder")
        on.tasks.spawn(control.rollout_loop.run(), "rollouts")
        on.tasks.spawn(control.validation.run(), "validation")
        on.tasks.spawn(control.webhooks.run(), "webhooks")
        head_log = HeadLog(control.store, on.log, on.clock)
        heartbeat = Heartbeat(control.standby.presence, control.live, control.ledger, on.metrics, on.clock, head_log)
        await heartbeat.beat()
        on.tasks.spawn(heartbeat.run(), "heartbeat")
        on.tasks.spawn(give_back_memory(), "memory")
        on.tasks.spawn(control.retention.run(), "retention")
        on.tasks.spawn(Summing(control.store, control.recorder, on.on_error).run(), "summing of runs")
        on.tasks.spawn(control.token_uses.run(), "token uses")
        on.tasks.spawn(self._chains.run(), "chains")

    async def _start_admin(self, parts: AdminParts) -> None:
        on, settings = self._on, self._settings
        limits = AdminLimits(
            connections=admin_connections(),
            head_seconds=settings.timeouts.request_head_seconds,
            keep_alive_seconds=settings.timeouts.keep_alive_seconds,
            no_progress_seconds=settings.timeouts.slow_reader_seconds,
        )
        self._admin = AdminListener(build_admin_app(parts), limits, on.on_error, on.tell)
        certificate = certificate_of(settings.admin.tls)
        if certificate is not None:
            on.tasks.spawn(CertificateWatch(certificate, on.log, on.clock).run(), "admin certificate")
        await self._admin.start(*settings.admin.listen, tls=certificate and certificate.context)
        self.admin_url = url_of(Address(*self._admin.addresses[0][:2]), is_tls=certificate is not None)
        if settings.admin.warning is not None:
            on.tell("admin_without_tls", reason=settings.admin.warning)

    def tell_uncaught(self) -> None:
        """Log what nobody catches, and what libraries say, for the whole process."""
        tell_uncaught(asyncio.get_running_loop(), self._on.on_error, self._on.tell)

    def _tell_of_store(self, problem: Refusal | None) -> None:
        """A gauge, and a line in the log where there is news: it went away, or came back."""
        was_up = self._store_was_up
        self._store_was_up = problem is None
        self._on.metrics.store_up.set(problem is None)
        if problem is not None or not was_up:
            level, event = ("info", "store_back") if problem is None else ("error", "store_away")
            reason = None if problem is None else problem.message
            now, revision = self._on.clock.now_microseconds(), self._control.live.current.revision
            self._on.log(event_line(now, level, event, reason=reason, revision=revision))

    async def _flush(self) -> None:
        await self._control.ledger.flush()
        await self._control.recorder.flush()
        await self._control.judged.write()
        await self._control.rollout_loop.keep()
        await self._control.token_uses.write()
        await self._chains.write()


def _is_missing(database: Path) -> bool:
    """Whether there is no database, or an empty file: opening it would make a new one."""
    return not database.exists() or (database.is_file() and database.stat().st_size == 0)


async def run_until_signal(settings: Settings, forked: Sequence[ForkedWorker]) -> int:
    """Serve until SIGTERM or SIGINT; the exit code. Says on stderr where it listens, logs runs to stdout."""
    writer = LineWriter(sys.stdout.buffer)
    server = Server(settings, log=writer, forked=forked)
    server.tell_uncaught()
    try:
        await server.start()
    except (Refusal, OSError) as error:
        sys.stderr.write(f"switchback: cannot start: {plain_text(str(error))}\n")
        return 1
    server.log_limits()
    stop = asyncio.Event()
    on_stop_signal(stop.set)
    sys.stderr.write(
        f"switchback {__version__}: LLM traffic on {', '.join(server.traffic_urls)}, admin on {server.admin_url}, "
        f"admin token in {server.admin_token_path}\n"
    )
    if server.store_problem is not None:
        sys.stderr.write(f"switchback: WITHOUT ITS STORE: {plain_text(server.store_problem)}\n")
    if settings.admin.warning is not None:
        sys.stderr.write(f"switchback: WARNING: {settings.admin.warning}\n")
    sys.stderr.flush()
    await stop.wait()
    await server.stop()
    writer.close()
    return 0


def serve(settings: Settings) -> int:
    """Run the proxy in this process until it is told to stop; the exit code."""
    # Before the fork, so that workers have it from the beginning, and what is read in memory once for all.
    raise_descriptor_limit()
    read_library()
    collect_seldom()
    forked = fork_workers(settings.workers, run_worker) if settings.workers > 1 else ()
    return uvloop.run(run_until_signal(settings, forked))

"""Composition root: the only module that knows concrete stores, and the order in which parts start and stop.

Start: home and token, store, snapshot, ledger, background loops, admin listener, traffic listener last. Stop the other way
round: no new calls, drain, settle and record what is left, close the store.
"""

import asyncio
import contextlib
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

import uvloop

from proxy import __version__
from proxy.core.addresses import Address, ListenAddress, url_of
from proxy.core.characters import plain_text
from proxy.core.errors import Refusal
from proxy.data_plane import (
    JUDGE,
    DataPlane,
    DataPlaneParts,
    bind_unix,
    certificate_of,
    limited_connections,
    prices_of,
    providers_of,
    wires,
)
from proxy.edges.admin.admin_app import AdminParts, build_admin_app
from proxy.edges.admin.admin_listener import AdminLimits, AdminListener
from proxy.runtime.calls.conversations import Conversations
from proxy.runtime.heartbeat import Heartbeat
from proxy.runtime.preflight.facts import PreflightSource
from proxy.runtime.process.admin_token import FILE_NAME, admin_token
from proxy.runtime.process.certificate_watch import CertificateWatch
from proxy.runtime.process.clock import Identifiers, SystemClock
from proxy.runtime.process.descriptors import admin_connections, raise_descriptor_limit
from proxy.runtime.process.error_log import ErrorLog
from proxy.runtime.process.event_line import event_line
from proxy.runtime.process.garbage import collect_seldom
from proxy.runtime.process.line_writer import LineWriter
from proxy.runtime.process.memory import give_back_memory
from proxy.runtime.process.tasks import TaskSet
from proxy.runtime.process.uncaught import tell_uncaught
from proxy.runtime.releasing.emergencies import carry_out
from proxy.runtime.releasing.judged_runs import JudgedRuns
from proxy.runtime.releasing.limit_commands import LimitCommands
from proxy.runtime.releasing.proposal_commands import ProposalCommands
from proxy.runtime.releasing.release_commands import ReleaseCommands
from proxy.runtime.releasing.retention_commands import RetentionCommands
from proxy.runtime.releasing.rollout_commands import RolloutCommands
from proxy.runtime.releasing.run_commands import RunCommands
from proxy.runtime.releasing.switch_expiry import SwitchExpiry
from proxy.runtime.releasing.token_commands import TokenCommands
from proxy.runtime.releasing.token_uses import TokenUses
from proxy.runtime.retention import Retention, RetentionRules
from proxy.runtime.rollouts.applying import Applying
from proxy.runtime.rollouts.rollout_loop import TICK_SECONDS, LoopParts, RolloutLoop
from proxy.runtime.spending.ledger import SpendLedger
from proxy.runtime.state.change_log import ChangeLog
from proxy.runtime.state.changes import Changes
from proxy.runtime.state.data_path import DataPath
from proxy.runtime.state.journal import Journal
from proxy.runtime.state.last_known_good import LastKnownGood
from proxy.runtime.state.live_snapshot import LiveSnapshot
from proxy.runtime.state.record_verification import HeadLog
from proxy.runtime.state.standby import Standby, StorePresence, WhilePresent
from proxy.runtime.state.takeover import Takeover, TakeoverParts
from proxy.runtime.telemetry.metrics import Metrics
from proxy.runtime.telemetry.outcome_counts import OutcomeCounts
from proxy.runtime.telemetry.recorder import Recorder
from proxy.runtime.telemetry.run_log import RunLog
from proxy.runtime.telemetry.snapshot_gauges import SnapshotGauges
from proxy.runtime.telemetry.summing import Summing
from proxy.runtime.validation.validation import Validation
from proxy.runtime.workers.owner_end import OwnerParts
from proxy.runtime.workers.program import WorkerProgram
from proxy.runtime.workers.supervisor import Workers
from proxy.settings import Settings, settings_bytes
from proxy.stop_signals import on_stop_signal
from proxy.store.files.journal_file import FILE_NAME as JOURNAL
from proxy.store.files.journal_file import JournalFile
from proxy.store.files.snapshot_file import FILE_NAME as LAST_KNOWN_GOOD
from proxy.store.files.snapshot_file import SnapshotFile
from proxy.store.sqlite import SqliteStore

#: What a worker's process runs, and where it is found.
_WORKER_MODULE = "proxy.worker"
_IMPORT_FROM = Path(__file__).parent.parent
_FLUSH_SECONDS = 2.0
#: How long answers may still be judged when calls are over.
_JUDGING_SECONDS = 1.0


class Server:
    """One whole proxy process: data plane, admin listener, background loops."""

    def __init__(
        self,
        settings: Settings,
        *,
        log: Callable[[bytes], object] | None = None,
        rollout_tick_seconds: float = TICK_SECONDS,
    ) -> None:
        """`log` takes whole JSON lines; without it nothing is logged."""
        self._settings = settings
        self._log: Callable[[bytes], object] = log or bytes.__len__
        self._stopped = False
        clock = self._clock = SystemClock()
        self._identifiers = Identifiers(clock, secrets.randbits(40))
        self._on_error = ErrorLog(self._log, clock)
        self._tasks = TaskSet(self._on_error)
        self._metrics = Metrics(__version__)
        self._store = SqliteStore(settings.database_path)
        self._live = LiveSnapshot(self._store)
        self._live.on_change(SnapshotGauges(self._metrics, clock))
        self._standby = Standby(
            presence=StorePresence(),
            journal=Journal(JournalFile(settings.home / JOURNAL), self._identifiers),
            known_good=LastKnownGood(SnapshotFile(settings.home / LAST_KNOWN_GOOD)),
        )
        self._changes = Changes(self._store, self._live, clock, self._standby, ChangeLog(self._log, clock))
        batches = WhilePresent(self._store, self._standby.presence)
        self._ledger = SpendLedger(batches, clock)
        self._ledger.on_warning = self._metrics.warned
        self._providers = providers_of(settings)
        self._prices = prices_of(settings, clock)
        self._preflight = PreflightSource(self._live, self._store, self._providers, self._prices, wires(settings))
        self._releases = ReleaseCommands(self._changes, self._metrics, self._preflight)
        self._rollouts = RolloutCommands(self._changes, self._preflight)
        self._rollout_loop = self._judging(rollout_tick_seconds)
        self._recorder = Recorder(batches, RunLog(self._log), self._rollout_loop.finished)
        rules = RetentionRules(**settings.retention.model_dump())
        self._retention = Retention(self._store, self._ledger, self._recorder, rules, clock, self._tell)
        self._conversations = Conversations()
        self._judged = JudgedRuns(self._metrics, self._on_error)
        self._validation = Validation(JUDGE, self._metrics, self._judged.add, self._tell)
        self._token_uses = TokenUses(self._store, clock)
        #: One of the two serves the calls.
        self._plane: DataPlane | None = None
        self._workers: Workers | None = None
        self._admin: AdminListener | None = None
        self._store_was_up = True
        #: Where calls are taken, in the order of the settings; a unix socket as `unix:/PATH`.
        self.traffic_urls: list[str] = []
        self.admin_url = ""

    @property
    def traffic_url(self) -> str:
        """The first place where calls are taken."""
        return self.traffic_urls[0]

    def log_limits(self) -> None:
        """Say in the log where open files allow fewer clients than the settings. The first of several workers says it for all."""
        if self._plane is not None and (line := limited_connections(self._plane, self._clock)) is not None:
            self._log(line)

    @property
    def store_problem(self) -> str | None:
        """Why the store cannot be used now; None where it can."""
        problem = self._standby.presence.problem
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
        if self._plane is not None:
            await self._plane.drain()
        if self._workers is not None:
            await self._workers.drain()
        if self._admin is not None:
            await self._admin.close()
        if self._plane is not None:
            await self._plane.close()
        await self._validation.drain(_JUDGING_SECONDS)
        await self._tasks.close()
        await self._changes.close()
        # A store that hangs must not keep the process: what it then lacks is recovered conservatively at the next start.
        with contextlib.suppress(Refusal, TimeoutError):
            await asyncio.wait_for(self._flush(), _FLUSH_SECONDS)
        await self._standby.known_good.flush()
        await self._standby.journal.close()
        await self._store.close()

    async def _start(self) -> None:
        settings = self._settings
        token = admin_token(settings.home)
        await self._takeover().start(self._tasks)
        self._standby.presence.on_change(self._tell_of_store)
        self._tell_of_store(self._standby.presence.problem)
        self._tasks.spawn(self._standby.known_good.run(), "last known good")
        data_path = self._data_path()
        self._preflight.recorder = self._workers or self._recorder
        self._tasks.spawn(self._ledger.run(), "spend ledger")
        self._tasks.spawn(self._recorder.run(), "recorder")
        self._tasks.spawn(self._rollout_loop.run(), "rollouts")
        self._tasks.spawn(self._validation.run(), "validation")
        head_log = HeadLog(self._store, self._log, self._clock)
        heartbeat = Heartbeat(self._standby.presence, self._live, self._ledger, self._metrics, self._clock, head_log)
        await heartbeat.beat()
        self._tasks.spawn(heartbeat.run(), "heartbeat")
        self._tasks.spawn(give_back_memory(), "memory")
        self._tasks.spawn(self._retention.run(), "retention")
        summing = Summing(self._store, lambda: self._recorder.queue_length, self._on_error)
        self._tasks.spawn(summing.run(), "summing of runs")
        self._tasks.spawn(self._token_uses.run(), "token uses")
        providers = settings.providers.keys()
        limit_commands = LimitCommands(self._changes, self._identifiers, data_path, providers, self._preflight)
        self._tasks.spawn(SwitchExpiry(self._live, limit_commands, self._clock).run(), "switch expiry")
        await self._start_admin(data_path, limit_commands, token)
        where: list[ListenAddress] = []
        if self._plane is not None:
            where = await self._plane.listen(settings.traffic_addresses)
            self._tasks.spawn(self._plane.renew_certificate(self._log, self._clock), "certificate")
        if self._workers is not None:
            where = await self._workers.start(settings.traffic_addresses, bind_unix)
        self.traffic_urls = [url_of(address, is_tls=settings.tls.certificate is not None) for address in where]

    def _judging(self, tick_seconds: float) -> RolloutLoop:
        parts = LoopParts(
            live=self._live,
            store=self._store,
            applying=Applying(self._live, self._releases, self._rollouts),
            clock=self._clock,
            log=self._log,
            on_error=self._on_error,
        )
        return RolloutLoop(parts, tick_seconds)

    def _takeover(self) -> Takeover:
        database = self._settings.database_path
        parts = TakeoverParts(
            store=self._store,
            is_missing=lambda: not database.exists() or (database.is_file() and database.stat().st_size == 0),
            live=self._live,
            changes=self._changes,
            standby=self._standby,
            ledger=self._ledger,
            carry_out=carry_out,
            clock=self._clock,
            random=secrets.SystemRandom().random,
            on_error=self._on_error,
        )
        return Takeover(parts)

    def _tell_of_store(self, problem: Refusal | None) -> None:
        """A gauge, and a line in the log where there is news: it went away, or came back."""
        was_up = self._store_was_up
        self._store_was_up = problem is None
        self._metrics.store_up.set(problem is None)
        if problem is not None or not was_up:
            level, event = ("info", "store_back") if problem is None else ("error", "store_away")
            reason = None if problem is None else problem.message
            now, revision = self._clock.now_microseconds(), self._live.current.revision
            self._log(event_line(now, level, event, reason=reason, revision=revision))

    def _data_path(self) -> DataPath:
        """Where calls are served: here, or with several workers in processes of their own."""
        settings = self._settings
        if settings.workers == 1:
            parts = DataPlaneParts(
                live=self._live, ledger=self._ledger, recorder=self._recorder, conversations=self._conversations,
                validation=self._validation, metrics=self._metrics, providers=self._providers, prices=self._prices,
                clock=self._clock, identifiers=self._identifiers, on_error=self._on_error,
                admin_connections=admin_connections(),
            )  # fmt: skip
            self._plane = DataPlane(settings, parts)
            return self._plane.request_path
        program = WorkerProgram(
            count=settings.workers, module=_WORKER_MODULE, import_from=_IMPORT_FROM,
            settings=settings_bytes(settings), drain_seconds=settings.timeouts.drain_seconds,
        )  # fmt: skip
        parts = OwnerParts(
            live=self._live, versions=self._store, ledger=self._ledger, recorder=self._recorder,
            conversations=self._conversations, log=self._log, judged=self._judged.add,
            on_error=self._on_error, tasks=self._tasks,
        )  # fmt: skip
        self._workers = Workers(program, parts, self._metrics, self._clock)
        return self._workers

    async def _start_admin(self, request_path: DataPath, limit_commands: LimitCommands, token: str) -> None:
        changes, recorder = self._changes, self._workers or self._recorder
        counts = OutcomeCounts(self._metrics, self._store.run, self._live.is_reachable, self._rollout_loop.reported)
        # Workers have handed their runs over before; nobody is asked for more.
        own = RunCommands(changes, self._store, self._recorder, self._clock, self._identifiers, counts.reported)
        self._tasks.spawn(self._judged.run(own), "judged runs")
        app = build_admin_app(
            AdminParts(
                releases=self._releases,
                rollouts=self._rollouts,
                rollout_loop=self._rollout_loop,
                proposals=ProposalCommands(changes, self._preflight),
                tokens=TokenCommands(changes, self._identifiers, self._token_uses),
                limits=limit_commands,
                runs=RunCommands(changes, self._store, recorder, self._clock, self._identifiers, counts.reported),
                store=self._store,
                retention=RetentionCommands(changes, self._retention),
                standby=self._standby,
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
                hosts=self._settings.admin.hosts,
                admin_warning=self._settings.admin.warning,
                is_draining=lambda: self._stopped,
                on_error=self._on_error,
                version=__version__,
                workers=self._workers,
            )
        )
        limits = AdminLimits(
            connections=admin_connections(),
            head_seconds=self._settings.timeouts.request_head_seconds,
            keep_alive_seconds=self._settings.timeouts.keep_alive_seconds,
            no_progress_seconds=self._settings.timeouts.slow_reader_seconds,
        )
        self._admin = AdminListener(app, limits, self._on_error, self._tell)
        certificate = certificate_of(self._settings.admin.tls)
        if certificate is not None:
            self._tasks.spawn(CertificateWatch(certificate, self._log, self._clock).run(), "admin certificate")
        await self._admin.start(*self._settings.admin.listen, tls=certificate and certificate.context)
        self.admin_url = url_of(Address(*self._admin.addresses[0][:2]), is_tls=certificate is not None)
        if self._settings.admin.warning is not None:
            self._tell("admin_without_tls", reason=self._settings.admin.warning)

    def tell_uncaught(self) -> None:
        """Log what nobody catches, and what libraries say, for the whole process."""
        tell_uncaught(asyncio.get_running_loop(), self._on_error, self._tell)

    def _tell(self, event: str, **members: object) -> None:
        """A line in the log about something that is not as it should be."""
        self._log(event_line(self._clock.now_microseconds(), "warning", event, **members))

    async def _flush(self) -> None:
        await self._ledger.flush()
        await self._recorder.flush()
        await self._judged.write()
        await self._rollout_loop.keep()
        await self._token_uses.write()


async def run_until_signal(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; the exit code. Says on stderr where it listens, logs runs to stdout."""
    raise_descriptor_limit()
    writer = LineWriter(sys.stdout.buffer)
    server = Server(settings, log=writer)
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
    collect_seldom()
    return uvloop.run(run_until_signal(settings))

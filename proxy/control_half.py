"""The control half of a server: everything that has the store behind it, put together from settings; shared with tests.

In three steps, as each needs what was made between: the state that calls are decided on and what judges it (`control_half`), the
commands that need to know where calls are served (`commands`), and the admin application's parts (`admin_parts`). Nothing is
started here; in which order things start and stop is server.py's story. Counterpart: assembly.py.
"""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from proxy.assembly import Foundation, prices_of, providers_of, validation, wires
from proxy.edges.admin.admin_app import AdminParts
from proxy.edges.admin.authentication import Authentication
from proxy.runtime.calls.conversations import Conversations
from proxy.runtime.preflight.facts import PreflightSource
from proxy.runtime.providers import Providers
from proxy.runtime.releasing.emergencies import carry_out
from proxy.runtime.releasing.judged_runs import JudgedRuns
from proxy.runtime.releasing.limit_commands import LimitCommands
from proxy.runtime.releasing.plan_commands import PlanCommands
from proxy.runtime.releasing.proposal_commands import ProposalCommands
from proxy.runtime.releasing.release_commands import ReleaseCommands
from proxy.runtime.releasing.retention_commands import RetentionCommands
from proxy.runtime.releasing.rollout_commands import RolloutCommands
from proxy.runtime.releasing.run_commands import RunCommands
from proxy.runtime.releasing.token_commands import TokenCommands
from proxy.runtime.releasing.token_uses import TokenUses
from proxy.runtime.reports.agents import AgentReader
from proxy.runtime.reports.audit import AuditReader
from proxy.runtime.reports.limits import CapReader, ScopeReader, SwitchReader
from proxy.runtime.reports.plans import PlanReader
from proxy.runtime.reports.process import PriceReader, ProcessParts, ProcessReader, StoreReader
from proxy.runtime.reports.releases import ProposalReader, ReleaseReader
from proxy.runtime.reports.run_reports import RunReports
from proxy.runtime.reports.runs import RunReader
from proxy.runtime.reports.scrape import Scrape, ScrapeParts
from proxy.runtime.reports.tokens import TokenReader
from proxy.runtime.reports.versions import VersionReader
from proxy.runtime.retention import Retention, RetentionRules
from proxy.runtime.rollouts.applying import Applying
from proxy.runtime.rollouts.drill_book import DrillBook
from proxy.runtime.rollouts.drills import DrillParts, Drills
from proxy.runtime.rollouts.rollout_loop import TICK_SECONDS, LoopParts, RolloutLoop
from proxy.runtime.spending.ledger import SpendLedger
from proxy.runtime.spending.prices import PriceBook
from proxy.runtime.state.change_log import ChangeLog
from proxy.runtime.state.changes import Changes
from proxy.runtime.state.data_path import DataPath
from proxy.runtime.state.drill_crew import DrillCrew
from proxy.runtime.state.journal import Journal
from proxy.runtime.state.last_known_good import LastKnownGood
from proxy.runtime.state.live_snapshot import LiveSnapshot
from proxy.runtime.state.ordered_changes import OrderedChanges
from proxy.runtime.state.standby import Standby, StorePresence, WhilePresent
from proxy.runtime.state.takeover import Takeover, TakeoverParts
from proxy.runtime.telemetry.outcome_counts import OutcomeCounts
from proxy.runtime.telemetry.recorder import Recorder
from proxy.runtime.telemetry.run_log import RunLog
from proxy.runtime.telemetry.snapshot_gauges import SnapshotGauges
from proxy.runtime.validation.validation import Validation
from proxy.runtime.webhooks.webhooks import Webhooks
from proxy.runtime.workers.supervisor import Workers
from proxy.settings import Settings
from proxy.store.files.journal_file import FILE_NAME as JOURNAL
from proxy.store.files.journal_file import JournalFile
from proxy.store.files.snapshot_file import FILE_NAME as LAST_KNOWN_GOOD
from proxy.store.files.snapshot_file import SnapshotFile
from proxy.store.ports.audit import AuditStore
from proxy.store.ports.chains import ChainStore
from proxy.store.ports.changes import ChangeStore
from proxy.store.ports.lifetime import BackupStore, DescribedStore, StoreLifetime
from proxy.store.ports.outcomes import StoredRuns
from proxy.store.ports.proposals import ProposalStore
from proxy.store.ports.releases import ReleaseStore
from proxy.store.ports.reports import SumsStore
from proxy.store.ports.rollouts import PlanStore, RolloutEvidenceStore, RolloutStore
from proxy.store.ports.runs import RunRecords
from proxy.store.ports.snapshots import SnapshotStore
from proxy.store.ports.spending import LedgerRecords, SpendStore
from proxy.store.ports.tokens import TokenStore
from proxy.store.ports.upkeep import Upkeep
from proxy.store.ports.versions import VersionStore
from proxy.webhook_parts import webhooks_of


class WholeStore(
    StoreLifetime, DescribedStore, BackupStore, ChangeStore, SnapshotStore, VersionStore, ReleaseStore, RolloutStore,
    RolloutEvidenceStore, PlanStore, ProposalStore, TokenStore, ChainStore, AuditStore, StoredRuns, RunRecords, LedgerRecords, SpendStore, Upkeep, SumsStore,
    Protocol,
):  # fmt: skip
    """A store with everything that a server asks of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlHalf:
    """What calls are decided on, what changes it, and what has to be written."""

    store: WholeStore
    live: LiveSnapshot
    standby: Standby
    changes: Changes
    takeover: Takeover
    ledger: SpendLedger
    recorder: Recorder
    providers: Providers
    prices: PriceBook
    preflight: PreflightSource
    releases: ReleaseCommands
    rollouts: RolloutCommands
    rollout_loop: RolloutLoop
    retention: Retention
    token_uses: TokenUses
    judged: JudgedRuns
    webhooks: Webhooks
    validation: Validation


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """Where calls are served; `workers` None: by this process itself."""

    data_path: DataPath
    drill_crew: DrillCrew
    conversations: Conversations
    workers: Workers | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands:
    """What operators order, beside what ControlHalf has."""

    proposals: ProposalCommands
    tokens: TokenCommands
    limits: LimitCommands
    plans: PlanCommands
    runs: RunCommands
    #: For what was judged of runs that were handed over before: no worker is asked for more.
    verdicts: RunCommands
    retention: RetentionCommands
    drills: Drills


def control_half(
    on: Foundation,
    settings: Settings,
    store: WholeStore,
    *,
    is_missing: Callable[[], bool],
    rollout_tick_seconds: float = TICK_SECONDS,
) -> ControlHalf:
    """Over a store that is not open yet; `is_missing` as in TakeoverParts."""
    live = LiveSnapshot(store)
    live.on_change(SnapshotGauges(on.metrics, on.clock))
    standby = Standby(
        presence=StorePresence(),
        journal=Journal(JournalFile(settings.home / JOURNAL), on.identifiers),
        known_good=LastKnownGood(SnapshotFile(settings.home / LAST_KNOWN_GOOD)),
    )
    changes = Changes(store, live, on.clock, standby, ChangeLog(on.log, on.clock))
    batches = WhilePresent(store, standby.presence)
    ledger = SpendLedger(batches, on.clock)
    webhooks = webhooks_of(settings, store, on.metrics, on.clock, on.identifiers, on.tell, on.on_error)
    ledger.on_warning = webhooks.cap_warned
    providers, prices = providers_of(settings), prices_of(settings, on.clock)
    preflight = PreflightSource(live, store, providers, prices, wires(settings))
    releases = ReleaseCommands(changes, on.metrics, preflight)
    rollouts = RolloutCommands(changes, preflight)
    applying = Applying(live, releases, rollouts)
    rollout_loop = RolloutLoop(_loop_parts(on, store, live, applying, webhooks), rollout_tick_seconds)
    recorder = Recorder(batches, RunLog(on.log), rollout_loop.finished)
    judged = JudgedRuns(on.metrics, on.on_error)
    rules = RetentionRules(**settings.retention.model_dump())
    takeover = TakeoverParts(
        store=store,
        is_missing=is_missing,
        live=live,
        changes=changes,
        standby=standby,
        ledger=ledger,
        carry_out=carry_out,
        clock=on.clock,
        random=secrets.SystemRandom().random,
        on_error=on.on_error,
    )
    return ControlHalf(
        store=store,
        live=live,
        standby=standby,
        changes=changes,
        takeover=Takeover(takeover),
        ledger=ledger,
        recorder=recorder,
        providers=providers,
        prices=prices,
        preflight=preflight,
        releases=releases,
        rollouts=rollouts,
        rollout_loop=rollout_loop,
        retention=Retention(store, ledger, recorder, rules, on.clock, on.tell),
        token_uses=TokenUses(store, on.clock),
        judged=judged,
        webhooks=webhooks,
        validation=validation(on, judged.add),
    )


def _loop_parts(
    on: Foundation, store: WholeStore, live: LiveSnapshot, applying: Applying, webhooks: Webhooks
) -> LoopParts:
    return LoopParts(
        live=live,
        store=store,
        applying=applying,
        clock=on.clock,
        log=on.log,
        told=webhooks.happened,
        on_error=on.on_error,
    )


def commands(on: Foundation, control: ControlHalf, served: Served) -> Commands:
    """The commands that need to know where calls are served; from now on a preflight sees the calls that wait to be written."""
    changes, recorder = control.changes, served.workers or control.recorder
    control.preflight.recorder = recorder
    counts = OutcomeCounts(
        on.metrics, control.store.runs_by_id, control.live.is_reachable, control.rollout_loop.reported
    )
    return Commands(
        proposals=ProposalCommands(changes, control.preflight),
        tokens=TokenCommands(changes, on.identifiers, control.token_uses),
        limits=LimitCommands(changes, on.identifiers, served.data_path, control.providers.names, control.preflight),
        plans=PlanCommands(changes),
        runs=RunCommands(changes, control.store, recorder, on.clock, on.identifiers, counts.reported),
        verdicts=RunCommands(changes, control.store, control.recorder, on.clock, on.identifiers, counts.reported),
        retention=RetentionCommands(changes, control.retention),
        drills=Drills(
            DrillParts(
                changes=changes,
                crew=served.drill_crew,
                book=DrillBook(control.store, on.metrics),
                confirm=_confirmed(served.workers),
                clock=on.clock,
                identifiers=on.identifiers,
            )
        ),
    )


def admin_parts(
    on: Foundation,
    settings: Settings,
    control: ControlHalf,
    orders: Commands,
    served: Served,
    *,
    token: str,
    is_draining: Callable[[], bool],
) -> AdminParts:
    """What the admin application is built from. `token` is the first token itself; only its hash is kept."""
    live, workers, ordered = control.live, served.workers, OrderedChanges()
    process = ProcessReader(
        ProcessParts(
            live=live,
            store=control.store,
            standby=control.standby,
            ledger=control.ledger,
            recorder=control.recorder,
            data_path=served.data_path,
            workers=workers,
            clock=on.clock,
            last_drills=orders.drills.book.last_of_all,
            is_draining=is_draining,
            admin_warning=settings.admin.warning,
            version=on.version,
        )
    )
    return AdminParts(
        authentication=Authentication(token, live.token, on.clock, control.token_uses.used),
        listen_host=settings.admin.listen.host,
        hosts=settings.admin.hosts,
        process=process,
        scrape=Scrape(
            ScrapeParts(
                metrics=on.metrics,
                live=live,
                ledger=control.ledger,
                recorder=control.recorder,
                conversations=served.conversations,
                data_path=served.data_path,
                workers=workers,
                clock=on.clock,
            )
        ),
        ordered_changes=ordered,
        confirm=None if workers is None else workers.confirm,
        on_error=on.on_error,
        version=on.version,
        for_handlers=(
            *_ordering(control, orders),
            process,
            *_readers(on, control, served, ordered, orders.drills.book),
            control.standby.journal,
        ),
    )


def _readers(
    on: Foundation, control: ControlHalf, served: Served, ordered: OrderedChanges, drills: DrillBook
) -> tuple[object, ...]:
    """What looks something up for handlers."""
    live, store, clock = control.live, control.store, on.clock
    return (
        AgentReader(live, store),
        VersionReader(live, store, clock),
        ReleaseReader(store, control.rollout_loop),
        PlanReader(store),
        ProposalReader(store),
        RunReader(store),
        RunReports(store, clock, drills.last),
        SwitchReader(live, clock),
        CapReader(live, control.ledger, _confirmed(served.workers)),
        ScopeReader(live, control.providers, control.prices),
        TokenReader(store, control.token_uses.last),
        AuditReader(store, ordered, control.standby.journal, clock),
        StoreReader(store),
        PriceReader(control.providers, control.prices),
    )


def _ordering(control: ControlHalf, orders: Commands) -> tuple[object, ...]:
    """What changes something for handlers."""
    return (
        control.releases,
        control.rollouts,
        orders.proposals,
        orders.tokens,
        orders.limits,
        orders.plans,
        orders.runs,
        orders.retention,
        orders.drills,
        control.webhooks,
    )


def _confirmed(workers: Workers | None) -> Callable[[], Awaitable[Sequence[str]]]:
    async def nobody() -> Sequence[str]:
        return ()

    return nobody if workers is None else workers.confirm

"""How this process is: what it serves, what it holds, what stands by, and whether it takes calls."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypedDict, get_args

from proxy.core.compiled import IS_COMPILED
from proxy.core.errors import BadInput, NotFound
from proxy.core.nearest import nearest_of
from proxy.core.rollouts.drills import DrillDocument
from proxy.core.shapes import Count
from proxy.core.spending.shown_price import PriceDocument, price_document
from proxy.runtime.process.clock import Clock
from proxy.runtime.providers import Provider, Providers
from proxy.runtime.spending.ledger import SpendLedger
from proxy.runtime.spending.prices import PriceBook
from proxy.runtime.state.data_path import DataPath
from proxy.runtime.state.live_snapshot import LiveSnapshot
from proxy.runtime.state.standby import Standby, StandbyStatus
from proxy.runtime.telemetry.recorder import Recorder
from proxy.runtime.workers.supervisor import Workers, WorkerStatus
from proxy.store.ports.lifetime import BackupStore, DescribedStore, StoreCopy, StoreFacts
from proxy.wires.wire import WireFamily


class RecorderStatus(TypedDict):
    """Runs that wait to be written, and runs that were dropped because too many waited."""

    queued: Count
    dropped: Count


class StoreStatus(StoreFacts):
    """The database, and why it cannot be used now."""

    up: bool
    problem: str | None


class AdminStatus(TypedDict):
    """This listener, and what is unsafe about it."""

    warning: str | None


class ProcessStatus(StandbyStatus):
    """How this process is."""

    version: str
    compiled: bool
    draining: bool
    revision: Count
    agents: Count
    switches: Count
    caps: Count
    runs_in_flight: Count
    holds_outstanding: Count
    recorder: RecorderStatus
    #: Empty where this process serves the calls itself.
    workers: list[WorkerStatus]
    #: The last one of each agent.
    drills: list[DrillDocument]
    admin: AdminStatus
    store: StoreStatus


class Readiness(TypedDict):
    """Whether calls can be taken. A `reason` without effect on that is told all the same."""

    ready: bool
    revision: Count
    reasons: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessParts:
    """What is looked at; put together by the composition root."""

    live: LiveSnapshot
    store: DescribedStore
    standby: Standby
    ledger: SpendLedger
    recorder: Recorder
    data_path: DataPath
    #: None where this process serves the calls itself.
    workers: Workers | None
    clock: Clock
    last_drills: Callable[[], list[DrillDocument]]
    is_draining: Callable[[], bool]
    #: What is unsafe about the admin listener.
    admin_warning: str | None
    #: Of the program.
    version: str


class ProcessReader:
    """The process, as its operator asks after it."""

    def __init__(self, parts: ProcessParts) -> None:
        self._parts = parts

    async def status(self) -> ProcessStatus:
        """Answers also while the store is away."""
        parts = self._parts
        snapshot, now = parts.live.current, parts.clock.now_microseconds()
        away = parts.standby.presence.problem
        problem = None if away is None else away.message
        return {
            "version": parts.version,
            "compiled": IS_COMPILED,
            "draining": parts.is_draining(),
            "revision": snapshot.revision,
            "agents": len(snapshot.agents),
            "switches": sum(switch.is_active(now) for switch in snapshot.switches),
            "caps": len(snapshot.caps),
            "runs_in_flight": parts.data_path.in_flight,
            "holds_outstanding": parts.ledger.holds_outstanding,
            "recorder": {"queued": parts.recorder.queue_length, "dropped": parts.recorder.dropped},
            "workers": [] if parts.workers is None else parts.workers.document(),
            "drills": parts.last_drills(),
            "admin": {"warning": parts.admin_warning},
            "store": {**await parts.store.diagnostics(), "up": problem is None, "problem": problem},
            **parts.standby.status(),
        }

    def readiness(self) -> Readiness:
        """Readiness is about taking calls, not about the store: while it is away the last known good snapshot serves."""
        parts = self._parts
        reasons = ["draining"] if parts.is_draining() else []
        if parts.workers is not None and not parts.workers.are_serving:
            reasons.append("no worker takes calls")
        if not parts.live.is_loaded:
            reasons.append("not_ready")
        is_ready = not reasons
        if parts.standby.presence.is_away:
            # Told, and no reason to take the process out of service: it serves what was last known good.
            reasons.append("store_away")
        return {"ready": is_ready, "revision": parts.live.current.revision, "reasons": reasons}


class StoreReader:
    """The store as a whole."""

    def __init__(self, store: BackupStore) -> None:
        self._store = store

    async def copy(self) -> StoreCopy:
        """One moment of everything. Raises Unavailable."""
        return await self._store.backup()


class PriceReader:
    """What models cost."""

    def __init__(self, providers: Providers, prices: PriceBook) -> None:
        self._providers = providers
        self._prices = prices

    def price(self, provider_name: str, model: str) -> PriceDocument:
        """What a model costs at a provider, or that it is unknown. Raises NotFound(`provider_not_configured`)."""
        provider = self._provider(provider_name)
        return price_document(provider.name, model, self._prices.price(provider, model))

    def _provider(self, name: str) -> Provider:
        """The provider a version that names it would get, whichever family it speaks."""
        for family in get_args(WireFamily):
            try:
                return self._providers.choose(name, family)
            except BadInput as refusal:
                if refusal.code not in ("wire_mismatch", "provider_not_configured"):
                    raise
        near = nearest_of(name, self._providers.names)
        raise NotFound("provider_not_configured", f"no provider {name!r} is in the settings{near}", param="provider")

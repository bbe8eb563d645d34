"""What the data path is put together from, and the settings it has."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from proxy.core.calls.runs import Run
from proxy.core.rollouts.shadow import ShadowStep
from proxy.runtime.calls.conversations import Conversations
from proxy.runtime.calls.routing import Routes
from proxy.runtime.calls.stages import Asked
from proxy.runtime.process.clock import Clock, Identifiers
from proxy.runtime.providers import Providers
from proxy.runtime.spending.holding import Ledger
from proxy.runtime.spending.prices import PriceBook
from proxy.runtime.state.live_snapshot import LiveSnapshot
from proxy.runtime.telemetry.metrics import Metrics
from proxy.runtime.telemetry.recorder import TakesRuns
from proxy.runtime.transport.exchange import Call, Sends
from proxy.runtime.transport.header_fields import RequestFields
from proxy.runtime.validation.validation import Validation


@dataclass(frozen=True, slots=True, kw_only=True)
class PathOptions:
    """Settings of the data path."""

    default_agent: str | None = None
    #: Agents by ids that bodies name prompts by.
    prompt_ids: Mapping[str, str] = field(default_factory=dict[str, str])
    #: False: calls that name no agent are refused.
    passes_unassigned: bool = True
    output_ceiling: int = 4096
    #: A compressed body may come to so many bytes.
    body_bytes: int = 32 * 1024 * 1024
    #: Of browser apps that may call; `*`: all.
    origins: tuple[str, ...] = ()


class CopiesCalls(Protocol):
    """Whoever makes copies of calls for a candidate in the shadow: it is told which calls begin and end. Nothing of it is waited for,
    and nothing of it fails a call."""

    def keep(self, run_id: str, step: ShadowStep, asked: Asked, call: Call, fields: RequestFields) -> None:
        """The call is about to be sent; its request is whole now."""
        ...

    def ended(self, run: Run) -> None:
        """It is over."""
        ...


class CopiesNothing:
    """Of calls that are no user's there are no copies."""

    def keep(self, run_id: str, step: ShadowStep, asked: Asked, call: Call, fields: RequestFields) -> None:
        """It is let pass."""

    def ended(self, run: Run) -> None:
        """It is let pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathParts:
    """What the data path works with; put together by the composition root."""

    live: LiveSnapshot
    routes: Routes
    providers: Providers
    prices: PriceBook
    ledger: Ledger
    upstream: Sends
    recorder: TakesRuns
    metrics: Metrics
    conversations: Conversations
    validation: Validation
    copies: CopiesCalls
    clock: Clock
    identifiers: Identifiers
    on_error: Callable[[BaseException], None]

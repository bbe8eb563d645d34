"""What the admin application works with, and what its handlers are given and give back.

A handler is a plain coroutine from an Ask to an Answer: it never sees a request, a header or a socket. Reading requests is
reading.py's matter, writing answers admin_app.py's.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel

from proxy.core.tokens import Caller
from proxy.runtime.calls.conversations import Conversations
from proxy.runtime.process.clock import Clock
from proxy.runtime.providers import Providers
from proxy.runtime.releasing.limit_commands import LimitCommands
from proxy.runtime.releasing.proposal_commands import ProposalCommands
from proxy.runtime.releasing.release_commands import ReleaseCommands
from proxy.runtime.releasing.retention_commands import RetentionCommands
from proxy.runtime.releasing.rollout_commands import RolloutCommands
from proxy.runtime.releasing.run_commands import RunCommands
from proxy.runtime.releasing.token_commands import TokenCommands
from proxy.runtime.rollouts.rollout_loop import RolloutLoop
from proxy.runtime.spending.ledger import SpendLedger
from proxy.runtime.spending.prices import PriceBook
from proxy.runtime.state.data_path import DataPath
from proxy.runtime.state.live_snapshot import LiveSnapshot
from proxy.runtime.state.ordered_changes import OrderedChanges
from proxy.runtime.state.standby import Standby
from proxy.runtime.telemetry.metrics import Metrics
from proxy.runtime.telemetry.recorder import Recorder
from proxy.runtime.workers.supervisor import Workers
from proxy.store.ports.store import Store

Model = TypeVar("Model", bound=BaseModel)
Content = TypeVar("Content")


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminParts:
    """Put together by the composition root. `token` is the admin token itself; only its hash is kept."""

    releases: ReleaseCommands
    rollouts: RolloutCommands
    rollout_loop: RolloutLoop
    proposals: ProposalCommands
    tokens: TokenCommands
    limits: LimitCommands
    runs: RunCommands
    store: Store
    retention: RetentionCommands
    standby: Standby
    live: LiveSnapshot
    ledger: SpendLedger
    metrics: Metrics
    recorder: Recorder
    conversations: Conversations
    request_path: DataPath
    providers: Providers
    prices: PriceBook
    clock: Clock
    token: str
    listen_host: str
    #: Other names that requests may call this listener by.
    hosts: Sequence[str] = ()
    #: What is unsafe about the listener, for `GET /status`.
    admin_warning: str | None = None
    is_draining: Callable[[], bool]
    on_error: Callable[[BaseException], None]
    #: What became of changes that were ordered with an id.
    ordered_changes: OrderedChanges = field(default_factory=OrderedChanges)
    #: None where this process serves the calls itself.
    workers: Workers | None = None
    #: Of the program, for `GET /status` and the OpenAPI description.
    version: str = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One admitted request: who asks, the names in its path, its checked body and query."""

    caller: Caller
    path: Mapping[str, str]
    body: BaseModel
    query: BaseModel

    @property
    def who(self) -> str:
        """The caller's name, as the ledger and the audit log keep it."""
        return self.caller.name

    def body_as(self, kind: type[Model]) -> Model:
        """The body, of the kind the route's entry in the table names."""
        assert isinstance(self.body, kind)
        return self.body

    def query_as(self, kind: type[Model]) -> Model:
        """The query, of the kind the route's entry in the table names."""
        assert isinstance(self.query, kind)
        return self.query


@dataclass(frozen=True, slots=True)
class Answer(Generic[Content]):
    """`content` is written as JSON. What a handler says it returns is also how the description describes it."""

    content: Content
    status: ClassVar[int] = 200


class Created(Answer[Content]):
    """Of what was not there before."""

    __slots__ = ()
    status = 201


class Accepted(Answer[Content]):
    """Of what somebody else has to agree to first."""

    __slots__ = ()
    status = 202


@dataclass(frozen=True, slots=True)
class Streamed(Generic[Content]):
    """An answer that is made while it is sent (streaming.py). What fails after the first chunk breaks the connection.

    Its content is one JSON document, or one a line where the route names a media type of its own.
    """

    chunks: AsyncGenerator[bytes]
    content_type: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    status: ClassVar[int] = 200


Handler = Callable[[AdminParts, Ask], Awaitable[Answer[Any] | Streamed[Any]]]

"""What the admin application works with, and what its handlers are given and give back.

A handler is a plain coroutine from an Ask to an Answer: it never sees a request, a header or a socket. Reading requests is
reading.py's matter, writing answers admin_app.py's.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel

from proxy.runtime.clock import Clock
from proxy.runtime.conversations import Conversations
from proxy.runtime.guard_commands import GuardCommands
from proxy.runtime.live_snapshot import LiveSnapshot
from proxy.runtime.metrics import Metrics
from proxy.runtime.prices import PriceBook
from proxy.runtime.providers import Providers
from proxy.runtime.recorder import Recorder
from proxy.runtime.release_commands import ReleaseCommands
from proxy.runtime.request_path import RequestPath
from proxy.runtime.spend_ledger import SpendLedger
from proxy.store.store import Store

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminParts:
    """Put together by the composition root. `token` is the admin token itself; only its hash is kept."""

    releases: ReleaseCommands
    guards: GuardCommands
    store: Store
    live: LiveSnapshot
    ledger: SpendLedger
    metrics: Metrics
    recorder: Recorder
    conversations: Conversations
    request_path: RequestPath
    providers: Providers
    prices: PriceBook
    clock: Clock
    token: str
    listen_host: str
    is_draining: Callable[[], bool]
    on_error: Callable[[BaseException], None]
    #: Of the program, for `GET /status` and the OpenAPI description.
    version: str = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One admitted request: who asks, the names in its path, its checked body and query."""

    who: str
    path: Mapping[str, str]
    body: BaseModel
    query: BaseModel

    def body_as(self, kind: type[Model]) -> Model:
        """The body, of the kind the route's entry in the table names."""
        assert isinstance(self.body, kind)
        return self.body

    def query_as(self, kind: type[Model]) -> Model:
        """The query, of the kind the route's entry in the table names."""
        assert isinstance(self.query, kind)
        return self.query


@dataclass(frozen=True, slots=True)
class Answer:
    """`content` is written as JSON."""

    content: Any
    status: int = 200


Handler = Callable[[AdminParts, Ask], Awaitable[Answer]]

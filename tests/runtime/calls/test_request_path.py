"""The conductor, where a real client cannot be made to leave at a certain moment: how calls end that nobody waits for."""

import ssl
from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson
import pytest

from proxy.assembly import JUDGE
from proxy.core.calls.runs import Attempt, Run
from proxy.core.snapshot import Agent, AgentState, Snapshot
from proxy.core.spending.ledger import LedgerWrites
from proxy.core.versions.versions import Version
from proxy.http1.limits import UpstreamLimits
from proxy.http1.message import HttpCall
from proxy.http1.upstream import UpstreamClient
from proxy.runtime.calls.conversations import Conversations
from proxy.runtime.calls.path_parts import CopiesNothing, PathOptions, PathParts
from proxy.runtime.calls.request_path import RequestPath
from proxy.runtime.calls.routing import Routes
from proxy.runtime.process.clock import Identifiers
from proxy.runtime.providers import Provider, Providers
from proxy.runtime.spending.ledger import SpendLedger
from proxy.runtime.spending.prices import PriceBook
from proxy.runtime.state.live_snapshot import LiveSnapshot
from proxy.runtime.telemetry.metrics import Metrics
from proxy.runtime.telemetry.recorder import Recorder
from proxy.runtime.transport.upstream import Upstream
from proxy.runtime.validation.validation import Validation
from proxy.wires.openai_chat.wire import OpenAIChat

CHAT = b"/a/support/v1/chat/completions"
BODY = orjson.dumps({"model": "x", "messages": [{"role": "user", "content": "hi"}]})
SUPPORT = AgentState(Agent(name="support", newest=1))


class StillClock:
    """Time stands still."""

    def now_microseconds(self) -> int:
        return 1_795_176_000_000_000

    def monotonic_microseconds(self) -> int:
        return 1_000_000


class NoStore:
    """Takes everything, keeps nothing."""

    async def version(self, agent: str, number: int) -> Version | None:
        del agent, number

    async def write_ledger(self, writes: LedgerWrites) -> None:
        del writes

    async def record_runs(self, runs: Sequence[Run], attempts: Sequence[Attempt]) -> None:
        del runs, attempts


class Gone:
    """The reply to a client that has left."""

    started = undelivered = False
    client_gone = True

    def nothing(self, *_: Any, **__: Any) -> None:
        """It reaches nobody."""

    start = write = finish = abort = interrupt = give_back = nothing

    def hold(self, size: int) -> bool:
        """There is room for anything."""
        return size >= 0

    def send(self, *_: Any, **__: Any) -> None:
        raise AssertionError("there is nobody to be answered")


class Conducted:
    """A request path, and the runs it has written."""

    def __init__(self) -> None:
        self.runs: list[Run] = []
        clock, live = StillClock(), LiveSnapshot(NoStore())
        live.replace(Snapshot(revision=1, agents={"support": SUPPORT}))
        self.client = UpstreamClient(UpstreamLimits(), tls=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        self.recorder = Recorder(NoStore(), self.runs.extend)
        parts = PathParts(
            live=live,
            routes=Routes((OpenAIChat(),)),
            providers=Providers([Provider(name="openai", family="openai", base_url="https://api.openai.com")]),
            prices=PriceBook({}, clock),
            ledger=SpendLedger(NoStore(), clock),
            upstream=Upstream(self.client),
            recorder=self.recorder,
            metrics=Metrics("test"),
            conversations=Conversations(),
            validation=Validation(JUDGE, Metrics("test"), lambda judged: None, lambda event, **members: None, _fail),
            copies=CopiesNothing(),
            clock=clock,
            identifiers=Identifiers(clock, 7),
            on_error=_fail,
        )
        self.path = RequestPath(parts, PathOptions())

    async def left(self, target: bytes, body: bytes) -> Run:
        """The run of a call whose client left."""
        await self.path.handle(HttpCall("POST", target, [(b"authorization", b"Bearer sk-x")], body, 0.0), Gone())
        assert self.path.in_flight == 0
        await self.recorder.flush()
        (run,) = self.runs
        return run


def _fail(error: BaseException) -> None:
    raise AssertionError("no step may fail") from error


@pytest.fixture
async def conducted() -> AsyncIterator[Conducted]:
    made = Conducted()
    yield made
    await made.client.close()


@pytest.mark.parametrize(
    ("target", "body"),
    [
        (CHAT, b"{not json"),
        (CHAT, BODY),  # its label is not set
        (b"/a/support@7/v1/chat/completions", BODY),
        (b"/a/nobody/v1/chat/completions", BODY),
        (b"/v1/chat/completions", BODY),  # which would have been sent
    ],
)
async def test_a_call_whose_client_left_is_recorded_so_wherever_it_would_have_ended(
    conducted: Conducted, target: bytes, body: bytes
) -> None:
    run = await conducted.left(target, body)
    assert (run.result, run.error_class, run.status) == ("client_left", "client_left", 0)
    assert run.provider_duration_microseconds is None

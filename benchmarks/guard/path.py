"""The fixed path that is counted: the real listener, request path, upstream client, ledger and recorder, all in memory.

An agent in a 10 % rollout, two caps, a prompt with a variable; the store takes everything and keeps nothing. Clock and
identifiers are fixed, so that one call is like the other. What is counted, and how, is counting.py's matter.
"""

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any

from benchmarks.guard.memory_loop import MemoryLoop, MemoryTransport
from benchmarks.load import messages
from proxy.assembly import DataParts, Foundation, data_half, prices_of, providers_of, validation
from proxy.core.calls.runs import Attempt, Run
from proxy.core.releasing.arms import candidate_arm, divided
from proxy.core.scopes import Scope
from proxy.core.snapshot import Agent, AgentState, Label, Rollout, Snapshot
from proxy.core.spending.caps import Cap
from proxy.core.spending.ledger import LedgerWrites
from proxy.core.versions.components import parse_bundle
from proxy.core.versions.versions import Version
from proxy.data_plane import DataPlane
from proxy.http1.limits import UpstreamLimits
from proxy.http1.outgoing import Turn
from proxy.http1.upstream import UpstreamClient
from proxy.runtime.calls.conversations import Conversations
from proxy.runtime.process.clock import Identifiers
from proxy.runtime.process.tasks import TaskSet
from proxy.runtime.spending.ledger import SpendLedger
from proxy.runtime.state.live_snapshot import LiveSnapshot
from proxy.runtime.telemetry.metrics import Metrics
from proxy.runtime.telemetry.recorder import Recorder
from proxy.runtime.telemetry.run_log import RunLog
from proxy.settings import Settings

AGENT = "guarded"
EVENTS = 20
_NOW_MICROSECONDS = 1_790_000_000_000_000
_PROMPT = "You route tickets of {{product}} to the right team. Answer with one sentence, and never promise a refund."


class _FixedClock:
    """Time stands still."""

    def now_microseconds(self) -> int:
        return _NOW_MICROSECONDS

    def monotonic_microseconds(self) -> int:
        return 1_000_000


class _NoStore:
    """Takes everything, keeps nothing."""

    async def write_ledger(self, writes: LedgerWrites) -> None:
        del writes

    async def record_runs(self, runs: Sequence[Run], attempts: Sequence[Attempt]) -> None:
        del runs, attempts

    async def version(self, agent: str, number: int) -> Version | None:
        del agent, number


class GuardedPath:
    """A client at one end, a provider at the other, all of ours between them. `run` makes calls, one after the other."""

    def __init__(self, *, over_tls: bool = False) -> None:
        self._provider_url = "https://localhost:1" if over_tls else "http://127.0.0.1:1"
        self.loop = MemoryLoop(self._provide)
        self.log_bytes = 0
        self._answer = b""
        self._answered: asyncio.Future[None] | None = None
        self._loops: list[asyncio.Task[None]] = []
        self._plane: DataPlane | None = None
        self._client: MemoryTransport | None = None
        headers = {"switchback-user": "user-1"}
        path = f"/a/{AGENT}/v1/chat/completions"
        self._plain = messages.request(80, path, headers, messages.chat_body())
        self._streamed = messages.request(80, path, headers, messages.chat_body(streamed=True))
        self.loop.run_until_complete(self._start())

    def run(self, *, streamed: bool) -> bytes:
        """One call to its end, its run record and settlement included; the answer as the client got it."""
        return self.loop.run_until_complete(self._call(self._streamed if streamed else self._plain))

    def close(self) -> None:
        """End everything."""
        self.loop.run_until_complete(self._stop())
        self.loop.close()

    async def _start(self) -> None:
        clock, store, errors = _FixedClock(), _NoStore(), _Errors()
        on = Foundation(
            clock=clock,
            identifiers=Identifiers(clock, 1),
            metrics=Metrics("guard"),
            log=self._log,
            on_error=errors,
            tasks=TaskSet(errors),
            version="guard",
        )
        provider = {"wire": "openai", "base_url": self._provider_url, "api_key": "sk-provider"}
        settings = Settings.model_validate({"providers": {"openai": provider}})
        live = LiveSnapshot(store)
        live.replace(_snapshot())
        self._ledger = SpendLedger(store, clock)
        self._recorder = Recorder(store, RunLog(self._log))
        parts = DataParts(
            live=live,
            ledger=self._ledger,
            recorder=self._recorder,
            conversations=Conversations(),
            validation=validation(on, lambda judged: None),
            providers=providers_of(settings),
            prices=prices_of(settings, clock),
            upstream=UpstreamClient(UpstreamLimits(), resolver=_resolved),
        )
        self._plane = data_half(on, settings, parts)
        # Pieces of streams come a second apart, so that each is passed on by itself.
        self._plane.listener.turn = Turn(itertools.count(1.0).__next__)
        await self._plane.listener.start("127.0.0.1", 0)
        self._client = self.loop.accept(self._client_got)
        self._loops = [self.loop.create_task(self._ledger.run())]

    async def _stop(self) -> None:
        for task in self._loops:
            task.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        assert self._client is not None
        assert self._plane is not None
        self._client.close()
        await self._plane.drain()
        await self._plane.close()

    async def _call(self, request: bytes) -> bytes:
        assert self._client is not None
        self._answer = b""
        self._answered = self.loop.create_future()
        self._client.receive(request)
        await self._answered
        # The run is recorded and the hold settled after the answer; then both are written.
        for _ in range(3):
            await asyncio.sleep(0)
        await self._ledger.write()
        await self._recorder.flush()
        assert self._ledger.holds_outstanding == 0
        return self._answer

    def _log(self, lines: bytes) -> None:
        self.log_bytes += len(lines)

    def _client_got(self, transport: MemoryTransport, data: bytes) -> None:
        del transport
        self._answer += data
        if self._answer.endswith((messages.ANSWER_TAIL, messages.LAST_CHUNK)):
            assert self._answered is not None
            self._answered.set_result(None)

    def _provide(self, transport: MemoryTransport, request: bytes) -> None:
        """The provider: an answer in one piece, or each event in a turn of the loop of its own."""
        if not messages.is_streamed(request):
            self.loop.call_soon(transport.receive, messages.ANSWER)
            return
        pieces = [messages.STREAM_HEAD, *(messages.event(number) for number in range(EVENTS))]
        self._provide_pieces(transport, [*pieces, messages.stream_end(with_usage=messages.wants_usage(request))])

    def _provide_pieces(self, transport: MemoryTransport, pieces: list[bytes]) -> None:
        def next_piece() -> None:
            transport.receive(pieces.pop(0))
            if pieces:
                self.loop.call_soon(next_piece)

        self.loop.call_soon(next_piece)


class _Errors:
    """Nothing may go wrong on this path."""

    def __call__(self, error: BaseException) -> None:
        raise AssertionError("the guarded path failed") from error


async def _resolved(host: str, port: int) -> list[tuple[int, tuple[Any, ...]]]:
    del host
    return [(2, ("127.0.0.1", port))]


def _snapshot() -> Snapshot:
    bundle = parse_bundle(
        {
            "prompt": {"text": _PROMPT, "variables": {"product": {"default": "Acme"}}},
            "model": {"provider": "openai", "name": messages.MODEL, "parameters": {"temperature": 0.2}},
        }
    )
    versions = {
        number: Version(
            agent=AGENT, number=number, bundle=bundle, parent=None, author="", message="", created_at_microseconds=0
        )
        for number in (1, 2)
    }
    rollout = Rollout(
        id="r1", agent=AGENT, label="prod", salt=f"{AGENT}/r1", arms=divided(1, candidate_arm(2, 10)), state="running"
    )
    state = AgentState(Agent(name=AGENT, newest=2), {"prod": Label("prod", 1, 1)}, {"prod": rollout}, versions)
    caps = tuple(
        Cap(
            id=name,
            scope=scope,
            window="day",
            unit="usd",
            limit_amount=10**18,
            at_limit="block",
            why="",
            created_by="",
            created_at_microseconds=0,
        )
        for name, scope in (("cap-1", Scope(agent=AGENT)), ("cap-2", Scope()))
    )
    return Snapshot(revision=1, agents={AGENT: state}, caps=caps)

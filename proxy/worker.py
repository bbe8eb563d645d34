"""Composition root of a worker: a process that takes calls and leaves everything else to its owner.

Forked from its owner (`runtime/workers/forked.py`), or started by it as an interpreter with the numbers of inherited sockets: its
end of the link, then the listening sockets. It opens no file and has no admin API. SIGTERM, or an owner that is gone, makes it finish its calls and
exit; what it still held then is charged by the owner, or at the owner's next start.
"""

import asyncio
import contextlib
import socket
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

import uvloop

from proxy.assembly import DataParts, data_half, foundation, prices_of, providers_of, validation
from proxy.core.calls.runs import Run
from proxy.core.errors import Refusal
from proxy.data_plane import DataPlane
from proxy.runtime.process.garbage import collect_seldom
from proxy.runtime.process.memory import give_back_memory
from proxy.runtime.process.uncaught import tell_uncaught
from proxy.runtime.state.live_snapshot import LiveSnapshot
from proxy.runtime.telemetry.recorder import Recorder
from proxy.runtime.validation.validation import RunVerdict
from proxy.runtime.workers.merged_metrics import ChangedSamples
from proxy.runtime.workers.messages import (
    ChainIs,
    Conversation,
    CutCalls,
    Drain,
    DrillBegun,
    DrillOver,
    DrillWanted,
    FromOwner,
    Granted,
    LeaseGiven,
    LeasesEnded,
    Listening,
    NameIs,
    Ping,
    Pong,
    Ready,
    Recorded,
    Refused,
    RunsAreOver,
    RunsWanted,
    Samples,
    SamplesWanted,
    Serve,
    SnapshotIs,
    Validated,
    VersionIs,
    Welcome,
)
from proxy.runtime.workers.owner_client import OwnerClient
from proxy.runtime.workers.remote_ledger import RemoteLedger
from proxy.runtime.workers.shared_conversations import SharedChains, SharedConversations
from proxy.settings import settings_from_bytes
from proxy.stop_signals import on_stop_signal

_TICK_SECONDS = 1.0
#: Reading all metrics may take one part in so many of a worker's time.
_SAMPLING_SHARE = 50
_LEAVING_SECONDS = 1.0
#: How long a call may wait for the owner's word; the store itself says no sooner.
_PATIENCE_SECONDS = 10.0


class Worker:
    """Everything a worker is made of. Orders of the owner are acted on as they come, in order."""

    def __init__(self, sockets: Sequence[socket.socket]) -> None:
        self._sockets = sockets
        self._stop = asyncio.Event()
        on = self._on = foundation(self._log)
        self._owner = OwnerClient(self._receive, on.on_error)
        self._live = LiveSnapshot(self._owner)
        self._ledger = RemoteLedger(self._owner, on.clock, lambda: self._live.current.caps)
        self._recorder = Recorder(self._owner, _logged_by_the_owner)
        self._conversations = SharedConversations(self._owner.announce, SharedChains(self._owner))
        self._validation = validation(on, self._judged)
        self._samples = ChangedSamples(on.metrics.registry)
        self._sampling = asyncio.Lock()
        self._plane: DataPlane | None = None
        self._speaks_for_all = False

    async def run(self, link: socket.socket) -> None:
        """Serve until told to stop, or until the owner is gone."""
        on_stop_signal(self._stop.set)
        tell_uncaught(asyncio.get_running_loop(), self._on.on_error, self._on.tell)
        await self._owner.connect(link)
        self._on.tasks.spawn(self._stop_without_owner(), "owner")
        self._on.tasks.spawn(self._recorder.run(), "recorder")
        self._on.tasks.spawn(self._tick(), "metrics")
        self._on.tasks.spawn(give_back_memory(), "memory")
        self._on.tasks.spawn(self._validation.run(), "validation")
        await self._stop.wait()
        if self._plane is not None:
            await self._plane.drain()
            await self._plane.close()
        await self._validation.drain()
        # An owner that is gone or busy charges what it does not hear of.
        with contextlib.suppress(Refusal, TimeoutError):
            await asyncio.wait_for(self._hand_over(), _LEAVING_SECONDS)
        await self._on.tasks.close()

    def _judged(self, judged: RunVerdict) -> None:
        self._owner.send(Validated(judged.run, judged.agent, judged.verdict.passed, judged.verdict.why))

    def _log(self, lines: bytes) -> None:
        self._owner.log(lines)

    def _receive(self, message: FromOwner) -> None:
        match message:
            case SnapshotIs():
                self._change_snapshot(message)
            case Conversation():
                self._conversations.heard(message)
            case NameIs():
                self._live.answered_names.learn(message.provider, message.asked, message.answered)
            case Ping():
                in_flight = 0 if self._plane is None else self._plane.request_path.in_flight
                self._owner.send(Pong(message.request, self._live.current.revision, in_flight))
            case SamplesWanted() | RunsWanted() | DrillWanted():
                self._begin_work(message)
            case LeaseGiven() | LeasesEnded():
                self._ledger.told(message)
            case CutCalls():
                if self._plane is not None:
                    self._plane.request_path.cut(message.switch)
            case Welcome() | Serve() | Drain():
                self._begin_or_end(message)
            case Granted() | Recorded() | VersionIs() | ChainIs() | Refused():
                """Answers are the client's own."""
            case _:
                assert_never(message)

    def _begin_work(self, message: SamplesWanted | RunsWanted | DrillWanted) -> None:
        match message:
            case SamplesWanted():
                self._on.tasks.spawn(self._send_samples(message.request), "samples")
            case RunsWanted():
                self._on.tasks.spawn(self._send_runs(message.request), "runs")
            case DrillWanted():
                self._on.tasks.spawn(self._drill(message), "drill")

    def _begin_or_end(self, message: Welcome | Serve | Drain) -> None:
        match message:
            case Welcome():
                self._build(message)
                self._owner.send(Ready())
            case Serve():
                self._on.tasks.spawn(self._listen(), "listener")
            case Drain():
                self._stop.set()

    def _change_snapshot(self, message: SnapshotIs) -> None:
        agents = dict(self._live.current.agents)
        for name in message.gone:
            del agents[name]
        agents |= {state.agent.name: state for state in message.agents}
        # The owner knows what holds, also where that is a revision of before.
        self._live.start_from(replace(message.rest, agents=agents))

    def _build(self, welcome: Welcome) -> None:
        self._speaks_for_all = welcome.number == 1
        settings = settings_from_bytes(welcome.settings)
        parts = DataParts(
            live=self._live,
            ledger=self._ledger,
            recorder=self._recorder,
            conversations=self._conversations,
            validation=self._validation,
            providers=providers_of(settings),
            prices=prices_of(settings, self._on.clock),
        )
        self._plane = data_half(self._on, settings, parts)

    async def _listen(self) -> None:
        if self._plane is None or self._stop.is_set():
            return
        try:
            await self._plane.listen_on(self._sockets)
        except OSError as error:
            self._on.on_error(error)
            self._stop.set()
        else:
            # All workers have the same limits: one of them says so.
            if self._speaks_for_all and (line := self._plane.limited_connections(self._on.clock)) is not None:
                self._log(line)
            self._on.tasks.spawn(self._plane.renew_certificate(self._log, self._on.clock), "certificate")
            self._owner.send(Listening())

    async def _stop_without_owner(self) -> None:
        await self._owner.wait_gone()
        self._stop.set()

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _TICK_SECONDS
            await asyncio.sleep(_TICK_SECONDS)
            self._on.metrics.event_loop_lag.set(max(0.0, loop.time() - due))
            self._owner.give_up(_PATIENCE_SECONDS)
            began = loop.time()
            await self._send_samples(None)
            await asyncio.sleep((loop.time() - began) * _SAMPLING_SHARE)

    async def _send_samples(self, request: int | None) -> None:
        self._on.metrics.recorder_queue_length.set(self._recorder.queue_length)
        self._on.metrics.recorder_dropped.follow(self._recorder.dropped)
        async with self._sampling:
            # Thousands of series take a while to read; calls do not wait for that.
            changed = await asyncio.to_thread(self._samples.read)
            self._owner.send(Samples(request, changed))

    async def _send_runs(self, request: int) -> None:
        await self._recorder.flush()
        self._owner.send(RunsAreOver(request))

    async def _drill(self, wanted: DrillWanted) -> None:
        if self._plane is not None:
            calls = await self._plane.drill_caller.run(
                wanted.order, lambda: self._owner.send(DrillBegun(wanted.request))
            )
            self._owner.send(DrillOver(wanted.request, calls))

    async def _hand_over(self) -> None:
        self._ledger.leave()
        await self._recorder.flush()
        await self._send_samples(None)
        self._owner.close()
        await self._owner.wait_gone()


def _logged_by_the_owner(runs: Sequence[Run]) -> None:
    """The owner writes the lines of runs, when they reach it."""


async def _serve(link: socket.socket, listening: Sequence[socket.socket]) -> None:
    await Worker(listening).run(link)


def run(link: socket.socket, listening: Sequence[socket.socket]) -> None:
    """Be a worker until told to stop, or until the owner is gone."""
    uvloop.run(_serve(link, listening))


def main() -> None:
    """Run with the numbers of the inherited sockets as arguments."""
    link, *listening = (socket.socket(fileno=int(number)) for number in sys.argv[1:])
    collect_seldom()
    run(link, listening)


if __name__ == "__main__":
    main()

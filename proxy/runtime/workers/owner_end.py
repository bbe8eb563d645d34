"""What the owner does for one worker: tells it the snapshot, decides its holds, takes its runs, samples and news.

Counterpart: owner_client.py. Lives as long as the worker's process; when that ends, however it ends, everything the worker
still held is charged in full, because nobody knows what its calls came to, and so is what it had left of its leases
(worker_leases.py) unless it said that it leaves.
"""

import asyncio
import itertools
import socket
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from proxy.core.calls.runs import Attempt
from proxy.core.errors import Refusal
from proxy.core.rollouts.drills import DrillOrder
from proxy.core.rollouts.shadow import caps_of_copies, is_copy
from proxy.core.snapshot import Snapshot
from proxy.core.spending.caps import CounterKey
from proxy.core.switches import Switch
from proxy.core.versions.judging import Verdict
from proxy.runtime.calls.conversations import Conversations
from proxy.runtime.process.tasks import TaskSet
from proxy.runtime.spending.holding import Spent
from proxy.runtime.spending.ledger import HoldTicket, SpendLedger
from proxy.runtime.state.drill_crew import DrillMember
from proxy.runtime.state.live_snapshot import LiveSnapshot
from proxy.runtime.telemetry.recorder import Recorder
from proxy.runtime.validation.validation import RunVerdict
from proxy.runtime.workers.link import Link
from proxy.runtime.workers.merged_metrics import WorkerSamples
from proxy.runtime.workers.messages import (
    ChainBegan,
    ChainIs,
    ChainWanted,
    Conversation,
    CutCalls,
    Drain,
    DrillBegun,
    DrillOver,
    DrillWanted,
    FromWorker,
    Granted,
    HoldWanted,
    Leaving,
    Listening,
    LogLines,
    NameIs,
    OwnHolds,
    Ping,
    Pong,
    Ready,
    Recorded,
    Refused,
    RunsAreOver,
    RunsFinished,
    RunsWanted,
    Samples,
    SamplesWanted,
    Serve,
    Settled,
    SnapshotIs,
    Validated,
    VersionIs,
    VersionWanted,
    Welcome,
    decode_from_worker,
)
from proxy.runtime.workers.shared_conversations import agreed, everything
from proxy.runtime.workers.worker_leases import WorkerLeases
from proxy.store.ports.versions import VersionSource

#: So long the owner waits for news of a chain that it does not know: those that nobody knows are few.
_ON_ITS_WAY_SECONDS = 0.02
#: How many agents or conversations are sent at once to a worker that starts, so that the owner's event loop goes on.
_CHUNK = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerParts:
    """What workers are served from; put together by the composition root."""

    live: LiveSnapshot
    versions: VersionSource
    ledger: SpendLedger
    recorder: Recorder
    conversations: Conversations
    log: Callable[[bytes], object]
    judged: Callable[[RunVerdict], None]
    on_error: Callable[[BaseException], None]
    tasks: TaskSet
    #: Of all workers that may hold by themselves.
    leases: list[WorkerLeases] = field(default_factory=list[WorkerLeases])


class OwnerEnd:
    """The owner's end of one worker's link. `tell_others` passes news on to the other workers."""

    def __init__(self, number: int, parts: OwnerParts, tell_others: Callable[["OwnerEnd", Conversation], None]) -> None:
        self.number = number
        self.samples = WorkerSamples()
        self.in_flight = 0
        self.revision = 0
        #: Counted up by the supervisor, back to 0 with every sign of life.
        self.silent_ticks = 0
        self._parts = parts
        self._tell_others = tell_others
        self._link: Link[FromWorker] = Link(decode_from_worker, self._received, self._charge_all, parts.on_error)
        self._sent = Snapshot(revision=0)
        self._is_introduced = False
        self._knows_everything = False
        self._is_ready = False
        self._is_listening = False
        self._tickets: dict[str, HoldTicket] = {}
        self._leases = WorkerLeases(parts.ledger, parts.leases, self._link.send, self.ping)
        #: Attempts whose hold waits for what other workers give back.
        self._reclaiming: set[str] = set()
        self._requests = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._drilling: dict[int, DrillMember] = {}
        #: True once the worker takes calls, False when it ended before.
        self.listening: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    @property
    def has_to_confirm(self) -> bool:
        """Whether it takes calls or is about to, so that changes wait for its word."""
        return self._is_ready and not self._link.is_closed

    @property
    def is_serving(self) -> bool:
        """Whether it takes calls."""
        return self._is_listening and not self._link.is_closed

    async def connect(self, sock: socket.socket, settings: bytes) -> None:
        """Take over the owner's end of the socketpair and tell the worker all it needs. Raises OSError."""
        await self._link.connect(sock)
        self._link.send(Welcome(self.number, settings))
        live = self._parts.live
        target = live.current
        names = list(target.agents)
        for end in range(_CHUNK, len(names), _CHUNK):
            self._push(replace(target, agents={name: target.agents[name] for name in names[:end]}))
            await asyncio.sleep(0)
        # What changes from here on is pushed as it changes.
        self._is_introduced = True
        if live.is_loaded:
            # Without it the worker refuses calls, as one process that has loaded nothing does.
            self._push(live.current)
        for name in live.answered_names:
            self._link.send(NameIs(*name))
        for index, news in enumerate(everything(self._parts.conversations), start=1):
            self._link.send(news)
            if index % _CHUNK == 0:
                await asyncio.sleep(0)
        self._knows_everything = True
        self._serve_when_complete()

    def push(self, snapshot: Snapshot) -> None:
        """Send what differs from the last snapshot sent."""
        if self._is_introduced:
            self._push(snapshot)
            self._leases.caps_are(snapshot.caps)

    def tick(self) -> None:
        """To be called once a second."""
        self._leases.tick()

    def tell(self, news: Conversation | NameIs) -> None:
        """Tell where a conversation began, or as what a model answers."""
        if self._is_introduced:
            self._link.send(news)

    def cut(self, switch: Switch) -> None:
        """Have the worker break off the calls in flight that a switch matches."""
        self._link.send(CutCalls(switch))

    def drain(self) -> None:
        """Have the worker finish and exit."""
        self._link.send(Drain())

    def close(self) -> None:
        """End the link; a worker that still runs drains and exits."""
        self._link.close()

    async def wait_closed(self) -> None:
        """Returns when the worker's end is closed and everything it had sent is acted on."""
        await self._link.wait_closed()

    def ping(self) -> asyncio.Future[None]:
        """A future that is done when the worker has acted on everything sent before, or is gone."""
        return self._ask(Ping)

    def ask_for_samples(self) -> asyncio.Future[None]:
        """A future that is done when the worker's metric values of now are here, or it is gone."""
        return self._ask(SamplesWanted)

    def ask_for_runs(self) -> asyncio.Future[None]:
        """A future that is done when the runs the worker has finished so far are here, or it is gone."""
        return self._ask(RunsWanted)

    def drill(self, name: str, order: DrillOrder) -> DrillMember:
        """Have the worker, of that name, make the calls of a drill."""
        loop = asyncio.get_running_loop()
        member = DrillMember(name, loop.create_future(), loop.create_future())
        if self._link.is_closed:
            member.end(None)
            return member
        request = next(self._requests)
        self._drilling[request] = member
        self._link.send(DrillWanted(request, order))
        return member

    def _ask(self, question: type[Ping] | type[SamplesWanted] | type[RunsWanted]) -> asyncio.Future[None]:
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._link.is_closed:
            answered.set_result(None)
            return answered
        request = next(self._requests)
        self._waiting[request] = answered
        self._link.send(question(request))
        return answered

    def _push(self, snapshot: Snapshot) -> None:
        known = self._sent.agents
        changed = tuple(state for name, state in snapshot.agents.items() if known.get(name) is not state)
        gone = tuple(name for name in known if name not in snapshot.agents)
        # Workers serve no admin API: the tokens stay here.
        self._link.send(SnapshotIs(replace(snapshot, agents={}, tokens={}), changed, gone))
        self._sent = snapshot

    def _received(self, message: FromWorker) -> None:
        match message:
            case HoldWanted():
                self._hold(message)
            case Settled():
                self._settle(message.attempt, message.spent)
            case OwnHolds():
                self._take_over(message)
            case Leaving():
                self._leases.leave()
            case RunsFinished():
                self._record(message)
            case VersionWanted():
                self._parts.tasks.spawn(self._find(message), f"version for worker {self.number}")
            case ChainWanted():
                self._parts.tasks.spawn(self._find_chain(message), f"chain for worker {self.number}")
            case Conversation() | ChainBegan():
                self._agree(message)
            case LogLines():
                self._parts.log(message.lines)
            case Validated():
                verdict = Verdict(message.passed, message.why)
                self._parts.judged(RunVerdict(message.run, message.agent, verdict))
            case Ready() | Listening() | Pong() | Samples() | RunsAreOver() | DrillBegun() | DrillOver():
                self._report(message)

    def _report(self, message: Ready | Listening | Pong | Samples | RunsAreOver | DrillBegun | DrillOver) -> None:
        match message:
            case Ready():
                # From here on it must confirm what changes, though it begins to listen a moment later.
                self._is_ready = True
                self._leases.join()
                self._serve_when_complete()
            case Listening():
                self._is_listening = True
                if not self.listening.done():
                    self.listening.set_result(True)
            case Pong():
                self.silent_ticks = 0
                self.revision, self.in_flight = message.revision, message.in_flight
                self._answered(message.request)
            case Samples():
                self.samples.update(message.changed)
                self._answered(message.request)
            case RunsAreOver():
                self._answered(message.request)
            case DrillBegun():
                self._drilling[message.request].begin()
            case DrillOver():
                self._drilling.pop(message.request).end(message.calls)

    def _serve_when_complete(self) -> None:
        if self._is_ready and self._knows_everything:
            self._link.send(Serve())

    def _hold(self, wanted: HoldWanted, *, is_last_try: bool = False) -> None:
        caps = tuple(cap for cap in self._parts.live.caps_for(wanted.facts.agent) if cap.touches(wanted.facts))
        if is_copy(wanted.facts):
            caps = caps_of_copies(caps)
        try:
            ticket = self._parts.ledger.hold(wanted.attempt, caps, wanted.facts, wanted.bound)
        except Refusal as refusal:
            lent = self._parts.ledger.lending.lent_to_workers(caps, wanted.facts)
            if lent and not is_last_try and refusal.code != "unpriceable":
                self._reclaiming.add(wanted.attempt)
                self._parts.tasks.spawn(self._hold_again(wanted, lent), f"hold for worker {self.number}")
            else:
                self._link.send(Refused.of(wanted.request, refusal))
            return
        self._tickets[wanted.attempt] = ticket
        self._leases.asked(caps, ticket)
        if ticket.is_durable:
            self._link.send(Granted(wanted.request, ticket.nanodollars))
            return
        self._parts.tasks.spawn(self._grant(wanted, ticket), f"hold for worker {self.number}")

    async def _hold_again(self, wanted: HoldWanted, lent: list[CounterKey]) -> None:
        await self._leases.reclaim(lent)
        # Else nobody waits for it any more.
        if wanted.attempt in self._reclaiming:
            self._reclaiming.remove(wanted.attempt)
            self._hold(wanted, is_last_try=True)

    def _take_over(self, own: OwnHolds) -> None:
        self._tickets.update(self._leases.take(own.placed))
        for attempt, spent in own.settled:
            self._settle(attempt, spent)

    def _settle(self, attempt: str, spent: Spent) -> None:
        self._reclaiming.discard(attempt)
        ticket = self._tickets.pop(attempt, None)
        if ticket is not None:
            ticket.settle(spent)

    def _agree(self, news: Conversation | ChainBegan) -> None:
        if isinstance(news, ChainBegan):
            self._parts.conversations.chains.note(news.chain, news.began, news.at_microseconds)
            return
        holds = agreed(self._parts.conversations, news)
        if holds is news:
            self._tell_others(self, news)
        else:
            self._link.send(holds)

    async def _grant(self, wanted: HoldWanted, ticket: HoldTicket) -> None:
        try:
            await ticket.place()
        except Refusal as refusal:
            self._tickets.pop(wanted.attempt, None)
            self._link.send(Refused.of(wanted.request, refusal))
        else:
            self._link.send(Granted(wanted.request, ticket.nanodollars))

    def _record(self, finished: RunsFinished) -> None:
        attempts: dict[str, list[Attempt]] = {}
        for attempt in finished.attempts:
            attempts.setdefault(attempt.run, []).append(attempt)
        for run in finished.runs:
            self._parts.live.answered_names.learn(run.provider, run.model_asked, run.model_answered)
            self._parts.recorder.record(run, attempts.get(run.id, ()))
        self._link.send(Recorded(finished.request))

    async def _find_chain(self, wanted: ChainWanted) -> None:
        chains = self._parts.conversations.chains
        began = await chains.find(wanted.agent, wanted.chain, 0)
        if began is None:
            # Another worker told of it before its client knew it, and that may still be on its way here.
            await asyncio.sleep(_ON_ITS_WAY_SECONDS)
            began = await chains.find(wanted.agent, wanted.chain, 0)
        self._link.send(ChainIs(wanted.request, began))

    async def _find(self, wanted: VersionWanted) -> None:
        try:
            version = await self._parts.versions.version(wanted.agent, wanted.number)
        except Refusal as refusal:
            self._link.send(Refused.of(wanted.request, refusal))
        else:
            self._link.send(VersionIs(wanted.request, version))

    def _answered(self, request: int | None) -> None:
        waiting = None if request is None else self._waiting.pop(request, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def _charge_all(self) -> None:
        """The worker is gone."""
        self._is_ready = self._is_listening = False
        self.in_flight = 0
        self._reclaiming.clear()
        self._leases.charge_all()
        tickets, self._tickets = self._tickets, {}
        for ticket in tickets.values():
            ticket.settle(Spent(settled_by="held"))
        for request in list(self._waiting):
            self._answered(request)
        while self._drilling:
            self._drilling.popitem()[1].end(None)
        if not self.listening.done():
            self.listening.set_result(False)

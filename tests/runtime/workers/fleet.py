"""An owner and workers over real sockets whose bytes arrive only when the test says so."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from proxy.core.calls.runs import Attempt, Run
from proxy.core.errors import Unavailable
from proxy.core.scopes import CallFacts
from proxy.core.snapshot import Snapshot
from proxy.core.spending.caps import Cap, CounterKey
from proxy.core.spending.ledger import LedgerWrites
from proxy.core.versions.versions import Version
from proxy.runtime.calls.conversations import Conversations
from proxy.runtime.process.tasks import TaskSet
from proxy.runtime.spending.holding import HoldBound, Spent, Ticket
from proxy.runtime.spending.ledger import SpendLedger, Tally
from proxy.runtime.state.live_snapshot import LiveSnapshot
from proxy.runtime.telemetry.recorder import Recorder
from proxy.runtime.workers.messages import FromOwner, LeaseGiven, LeasesEnded, Ping, Pong, Ready, SnapshotIs, Welcome
from proxy.runtime.workers.owner_client import OwnerClient
from proxy.runtime.workers.owner_end import OwnerEnd, OwnerParts
from proxy.runtime.workers.remote_ledger import RemoteLedger
from tests.harness import PATIENCE_SECONDS
from tests.runtime.spending.given import SECOND, Clock, Rows, settled_in


@dataclass
class CheckedRows(Rows):
    """A store that also says by what each attempt was settled."""

    settled_by: dict[str, str] = field(default_factory=dict)

    async def write_ledger(self, writes: LedgerWrites) -> None:
        if self.away:
            raise Unavailable("store_unavailable", "away")
        settled = [(row.attempt, row.key) for row in settled_in(writes)]
        assert len(settled) == len(set(settled)), "settled twice"
        assert all(self.rows.get(row, (0, None))[1] is None for row in settled), "settled twice"
        self.settled_by |= {row.attempt: row.settled_by for row in settled_in(writes)}
        self.commit(writes)

    def charged_without_a_call(self, key: CounterKey) -> int:
        """What dead workers left of their loans, and what the owner would leave of its lease if it died now."""
        loans = [
            spent
            for (attempt, of), (_, spent) in self.rows.items()
            if of == key and self.settled_by.get(attempt) == "lease"
        ]
        return sum(spent or 0 for spent in loans) + self.leases.get(key, 0)

    async def record_runs(self, runs: Iterable[Run], attempts: Iterable[Attempt]) -> None:
        """Nobody asks for them."""

    async def version(self, agent: str, number: int) -> Version | None:
        return None


def facts(user: str = "u") -> CallFacts:
    return CallFacts(agent="a", provider="p", model="m", user=user, tags={})


class Wire:
    """Between an owner and a worker: carries on what is there when told to."""

    def __init__(self) -> None:
        self.owners, self._ours = socket.socketpair()
        self.workers, self._theirs = socket.socketpair()
        for sock in (self._ours, self._theirs):
            sock.setblocking(False)

    def to_owner(self) -> None:
        self._carry(self._theirs, self._ours)

    def to_worker(self) -> None:
        self._carry(self._ours, self._theirs)

    def close(self) -> None:
        self._ours.close()
        self._theirs.close()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        while True:
            try:
                data = source.recv(1 << 16)
            except OSError:
                return
            try:
                if not data:
                    target.shutdown(socket.SHUT_WR)
                    return
                target.sendall(data)
            except OSError:
                return


class Worker:
    """What a worker's process does with its link."""

    def __init__(self, fleet: "Fleet", number: int) -> None:
        self.wire = Wire()
        self.is_dead = False
        self.given: list[LeaseGiven | LeasesEnded] = []
        self._caps: tuple[Cap, ...] = ()
        self.client = OwnerClient(self._receive, fleet.errors.append)
        self.ledger = RemoteLedger(self.client, fleet.clock, lambda: self._caps)
        self.owner = OwnerEnd(number, fleet.parts, lambda teller, news: None)

    def _receive(self, message: FromOwner) -> None:
        match message:
            case Welcome():
                self.client.send(Ready())
            case SnapshotIs():
                self._caps = message.rest.caps
            case Ping():
                self.client.send(Pong(message.request, 1, 0))
            case LeaseGiven() | LeasesEnded():
                self.given.append(message)
                self.ledger.told(message)
            case _:
                pass

    def hold(self, attempt: str, amount: int = 10, user: str = "u") -> Ticket:
        """By the caps this worker knows of."""
        bound = HoldBound(nanodollars=amount, tokens=amount)
        return self.ledger.hold(attempt, self._caps, facts(user), bound)

    def kill(self) -> None:
        """What was not written to the socket is lost."""
        self.is_dead = True
        transport = self.client._link._transport
        assert transport is not None
        transport.abort()


class Fleet:
    """An owner and its workers."""

    def __init__(self, *caps: Cap) -> None:
        self.disk, self.clock = CheckedRows(), Clock()
        self.errors: list[BaseException] = []
        self.tasks = TaskSet(self.errors.append)
        self.live = LiveSnapshot(self.disk)
        self.live.replace(Snapshot(revision=1, caps=caps))
        self.ledger = SpendLedger(self.disk, self.clock)
        self.parts = OwnerParts(
            live=self.live, versions=self.disk, ledger=self.ledger, recorder=Recorder(self.disk, lambda runs: None),
            conversations=Conversations(), log=lambda lines: None, judged=lambda judged: None,
            on_error=self.errors.append, tasks=self.tasks,
        )  # fmt: skip
        self.workers: list[Worker] = []
        self.live.on_change(self._push)

    def _push(self, snapshot: Snapshot) -> None:
        for worker in self.workers:
            worker.owner.push(snapshot)

    async def start_worker(self) -> Worker:
        worker = Worker(self, len(self.workers) + 1)
        self.workers.append(worker)
        await worker.client.connect(worker.wire.workers)
        await worker.owner.connect(worker.wire.owners, b"{}")
        return worker

    def change_caps(self, *caps: Cap) -> None:
        self.live.replace(replace(self.live.current, revision=self.live.current.revision + 1, caps=caps))

    async def deliver(self) -> None:
        """Everything that was sent has arrived, and what was sent for it."""
        for _ in range(8):
            await turns()
            for worker in self.workers:
                worker.wire.to_owner()
                worker.wire.to_worker()

    async def placed(self, worker: Worker, attempt: str, amount: int = 10, user: str = "u") -> Ticket:
        """A hold that is durable, whoever placed it. Raises Refusal."""
        ticket = worker.hold(attempt, amount, user)
        if not ticket.is_durable:
            placing = asyncio.ensure_future(ticket.place())
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not placing.done():
                    await self.deliver()
                    await self.ledger.write()
            await placing
        ticket.sent = True
        return ticket

    async def warm(self, worker: Worker, name: str = "warm", amount: int = 10, user: str = "u") -> None:
        """Two calls that ask; from then on the worker has a lease."""
        for number in (1, 2):
            ticket = await self.placed(worker, f"{name}-{number}", amount, user)
            ticket.settle(Spent(nanodollars=1, tokens=1))
            await self.deliver()
            await self.ledger.write()
        await self.deliver()

    def tick(self, seconds: int = 3) -> None:
        """As the owner does once a second."""
        for _ in range(seconds):
            self.clock.now += SECOND
            self.ledger.prune(self.live.current.caps, self.clock.now)
            for worker in self.workers:
                worker.owner.tick()

    def tally(self, one: Cap) -> Tally:
        (found,) = self.ledger.counters_of(one).values()
        return found

    async def end(self) -> None:
        for worker in self.workers:
            worker.client.close()
            worker.owner.close()
        await self.deliver()
        for worker in self.workers:
            worker.wire.close()
            await worker.client.wait_gone()
            await worker.owner.wait_closed()
        await self.tasks.close()


async def turns(count: int = 4) -> None:
    """Let both ends act on what is there."""
    for _ in range(count):
        await asyncio.sleep(0)


@asynccontextmanager
async def fleet(*caps: Cap, workers: int = 2) -> AsyncIterator[Fleet]:
    started = Fleet(*caps)
    try:
        for _ in range(workers):
            await started.start_worker()
            await started.deliver()
        yield started
        assert started.errors == []
    finally:
        await started.end()

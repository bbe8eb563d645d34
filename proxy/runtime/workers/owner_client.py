"""A worker's view of its owner: questions that are answered, news that are not, orders that come in.

Counterpart: owner_end.py. It is the data path's source of pinned versions and its store of runs; holds go through
remote_ledger.py. When the owner is gone every question is refused as unavailable, and the worker ends.

What calls held by themselves is told many at once, because nobody waits for it; but always before anything else that is told,
so that who hears a Pong, or of a run, has heard of all holds before.
"""

import asyncio
import itertools
import socket
from collections.abc import Callable, Sequence
from typing import TypeVar, cast

from proxy.core.calls.chains import ChainBeginning
from proxy.core.calls.runs import Attempt, Run
from proxy.core.errors import Refusal, Unavailable
from proxy.core.scopes import CallFacts
from proxy.core.versions.versions import Version
from proxy.runtime.spending.holding import HoldBound, Spent
from proxy.runtime.workers.link import Link
from proxy.runtime.workers.messages import (
    Answer,
    ChainBegan,
    ChainIs,
    ChainWanted,
    Conversation,
    FromOwner,
    Granted,
    HoldWanted,
    LogLines,
    Message,
    OwnHold,
    OwnHolds,
    Recorded,
    Refused,
    RunsFinished,
    Settled,
    VersionIs,
    VersionWanted,
    decode_from_owner,
)

Given = TypeVar("Given", Granted, Recorded, VersionIs, ChainIs)
#: What calls held by themselves is told after so long at the latest.
_GATHER_SECONDS = 0.05


class OwnerLate(Unavailable):
    """The owner is there and does not answer."""

    def __init__(self) -> None:
        super().__init__(
            "owner_unavailable", "the proxy's own ledger does not answer; try again", retry_after_seconds=5
        )


class OwnerClient:
    """Asks the owner. `receive` is called with everything that is not an answer, in order."""

    def __init__(self, receive: Callable[[FromOwner], None], on_error: Callable[[BaseException], None]) -> None:
        self._receive = receive
        self._link: Link[FromOwner] = Link(decode_from_owner, self._received, self._owner_gone, on_error)
        self._requests = itertools.count(1)
        #: Oldest first: the answer to come, and when it was asked for on the event loop's clock.
        self._waiting: dict[int, tuple[asyncio.Future[Answer], float]] = {}
        self._placed: list[OwnHold] = []
        self._settled: list[tuple[str, Spent]] = []
        self._gathering: asyncio.TimerHandle | None = None

    async def connect(self, sock: socket.socket) -> None:
        """Take over the worker's end of the socketpair. Raises OSError."""
        await self._link.connect(sock)

    async def wait_gone(self) -> None:
        """Returns when the owner is gone, however it went."""
        await self._link.wait_closed()

    def send(self, message: Message) -> None:
        """Tell the owner something that is not answered."""
        self.tell_own()
        self._link.send(message)

    def close(self) -> None:
        """Send what waits, then leave."""
        self.tell_own()
        self._link.close()

    async def version(self, agent: str, number: int) -> Version | None:
        """A pinned version. Raises Unavailable."""
        request = next(self._requests)
        return (await self._ask(VersionWanted(request, agent, number), request, VersionIs)).version

    async def chain(self, agent: str, chain: str) -> ChainBeginning | None:
        """Where a chain of responses began, None where nobody knows. Raises Unavailable."""
        request = next(self._requests)
        return (await self._ask(ChainWanted(request, agent, chain), request, ChainIs)).began

    def chain_began(self, chain: str, began: ChainBeginning, at_microseconds: int) -> None:
        """Tell where a chain began, at once: its next call may come to another worker as soon as the client has this answer."""
        self.send(ChainBegan(chain, began, at_microseconds))
        self._link.flush()

    async def record_runs(self, runs: Sequence[Run], attempts: Sequence[Attempt]) -> None:
        """Hand runs over; returns when the owner has them. Raises Unavailable."""
        request = next(self._requests)
        await self._ask(RunsFinished(request, tuple(runs), tuple(attempts)), request, Recorded)

    async def hold(self, attempt: str, facts: CallFacts, bound: HoldBound) -> int | None:
        """Hold in every cap the call touches; the largest usd hold. Raises Refusal (a cap's, or Unavailable)."""
        request = next(self._requests)
        try:
            return (await self._ask(HoldWanted(request, attempt, facts, bound), request, Granted)).nanodollars
        except OwnerLate:
            # It may still be placed.
            self.settle(attempt, Spent(settled_by="released"))
            raise

    def settle(self, attempt: str, spent: Spent) -> None:
        """Say what an attempt came to. Without it the owner charges the whole hold when this process ends."""
        self.send(Settled(attempt, spent))

    def placed_own(self, hold: OwnHold) -> None:
        """A call took something of this worker's leases; told soon."""
        self._placed.append(hold)
        self._gather()

    def settled_own(self, attempt: str, spent: Spent) -> None:
        """What such a call came to; told soon."""
        self._settled.append((attempt, spent))
        self._gather()

    def tell_own(self) -> None:
        """Tell now what there is to tell of such calls."""
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
            placed, self._placed = self._placed, []
            settled, self._settled = self._settled, []
            self._link.send(OwnHolds(tuple(placed), tuple(settled)))

    def announce(self, news: Conversation) -> None:
        """Tell where a conversation began."""
        self.send(news)

    def log(self, lines: bytes) -> None:
        """Whole lines for the owner's log."""
        self._link.send(LogLines(lines))

    def give_up(self, older_than_seconds: float) -> None:
        """Refuse questions that wait for longer than that: calls do not hang because the owner does."""
        oldest = asyncio.get_running_loop().time() - older_than_seconds
        for waiting, asked_at in list(self._waiting.values()):
            if asked_at > oldest:
                return
            if not waiting.done():
                waiting.set_exception(OwnerLate())

    async def _ask(self, question: Message, request: int, kind: type[Given]) -> Given:
        if self._link.is_closed:
            raise _gone()
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[Answer] = loop.create_future()
        self._waiting[request] = waiting, loop.time()
        try:
            self.send(question)
            answer = await waiting
        finally:
            del self._waiting[request]
        if isinstance(answer, Refused):
            raise answer.refusal()
        return cast("Given", answer)

    def _gather(self) -> None:
        if self._gathering is None:
            self._gathering = asyncio.get_running_loop().call_later(_GATHER_SECONDS, self.tell_own)

    def _owner_gone(self) -> None:
        for waiting, _ in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(_gone())

    def _received(self, message: FromOwner) -> None:
        if not isinstance(message, Granted | Recorded | VersionIs | ChainIs | Refused):
            self._receive(message)
            return
        waiting, _ = self._waiting.get(message.request, (None, 0))
        if waiting is not None and not waiting.done():
            waiting.set_result(message)


def _gone() -> Refusal:
    return Unavailable("proxy_stopping", "this proxy process is stopping; try again", retry_after_seconds=1)

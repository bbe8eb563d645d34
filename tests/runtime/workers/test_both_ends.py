"""Owner and worker over a real socket in one event loop: holds, versions, runs, and what happens when either end goes."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from proxy.core.calls.runs import Attempt, Run
from proxy.core.errors import Refusal, Unavailable
from proxy.core.scopes import CallFacts, Scope
from proxy.core.snapshot import Agent, AgentState, Snapshot
from proxy.core.spending.caps import Cap
from proxy.core.spending.ledger import Hold, LedgerWrites, Settlement
from proxy.core.versions.components import parse_bundle
from proxy.core.versions.versions import Version
from proxy.runtime.calls.conversations import Conversations
from proxy.runtime.process.clock import SystemClock
from proxy.runtime.process.tasks import TaskSet
from proxy.runtime.spending.holding import HoldBound, Spent
from proxy.runtime.spending.ledger import SpendLedger
from proxy.runtime.state.live_snapshot import LiveSnapshot
from proxy.runtime.telemetry.recorder import Recorder
from proxy.runtime.validation.validation import RunVerdict
from proxy.runtime.workers.messages import Conversation, FromOwner, Ping, Pong, Ready, Serve, SnapshotIs, Welcome
from proxy.runtime.workers.owner_client import OwnerClient
from proxy.runtime.workers.owner_end import OwnerEnd, OwnerParts
from proxy.runtime.workers.remote_ledger import RemoteLedger
from tests.runtime.spending.given import held, settled_in

FACTS = CallFacts(agent="a", provider="p", model="m", user="u", tags={})
BOUND = HoldBound(nanodollars=10, tokens=100)
CAP = Cap(
    id="c", scope=Scope(), window="day", unit="usd", limit_amount=25, at_limit="block", why="", created_by="",
    created_at_microseconds=0,
)  # fmt: skip


@dataclass
class Memory:
    """A store's part: ledger rows, runs, versions; `away` makes it refuse."""

    holds: list[Hold] = field(default_factory=list)
    settled: list[Settlement] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    attempts: list[str] = field(default_factory=list)
    away: bool = False
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.goes_on.set()

    async def write_ledger(self, writes: LedgerWrites) -> None:
        if writes.holds:
            await self.goes_on.wait()
        self._check()
        self.holds += writes.holds
        self.settled += settled_in(writes)

    async def record_runs(self, runs: Sequence[Run], attempts: Sequence[Attempt]) -> None:
        self.runs += [run.id for run in runs]
        self.attempts += [attempt.run for attempt in attempts]

    async def version(self, agent: str, number: int) -> Version | None:
        self._check()
        if number > 1:
            return None
        return Version(
            agent=agent,
            number=1,
            bundle=parse_bundle({}),
            parent=None,
            author="",
            message="",
            created_at_microseconds=0,
        )

    def _check(self) -> None:
        if self.away:
            raise Unavailable("store_unavailable", "away")


@dataclass
class Pair:
    """Both ends, connected. `received` is what the worker was told; it answers pings as a worker does."""

    memory: Memory
    live: LiveSnapshot
    ledger: SpendLedger
    recorder: Recorder
    conversations: Conversations
    owner: OwnerEnd
    client: OwnerClient
    received: list[FromOwner]
    told_others: list[Conversation]
    errors: list[BaseException]

    @property
    def remote(self) -> RemoteLedger:
        return RemoteLedger(self.client, SystemClock(), lambda: self.live.current.caps)

    async def settle_down(self) -> None:
        """Returns when everything sent so far has arrived, both ways."""
        await self.owner.ping()
        await self.ledger.flush()


@asynccontextmanager
async def paired(
    *agents: AgentState, known: Sequence[Conversation] = (), is_ready: bool = True, is_loaded: bool = True
) -> AsyncIterator[Pair]:
    errors: list[BaseException] = []
    tasks = TaskSet(errors.append)
    memory = Memory()
    live = LiveSnapshot(memory)
    if is_loaded:
        live.replace(Snapshot(revision=1, agents={state.agent.name: state for state in agents}, caps=(CAP,)))
    ledger = SpendLedger(memory, SystemClock())
    recorder = Recorder(memory, lambda runs: None)
    conversations = Conversations()
    for news in known:
        conversations.remember(news.agent, news.rollout, news.conversation, news.arm, news.at_microseconds)
    told: list[Conversation] = []
    judged: list[RunVerdict] = []
    parts = OwnerParts(
        live=live, versions=memory, ledger=ledger, recorder=recorder, conversations=conversations,
        log=lambda lines: None, judged=judged.append, on_error=errors.append, tasks=tasks,
    )  # fmt: skip
    received: list[FromOwner] = []

    def receive(message: FromOwner) -> None:
        received.append(message)
        if isinstance(message, Welcome) and is_ready:
            client.send(Ready())
        if isinstance(message, Ping):
            client.send(Pong(message.request, 1, 0))

    client = OwnerClient(receive, errors.append)
    owner = OwnerEnd(1, parts, lambda teller, news: told.append(news))
    live.on_change(owner.push)
    tasks.spawn(ledger.run(), "ledger")
    ours, theirs = socket.socketpair()
    await client.connect(theirs)
    await owner.connect(ours, b"{}")
    # Twice, so that the answer to what the first brought has come as well.
    await owner.ping()
    await owner.ping()
    try:
        yield Pair(memory, live, ledger, recorder, conversations, owner, client, received, told, errors)
    finally:
        client.close()
        owner.close()
        await client.wait_gone()
        await owner.wait_closed()
        await tasks.close()


def state(name: str) -> AgentState:
    return AgentState(Agent(name=name, newest=1))


async def test_a_worker_is_welcomed_with_everything_and_then_told_to_serve() -> None:
    async with paired(*(state(f"agent-{number}") for number in range(1100))) as pair:
        kinds = [type(message) for message in pair.received if not isinstance(message, Ping)]
        assert kinds == [Welcome, SnapshotIs, SnapshotIs, SnapshotIs, Serve]
        pieces = [message for message in pair.received if isinstance(message, SnapshotIs)]
        assert [len(piece.agents) for piece in pieces] == [500, 500, 100]
        assert pair.owner.has_to_confirm


async def test_nothing_is_sent_before_the_owner_has_loaded_anything_and_an_older_state_is_sent_too() -> None:
    async with paired(is_loaded=False) as pair:
        assert not [message for message in pair.received if isinstance(message, SnapshotIs)]
        for revision in (7, 3):
            pair.live.start_from(Snapshot(revision=revision))
        await pair.settle_down()
        told = [message.rest.revision for message in pair.received if isinstance(message, SnapshotIs)]
        assert told == [7, 3]


async def test_of_a_change_only_what_changed_is_sent() -> None:
    async with paired(state("a"), state("b"), state("c")) as pair:
        moved = state("b")
        agents = {"a": pair.live.current.agents["a"], "b": moved}
        pair.live.replace(replace(pair.live.current, revision=2, agents=agents))
        await pair.settle_down()
        last = [message for message in pair.received if isinstance(message, SnapshotIs)][-1]
        assert (last.rest.revision, last.agents, last.gone) == (2, (moved,), ("c",))
        assert last.rest.caps == (CAP,)


async def test_holds_are_decided_by_the_owner_and_settled_once() -> None:
    async with paired() as pair:
        async with held(pair.remote.hold("run_1", (CAP,), FACTS, BOUND)) as first:
            assert first.nanodollars == 10
            assert [hold.attempt for hold in pair.memory.holds] == ["run_1"]
            async with held(pair.remote.hold("run_2", (CAP,), FACTS, BOUND)):
                with pytest.raises(Refusal) as caught:
                    async with held(pair.remote.hold("run_3", (CAP,), FACTS, BOUND)):
                        pass
                assert (caught.value.status, caught.value.code) == (402, "spend_cap_exceeded")
            first.settle(Spent(nanodollars=4))
            first.settle(Spent(nanodollars=9))
        await pair.settle_down()
        (counter,) = pair.ledger.counters_of(CAP).values()
        # run_2 was never sent: released.
        assert (counter.spent, counter.held, pair.ledger.holds_outstanding) == (4, 0, 0)
        assert {(row.attempt, row.spent, row.settled_by) for row in pair.memory.settled} == {
            ("run_1", 4, "reported"),
            ("run_2", 0, "released"),
        }


async def test_a_call_no_cap_touches_asks_nothing() -> None:
    async with paired() as pair:
        async with held(pair.remote.hold("run_1", (), FACTS, BOUND)) as ticket:
            assert ticket.nanodollars is None
        await pair.settle_down()
        assert pair.memory.holds == []


async def test_a_ledger_that_cannot_be_written_refuses_and_holds_nothing() -> None:
    async with paired() as pair:
        pair.memory.away = True
        with pytest.raises(Refusal) as caught:
            async with held(pair.remote.hold("run_1", (CAP,), FACTS, BOUND)):
                pass
        assert (caught.value.status, caught.value.code) == (503, "spend_ledger_unavailable")
        pair.memory.away = False
        await pair.settle_down()
        (counter,) = pair.ledger.counters_of(CAP).values()
        assert (counter.spent, counter.held) == (0, 0)


async def test_a_hold_given_up_while_it_is_asked_for_is_released() -> None:
    async with paired() as pair:

        async def hold() -> None:
            async with held(pair.remote.hold("run_1", (CAP,), FACTS, BOUND)):
                pass

        asking = asyncio.ensure_future(hold())
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await pair.settle_down()
        (counter,) = pair.ledger.counters_of(CAP).values()
        assert (counter.spent, counter.held) == (0, 0)


async def test_a_call_does_not_hang_with_its_owner_and_what_is_placed_too_late_is_released() -> None:
    async with paired() as pair:
        pair.memory.goes_on.clear()

        async def hold() -> None:
            async with held(pair.remote.hold("run_1", (CAP,), FACTS, BOUND)):
                pass

        asking = asyncio.ensure_future(hold())
        await pair.owner.ping()
        pair.client.give_up(60)
        assert not asking.done()
        pair.client.give_up(0)
        with pytest.raises(Unavailable):
            await asking
        pair.memory.goes_on.set()
        await pair.settle_down()
        (counter,) = pair.ledger.counters_of(CAP).values()
        assert (counter.spent, counter.held) == (0, 0)


async def test_what_a_worker_held_when_it_ended_is_charged_in_full_and_what_it_had_settled_is_not() -> None:
    async with paired() as pair:
        tickets = [pair.remote.hold(f"run_{number}", (CAP,), FACTS, BOUND) for number in (1, 2)]
        for ticket in tickets:
            await ticket.place()
        tickets[0].settle(Spent(nanodollars=3))
        pair.client.close()
        await pair.owner.wait_closed()
        await pair.ledger.flush()
        (counter,) = pair.ledger.counters_of(CAP).values()
        assert (counter.spent, counter.held) == (13, 0)
        assert {(row.attempt, row.settled_by) for row in pair.memory.settled} == {
            ("run_1", "reported"),
            ("run_2", "held"),
        }
        assert not pair.owner.has_to_confirm
        assert pair.owner.ping().done()


async def test_when_the_owner_is_gone_questions_are_refused_at_once() -> None:
    async with paired() as pair:
        pair.memory.away = True
        asking = asyncio.ensure_future(pair.client.record_runs((), ()))
        pair.owner.close()
        await pair.client.wait_gone()
        with pytest.raises(Refusal):
            await asking
        for question in (pair.client.version("a", 1), pair.client.hold("run_1", FACTS, BOUND)):
            with pytest.raises(Unavailable):
                await question


async def test_pinned_versions_come_from_the_owner() -> None:
    async with paired() as pair:
        found = await pair.client.version("a", 1)
        assert found is not None
        assert found.stamp == "a@1"
        assert await pair.client.version("a", 2) is None
        pair.memory.away = True
        with pytest.raises(Refusal) as caught:
            await pair.client.version("a", 1)
        assert caught.value.code == "store_unavailable"


async def test_runs_are_recorded_by_the_owner_with_their_attempts() -> None:
    def run(run_id: str) -> Run:
        return Run(
            id=run_id, agent="a", wire="w", operation="o", status=200, result="ok", duration_microseconds=1,
            started_at_microseconds=1,
        )  # fmt: skip

    attempt = Attempt(
        run="run_2", number=1, provider="p", model=None, status=200, error_class=None, started_at_microseconds=1,
        duration_microseconds=1, cost_nanodollars=None,
    )  # fmt: skip
    async with paired() as pair:
        await pair.client.record_runs([run("run_1"), run("run_2")], [attempt])
        await pair.recorder.flush()
        assert (pair.memory.runs, pair.memory.attempts) == (["run_1", "run_2"], ["run_2"])


async def test_of_two_beginnings_of_a_conversation_the_first_the_owner_heard_holds() -> None:
    async with paired() as pair:
        first = Conversation("a", "r1", "talk", "stable", 5)
        pair.client.announce(first)
        pair.client.announce(replace_arm(first, "candidate"))
        await pair.settle_down()
        assert pair.told_others == [first]
        corrections = [message for message in pair.received if isinstance(message, Conversation)]
        assert [message.arm for message in corrections] == ["stable"]
        assert pair.conversations.arm("a", "r1", "talk", 6) == "stable"


def replace_arm(news: Conversation, arm: str) -> Conversation:
    return Conversation(news.agent, news.rollout, news.conversation, arm, news.at_microseconds + 1)


async def test_a_worker_serves_only_when_it_knows_every_conversation() -> None:
    known = [Conversation("a", "r1", f"talk-{number}", "stable", 1) for number in range(1200)]
    async with paired(known=known) as pair:
        told = [message for message in pair.received if isinstance(message, Conversation | Serve)]
        assert len(told) == 1201
        assert isinstance(told[-1], Serve)


async def test_a_worker_that_has_not_said_it_is_ready_does_not_count() -> None:
    async with paired(is_ready=False) as pair:
        assert not pair.owner.has_to_confirm


async def test_an_end_that_cannot_act_on_a_message_says_so_and_closes() -> None:
    async with paired() as pair:
        # The owner never says this.
        pair.owner._link.send(Pong(1, 1, 1))
        await pair.client.wait_gone()
        await pair.owner.wait_closed()
        assert len(pair.errors) == 1

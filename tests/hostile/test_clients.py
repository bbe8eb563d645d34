"""Clients that leave at any moment, read nothing, or ask for much and go: nothing lost, nothing charged twice, nothing left.

Every call carries a number of its own, so that each request the provider received is found again as exactly one run.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from proxy.simulator.recording import Call as Received
from tests.harness import PATIENCE_SECONDS, eventually
from tests.hostile.conversation import HostileClient, split_answers
from tests.hostile.provider import KINDS, STREAM_HEAD, STREAMS, Kind, Provider, chunked
from tests.hostile.stage import Stage, staged

pytestmark = pytest.mark.usefixtures("nothing_leaks")

DISCONNECTS = 4_000
SEED = 20_261_121
AT_ONCE = 40
OPENAI_WHOLE, OPENAI_STREAM = KINDS[0], KINDS[1]


@pytest.fixture
async def stage(tmp_path: Path, nothing_leaks: None) -> AsyncIterator[Stage]:
    async with staged(tmp_path / "home", cap_usd=1000) as one:
        yield one


def numbered(kind: Kind, number: int, orders: str = "", **headers: str) -> bytes:
    """A call that says its number to the proxy and to the provider."""
    return kind.said(f"call {number}; [[simulate: {orders}]]", **{"switchback-user": f"u{number}"}, **headers)


def user_of(call: Received) -> str:
    """Whose call the provider received."""
    return "u" + call.json["messages"][-1]["content"].split(";")[0].removeprefix("call ")


async def reckon(stage: Stage) -> list[dict[str, Any]]:
    """The runs, after proof that proxy and provider tell the same story and that nothing is held any more.

    Every request that the provider received is one run, charged at least what the provider bills. A run it never heard of
    is a client that left before anything was sent; it is charged nothing.
    """
    simulator = stage.simulator
    await simulator.wait_until_idle()
    runs = {run["user"]: run for run in await stage.runs()}
    assert len(runs) == len(stage.heard)
    served = {user_of(call): call for call in simulator.calls}
    assert len(served) == simulator.record.received
    assert served.keys() <= runs.keys()
    for user, run in runs.items():
        assert run["result"] in ("ok", "client_left"), run
        if user in served:
            assert round(run["cost_usd"] * 1e9) >= served[user].billed_nanodollars, run
        else:
            assert (run["result"], run["usage_source"], run["cost_usd"]) == ("client_left", "none", None)
    cap = await stage.cap()
    assert (cap["held"], cap["spent"]) == (0, pytest.approx(sum(run["cost_usd"] or 0 for run in runs.values())))
    assert await stage.metric("switchback_holds_outstanding") == 0
    await stage.at_rest()
    assert await stage.metric("switchback_recorder_dropped_total") == 0
    assert stage.complaints == []
    return list(runs.values())


async def at_once(work: Sequence[Awaitable[None]]) -> None:
    """All of it, some at a time."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(piece: Awaitable[None]) -> None:
        async with gate, asyncio.timeout(PATIENCE_SECONDS):
            await piece

    await asyncio.gather(*(one(piece) for piece in work))


async def leave(client: HostileClient, *, by_reset: bool) -> None:
    if by_reset:
        client.reset()
    await client.close()


async def test_a_client_that_leaves_at_any_byte_of_its_request_costs_nothing(stage: Stage) -> None:
    said = numbered(OPENAI_STREAM, 1)

    async def one(size: int) -> None:
        client = await HostileClient.connect(stage.address)
        await client.send(said[:size])
        await leave(client, by_reset=size % 2 == 0)

    await at_once([one(size) for size in range(len(said))])
    assert (stage.heard, stage.simulator.record.received) == ([], 0)
    client = await HostileClient.connect(stage.address)
    await client.send(said)
    await client.read_to_end()
    await client.close()
    assert [run["result"] for run in await reckon(stage)] == ["ok"]


async def test_a_client_that_leaves_while_its_provider_is_dialled_costs_nothing(stage: Stage) -> None:
    plane = stage.deployment.server._plane
    assert plane is not None
    dialler = plane._upstream._client._dialer
    resolve = dialler._resolver
    dialling, go_on = asyncio.Event(), asyncio.Event()

    async def slow(host: str, port: int) -> Any:
        dialling.set()
        await go_on.wait()
        return await resolve(host, port)

    dialler._resolver = slow
    client = await HostileClient.connect(stage.address)
    await client.send(numbered(OPENAI_STREAM, 1))
    await asyncio.wait_for(dialling.wait(), PATIENCE_SECONDS)
    client.reset()
    await client.close()
    (flight,) = plane.request_path._flights
    await eventually(lambda: flight.reply.client_gone)
    go_on.set()
    (run,) = await reckon(stage)
    assert (run["result"], run["cost_usd"], stage.simulator.record.received) == ("client_left", None, 0)


@pytest.mark.parametrize("by_reset", [True, False], ids=["reset", "close"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_a_client_that_leaves_at_any_byte_of_its_answer_is_recorded_and_charged_once(
    stage: Stage, kind: Kind, by_reset: bool
) -> None:
    first = await HostileClient.connect(stage.address)
    await first.send(numbered(kind, 0, "events=3"))
    await first.read_to_end()
    await first.close()
    length = len(first.raw)

    async def one(number: int, size: int) -> None:
        client = await HostileClient.connect(stage.address)
        await client.send(numbered(kind, number, "events=3"))
        await client.read_at_least(size)
        await leave(client, by_reset=by_reset)

    sizes = range(0, length, 1 if by_reset else length // 120 + 1)
    await at_once([one(number, size) for number, size in enumerate(sizes, start=1)])
    runs = await reckon(stage)
    assert len(runs) <= len(sizes) + 1


async def test_a_client_that_closes_its_sending_side_after_the_call_is_taken_for_gone(stage: Stage) -> None:
    async def one(number: int) -> None:
        client = await HostileClient.connect(stage.address)
        await client.send(numbered(OPENAI_STREAM, number, "events=3; event_delay_ms=1"))
        client.half_close()
        await client.read_to_end()
        answers, _ = split_answers(bytes(client.raw))
        assert not any(answer.is_complete for answer in answers)
        await client.close()

    await at_once([one(number) for number in range(60)])
    runs = await reckon(stage)
    assert {run["result"] for run in runs} == {"client_left"}


async def test_clients_that_ask_for_much_and_leave_get_only_what_was_begun(stage: Stage) -> None:
    depth = 8

    async def one(number: int) -> None:
        client = await HostileClient.connect(stage.address)
        calls = [numbered(OPENAI_WHOLE, number * depth + at, connection="") for at in range(depth)]
        await client.send(b"".join(calls))
        wanted = number % (depth + 1)
        while len(split_answers(bytes(client.raw))[0]) < wanted and await client.read_some():
            pass
        await leave(client, by_reset=number % 2 == 0)

    await at_once([one(number) for number in range(10 * (depth + 1))])
    await reckon(stage)


def resident_bytes() -> int:
    """Memory of this process, which is proxy, provider and clients together."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.parametrize("kind", STREAMS, ids=lambda kind: kind.name)
async def test_clients_that_never_read_slow_their_provider_down_and_are_dropped(
    tmp_path: Path, provider: Provider, kind: Kind
) -> None:
    clients, sent = 20, Counter[int]()
    event = chunked(b"data: {" + b" " * 16_000 + b"}\n\n")[0]

    async def endless(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(STREAM_HEAD)
        try:
            while True:
                writer.write(event)
                await writer.drain()
                sent[id(writer)] += len(event)
                await asyncio.sleep(0)
        except ConnectionError:
            return False

    provider.parts["endless"] = endless
    hasty = {"slow_reader_seconds": 1.0}
    async with staged(tmp_path / "home", provider=provider, cap_usd=1000, timeouts=hasty) as stage:
        before = resident_bytes()
        silent = [await HostileClient.connect(stage.address, receive_buffer_bytes=4096) for _ in range(clients)]
        for client in silent:
            client.read_nothing()
            await client.send(kind.said("endless"))
        await eventually(lambda: len(stage.heard) == clients and stage.finished == clients)
        assert resident_bytes() - before < 64 * 1024 * 1024
        # What the sockets of three machines in one hold, and no more.
        assert max(sent.values()) < 32 * 1024 * 1024
        runs = await stage.runs()
        assert [(run["result"], run["usage_source"]) for run in runs] == [("client_left", "held")] * clients
        cap = await stage.cap()
        assert (cap["held"], cap["spent"]) == (0, pytest.approx(sum(run["cost_usd"] for run in runs)))
        for client in silent:
            await client.close()


async def test_a_slow_reader_of_a_fast_provider_gets_every_byte(tmp_path: Path, provider: Provider) -> None:
    stream = b"data: {%b}\n\n" % (b" " * 2000) * 2000 + b"data: [DONE]\n\n"

    async def fast(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(STREAM_HEAD)
        for at in range(0, len(stream), 100_000):
            writer.write(chunked(stream[at : at + 100_000])[0])
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        return True

    provider.parts["fast"] = fast
    async with staged(tmp_path / "home", provider=provider) as stage:
        client = await HostileClient.connect(stage.address, receive_buffer_bytes=4096)
        await client.send(OPENAI_STREAM.said("fast"))
        await client.read_to_end()
        (said,), rest = split_answers(bytes(client.raw))
        assert (said.body == stream, said.is_complete, rest) == (True, True, b"")
        await client.close()
        assert [run["result"] for run in await stage.runs()] == ["ok"]


#: What an answer is like, and how much of it is certain to come.
ORDERS = (
    ("events=2", 4000),
    ("events=6; event_delay_ms=1", 4000),
    ("delay_ms=3", 4000),
    ("events=4; stall_after_events=2", 300),
    ("", 4000),
)


class Leaver:
    """A client drawn from a seed: what it asks for, how far it comes, how it leaves."""

    def __init__(self, number: int) -> None:
        chance = random.Random(f"{SEED}:{number}")
        orders, certain_bytes = chance.choice(ORDERS)
        self.said = numbered(chance.choice(STREAMS if "stall" in orders else KINDS), number, orders)
        self._cut = chance.choice((None, None, None, chance.randrange(len(self.said))))
        self._reads = chance.choice((0, 1, chance.randrange(certain_bytes), chance.randrange(certain_bytes)))
        self._leaving: Callable[[HostileClient], object] = chance.choice(
            (HostileClient.reset, HostileClient.half_close, lambda client: None)
        )

    async def visit(self, address: tuple[str, int]) -> None:
        client = await HostileClient.connect(address)
        await client.send(self.said[: self._cut])
        if self._cut is None:
            await client.read_at_least(self._reads)
        self._leaving(client)
        await client.close()


async def test_after_random_disconnects_under_load_the_books_are_the_provider_s_own(stage: Stage) -> None:
    leavers = [Leaver(number) for number in range(DISCONNECTS)]
    await at_once([leaver.visit(stage.address) for leaver in leavers])
    runs = await reckon(stage)
    assert sum(run["result"] == "client_left" for run in runs) > DISCONNECTS // 10
    assert stage.simulator.record.received > DISCONNECTS // 3

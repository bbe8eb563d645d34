"""What is written in one turn of the event loop leaves together, in order, and nothing of it is lost at an end."""

import asyncio
from typing import cast

import pytest

from proxy.http1.outgoing import Outgoing, Turn

LARGE = b"x" * 16 * 1024


class SlowTransport:
    """Takes what is written, and as much of it as it is told to."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.waiting = 0
        self.is_broken = False

    def write(self, data: bytes) -> None:
        if self.is_broken:
            raise RuntimeError("closed")
        self.writes.append(data)

    def get_write_buffer_size(self) -> int:
        return self.waiting


def connection(turn: Turn) -> tuple[Outgoing, SlowTransport]:
    transport = SlowTransport()
    outgoing = Outgoing(turn)
    outgoing.transport = cast("asyncio.Transport", transport)
    return outgoing, transport


@pytest.fixture
def turn() -> Turn:
    return Turn()


async def turn_is_over() -> None:
    await asyncio.sleep(0)


async def test_small_writes_of_a_turn_leave_as_one_when_it_is_over(turn: Turn) -> None:
    first, one = connection(turn)
    second, other = connection(turn)
    first.write(b"head ")
    second.write(b"elsewhere")
    first.write(b"body")
    assert one.writes == other.writes == []
    assert first.waiting_bytes == len(b"head body")
    await turn_is_over()
    assert (one.writes, other.writes) == ([b"head body"], [b"elsewhere"])
    assert first.waiting_bytes == 0
    first.write(b"again")
    await turn_is_over()
    assert one.writes == [b"head body", b"again"]


async def test_what_is_large_leaves_at_once_and_behind_what_was_written_before(turn: Turn) -> None:
    outgoing, transport = connection(turn)
    outgoing.write(b"head ")
    outgoing.write(LARGE)
    assert transport.writes == [b"head " + LARGE]
    outgoing.write(LARGE)
    outgoing.write(b"end")
    await turn_is_over()
    assert transport.writes[1:] == [LARGE, b"end"]


async def test_small_writes_that_become_large_together_leave_at_once(turn: Turn) -> None:
    outgoing, transport = connection(turn)
    for _ in range(len(LARGE) // 1024):
        outgoing.write(b"x" * 1024)
    assert transport.writes == [LARGE]
    await turn_is_over()
    assert transport.writes == [LARGE]


async def test_a_piece_of_a_stream_that_comes_alone_leaves_at_once_and_close_ones_together() -> None:
    moments = iter([1.0, 1.000_01, 1.000_02, 2.0, 3.0])
    turn = Turn(lambda: next(moments))
    first, one = connection(turn)
    second, other = connection(turn)
    first.relay(b"a")
    assert one.writes == [b"a"]
    second.relay(b"b")
    first.relay(b"c")
    assert (one.writes, other.writes) == ([b"a"], [])
    await turn_is_over()
    assert (one.writes, other.writes) == ([b"a", b"c"], [b"b"])
    first.relay(b"d")
    assert one.writes[-1] == b"d"
    # Never before what was written earlier in the same turn.
    second.write(b"e")
    second.relay(b"f")
    assert other.writes == [b"b"]
    await turn_is_over()
    assert other.writes == [b"b", b"ef"]


async def test_an_owner_that_closes_flushes_and_one_that_lost_its_connection_drops(turn: Turn) -> None:
    closing, transport = connection(turn)
    lost, gone = connection(turn)
    closing.write(b"refusal")
    lost.write(b"answer")
    closing.flush()
    lost.drop()
    assert transport.writes == [b"refusal"]
    await turn_is_over()
    assert (transport.writes, gone.writes) == ([b"refusal"], [])


async def test_a_transport_that_fails_keeps_nobody_else_waiting(turn: Turn) -> None:
    failures: list[BaseException] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context["exception"]))
    connections = [connection(turn) for _ in range(4)]
    for outgoing, _ in connections:
        outgoing.write(b"data")
    connections[1][1].is_broken = True
    await turn_is_over()
    await turn_is_over()
    assert [transport.writes for _, transport in connections] == [[b"data"], [], [b"data"], [b"data"]]
    assert [str(failure) for failure in failures] == ["closed"]


async def test_a_peer_that_takes_nothing_is_stalled_since_it_was_first_seen_so(turn: Turn) -> None:
    outgoing, transport = connection(turn)
    assert outgoing.stalled_seconds(10.0) == 0
    outgoing.write(b"12345")
    await turn_is_over()
    transport.waiting = 5
    assert [outgoing.stalled_seconds(now) for now in (11.0, 13.0)] == [0, 2.0]
    transport.waiting = 4
    assert [outgoing.stalled_seconds(now) for now in (14.0, 15.5)] == [0, 1.5]
    transport.waiting = 0
    assert outgoing.stalled_seconds(20.0) == 0

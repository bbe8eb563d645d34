"""When a worker is started again, and whose port the workers share."""

import socket
from contextlib import closing

import pytest

from proxy.runtime.workers.supervisor import restart_pause_seconds
from proxy.runtime.workers.traffic_port import TrafficPort


def test_the_first_restart_is_immediate_and_pauses_grow_up_to_half_a_minute() -> None:
    pauses = [restart_pause_seconds(count) for count in range(1, 12)]
    assert pauses[:5] == [0, 0.5, 1, 2, 4]
    assert pauses == sorted(pauses)
    assert restart_pause_seconds(10_000) == 30


async def test_sockets_of_one_port_share_its_connections() -> None:
    port = await TrafficPort.reserve("127.0.0.1", 0)
    with closing(port):
        first, second = port.sockets() + port.sockets()
        with first, second:
            for sock in (first, second):
                assert sock.getsockname()[:2] == port.address
                sock.listen()
            clients = [socket.create_connection(port.address) for _ in range(64)]
            counts = [_accepted(first), _accepted(second)]
            for client in clients:
                client.close()
    assert sum(counts) == 64
    assert min(counts) > 8


async def test_a_listening_socket_that_ends_leaves_its_share_to_the_others() -> None:
    port = await TrafficPort.reserve("127.0.0.1", 0)
    with closing(port):
        first, second = port.sockets() + port.sockets()
        first.listen()
        second.listen()
        first.close()
        with second:
            clients = [socket.create_connection(port.address) for _ in range(16)]
            assert _accepted(second) == 16
            for client in clients:
                client.close()


async def test_a_port_somebody_else_listens_on_is_not_shared_by_mistake() -> None:
    with closing(await TrafficPort.reserve("127.0.0.1", 0)) as port, port.sockets()[0] as listening:
        listening.listen()
        with pytest.raises(OSError, match="in use"):
            await TrafficPort.reserve(*port.address)


async def test_a_port_can_be_reserved_again_at_once() -> None:
    port = await TrafficPort.reserve("127.0.0.1", 0)
    address = port.address
    with closing(port), port.sockets()[0] as listening:
        listening.listen()
        with socket.create_connection(address), listening.accept()[0] as accepted:
            accepted.shutdown(socket.SHUT_RDWR)
    with closing(await TrafficPort.reserve(*address)) as again:
        assert again.address == address


def _accepted(listening: socket.socket) -> int:
    listening.setblocking(False)
    count = 0
    while True:
        try:
            listening.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1

"""Where clients may connect: several addresses, unix sockets, bound sockets, TLS."""

import asyncio
import socket
import ssl
import struct
from contextlib import suppress
from pathlib import Path

import pytest

from proxy.http1.limits import ListenerLimits
from proxy.http1.listener import Listener
from tests.http1.calls import POST
from tests.http1.raw import RawClient, echo, serving, until

pytestmark = pytest.mark.usefixtures("nothing_leaks")

CERTIFICATES = Path(__file__).parent / "certificates"


async def test_a_unix_socket_is_served_and_removed(tmp_path):
    path = str(tmp_path / "proxy.sock")
    listener = Listener(echo, ListenerLimits(), lambda error: None)
    await listener.start_unix(path)
    assert listener.addresses == [path]
    client = RawClient(*await asyncio.open_unix_connection(path))
    client.send(POST)
    assert (await client.answer())[2] == b"abc"
    await client.close()
    await listener.drain(0)
    assert list(tmp_path.iterdir()) == []


async def test_a_bound_socket_is_served():
    listener = Listener(echo, ListenerLimits(), lambda error: None)
    sock = socket.create_server(("127.0.0.1", 0))
    await listener.start_sock(sock)
    client = await RawClient.connect(listener.addresses[0])
    client.send(POST)
    assert (await client.answer())[2] == b"abc"
    await client.close()
    await listener.drain(0)


async def test_one_listener_serves_several_addresses():
    async with serving() as served:
        await served.listener.start("127.0.0.1", 0)
        assert len(served.listener.addresses) == 2
        for address in served.listener.addresses:
            client = await RawClient.connect(address)
            client.send(POST)
            assert (await client.answer())[2] == b"abc"
            await client.close()


async def test_tls_is_served_and_an_abort_is_still_seen():
    async def handler(call, reply):
        reply.start(200, [])
        reply.write(call.body)
        if call.target == b"/broken":
            reply.abort()
        else:
            reply.finish()

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(CERTIFICATES / "localhost.pem")
    trusting = ssl.create_default_context(cafile=CERTIFICATES / "authority.pem")
    async with serving(handler, tls=tls) as served:
        client = await served.connect(ssl=trusting, server_hostname="localhost")
        client.send(POST)
        assert (await client.answer())[2] == b"abc"
        client.send(POST.replace(b"/ ", b"/broken "))
        with pytest.raises(asyncio.IncompleteReadError):
            await client.answer()
        await client.close()
        client = await served.connect(ssl=trusting, server_hostname="localhost")
        client.send(b"bad\r\n\r\n")
        assert (await client.answer())[0] == 400
        assert await client.rest() == b""
        await client.close()


async def test_handshakes_that_are_never_finished_make_way_for_those_that_are():
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(CERTIFICATES / "localhost.pem")
    trusting = ssl.create_default_context(cafile=CERTIFICATES / "authority.pem")
    async with serving(limits=ListenerLimits(connections=2, turned_away=2), tls=tls) as served:
        silent = [await served.connect() for _ in range(30)]
        (acceptor,) = served.listener._servers
        await until(lambda: len(acceptor._handshakes) == 4)
        for client in silent[:-4]:
            assert await client.rest() == b""
        for _ in range(5):
            client = await served.connect(ssl=trusting, server_hostname="localhost")
            client.send(POST)
            assert (await client.answer())[2] == b"abc"
            await client.close()
        held = [await served.connect(ssl=trusting, server_hostname="localhost") for _ in range(2)]
        for client in held:
            client.send(POST)
            assert (await client.answer())[2] == b"abc"
        client = await served.connect(ssl=trusting, server_hostname="localhost")
        assert (await client.answer())[0] == 503
        assert served.errors == []


@pytest.mark.parametrize(
    "said", [b"", POST, b"\x16\x03\x01\x00\x05hello"], ids=["nothing", "HTTP", "half a TLS record"]
)
async def test_a_client_that_shakes_no_hands_is_let_go(said):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(CERTIFICATES / "localhost.pem")
    async with serving(limits=ListenerLimits(header_seconds=0.2), tls=tls) as served:
        clients = [await served.connect() for _ in range(3)]
        for client in clients:
            client.send(said)
        clients[0].reset()
        clients[1].half_close()
        with suppress(ConnectionResetError):
            await clients[2].rest()
        (acceptor,) = served.listener._servers
        await until(lambda: not acceptor._handshakes)
        assert (served.calls, served.errors) == ([], [])


async def test_a_reset_does_not_disturb_others():
    async with serving() as served:
        for _ in range(20):
            client = await served.connect()
            client.send(POST[:-1])
            sock = client.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.writer.transport.abort()
        client = await served.connect()
        client.send(POST)
        assert (await client.answer())[2] == b"abc"

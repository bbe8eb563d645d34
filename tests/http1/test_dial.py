"""Getting to an upstream: names, several addresses, TLS, forward proxies, and a named reason when it does not work."""

import asyncio
import socket
import ssl
import warnings
from pathlib import Path

import pytest

from proxy.http1.dial import resolve
from proxy.http1.egress import Egress, ForwardProxy
from proxy.http1.limits import UpstreamLimits
from proxy.http1.tls import ResumingContext, client_context
from proxy.http1.upstream import Origin
from tests.http1.raw import within
from tests.http1.scripted import OK, Client, answering, failure, upstream

pytestmark = pytest.mark.usefixtures("nothing_leaks")

CERTIFICATES = Path(__file__).parent / "certificates"
SHORT = 0.1
FAST = UpstreamLimits(connect_seconds=SHORT)


def server_tls():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / "localhost.pem")
    return context


def trusting():
    return client_context(str(CERTIFICATES / "authority.pem"))


def resolving(*addresses):
    """A resolver that gives these hosts, IPv4 or IPv6, for every name."""

    async def resolver(host, port):
        return [(socket.AF_INET6, (a, port, 0, 0)) if ":" in a else (socket.AF_INET, (a, port)) for a in addresses]

    return resolver


LOCAL = resolving("127.0.0.1")


async def ask(client, origin, target=b"/v1"):
    answer = await within(client.send(Origin.parse(origin), "GET", target, [], b""))
    return answer.status, await within(answer.read())


@pytest.fixture
def closed_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]  # bound, not listening


@pytest.fixture
def deaf_port():
    """Accepts no connection: its queue is full."""
    with socket.socket() as sock, socket.socket() as first, socket.socket() as second:
        sock.bind(("127.0.0.1", 0))
        sock.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(sock.getsockname())
        yield sock.getsockname()[1]


# --- names and addresses ----------------------------------------------------------------------------------------------


async def test_a_refused_connection_has_its_reason(closed_port):
    async with Client() as client:
        error = await failure(ask(client, f"http://127.0.0.1:{closed_port}"))
        assert (error.reason, error.request_sent, error.answer_begun) == ("connect_refused", False, False)


async def test_a_connection_that_hangs_is_given_up(deaf_port):
    async with Client(FAST) as client:
        error = await failure(ask(client, f"http://127.0.0.1:{deaf_port}"))
        assert (error.reason, error.request_sent) == ("connect_timeout", False)


@pytest.mark.parametrize("failing", [socket.gaierror(-2, "no such name"), UnicodeError("label too long"), None])
async def test_a_name_without_an_address_has_its_reason(failing):
    async def resolver(host, port):
        if failing:
            raise failing
        return []

    async with Client(resolver=resolver) as client:
        error = await failure(ask(client, "http://nowhere.invalid"))
        assert (error.reason, error.request_sent) == ("dns", False)


async def test_a_name_that_takes_too_long_is_given_up():
    async def resolver(host, port):
        await asyncio.Event().wait()

    async with Client(FAST, resolver=resolver) as client:
        assert (await failure(ask(client, "http://slow.invalid"))).reason == "connect_timeout"


async def test_the_resolver_of_the_system_gives_addresses():
    assert (socket.AF_INET, ("127.0.0.1", 80)) in await resolve("127.0.0.1", 80)


async def test_a_name_is_resolved_again_for_every_connection():
    names = []

    async def resolver(host, port):
        names.append(host)
        return [(socket.AF_INET, ("127.0.0.1", port))]

    async with upstream(OK.replace(b"Con", b"Connection: close\r\nCon")) as server, Client(resolver=resolver) as client:
        for _ in range(3):
            await ask(client, f"http://name.invalid:{server.port}")
        assert names == ["name.invalid"] * 3


@pytest.mark.parametrize(
    "addresses",
    [("127.0.0.2", "127.0.0.1"), ("::1", "127.0.0.1"), ("127.0.0.2", "127.0.0.3", "::1", "127.0.0.1")],
)
async def test_a_refused_address_gives_way_to_the_next_at_once(addresses):
    limits = UpstreamLimits(address_delay_seconds=60)
    async with upstream(OK) as server, Client(limits, resolver=resolving(*addresses)) as client:
        assert await ask(client, f"http://name.invalid:{server.port}") == (200, b"abc")


async def test_an_address_that_hangs_gives_way_to_the_next_after_a_delay(deaf_port):
    """Both families of a name, the first one dead: the second is reached well before the deadline."""

    async def resolver(host, port):
        return [(socket.AF_INET, ("127.0.0.1", deaf_port)), (socket.AF_INET, ("127.0.0.1", port))]

    limits = UpstreamLimits(address_delay_seconds=SHORT)
    async with upstream(OK) as server, Client(limits, resolver=resolver) as client:
        began = asyncio.get_running_loop().time()
        assert await ask(client, f"http://name.invalid:{server.port}") == (200, b"abc")
        assert asyncio.get_running_loop().time() - began >= SHORT


async def test_all_addresses_refused_is_one_error(closed_port):
    async with Client(resolver=resolving("127.0.0.1", "127.0.0.2", "::1")) as client:
        error = await failure(ask(client, f"http://name.invalid:{closed_port}"))
        assert error.reason in ("connect_refused", "connect_failed")  # without IPv6 it is not a refusal


async def test_all_addresses_hanging_is_a_timeout(deaf_port):
    limits = UpstreamLimits(connect_seconds=3 * SHORT, address_delay_seconds=SHORT / 2)
    async with Client(limits, resolver=resolving("127.0.0.1", "127.0.0.1", "127.0.0.1")) as client:
        assert (await failure(ask(client, f"http://name.invalid:{deaf_port}"))).reason == "connect_timeout"


async def test_cancelling_while_connecting_leaks_nothing(deaf_port):
    async with Client(resolver=resolving("127.0.0.1", "127.0.0.1")) as client:
        asking = asyncio.ensure_future(ask(client, f"http://name.invalid:{deaf_port}"))
        await asyncio.sleep(SHORT)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert not +client._pool._counts


# --- TLS --------------------------------------------------------------------------------------------------------------


async def test_tls_is_verified_and_its_connection_and_session_used_again():
    resumed = []

    async def script(server, reader, writer):
        resumed.append(writer.get_extra_info("ssl_object").session_reused)
        while await server.request(reader):
            writer.write(OK)
            if len(server.requests) % 2 == 0:
                return

    async with upstream(script, ssl=server_tls()) as server, Client(tls=trusting(), resolver=LOCAL) as client:
        for _ in range(6):
            assert await ask(client, f"https://localhost:{server.port}") == (200, b"abc")
        assert server.connections == 3
        assert resumed == [False, True, True]


@pytest.mark.parametrize(
    ("name", "context"),
    [("127.0.0.1", trusting), ("other.invalid", trusting), ("localhost", client_context)],
    ids=["another address", "another name", "an unknown authority"],
)
async def test_a_certificate_that_does_not_fit_is_refused(name, context):
    async with upstream(OK, ssl=server_tls()) as server, Client(tls=context(), resolver=LOCAL) as client:
        error = await failure(ask(client, f"https://{name}:{server.port}"))
        assert (error.reason, error.request_sent) == ("tls", False)
        assert server.requests == []


async def test_an_old_version_of_tls_is_refused():
    old = server_tls()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    async with upstream(OK, ssl=old) as server, Client(tls=trusting(), resolver=LOCAL) as client:
        assert (await failure(ask(client, f"https://localhost:{server.port}"))).reason == "tls"


@pytest.mark.parametrize("then", ["close", "reset"])
async def test_a_handshake_that_breaks_has_its_reason(then):
    async def script(server, reader, writer):
        await reader.read(100)
        if then == "reset":
            writer.transport.abort()

    async with upstream(script) as server, Client(tls=trusting(), resolver=LOCAL) as client:
        error = await failure(ask(client, f"https://localhost:{server.port}"))
        assert (error.reason, error.request_sent) == ("tls", False)


async def test_a_handshake_that_hangs_is_given_up():
    async def script(server, reader, writer):
        await server.gone(reader)

    async with upstream(script) as server, Client(FAST, tls=trusting(), resolver=LOCAL) as client:
        assert (await failure(ask(client, f"https://localhost:{server.port}"))).reason == "connect_timeout"
        await within(server.closed.wait())


async def test_a_large_exchange_over_tls_is_complete():
    body = bytes(range(256)) * 20_000
    wire = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    async with upstream(wire, ssl=server_tls()) as server, Client(tls=trusting(), resolver=LOCAL) as client:
        origin = Origin.parse(f"https://localhost:{server.port}")
        answer = await within(client.send(origin, "POST", b"/", [], body))
        assert await within(answer.read()) == body
        assert server.requests[0][1] == body


class Handshake:
    """What a context asks of a connection, and how often it asked for the session, which costs memory each time."""

    def __init__(self, *, resumed=False):
        self.session_reused = resumed
        self.reads = 0

    @property
    def session(self):
        self.reads += 1
        return ssl.SSLSession


def test_sessions_are_kept_for_a_bounded_number_of_hosts():
    context = trusting()
    for number in range(300):
        context.learn(f"host-{number}", Handshake())
    assert len(context._sessions) == len(context._read_at) == 256
    assert "host-43" not in context._sessions
    assert "host-44" in context._sessions


def test_a_session_is_read_anew_only_where_the_server_no_longer_takes_it_and_seldom():
    now = 1000.0
    context = ResumingContext(ssl.PROTOCOL_TLS_CLIENT, clock=lambda: now)
    first, resumed, refused, later = Handshake(), Handshake(resumed=True), Handshake(), Handshake()
    context.learn("localhost", first)
    now += 100_000
    context.learn("localhost", resumed)
    assert (first.reads, resumed.reads) == (1, 0)
    context.learn("localhost", refused)
    now += 299
    context.learn("localhost", later)
    assert (refused.reads, later.reads) == (1, 0)
    now += 1
    context.learn("localhost", later)
    assert later.reads == 1


async def test_many_calls_read_a_session_once_whether_connections_are_kept_or_not(monkeypatch):
    reads = []

    def counted(context, host, connection):
        reads.append(connection.session_reused)
        learn(context, host, connection)

    learn = ResumingContext.learn
    monkeypatch.setattr(ResumingContext, "learn", counted)

    async def script(server, reader, writer):
        while await server.request(reader):
            writer.write(OK if len(server.requests) < 20 else OK.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))

    async with upstream(script, ssl=server_tls()) as server, Client(tls=trusting(), resolver=LOCAL) as client:
        for _ in range(30):
            assert await ask(client, f"https://localhost:{server.port}") == (200, b"abc")
        assert server.connections == 11
        assert reads == [False] + [True] * 10


# --- forward proxies --------------------------------------------------------------------------------------------------


def tunnelling(answer=b"HTTP/1.1 200 Connection established\r\n\r\n", to=None):
    """A forward proxy that answers CONNECT and, if that was a success, joins both sides."""

    async def script(server, reader, writer):
        server.requests.append((await reader.readuntil(b"\r\n\r\n"), b""))
        writer.write(answer)
        if to is None:
            await server.gone(reader)
            return
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", to())

        async def copy(source, sink):
            while data := await source.read(65_536):
                sink.write(data)
            sink.close()

        await asyncio.gather(copy(reader, upstream_writer), copy(upstream_reader, writer))

    return script


def through(server, authorization=None):
    proxy = ForwardProxy("127.0.0.1", server.port, authorization)
    return Egress(https=proxy, http=proxy)


async def test_tls_is_tunnelled_through_a_forward_proxy():
    async with (
        upstream(OK, ssl=server_tls()) as server,
        upstream(tunnelling(to=lambda: server.port)) as proxy,
        Client(tls=trusting_any_name(), egress=through(proxy, b"Basic abc"), resolver=LOCAL) as client,
    ):
        assert await ask(client, f"https://api.example:{server.port}") == (200, b"abc")
        assert await ask(client, f"https://api.example:{server.port}") == (200, b"abc")
        host = b"api.example:%d" % server.port
        connect = b"CONNECT %b HTTP/1.1\r\nhost: %b\r\nproxy-authorization: Basic abc\r\n\r\n" % (host, host)
        assert proxy.requests == [(connect, b"")]
        assert b"proxy-authorization" not in server.requests[0][0]


def trusting_any_name():
    """The test certificate is for localhost only; here the tunnel is what is looked at."""
    context = trusting()
    context.check_hostname = False
    return context


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
        b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\n\r\nsurprise",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5000,
    ],
)
async def test_a_forward_proxy_that_does_not_open_the_tunnel_is_an_error(answer):
    async with upstream(tunnelling(answer)) as proxy, Client(egress=through(proxy), resolver=LOCAL) as client:
        error = await failure(ask(client, "https://api.example"))
        assert (error.reason, error.request_sent) == ("connect_failed", False)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\n"])
async def test_a_forward_proxy_that_hangs_is_given_up(answer):
    async with upstream(tunnelling(answer)) as proxy, Client(FAST, egress=through(proxy), resolver=LOCAL) as client:
        assert (await failure(ask(client, "https://api.example"))).reason == "connect_timeout"


async def test_a_forward_proxy_that_closes_is_an_error():
    async def script(server, reader, writer):
        await reader.readuntil(b"\r\n\r\n")

    async with upstream(script) as proxy, Client(egress=through(proxy), resolver=LOCAL) as client:
        assert (await failure(ask(client, "https://api.example"))).reason == "connect_failed"


async def test_plain_http_goes_through_a_forward_proxy_in_absolute_form():
    async with upstream(answering(OK, then="serve")) as proxy:
        async with Client(egress=through(proxy, b"Basic abc"), resolver=LOCAL) as client:
            assert await ask(client, "http://api.example:81") == (200, b"abc")
        head = proxy.requests[0][0]
        assert head.startswith(b"GET http://api.example:81/v1 HTTP/1.1\r\nhost: api.example:81\r\n")
        assert b"proxy-authorization: Basic abc\r\n" in head


async def test_loopback_is_reached_without_the_forward_proxy(closed_port):
    egress = Egress(http=ForwardProxy("127.0.0.1", closed_port))
    async with upstream(OK) as server, Client(egress=egress) as client:
        assert await ask(client, f"http://127.0.0.1:{server.port}") == (200, b"abc")

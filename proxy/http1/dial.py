"""Opens connections: name resolution, happy eyeballs, the forward proxy's CONNECT, TLS. One deadline over all of it.

Happy eyeballs (RFC 8305) is done here because uvloop's `create_connection` does not offer it. Names are resolved for
every new connection, so a changed DNS answer is followed as connections age out of the pool.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain, zip_longest
from typing import Any, Final, TypeVar

from proxy.http1.egress import Egress, ForwardProxy
from proxy.http1.errors import Reason, UpstreamError
from proxy.http1.limits import UpstreamLimits
from proxy.http1.origin import Origin
from proxy.http1.tls import ResumingContext

Address = tuple[Any, ...]
"""A socket address as `getaddrinfo` gives it: `(host, port)` or `(host, port, flow, scope)`."""

Resolver = Callable[[str, int], Awaitable[Sequence[tuple[int, Address]]]]
"""Gives `(family, address)` pairs in order of preference; raises OSError (`socket.gaierror`) when there are none."""

_ProtocolT = TypeVar("_ProtocolT", bound=asyncio.BaseProtocol)

_CONNECT_ANSWER_BYTES: Final = 16 * 1024


async def resolve(host: str, port: int) -> Sequence[tuple[int, Address]]:
    """The system's resolver, in the loop's thread pool."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(family, address) for family, _, _, _, address in found]


class Dialer:
    """Opens a connection to an origin, directly or through a forward proxy."""

    def __init__(
        self, limits: UpstreamLimits, egress: Egress, tls: ssl.SSLContext, resolver: Resolver = resolve
    ) -> None:
        self._limits = limits
        self._egress = egress
        self._tls = tls
        self._resolver = resolver

    async def dial(self, origin: Origin, protocol_factory: Callable[[], _ProtocolT]) -> _ProtocolT:
        """A connected protocol. Raises UpstreamError with one of the reasons of connecting."""
        try:
            async with asyncio.timeout(self._limits.connect_seconds):
                return await self._dial(origin, protocol_factory)
        except TimeoutError:
            raise _error("connect_timeout") from None

    async def _dial(self, origin: Origin, protocol_factory: Callable[[], _ProtocolT]) -> _ProtocolT:
        proxy = self._egress.proxy_for(origin)
        sock = await self._connect(*((proxy.host, proxy.port) if proxy else (origin.host, origin.port)))
        try:
            if proxy is not None and origin.is_tls:
                await _open_tunnel(sock, proxy, origin)
            return await self._wrap(sock, origin, protocol_factory)
        except BaseException:
            sock.close()
            raise

    async def _wrap(
        self, sock: socket.socket, origin: Origin, protocol_factory: Callable[[], _ProtocolT]
    ) -> _ProtocolT:
        loop = asyncio.get_running_loop()
        if not origin.is_tls:
            return (await loop.create_connection(protocol_factory, sock=sock))[1]
        try:
            _, protocol = await loop.create_connection(
                protocol_factory,
                sock=sock,
                ssl=self._tls,
                server_hostname=origin.host,
                ssl_handshake_timeout=self._limits.connect_seconds * 2,  # ours comes first
            )
        except (OSError, ssl.SSLError) as error:
            raise _error("tls") from error
        return protocol

    async def _connect(self, host: str, port: int) -> socket.socket:
        try:
            addresses = _interleaved(await self._resolver(host, port))
        except (OSError, UnicodeError) as error:
            raise _error("dns") from error
        if not addresses:
            raise _error("dns")
        try:
            if len(addresses) == 1:
                return await _connect_one(*addresses[0])
            return await _race(addresses, self._limits.address_delay_seconds)
        except ConnectionRefusedError as error:
            raise _error("connect_refused") from error
        except TimeoutError as error:
            raise _error("connect_timeout") from error
        except OSError as error:
            raise _error("connect_failed") from error


def learn_session(transport: asyncio.Transport, origin: Origin) -> None:
    """Keep the TLS session of a connection whose first answer came. Not before: TLS 1.3 tickets come after the handshake."""
    tls = transport.get_extra_info("ssl_object")
    if tls is not None and isinstance(tls.context, ResumingContext):
        tls.context.learn(origin.host, tls)


def _error(reason: Reason) -> UpstreamError:
    return UpstreamError(reason, request_sent=False, answer_begun=False)


def _interleaved(addresses: Sequence[tuple[int, Address]]) -> list[tuple[int, Address]]:
    """Families in turn, beginning with the preferred one (RFC 8305 §4)."""
    first = [pair for pair in addresses if pair[0] == addresses[0][0]]
    others = [pair for pair in addresses if pair[0] != addresses[0][0]]
    return [pair for pair in chain.from_iterable(zip_longest(first, others)) if pair is not None]


async def _connect_one(family: int, address: Address) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio: TCP_NODELAY only with this
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


async def _race(addresses: list[tuple[int, Address]], delay_seconds: float) -> socket.socket:
    """The first connection to succeed, each attempt a delay after the one before or at once when that failed."""
    loop = asyncio.get_running_loop()
    waiting = list(addresses)
    attempts: set[asyncio.Task[socket.socket]] = set()
    failure: OSError = OSError()
    winner: socket.socket | None = None
    try:
        while waiting or attempts:
            if waiting:
                attempts.add(loop.create_task(_connect_one(*waiting.pop(0))))
            done, attempts = await asyncio.wait(
                attempts,
                timeout=delay_seconds if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for attempt in done:
                error = attempt.exception()
                if error is None and winner is None:
                    winner = attempt.result()
                elif error is None:
                    attempt.result().close()
                elif isinstance(error, OSError):
                    failure = error
                else:
                    raise error
            if winner is not None:
                return winner
        raise failure
    finally:
        for attempt in attempts:
            attempt.add_done_callback(_close_late)
            attempt.cancel()


def _close_late(attempt: asyncio.Task[socket.socket]) -> None:
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()


async def _open_tunnel(sock: socket.socket, proxy: ForwardProxy, origin: Origin) -> None:
    """CONNECT (RFC 9110 §9.3.6). The proxy must not send a byte beyond its answer's head."""
    loop = asyncio.get_running_loop()
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    authority = f"{host}:{origin.port}".encode()
    request = b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n" % (authority, authority)
    if proxy.authorization is not None:
        request += b"proxy-authorization: %b\r\n" % proxy.authorization
    answer = b""
    try:
        await loop.sock_sendall(sock, request + b"\r\n")
        while b"\r\n\r\n" not in answer:
            data = await loop.sock_recv(sock, 4096)
            answer += data
            if not data or len(answer) > _CONNECT_ANSWER_BYTES:
                raise _error("connect_failed")
    except OSError as error:
        raise _error("connect_failed") from error
    status = answer.split(b" ", 2)[1:2]
    accepted = answer.startswith(b"HTTP/1.") and status and status[0][:1] == b"2"
    if not accepted or not answer.endswith(b"\r\n\r\n"):
        raise _error("connect_failed")

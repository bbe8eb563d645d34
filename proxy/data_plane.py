"""Where calls are taken: the listener, the path behind it and the connections to providers, from the first call to the last.

It is put together by assembly.py, for a server of one process and for a worker alike.
"""

import socket
import ssl
from collections.abc import Callable, Sequence

from proxy.core.addresses import Address, ListenAddress, UnixAddress
from proxy.http1.listener import Listener
from proxy.http1.tls import ServerCertificate
from proxy.runtime.calls.request_path import RequestPath
from proxy.runtime.own_calls.drill_calls import DrillCaller
from proxy.runtime.own_calls.shadow_copies import ShadowCopies
from proxy.runtime.process.certificate_watch import CertificateWatch
from proxy.runtime.process.clock import Clock
from proxy.runtime.process.event_line import event_line
from proxy.runtime.transport.upstream import Upstream


class DataPlane:
    """Takes calls and serves them."""

    def __init__(
        self,
        *,
        request_path: RequestPath,
        copies: ShadowCopies,
        drill_caller: DrillCaller,
        listener: Listener,
        upstream: Upstream,
        certificate: ServerCertificate | None,
        drain_seconds: float,
        wanted_connections: int,
        connections: int,
    ) -> None:
        """`wanted_connections`: how many clients may be connected at once by the settings; `connections`: by what open files allow."""
        self.request_path = request_path
        self._copies = copies
        #: The calls of drills.
        self.drill_caller = drill_caller
        self.listener = listener
        self._upstream = upstream
        self._certificate = certificate
        self._drain_seconds = drain_seconds
        self._wanted_connections = wanted_connections
        self._connections = connections

    @property
    def _tls(self) -> ssl.SSLContext | None:
        return None if self._certificate is None else self._certificate.context

    async def listen(self, addresses: Sequence[ListenAddress]) -> list[ListenAddress]:
        """Take calls from now on; where, ports as they came out. Raises OSError."""
        for address in addresses:
            if isinstance(address, UnixAddress):
                await self.listener.start_unix(address.path)
            else:
                await self.listener.start(*address, tls=self._tls)
        return [
            UnixAddress(name) if isinstance(name, str) else Address(name[0], name[1])
            for name in self.listener.addresses
        ]

    async def listen_on(self, sockets: Sequence[socket.socket]) -> None:
        """Take calls from now on, on sockets that are bound. Raises OSError."""
        for sock in sockets:
            await self.listener.start_sock(sock, tls=self._tls)

    async def renew_certificate(self, write_log: Callable[[bytes], object], clock: Clock) -> None:
        """Show a renewed certificate as soon as its files hold it; until cancelled. Returns at once where there is no TLS."""
        if self._certificate is not None:
            await CertificateWatch(self._certificate, write_log, clock).run()

    def limited_connections(self, clock: Clock) -> bytes | None:
        """The log line that says that open files allow fewer clients than the settings; None where they do not."""
        if self._connections == self._wanted_connections:
            return None
        return event_line(
            clock.now_microseconds(),
            "warning",
            "connections_limited",
            reason="this process may not open more files (ulimit -n)",
            wanted=self._wanted_connections,
            connections=self._connections,
        )

    async def drain(self) -> None:
        """Take no more calls; returns when the running ones are finished, or broken off at the drain deadline."""
        await self.listener.drain(self._drain_seconds, self.request_path.stop)

    async def close(self) -> None:
        """Close the connections to providers, with the copies that are under way: nobody waits for them."""
        self._copies.stop()
        await self._upstream.close()

"""TLS 1.2 or newer on both sides: what a listener shows, and how an upstream is verified, with session reuse.

asyncio has no parameter for a TLS session, so the context hands the one it keeps of a host to each new connection itself.

Decision: a session is read once and offered until a server no longer takes it, and of one host at most every five minutes.
Reading it (`SSLObject.session`) copies it, and CPython 3.10 to 3.13 never free the copy: 5.4 KB and 143 µs each time, which was
once a call. Now it is 65 KB an hour where a host takes no session at all, and nothing where it takes them. Keeping the newest
ticket of each connection instead (RFC 8446 §C.4 would have each offered once, against being recognised) costs that leak.
"""

import os
import ssl
import time
from collections.abc import Callable
from typing import Final

_HOSTS: Final = 256
_READ_SECONDS: Final = 300.0


class ResumingContext(ssl.SSLContext):
    """A client context that offers each server a session of an earlier connection to the same host name."""

    def __init__(self, protocol: int, clock: Callable[[], float] = time.monotonic) -> None:
        del protocol  # the base class has taken it
        self._clock = clock
        self._sessions: dict[str, ssl.SSLSession | None] = {}
        self._read_at: dict[str, float] = {}

    def learn(self, host: str, connection: ssl.SSLObject) -> None:
        """Keep the session of a connection that proved good, unless it was begun with the one that is kept. The oldest of 256
        hosts is forgotten."""
        if connection.session_reused:
            return
        now = self._clock()
        read_at = self._read_at.pop(host, None)
        if read_at is not None and now - read_at < _READ_SECONDS:
            self._read_at[host] = read_at
            return
        self._read_at[host] = now
        self._sessions[host] = connection.session
        if len(self._read_at) > _HOSTS:
            oldest = next(iter(self._read_at))
            del self._read_at[oldest], self._sessions[oldest]

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """As the base class, with the remembered session of the host."""
        if isinstance(server_hostname, str):
            session = self._sessions.get(server_hostname)
        return super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)


def client_context(authorities: str | None = None) -> ResumingContext:
    """A verifying context. `authorities` is a PEM file of roots to trust instead of the system's."""
    context = ResumingContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if authorities is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(authorities)
    return context


class ServerCertificate:
    """What listeners show, from PEM files that may be replaced while they are shown."""

    def __init__(self, certificate: str, key: str | None = None) -> None:
        """Without `key` the private key is in the file of the certificate. Raises OSError (ssl.SSLError among them) when the files
        cannot be used together."""
        self._files = (certificate, key)
        self._seen = self._state()
        #: For listeners; each handshake is given the certificate that is the latest then.
        self.context = self._present = _server_context(*self._files)
        # A whole context takes the place of another: loaded into the one in use, a key that does not fit would break it.
        self.context.sni_callback = self._show_present

    def renew(self) -> bool:
        """Take up files that are others than when this was last asked; whether they are. Blocks for reading them.

        Raises OSError when they cannot be used: what was shown before stays."""
        state = self._state()
        if state == self._seen:
            return False
        # Before they are read: what changes meanwhile is read again the next time.
        self._seen = state
        self._present = _server_context(*self._files)
        return True

    def _state(self) -> list[tuple[int, int, int]]:
        found = [os.stat(path) for path in self._files if path is not None]
        return [(file.st_ino, file.st_size, file.st_mtime_ns) for file in found]

    def _show_present(self, connection: ssl.SSLObject, name: str, context: ssl.SSLContext) -> None:
        connection.context = self._present


def _server_context(certificate: str, key: str | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(certificate, key)
    return context

"""TLS 1.2 or newer on both sides: what a listener shows, and how an upstream is verified, with session reuse.

asyncio has no parameter for a TLS session, so the context hands the last one of a host to each new connection itself.
"""

import os
import ssl

_SESSIONS = 256


class ResumingContext(ssl.SSLContext):
    """A client context that offers the server the session of the latest connection to the same host name."""

    def __init__(self, protocol: int) -> None:
        self._sessions: dict[str, ssl.SSLSession] = {}

    def remember(self, host: str, session: ssl.SSLSession | None) -> None:
        """Keep a session for the next connection to `host`. The oldest of 256 hosts is forgotten."""
        if session is None:
            return
        sessions = self._sessions
        sessions.pop(host, None)
        sessions[host] = session
        if len(sessions) > _SESSIONS:
            del sessions[next(iter(sessions))]

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

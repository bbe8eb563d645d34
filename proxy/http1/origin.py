"""Where an upstream is: scheme, host and port. Parsed once, from configuration, never from a request."""

import re
from typing import Final, NamedTuple

_ORIGIN: Final = re.compile(r"(https?)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~-]+)(?::(\d{1,5}))?/?")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """A tuple, because it is the key of the connection pool and is hashed for every call."""

    scheme: str
    host: str
    """Without the brackets of an IPv6 literal."""
    port: int
    authority: bytes
    """The Host header: the port is left out where it is the scheme's own."""

    @property
    def is_tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.scheme == "https"

    @classmethod
    def parse(cls, text: str) -> "Origin":
        """From `https://host[:port]`. Raises ValueError for anything else: user info, a path, a query."""
        match = _ORIGIN.fullmatch(text)
        if match is None or not 0 < (port := int(match[3] or _DEFAULT_PORTS[match[1]])) < 65536:
            raise ValueError("an origin looks like https://host or https://host:port")
        scheme, host = match[1], match[2].lower()
        authority = host if port == _DEFAULT_PORTS[scheme] else f"{host}:{port}"
        return cls(scheme, host.strip("[]"), port, authority.encode())

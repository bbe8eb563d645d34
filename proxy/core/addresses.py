"""Where a listener may be: a TCP address or a unix socket, read from text and written back; and which URLs can be called.

Belongs here: what an address is and whether it stays on this machine. Does not belong here: binding one (http1/sockets.py
for unix sockets, runtime/workers/traffic_port.py for several processes).
"""

import ipaddress
import re
from typing import Any, Final, NamedTuple, cast
from urllib.parse import SplitResult, urlsplit

_UNIX = "unix:"
#: `sockaddr_un.sun_path` of Linux is 108 bytes, its closing NUL among them; BSD and macOS have 104.
_MAX_PATH_BYTES = 103


class Address(NamedTuple):
    """A TCP address. Port 0 means any free port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


class UnixAddress(NamedTuple):
    """A unix socket, by its absolute path."""

    path: str

    def __str__(self) -> str:
        return _UNIX + self.path

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it: always."""
        return True


ListenAddress = Address | UnixAddress


#: A name or number as resolvers take them, in ASCII; IPv6 with or without brackets, a zone behind `%`.
_HOST: Final = re.compile(r"\[?[A-Za-z0-9._:%-]+\]?")


def tcp_address(value: object) -> Address:
    """An address, or the text of one. Raises ValueError."""
    if isinstance(value, Address):
        return value
    if isinstance(value, str):
        host, separator, port = value.rpartition(":")
        if separator and _HOST.fullmatch(host) and port.isascii() and port.isdigit() and int(port) < 65536:
            return Address(host.strip("[]"), int(port))
    raise ValueError("must be HOST:PORT, such as 127.0.0.1:8100")


def listen_addresses(value: object) -> ListenAddress | tuple[ListenAddress, ...]:
    """One address, or several from a list or a text with commas, without repetition. Raises ValueError."""
    if isinstance(value, str) and "," in value:
        value = [part.strip() for part in value.split(",")]
    if not isinstance(value, list | tuple) or isinstance(value, Address | UnixAddress):
        return _listen_address(value)
    several = tuple(_listen_address(one) for one in cast("list[Any]", value))
    if not several:
        raise ValueError("must name at least one address")
    named = [one for one in several if not (isinstance(one, Address) and one.port == 0)]
    if len(set(named)) < len(named):
        raise ValueError("names an address twice")
    return several


def _listen_address(value: object) -> ListenAddress:
    if isinstance(value, UnixAddress):
        return value
    if not isinstance(value, str) or not value.startswith(_UNIX):
        try:
            return tcp_address(value)
        except ValueError:
            raise ValueError("must be HOST:PORT, such as 127.0.0.1:8100, or unix:/PATH, or a list of these") from None
    path = value.removeprefix(_UNIX)
    if not path.startswith("/") or path.endswith("/") or "\0" in path:
        raise ValueError("the path of a unix socket must be absolute, such as unix:/run/switchback/llm.sock")
    if len(path.encode()) > _MAX_PATH_BYTES:
        raise ValueError(f"the path of a unix socket has at most {_MAX_PATH_BYTES} bytes")
    return UnixAddress(path)


def http_url(text: str) -> SplitResult | None:
    """The parts of a URL that a request can be sent to: http or https, with a host as resolvers take them; None for any other text."""
    try:
        parts = urlsplit(text)
        host = parts.hostname if parts.port != 0 else None
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or host is None or not _HOST.fullmatch(host) or " " in parts.netloc:
        return None
    return parts


def url_of(address: ListenAddress, *, is_tls: bool = False) -> str:
    """What clients call it: an origin, or `unix:/PATH`."""
    if isinstance(address, Address):
        return f"{'https' if is_tls else 'http'}://{address}"
    return str(address)

"""Whether and through which forward proxy an origin is reached: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY.

Pure: the environment is passed in by the composition root. Lower-case names win, as in curl. Loopback is never proxied, as
in Go's net/http. `dial.py` speaks to the proxy.
"""

import base64
import ipaddress
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from proxy.http1.origin import Origin


@dataclass(frozen=True, slots=True)
class ForwardProxy:
    """A plain-HTTP forward proxy. `authorization` is a whole header value, kept out of repr."""

    host: str
    port: int
    authorization: bytes | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> "ForwardProxy":
        """From `http://[user:password@]host[:port]` (the scheme may be left out). Raises ValueError."""
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme != "http" or not parts.hostname or parts.path not in ("", "/") or parts.query:
            raise ValueError("a proxy looks like http://host:port")
        authorization = None
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            authorization = b"Basic " + base64.b64encode(pair.encode())
        return cls(parts.hostname, parts.port or 80, authorization)


@dataclass(frozen=True, slots=True)
class Egress:
    """The forward proxies by scheme, and the hosts that are reached without."""

    https: ForwardProxy | None = None
    http: ForwardProxy | None = None
    no_proxy: tuple[str, ...] = ()

    def proxy_for(self, origin: Origin) -> ForwardProxy | None:
        """The proxy to use for this origin, or None for a direct connection."""
        proxy = self.https if origin.is_tls else self.http
        if proxy is None or _is_loopback(origin.host):
            return None
        return None if any(_matches(rule, origin) for rule in self.no_proxy) else proxy

    def plain_proxy_for(self, origin: Origin) -> ForwardProxy | None:
        """The proxy that takes requests for this origin in absolute form; none for TLS, which is tunnelled."""
        return None if origin.is_tls else self.proxy_for(origin)


def egress_from_environment(environ: Mapping[str, str]) -> Egress:
    """Read the usual variables. Raises ValueError that names the variable and does not show its value."""

    def proxy(*names: str) -> ForwardProxy | None:
        for name in names:
            for spelling in (name.lower(), name):
                if value := environ.get(spelling, "").strip():
                    try:
                        return ForwardProxy.parse(value)
                    except ValueError:
                        raise ValueError(f"{spelling}: a proxy looks like http://host:port") from None
        return None

    rules = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    return Egress(
        https=proxy("HTTPS_PROXY", "ALL_PROXY"),
        http=proxy("HTTP_PROXY", "ALL_PROXY"),
        no_proxy=tuple(rule for part in rules.split(",") if (rule := part.strip().lower())),
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def _matches(rule: str, origin: Origin) -> bool:
    """`*`, a host or `.suffix` (subdomains included), an address or network; each but networks with `:port`."""
    if rule == "*":
        return True
    with suppress(ValueError):
        network = ipaddress.ip_network(rule, strict=False)
        with suppress(ValueError):
            return ipaddress.ip_address(origin.host) in network
        return False
    name, _, port = rule.partition(":")
    if port and port != str(origin.port):
        return False
    name = name.removeprefix("*").lstrip(".")
    return origin.host == name or origin.host.endswith("." + name)

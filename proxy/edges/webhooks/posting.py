"""One webhook request: its own connection, no redirect followed, no address but a public one unless the endpoint allows others.

Which address is asked is decided after the name was resolved, on the address that is then connected to, so that a name that resolves to
something else the second time gains nothing. Why a request failed is told without its URL.
"""

import ipaddress
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from proxy.runtime.webhooks.endpoints import Endpoint, PostFailed

_GONE: Final = 410
#: Prefixes that carry an IPv4 address inside, whose reach is that of the inner one.
_CARRIERS: Final = tuple(ipaddress.ip_network(prefix) for prefix in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16"))


class _NotPublic(OSError):
    """No address of the host may be asked."""


def is_public(address: str) -> bool:
    """Whether an address is one of the internet, and no tunnel to another."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        elif found.teredo is not None or any(found in network for network in _CARRIERS):
            return False
    return found.is_global and not found.is_multicast


class _PublicResolver(AbstractResolver):
    """Resolves names to those of their addresses that are public."""

    def __init__(self) -> None:
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:  # type: ignore[override]
        found = await self._resolver.resolve(host, port, family)  # type: ignore[arg-type]
        allowed = [one for one in found if is_public(one["host"])]
        if not allowed:
            raise _NotPublic
        return allowed

    async def close(self) -> None:
        await self._resolver.close()


class HttpPosting:
    """Implements Posting."""

    async def post(self, endpoint: Endpoint, headers: dict[str, str], body: bytes) -> None:
        """Returns when the endpoint answered with a 2xx. Raises PostFailed."""
        host = urlsplit(endpoint.url).hostname or ""
        if not endpoint.allow_private and _is_literal(host) and not is_public(host):
            raise PostFailed(_why_not_public())
        resolver = None if endpoint.allow_private else _PublicResolver()
        timeout = aiohttp.ClientTimeout(total=endpoint.timeout_seconds)
        connector = aiohttp.TCPConnector(resolver=resolver, force_close=True, use_dns_cache=False)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
                session.post(endpoint.url, data=body, headers=headers, allow_redirects=False) as answer,
            ):
                status = answer.status
        except TimeoutError:
            raise PostFailed(f"did not answer within {endpoint.timeout_seconds:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise PostFailed(_why_not_public() if _was_not_public(error) else _why_not_reached(error)) from None
        if not 200 <= status < 300:
            raise PostFailed(f"answered {status}", is_final=status == _GONE)


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _was_not_public(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, _NotPublic) or isinstance(getattr(error, "os_error", None), _NotPublic):
            return True
        error = error.__cause__
    return False


def _why_not_public() -> str:
    return "its host has no public address; allow_private lets it be asked"


def _why_not_reached(error: BaseException) -> str:
    return f"cannot be reached ({type(error).__name__})"

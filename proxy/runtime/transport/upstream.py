"""The only module that calls a provider: http1's client behind the conductor's view, and what its errors mean to a caller.

Codes a client can see: `upstream_unreachable` (502, SDKs may retry), `upstream_timeout` (504, not retried: the model may have
run), `upstream_broken` (502, the provider broke the protocol), `upstream_redirect` (502). The reply channel that comes down
here is always http1's own: the conductor only knows less of it. The same holds for the answer that goes up.
"""

from collections.abc import Awaitable
from typing import Final, cast

from proxy.core.errors import UpstreamFailed
from proxy.http1.reply import HttpReply
from proxy.http1.upstream import ClientGone, Origin, UpstreamClient, UpstreamError
from proxy.runtime.providers import Provider
from proxy.runtime.transport.exchange import Answer, Reply
from proxy.wires.wire import Headers

__all__ = ["ClientGone", "ProviderFailed", "Upstream", "UpstreamError", "may_try_again"]

_UNREACHABLE: Final = frozenset(
    {"dns", "connect_refused", "connect_timeout", "connect_failed", "tls", "pool_exhausted"}
)
_TIMEOUTS: Final = frozenset({"first_byte_timeout", "idle_timeout", "write_timeout"})
_SAFE_METHODS: Final = frozenset({"GET", "HEAD"})


def may_try_again(error: UpstreamError | ClientGone, method: str) -> bool:
    """Whether a call that failed so may be sent once more, as an attempt of its own: the provider cannot have begun it, or, on a
    kept connection that broke without a byte of an answer, its method changes nothing (RFC 9110 §9.2.1)."""
    if not isinstance(error, UpstreamError):
        return False
    return error.reason == "stale" or (error.connection_kept and method in _SAFE_METHODS)


class ProviderFailed(UpstreamFailed):
    """A provider could not be reached or broke off. `reason` is http1's."""

    def __init__(self, provider: str, error: UpstreamError) -> None:
        self.provider = provider
        self.reason = error.reason
        if error.reason in _UNREACHABLE:
            code, status, what = "upstream_unreachable", 502, "could not be reached"
        elif error.reason in _TIMEOUTS:
            code, status, what = "upstream_timeout", 504, "did not answer in time"
        else:
            code, status, what = "upstream_broken", 502, "broke off or answered with broken HTTP"
        super().__init__(code, f"the provider {provider!r} {what} ({error.reason})", status=status)


class Upstream:
    """Sends calls to providers."""

    def __init__(self, client: UpstreamClient) -> None:
        self._client = client
        self._origins: dict[str, Origin] = {}

    def send(
        self, provider: Provider, method: str, target: bytes, headers: Headers, body: bytes, reply: Reply, *, anew: bool
    ) -> Awaitable[Answer]:
        """Send one attempt for the client behind `reply`, `anew` on a new connection; what is awaited is the answer, whose head is
        there then.

        Awaiting it raises UpstreamError, ClientGone (the provider's connection is closed at once)."""
        origin = self._origins.get(provider.origin)
        if origin is None:
            origin = self._origins[provider.origin] = Origin.parse(provider.origin)
        answer = self._client.send(origin, method, target, headers, body, cast("HttpReply", reply), anew=anew)
        return cast("Awaitable[Answer]", answer)

    async def close(self) -> None:
        await self._client.close()

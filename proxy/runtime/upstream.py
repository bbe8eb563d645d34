"""The only module that calls a provider: http1's client behind the conductor's view, its errors translated once.

Codes a client can see: `upstream_unreachable` (502, SDKs may retry), `upstream_timeout` (504, not retried: the model may have
run), `upstream_broken` (502, the provider broke the protocol), `upstream_redirect` (502). The reply channel that comes down here is always http1's own: the conductor only knows less of it.
"""

from collections.abc import Callable
from typing import Final, cast

from proxy.core.errors import UpstreamFailed
from proxy.http1.reply import Reply as Http1Reply
from proxy.http1.upstream import Answer as Http1Answer
from proxy.http1.upstream import ClientGone, Origin, UpstreamClient, UpstreamError
from proxy.runtime.exchange import ClientLeft, Headers, Reply
from proxy.runtime.providers import Provider

_UNREACHABLE: Final = frozenset(
    {"dns", "connect_refused", "connect_timeout", "connect_failed", "tls", "pool_exhausted"}
)
_TIMEOUTS: Final = frozenset({"first_byte_timeout", "idle_timeout", "write_timeout"})


class ProviderFailed(UpstreamFailed):
    """A provider could not be reached or broke off. `reason` is http1's; `request_sent`: it may have begun to work."""

    def __init__(self, provider: str, error: UpstreamError) -> None:
        self.provider = provider
        self.reason = error.reason
        self.request_sent = error.request_sent
        if error.reason in _UNREACHABLE:
            code, status, what = "upstream_unreachable", 502, "could not be reached"
        elif error.reason in _TIMEOUTS:
            code, status, what = "upstream_timeout", 504, "did not answer in time"
        else:
            code, status, what = "upstream_broken", 502, "broke off or answered with broken HTTP"
        super().__init__(code, f"the provider {provider!r} {what} ({error.reason})", status=status)


class ProviderAnswer:
    """One answer of a provider, with its failures named."""

    __slots__ = ("_answer", "_provider", "headers", "status")

    def __init__(self, provider: str, answer: Http1Answer) -> None:
        self._provider = provider
        self._answer = answer
        self.status = answer.status
        self.headers = answer.headers

    def whole(self) -> bytes | None:
        """The body, where all of it came with the head."""
        return self._answer.whole()

    async def read(self, limit_bytes: int | None = None) -> bytes:
        """The whole body. Raises ProviderFailed, ClientLeft."""
        try:
            return await self._answer.read(limit_bytes)
        except UpstreamError as error:
            raise ProviderFailed(self._provider, error) from error
        except ClientGone as gone:
            raise ClientLeft(request_sent=gone.request_sent) from gone

    async def relay(self, reply: Reply, tap: Callable[[bytes], bytes] | None, begun: Callable[[], None]) -> None:
        """Pass the body on as it comes. Raises ProviderFailed, ClientLeft."""
        try:
            await self._answer.relay(cast("Http1Reply", reply), tap, begun)
        except UpstreamError as error:
            raise ProviderFailed(self._provider, error) from error
        except ClientGone as gone:
            raise ClientLeft(request_sent=gone.request_sent) from gone

    def close(self) -> None:
        """Break off; the provider's connection is closed."""
        self._answer.close()


class Upstream:
    """Sends calls to providers."""

    def __init__(self, client: UpstreamClient) -> None:
        self._client = client
        self._origins: dict[str, Origin] = {}

    async def send(
        self, provider: Provider, method: str, target: bytes, headers: Headers, body: bytes, reply: Reply
    ) -> ProviderAnswer:
        """Send one attempt for the client behind `reply`; returns when the answer's head is there.

        Raises ProviderFailed, ClientLeft (the provider's connection is closed at once)."""
        origin = self._origins.get(provider.base_url)
        if origin is None:
            origin = self._origins[provider.base_url] = Origin.parse(provider.base_url)
        try:
            answer = await self._client.send(origin, method, target, headers, body, cast("Http1Reply", reply))
        except UpstreamError as error:
            raise ProviderFailed(provider.name, error) from error
        except ClientGone as gone:
            raise ClientLeft(request_sent=gone.request_sent) from gone
        return ProviderAnswer(provider.name, answer)

    async def close(self) -> None:
        await self._client.close()

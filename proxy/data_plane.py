"""The data path of one process, put together from settings: what a server of one process and a worker have in common.

Knows the concrete wires and http1; knows no store and no admin API. Whose snapshot, ledger and recorder it works with is the
business of its two users, `server.py` and `worker.py`.
"""

import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from proxy.core.spend import FREE, Price
from proxy.http1.egress import egress_from_environment
from proxy.http1.limits import ListenerLimits, UpstreamLimits
from proxy.http1.listener import Listener
from proxy.http1.upstream import UpstreamClient
from proxy.runtime.clock import Clock, Identifiers
from proxy.runtime.conversations import Conversations
from proxy.runtime.live_snapshot import LiveSnapshot
from proxy.runtime.metrics import Metrics
from proxy.runtime.prices import PriceBook, override_price
from proxy.runtime.providers import Provider, Providers
from proxy.runtime.recorder import Recorder
from proxy.runtime.request_path import PathOptions, PathParts, RequestPath
from proxy.runtime.routing import Routes
from proxy.runtime.spend_ledger import Ledger
from proxy.runtime.upstream import Upstream
from proxy.settings import PriceSettings, Settings
from proxy.wires.anthropic_messages import AnthropicMessages
from proxy.wires.openai_chat import OpenAIChat

#: Every wire the proxy speaks; the first of a family renders the paths no wire meters.
WIRES = (OpenAIChat(), AnthropicMessages())


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPlaneParts:
    """What differs between a whole server and a worker."""

    live: LiveSnapshot
    ledger: Ledger
    recorder: Recorder
    conversations: Conversations
    metrics: Metrics
    providers: Providers
    prices: PriceBook
    clock: Clock
    identifiers: Identifiers
    on_error: Callable[[BaseException], None]


class DataPlane:
    """Takes calls and serves them."""

    def __init__(self, settings: Settings, parts: DataPlaneParts) -> None:
        timeouts = settings.timeouts
        limits = UpstreamLimits(
            connect_seconds=timeouts.connect_seconds,
            first_byte_seconds=timeouts.first_byte_seconds,
            idle_seconds=timeouts.stream_idle_seconds,
        )
        self._upstream = Upstream(UpstreamClient(limits, egress=egress_from_environment(os.environ)))
        self._drain_seconds = timeouts.drain_seconds
        self.request_path = RequestPath(
            PathParts(
                live=parts.live,
                routes=Routes(WIRES),
                providers=parts.providers,
                prices=parts.prices,
                ledger=parts.ledger,
                upstream=self._upstream,
                recorder=parts.recorder,
                metrics=parts.metrics,
                conversations=parts.conversations,
                clock=parts.clock,
                identifiers=parts.identifiers,
                on_error=parts.on_error,
            ),
            PathOptions(
                default_agent=settings.default_agent,
                passes_unassigned=settings.unassigned == "pass",
                output_ceiling=settings.limits.max_output_tokens,
            ),
        )
        self._listener = Listener(
            self.request_path.handle,
            ListenerLimits(body_bytes=settings.limits.body_bytes, connections=settings.limits.connections),
            parts.on_error,
        )

    async def listen(self, host: str, port: int) -> tuple[str, int]:
        """Take calls from now on; where. Raises OSError."""
        await self._listener.start(host, port)
        return self._listener.addresses[0][:2]

    async def listen_on(self, sockets: Sequence[socket.socket]) -> None:
        """Take calls from now on, on sockets that are bound. Raises OSError."""
        for sock in sockets:
            await self._listener.start_sock(sock)

    async def drain(self) -> None:
        """Take no more calls; returns when the running ones are finished, or broken off at the drain deadline."""
        await self._listener.drain(self._drain_seconds)

    async def close(self) -> None:
        """Close the connections to providers."""
        await self._upstream.close()


def providers_of(settings: Settings) -> Providers:
    """The providers of the settings."""
    return Providers(
        [
            Provider(
                name=name,
                family=provider.wire,
                base_url=provider.base_url,
                api_key=None if provider.api_key is None else provider.api_key.get_secret_value(),
            )
            for name, provider in settings.providers.items()
        ]
    )


def prices_of(settings: Settings, clock: Clock) -> PriceBook:
    """The price library with the overrides of the settings."""
    return PriceBook({name: _price(name, price) for name, price in settings.prices.items()}, clock)


def _price(name: str, price: PriceSettings | str) -> Price:
    if isinstance(price, str):
        return FREE
    return override_price(
        name,
        input_mtok=price.input,
        output_mtok=price.output,
        cached_mtok=price.cached,
        cache_write_mtok=price.cache_write,
        context_window=price.context_window,
    )

"""The data path of one process, put together from settings: what a server of one process and a worker have in common.

Knows the concrete wires and http1; knows no store and no admin API. Whose snapshot, ledger and recorder it works with is the
business of its two users, `server.py` and `worker.py`.
"""

import os
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from proxy.core.addresses import Address, ListenAddress, UnixAddress
from proxy.core.spending.prices import FREE, Price
from proxy.http1.egress import egress_from_environment
from proxy.http1.limits import ListenerLimits, UpstreamLimits
from proxy.http1.listener import Listener
from proxy.http1.sockets import bind_unix
from proxy.http1.tls import ServerCertificate
from proxy.http1.upstream import UpstreamClient
from proxy.runtime.calls.conversations import Conversations
from proxy.runtime.calls.request_path import PathOptions, PathParts, RequestPath
from proxy.runtime.calls.routing import Routes
from proxy.runtime.process.certificate_watch import CertificateWatch
from proxy.runtime.process.clock import Clock, Identifiers
from proxy.runtime.process.descriptors import TURNED_AWAY, connections_within_limits
from proxy.runtime.process.event_line import event_line
from proxy.runtime.providers import Provider, Providers
from proxy.runtime.spending.holding import Ledger
from proxy.runtime.spending.prices import PriceBook, override_price
from proxy.runtime.state.live_snapshot import LiveSnapshot
from proxy.runtime.telemetry.metrics import Metrics
from proxy.runtime.telemetry.recorder import Recorder
from proxy.runtime.transport.upstream import Upstream
from proxy.runtime.validation.judging_process import JudgeProgram
from proxy.runtime.validation.validation import Validation
from proxy.settings import PriceSettings, Settings, TlsSettings
from proxy.wires.every_wire import WIRES
from proxy.wires.shared.request_bounds import RequestBounds
from proxy.wires.wire import Wire

__all__ = [
    "JUDGE",
    "DataPlane",
    "DataPlaneParts",
    "bind_unix",
    "certificate_of",
    "limited_connections",
    "prices_of",
    "providers_of",
]

#: What judges finished answers, in a process of its own, and where it is found.
JUDGE = JudgeProgram("proxy.judge", Path(__file__).parent.parent)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPlaneParts:
    """What differs between a whole server and a worker."""

    live: LiveSnapshot
    ledger: Ledger
    recorder: Recorder
    conversations: Conversations
    validation: Validation
    metrics: Metrics
    providers: Providers
    prices: PriceBook
    clock: Clock
    identifiers: Identifiers
    on_error: Callable[[BaseException], None]
    #: Descriptors that this process keeps for the admin API.
    admin_connections: int = 0


class DataPlane:
    """Takes calls and serves them."""

    def __init__(self, settings: Settings, parts: DataPlaneParts) -> None:
        timeouts = settings.timeouts
        self.wanted_connections = settings.limits.connections
        #: How many clients may be connected at once: what the settings say, or what open files allow.
        self.connections = connections_within_limits(self.wanted_connections, parts.admin_connections)
        limits = UpstreamLimits(
            connect_seconds=timeouts.connect_seconds,
            first_byte_seconds=timeouts.first_byte_seconds,
            idle_seconds=timeouts.stream_idle_seconds,
            # A client needs one at a time.
            connections=self.connections,
        )
        self._upstream = Upstream(UpstreamClient(limits, egress=egress_from_environment(os.environ)))
        self._drain_seconds = timeouts.drain_seconds
        self._certificate = certificate_of(settings.tls)
        self.request_path = RequestPath(
            PathParts(
                live=parts.live,
                routes=Routes(wires(settings), parts.providers.takes_unknown),
                providers=parts.providers,
                prices=parts.prices,
                ledger=parts.ledger,
                upstream=self._upstream,
                recorder=parts.recorder,
                metrics=parts.metrics,
                conversations=parts.conversations,
                validation=parts.validation,
                clock=parts.clock,
                identifiers=parts.identifiers,
                on_error=parts.on_error,
            ),
            PathOptions(
                default_agent=settings.default_agent,
                prompt_ids=settings.prompt_ids,
                passes_unassigned=settings.unassigned == "pass",
                output_ceiling=settings.limits.max_output_tokens,
                body_bytes=settings.limits.body_bytes,
                origins=settings.cors.origins,
            ),
        )
        self._listener = Listener(
            self.request_path.handle,
            ListenerLimits(
                body_bytes=settings.limits.body_bytes,
                buffered_bytes=settings.limits.buffered_bytes,
                connections=self.connections,
                turned_away=TURNED_AWAY,
                header_seconds=timeouts.request_head_seconds,
                body_idle_seconds=timeouts.request_body_idle_seconds,
                body_total_seconds=timeouts.request_body_seconds,
                keep_alive_seconds=timeouts.keep_alive_seconds,
                no_progress_seconds=timeouts.slow_reader_seconds,
            ),
            parts.on_error,
            self.request_path.refuse_unread,
        )

    @property
    def _tls(self) -> ssl.SSLContext | None:
        return None if self._certificate is None else self._certificate.context

    async def listen(self, addresses: Sequence[ListenAddress]) -> list[ListenAddress]:
        """Take calls from now on; where, ports as they came out. Raises OSError."""
        for address in addresses:
            if isinstance(address, UnixAddress):
                await self._listener.start_unix(address.path)
            else:
                await self._listener.start(*address, tls=self._tls)
        return [
            UnixAddress(name) if isinstance(name, str) else Address(name[0], name[1])
            for name in self._listener.addresses
        ]

    async def listen_on(self, sockets: Sequence[socket.socket]) -> None:
        """Take calls from now on, on sockets that are bound. Raises OSError."""
        for sock in sockets:
            await self._listener.start_sock(sock, tls=self._tls)

    async def renew_certificate(self, write_log: Callable[[bytes], object], clock: Clock) -> None:
        """Show a renewed certificate as soon as its files hold it; until cancelled. Returns at once where there is no TLS."""
        if self._certificate is not None:
            await CertificateWatch(self._certificate, write_log, clock).run()

    async def drain(self) -> None:
        """Take no more calls; returns when the running ones are finished, or broken off at the drain deadline."""
        await self._listener.drain(self._drain_seconds, self.request_path.stop)

    async def close(self) -> None:
        """Close the connections to providers."""
        await self._upstream.close()


def wires(settings: Settings) -> tuple[Wire, ...]:
    """Every wire, with the bounds of the settings."""
    bounds = RequestBounds(messages=settings.limits.messages, tools=settings.limits.tools)
    return tuple(wire(bounds) for wire in WIRES)


def limited_connections(plane: DataPlane, clock: Clock) -> bytes | None:
    """The log line that says that open files allow fewer clients than the settings; None where they do not."""
    if plane.connections == plane.wanted_connections:
        return None
    return event_line(
        clock.now_microseconds(),
        "warning",
        "connections_limited",
        reason="this process may not open more files (ulimit -n)",
        wanted=plane.wanted_connections,
        connections=plane.connections,
    )


def certificate_of(tls: TlsSettings) -> ServerCertificate | None:
    """What a listener with these settings shows; None where it speaks plain HTTP. Raises OSError."""
    if tls.certificate is None:
        return None
    return ServerCertificate(str(tls.certificate), None if tls.key is None else str(tls.key))


def providers_of(settings: Settings) -> Providers:
    """The providers of the settings."""
    return Providers(
        [
            Provider(
                name=name,
                family=provider.wire,
                base_url=provider.base_url,
                api_key=None if provider.api_key is None else provider.api_key.get_secret_value(),
                takes_unknown_paths=provider.unknown_paths == "pass",
                needs_key=provider.needs_key,
                takes_stream_options=provider.stream_options,
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
        cache_write_1h_mtok=price.cache_write_1h,
        audio_input_mtok=price.audio_input,
        audio_output_mtok=price.audio_output,
        image_output_mtok=price.image_output,
        web_search_thousand=price.web_search,
        file_search_thousand=price.file_search,
        context_window=price.context_window,
    )

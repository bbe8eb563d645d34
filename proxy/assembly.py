"""What the parts of a process are put together from, and its data half: shared by server, workers, tests and benchmarks.

Knows settings, the concrete wires and http1; knows no store and no admin API, which a worker does not load. The other half is
control_half.py. Whose snapshot, ledger and recorder calls are served with is said by whoever asks for the data half.
"""

import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from proxy import __version__
from proxy.core.spending.prices import FREE, Price
from proxy.data_plane import DataPlane
from proxy.http1.egress import egress_from_environment
from proxy.http1.limits import ListenerLimits, UpstreamLimits
from proxy.http1.listener import Listener
from proxy.http1.nobody import Nobody
from proxy.http1.tls import ServerCertificate
from proxy.http1.upstream import UpstreamClient
from proxy.runtime.calls.conversations import Conversations
from proxy.runtime.calls.path_parts import CopiesNothing, PathOptions, PathParts
from proxy.runtime.calls.request_path import RequestPath
from proxy.runtime.calls.routing import Routes
from proxy.runtime.own_calls.drill_calls import DrillCaller
from proxy.runtime.own_calls.shadow_copies import ShadowCopies
from proxy.runtime.process.clock import Clock, Identifiers, SystemClock
from proxy.runtime.process.descriptors import TURNED_AWAY, connections_within_limits
from proxy.runtime.process.error_log import ErrorLog
from proxy.runtime.process.event_line import event_line
from proxy.runtime.process.tasks import TaskSet
from proxy.runtime.providers import Provider, Providers
from proxy.runtime.spending.holding import Ledger
from proxy.runtime.spending.prices import PriceBook, override_price
from proxy.runtime.state.live_snapshot import LiveSnapshot
from proxy.runtime.telemetry.metrics import Metrics
from proxy.runtime.telemetry.recorder import Recorder
from proxy.runtime.transport.upstream import Upstream
from proxy.runtime.validation.judging_process import JudgeProgram
from proxy.runtime.validation.kept_answer import AnswerRoom
from proxy.runtime.validation.validation import RunVerdict, Validation
from proxy.settings import PriceSettings, Settings, TlsSettings
from proxy.wires.every_wire import WIRES
from proxy.wires.shared.request_bounds import RequestBounds
from proxy.wires.wire import Wire

#: What judges finished answers, in a process of its own, and where it is found.
JUDGE = JudgeProgram("proxy.judge", Path(__file__).parent.parent)


#: What the calls of a drill may hold beside their bodies; they are a few bytes each.
_DRILL_ROOM_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Foundation:
    """What everything in one process stands on."""

    clock: Clock
    identifiers: Identifiers
    metrics: Metrics
    #: Takes whole JSON lines.
    log: Callable[[bytes], object]
    on_error: Callable[[BaseException], None]
    tasks: TaskSet
    #: Of the program.
    version: str

    def tell(self, event: str, **members: object) -> None:
        """A line in the log about something that is not as it should be."""
        self.log(event_line(self.clock.now_microseconds(), "warning", event, **members))


def foundation(log: Callable[[bytes], object]) -> Foundation:
    """Of this process, with the machine's clock."""
    clock = SystemClock()
    on_error = ErrorLog(log, clock)
    return Foundation(
        clock=clock,
        identifiers=Identifiers(clock, secrets.randbits(40)),
        metrics=Metrics(__version__),
        log=log,
        on_error=on_error,
        tasks=TaskSet(on_error),
        version=__version__,
    )


def validation(on: Foundation, judged: Callable[[RunVerdict], None]) -> Validation:
    """What has finished answers judged; `judged` gets each verdict."""
    return Validation(JUDGE, on.metrics, judged, on.tell, on.on_error)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataParts:
    """What differs between a whole server and a worker."""

    live: LiveSnapshot
    ledger: Ledger
    recorder: Recorder
    conversations: Conversations
    validation: Validation
    providers: Providers
    prices: PriceBook
    #: Descriptors that this process keeps for the admin API.
    admin_connections: int = 0
    #: Who calls providers; None: as the settings and the environment say.
    upstream: UpstreamClient | None = None


def data_half(on: Foundation, settings: Settings, parts: DataParts) -> DataPlane:
    """What takes calls and serves them. Raises OSError where the certificate cannot be read."""
    wanted = settings.limits.connections
    connections = connections_within_limits(wanted, parts.admin_connections)
    upstream = Upstream(parts.upstream or _upstream_client(settings, connections))
    spoken = wires(settings)
    without_copies = PathParts(
        live=parts.live,
        routes=Routes(
            spoken, parts.providers.takes_unknown, has_deployments=parts.providers.with_deployments is not None
        ),
        providers=parts.providers,
        prices=parts.prices,
        ledger=parts.ledger,
        upstream=upstream,
        recorder=parts.recorder,
        metrics=on.metrics,
        conversations=parts.conversations,
        validation=parts.validation,
        copies=CopiesNothing(),
        clock=on.clock,
        identifiers=on.identifiers,
        on_error=on.on_error,
    )
    options = PathOptions(
        default_agent=settings.default_agent,
        prompt_ids=settings.prompt_ids,
        passes_unassigned=settings.unassigned == "pass",
        output_ceiling=settings.limits.max_output_tokens,
        body_bytes=settings.limits.body_bytes,
        origins=settings.cors.origins,
    )
    copies = ShadowCopies(
        without_copies, options, Metrics(__version__), on.tasks, Nobody(settings.limits.buffered_bytes).reply
    )
    path_parts = replace(without_copies, copies=copies)
    request_path = RequestPath(path_parts, options)
    limits = _listener_limits(settings, connections)
    return DataPlane(
        request_path=request_path,
        copies=copies,
        drill_caller=_drill_caller(path_parts, options, spoken),
        listener=Listener(request_path.handle, limits, on.on_error, request_path.refuse_unread),
        upstream=upstream,
        certificate=certificate_of(settings.tls),
        drain_seconds=settings.timeouts.drain_seconds,
        wanted_connections=wanted,
        connections=connections,
    )


def _drill_caller(path_parts: PathParts, options: PathOptions, spoken: Sequence[Wire]) -> DrillCaller:
    """What makes the calls of drills: seen in no metric, and judged by nobody."""
    metrics = Metrics(__version__)
    unjudged = Validation(JUDGE, metrics, _unheard, _unheard, path_parts.on_error, AnswerRoom(0))
    return DrillCaller(path_parts, options, spoken, metrics, unjudged, Nobody(_DRILL_ROOM_BYTES).reply)


def _unheard(*_: object, **__: object) -> None:
    """Nobody is told."""


def wires(settings: Settings) -> tuple[Wire, ...]:
    """Every wire, with the bounds of the settings."""
    limits = settings.limits
    bounds = RequestBounds(messages=limits.messages, tools=limits.tools, structure_bytes=limits.structure_bytes)
    return tuple(wire(bounds) for wire in WIRES)


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
                named_dialect=provider.dialect,
                deployments=provider.deployments,
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


def _upstream_client(settings: Settings, connections: int) -> UpstreamClient:
    limits = UpstreamLimits(
        connect_seconds=settings.timeouts.connect_seconds,
        first_byte_seconds=settings.timeouts.first_byte_seconds,
        idle_seconds=settings.timeouts.stream_idle_seconds,
        # A client needs one at a time.
        connections=connections,
    )
    return UpstreamClient(limits, egress=egress_from_environment(os.environ))


def _listener_limits(settings: Settings, connections: int) -> ListenerLimits:
    timeouts = settings.timeouts
    return ListenerLimits(
        body_bytes=settings.limits.body_bytes,
        buffered_bytes=settings.limits.buffered_bytes,
        connections=connections,
        turned_away=TURNED_AWAY,
        header_seconds=timeouts.request_head_seconds,
        body_idle_seconds=timeouts.request_body_idle_seconds,
        body_total_seconds=timeouts.request_body_seconds,
        keep_alive_seconds=timeouts.keep_alive_seconds,
        no_progress_seconds=timeouts.slow_reader_seconds,
    )

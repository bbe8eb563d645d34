"""Every bound of this layer, as values: bytes, counts, and deadlines in seconds.

Deadlines are kept by one periodic sweep per listener and per client, not by timers of their own, so they fire up to a
quarter of the shortest one (at most a second) late. Where a default comes from is said beside it.
"""

from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class ListenerLimits:
    """Bounds on what clients may send, hold open and leave unread."""

    request_line_bytes: int = 8 * 1024
    header_bytes: int = 32 * 1024
    header_count: int = 100
    body_bytes: int = 32 * 1024 * 1024
    buffered_bytes: int = 512 * 1024 * 1024
    """Of all bodies together, those of calls under way included."""
    pipelined_calls: int = 16
    connections: int = 10_000
    turned_away: int = 16
    """Connections beyond `connections` that may hold a descriptor while they are told so; the oldest are cut."""
    write_buffer_bytes: int = 32 * 1024
    """High water of a client's send buffer, as Envoy's edge settings: above it the reply is not writable."""
    header_seconds: float = 10.0
    body_idle_seconds: float = 30.0
    body_total_seconds: float = 300.0
    keep_alive_seconds: float = 75.0
    no_progress_seconds: float = 60.0
    """A client that takes no byte for this long while some are waiting is dropped."""
    linger_seconds: float = 2.0
    """After a refusal input is read and thrown away for this long, so that the refusal is not lost to a reset."""


@dataclass(frozen=True, slots=True)
class UpstreamLimits:
    """Bounds on connections to upstream servers and on their answers."""

    connect_seconds: float = 5.0
    """Name resolution, TCP, proxy CONNECT and TLS together."""
    first_byte_seconds: float = 600.0
    """From sending the request to the complete head of the answer."""
    idle_seconds: float = 300.0
    """Silence inside a body, not counted while the reader is the one who pauses."""
    write_no_progress_seconds: float = 60.0
    drain_seconds: float = 0.25
    """For the end of an answer that nobody waits for any more, so that its connection can be used again. Providers let it follow
    their last event at once; a new connection costs about as long."""
    pool_idle_seconds: float = 15.0
    """Shorter than common servers' keep-alive, so that stale connections are rare."""
    connection_age_seconds: float = 600.0
    """A connection older than this is not used again: bounds how long a changed DNS answer goes unseen."""
    connections_per_origin: int = 10_000
    connections: int = 20_000
    """Of all origins: beyond it the one that has been idle longest makes room."""
    header_bytes: int = 32 * 1024
    header_count: int = 256
    interim_answers: int = 64
    unclaimed_bytes: int = 256 * 1024
    """How much of a body is buffered before somebody reads or relays it."""
    address_delay_seconds: float = 0.25
    """RFC 8305 §8: the connection attempt delay between addresses."""


def sweep_seconds(limits: ListenerLimits | UpstreamLimits) -> float:
    """The interval of the sweep: a second, or a quarter of the shortest deadline if that is less."""
    values: list[Any] = [getattr(limits, field.name) for field in fields(limits) if field.name.endswith("_seconds")]
    return min(1.0, *(value / 4 for value in values if value > 0))

"""Ends calls before their answer is complete, because a switch says so or the process ends.

A client that has part of a stream gets the wire's own error event, where one fits between two events, and then a broken
connection, never a clean end; one that has nothing yet is refused like any other (the conductor does that once its task
is awake). The provider's connection is closed at once in both cases.
"""

from typing import Final

from proxy.core.errors import Unavailable
from proxy.runtime.calls.flight import Cut, Flight

STOPPED: Final = Cut(
    Unavailable("proxy_stopped", "the proxy was stopped before this call was finished; try again"),
    "error",
    "proxy_stopped",
)
"""The end of a drain."""


def break_off(flight: Flight, cut: Cut) -> None:
    """Stop the call now. Its task settles and records it. A stream that has had its last event ends as it would have."""
    if flight.has_stream_ended():
        flight.reply.interrupt()
        return
    flight.cut = cut
    reply = flight.reply
    if not reply.started:
        reply.interrupt()
        return
    if flight.takes_events and flight.stream is not None and flight.route is not None and flight.stream.takes_event:
        reply.write(flight.route.wire.error_event(cut.refusal, flight.run_id))
    reply.abort()

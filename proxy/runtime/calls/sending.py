"""What goes to the provider: the call's own target, fields and body, with what a wire changed of them."""

from proxy.runtime.calls.flight import Flight
from proxy.runtime.transport.header_fields import with_changes
from proxy.wires.wire import Headers


def outgoing(flight: Flight) -> tuple[bytes, Headers, bytes]:
    """Target, header fields and body, for the provider of the call's lane. Raises BadInput(`foreign_key`)."""
    call, route, provider, injection = flight.call, flight.route, flight.provider, flight.injection
    assert route is not None
    assert provider is not None
    headers = flight.fields.for_provider(
        provider, is_metered=route.operation.is_metered, keeps_coding=flight.sends_body_as_it_came
    )
    target, body = route.target, call.body
    if injection is not None:
        body = injection.body
        if injection.target is not None:
            target = injection.target
        if injection.headers:
            headers = with_changes(headers, injection.headers)
    return (provider.target(target) if provider.base_path else target), headers, body

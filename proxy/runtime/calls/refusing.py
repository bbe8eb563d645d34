"""Answers the proxy makes itself: refusals in the wire's own error shape, and a switch's fixed text as a valid answer.

A call of which nobody knows what it speaks is refused in a shape that the clients of every wire read an error from: `type`, and
`error` with `type`, `message` and `code`.
"""

from typing import Final

import orjson

from proxy.core.errors import Refusal
from proxy.runtime.calls.flight import Flight
from proxy.runtime.process.clock import Clock
from proxy.runtime.transport.exchange import Reply
from proxy.runtime.transport.upstream import ProviderFailed, UpstreamError
from proxy.wires.wire import Headers, Wire

_JSON: Final = (b"content-type", b"application/json")
_BASE_ANSWER: Final = b'{"object":"proxy","name":"switchback"}\n'
#: Statuses an SDK may sensibly try again: our own limits, a provider that could not be reached, a drain.
_RETRYABLE: Final = frozenset({429, 502, 503})


#: As both of them name what went wrong.
_NEUTRAL_TYPES: Final = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


def answer_with_refusal(flight: Flight, refusal: Refusal, wire: Wire | None) -> None:
    """Send the refusal, unless the answer has begun: then break it, so that it cannot look complete. `wire` None: nobody knows what
    the caller speaks."""
    status = refusal.status if wire is None else wire.error_status(refusal)
    flight.status = flight.status or status
    if flight.reply.started:
        flight.reply.abort()
        return
    flight.status = status
    headers = _own_headers(flight, _JSON)
    if refusal.status not in _RETRYABLE:
        headers.append((b"x-should-retry", b"false"))
    if refusal.retry_after_seconds is not None:
        headers.append((b"retry-after", b"%d" % refusal.retry_after_seconds))
    flight.reply.send(status, headers, refusal_body(refusal, flight.run_id, wire), lines=flight.stamps())


def refusal_body(refusal: Refusal, request_id: str, wire: Wire | None) -> bytes:
    """A refusal as JSON, in the shape of the wire that is spoken; None: in one that all read."""
    if wire is not None:
        return wire.error_body(refusal, request_id)
    otherwise = "api_error" if refusal.status >= 500 else "invalid_request_error"
    kind = _NEUTRAL_TYPES.get(refusal.status, otherwise)
    error = {"type": kind, "message": refusal.message, "code": refusal.code}
    return orjson.dumps({"type": "error", "error": error, "request_id": request_id})


def answer_with_text(flight: Flight, text: str, clock: Clock) -> None:
    """Send a fixed text as a valid completion, or as a valid stream where one was asked for."""
    assert flight.route is not None
    assert flight.request is not None
    facts, wire = flight.facts, flight.route.wire
    body = wire.text_reply(
        text,
        model="" if facts is None else facts.model,
        reply_id=flight.run_id,
        created=clock.now_microseconds() // 1_000_000,
        streamed=flight.request.streamed,
    )
    flight.status = 200
    content_type = (b"content-type", wire.stream_type + b"; charset=utf-8") if flight.request.streamed else _JSON
    flight.reply.send(200, _own_headers(flight, content_type), body, lines=flight.stamps())


def provider_failed(flight: Flight, error: UpstreamError) -> ProviderFailed:
    """What a caller is told of a provider that did not answer, or broke off."""
    assert flight.provider is not None
    return ProviderFailed(flight.provider.name, error)


def answer_base_url(reply: Reply, lines: bytes) -> None:
    """Say that this is the proxy, as clients ask that look whether anybody is there; no call, so no run."""
    reply.send(200, [_JSON], _BASE_ANSWER, lines=lines)


def _own_headers(flight: Flight, content_type: tuple[bytes, bytes]) -> Headers:
    run_id = flight.run_id.encode()
    # The SDKs read one each.
    return [content_type, (b"x-request-id", run_id), (b"request-id", run_id)]

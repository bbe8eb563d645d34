"""Answers the proxy makes itself: refusals in the wire's own error shape, and a switch's fixed text as a valid answer; and the end
of one that is broken off before it is complete, because a switch says so or the process ends.

A client that has part of a stream gets the wire's own error event, where one fits between two events, and then a broken connection,
never a clean end; one that has nothing yet is refused like any other (the conductor does that once its task is awake). The
provider's connection is closed at once in both cases. A call of which nobody knows what it speaks is refused in a shape that the
clients of every wire read an error from: `type`, and `error` with `type`, `message` and `code`.
"""

from typing import Final

import orjson

from proxy.core.errors import Refusal, Unavailable
from proxy.runtime.calls.flight import Cut
from proxy.runtime.calls.stages import Answered, Asked
from proxy.runtime.transport.exchange import Reply
from proxy.wires.wire import Headers, Wire

_JSON: Final = (b"content-type", b"application/json")
_BASE_ANSWER: Final = b'{"object":"proxy","name":"switchback"}\n'
#: Statuses an SDK may sensibly try again: our own limits, a provider that could not be reached, a drain.
_RETRYABLE: Final = frozenset({429, 502, 503})
#: What must be said with a status (RFC 9110 §15.5.2, §15.5.6, §15.5.22): as whole lines, since two of them are this connection's.
_SAID_WITH: Final = {
    401: b"www-authenticate: Bearer\r\n",
    405: b"allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n",
    426: b"upgrade: HTTP/1.1\r\nconnection: upgrade\r\n",
}

#: As both of them name what went wrong.
_NEUTRAL_TYPES: Final = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


STOPPED: Final = Cut(
    Unavailable("proxy_stopped", "the proxy was stopped before this call was finished; try again"),
    "error",
    "proxy_stopped",
)
"""The end of a drain."""


def answer_with_refusal(reply: Reply, refusal: Refusal, wire: Wire | None, run_id: str, stamps: bytes) -> int:
    """Send the refusal, unless the answer has begun: then break it, so that it cannot look complete. `wire` None: nobody knows what
    the caller speaks. The status it is told with."""
    status = refusal.status if wire is None else wire.error_status(refusal)
    if reply.started:
        reply.abort()
        return status
    headers = _own_headers(run_id, _JSON)
    if refusal.status not in _RETRYABLE:
        headers.append((b"x-should-retry", b"false"))
    if refusal.retry_after_seconds is not None:
        headers.append((b"retry-after", b"%d" % refusal.retry_after_seconds))
    lines = stamps + _SAID_WITH.get(status, b"")
    reply.send(status, headers, refusal_body(refusal, run_id, wire), lines=lines)
    return status


def refusal_body(refusal: Refusal, request_id: str, wire: Wire | None) -> bytes:
    """A refusal as JSON, in the shape of the wire that is spoken; None: in one that all read."""
    if wire is not None:
        return wire.error_body(refusal, request_id)
    otherwise = "api_error" if refusal.status >= 500 else "invalid_request_error"
    kind = _NEUTRAL_TYPES.get(refusal.status, otherwise)
    error = {"type": kind, "message": refusal.message, "code": refusal.code}
    return orjson.dumps({"type": "error", "error": error, "request_id": request_id})


def answer_with_text(
    reply: Reply, text: str, asked: Asked, model: str, run_id: str, now_microseconds: int, stamps: bytes
) -> int:
    """Send a fixed text as a valid completion, or as a valid stream where one was asked for. Its status."""
    wire, request = asked.route.wire, asked.request
    is_list = request is not None and request.streams_list
    streamed = request is not None and request.streamed and not is_list
    body = wire.text_reply(text, model=model, reply_id=run_id, created=now_microseconds // 1_000_000, streamed=streamed)
    if is_list:
        body = b"[" + body + b"]"
    content_type = (b"content-type", wire.stream_type + b"; charset=utf-8") if streamed else _JSON
    reply.send(200, _own_headers(run_id, content_type), body, lines=stamps)
    return 200


def break_off(reply: Reply, answered: Answered | None, wire: Wire | None, refusal: Refusal, run_id: str) -> None:
    """Stop an answer now. `answered` None: there is none yet; `wire`: what its client speaks, None: that is not known yet."""
    if not reply.started:
        reply.interrupt()
        return
    if answered is not None and wire is not None and answered.takes_events:
        stream = answered.stream
        if stream is not None and stream.takes_event:
            reply.write(wire.error_event(refusal, run_id))
    reply.abort()


def answer_base_url(reply: Reply, lines: bytes) -> None:
    """Say that this is the proxy, as clients ask that look whether anybody is there; no call, so no run."""
    reply.send(200, [_JSON], _BASE_ANSWER, lines=lines)


def _own_headers(run_id: str, content_type: tuple[bytes, bytes]) -> Headers:
    name = run_id.encode()
    # The SDKs read one each.
    return [content_type, (b"x-request-id", name), (b"request-id", name)]

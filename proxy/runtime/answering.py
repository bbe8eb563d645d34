"""The way back: a provider's answer to the client, byte for byte as it comes, while the wire's reader sees it pass.

Small whole answers go out in one write; streams are relayed piece by piece. What ends early breaks for the client too.
"""

from collections.abc import Callable

from proxy.core.errors import UpstreamFailed
from proxy.runtime.flight import Flight
from proxy.runtime.forwarding import answer_headers, header, stamps
from proxy.runtime.inflate import tap_of_copy
from proxy.wires.wire import AnswerReader

#: Up to this size a whole answer is sent in one write; larger ones are relayed.
_WHOLE_ANSWER_BYTES = 1024 * 1024


async def deliver(flight: Flight) -> None:
    """Pass the answer on to its end. Raises UpstreamFailed, ClientLeft."""
    answer, route = flight.answer, flight.route
    assert answer is not None
    assert route is not None
    status = flight.status = answer.status
    _note_request_id(flight)
    if 300 <= status < 400 and status != 304:
        answer.close()
        raise UpstreamFailed("upstream_redirect", "the provider answered with a redirect, which is never followed")
    if status >= 400:
        flight.failed("error", "provider_error")
    is_stream = (header(answer.headers, b"content-type") or b"").startswith(b"text/event-stream")
    reader = _reader(flight, is_stream) if status < 300 and route.operation.is_metered else None
    headers = answer_headers(answer.headers, stamps(flight.run_id, flight.resolution))
    if is_stream or not _is_small(header(answer.headers, b"content-length")):
        await _relay(flight, reader, headers, is_stream=is_stream)
        return
    body = await answer.read()
    flight.saw_first_byte()
    if reader is not None:
        _tap(flight, reader)(body)
        reader.finish()
    flight.reply.send(status, headers, body)


async def _relay(
    flight: Flight, reader: AnswerReader | None, headers: list[tuple[bytes, bytes]], *, is_stream: bool
) -> None:
    answer, reply = flight.answer, flight.reply
    assert answer is not None
    reply.start(flight.status, headers)
    if reader is None:
        await answer.relay(reply, _first_byte_tap(flight, _unchanged))
        reply.finish()
        return
    await answer.relay(reply, _first_byte_tap(flight, _tap(flight, reader)))
    tail = reader.finish()
    facts = reader.facts
    if facts.error_type is not None:
        flight.failed("error", "stream_error")
    elif is_stream and not facts.is_complete and facts.finish is None:
        # A clean end without the protocol's end marker would look complete to most SDKs.
        raise UpstreamFailed("stream_incomplete", "the provider ended the stream before its end marker")
    if tail:
        reply.write(tail)
    reply.finish()


def _reader(flight: Flight, is_stream: bool) -> AnswerReader:
    assert flight.route is not None
    assert flight.answer is not None
    # Nothing can be taken out of a compressed stream, so nothing of it may be held back either.
    is_encoded = header(flight.answer.headers, b"content-encoding") not in (None, b"identity")
    removes = is_stream and not is_encoded and flight.injection is not None and flight.injection.removes_usage_event
    reader = flight.route.wire.answer_reader(streamed=is_stream, removes_usage_event=removes)
    flight.answer_facts = reader.facts
    return reader


def _tap(flight: Flight, reader: AnswerReader) -> Callable[[bytes], bytes]:
    assert flight.answer is not None
    if header(flight.answer.headers, b"content-encoding") == b"gzip":
        return tap_of_copy(reader.feed)
    return reader.feed


def _first_byte_tap(flight: Flight, tap: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    def noting(piece: bytes) -> bytes:
        if flight.first_byte_monotonic is None:
            flight.saw_first_byte()
        return tap(piece)

    return noting


def _unchanged(piece: bytes) -> bytes:
    return piece


def _is_small(content_length: bytes | None) -> bool:
    return content_length is not None and content_length.isdigit() and int(content_length) <= _WHOLE_ANSWER_BYTES


def _note_request_id(flight: Flight) -> None:
    assert flight.answer is not None
    value = header(flight.answer.headers, b"x-request-id") or header(flight.answer.headers, b"request-id")
    flight.request_id = None if value is None else value.decode("latin-1")[:128]

"""The way back: a provider's answer to the client, byte for byte as it comes, while the wire's reader sees it pass.

Small whole answers go out in one write; streams are relayed piece by piece. What ends early breaks for the client too.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from proxy.core.errors import UpstreamFailed
from proxy.runtime.flight import Flight
from proxy.runtime.forwarding import AnswerFields
from proxy.runtime.inflate import tap_of_copy
from proxy.wires.wire import AnswerReader, Wire

#: Up to this size a whole answer is sent in one write; larger ones are relayed.
_WHOLE_ANSWER_BYTES: Final = 1024 * 1024


def deliver(flight: Flight) -> Awaitable[None] | None:
    """Pass the answer on to its end: what is left of that to be awaited, None where all of it was there. Raises UpstreamFailed;
    awaiting the rest also UpstreamError, ClientGone."""
    answer, route = flight.answer, flight.route
    assert answer is not None
    assert route is not None
    status = flight.status = answer.status
    fields = AnswerFields(answer.headers)
    if fields.request_id is not None:
        flight.request_id = fields.request_id.decode("latin-1")[:128]
    if 300 <= status < 400 and status != 304:
        answer.close()
        raise UpstreamFailed("upstream_redirect", "the provider answered with a redirect, which is never followed")
    if status >= 400:
        flight.failed("error", "provider_error")
    reader = _reader(flight, route.wire, fields) if status < 300 and route.operation.is_metered else None
    if fields.is_stream or not _is_small(fields.content_length):
        return _relay(flight, reader, fields)
    body = answer.whole()
    if body is None:
        return _pass_later(flight, reader, fields)
    _pass_whole(flight, reader, fields, body)
    return None


async def _pass_later(flight: Flight, reader: AnswerReader | None, fields: AnswerFields) -> None:
    assert flight.answer is not None
    _pass_whole(flight, reader, fields, await flight.answer.read())


def _pass_whole(flight: Flight, reader: AnswerReader | None, fields: AnswerFields, body: bytes) -> None:
    flight.saw_first_byte()
    if reader is not None:
        _tap(reader, fields)(body)
        reader.finish()
    flight.reply.send(flight.status, fields.passed, body, lines=flight.stamps())


async def _relay(flight: Flight, reader: AnswerReader | None, fields: AnswerFields) -> None:
    answer, reply = flight.answer, flight.reply
    assert answer is not None
    flight.forget_request()
    reply.start(flight.status, fields.passed, lines=flight.stamps())
    if reader is None:
        await answer.relay(reply, None, flight.saw_first_byte)
        reply.finish()
        return
    if fields.is_stream and not fields.is_encoded:
        flight.stream = reader
    await answer.relay(reply, _tap(reader, fields), flight.saw_first_byte)
    tail = reader.finish()
    facts = reader.facts
    if facts.error_type is not None:
        flight.failed("error", "stream_error")
    elif fields.is_stream and not facts.is_complete and facts.finish is None:
        # A clean end without the protocol's end marker would look complete to most SDKs.
        raise UpstreamFailed("stream_incomplete", "the provider ended the stream before its end marker")
    if tail:
        reply.write(tail)
    reply.finish()


def _reader(flight: Flight, wire: Wire, fields: AnswerFields) -> AnswerReader:
    injection = flight.injection
    # Nothing can be taken out of a compressed stream, so nothing of it may be held back either.
    removes = fields.is_stream and injection is not None and injection.removes_usage_event and not fields.is_encoded
    reader = wire.answer_reader(streamed=fields.is_stream, removes_usage_event=removes)
    flight.answer_facts = reader.facts
    if fields.is_stream and not fields.is_encoded:
        flight.stream = reader
    return reader


def _tap(reader: AnswerReader, fields: AnswerFields) -> Callable[[bytes], bytes]:
    return tap_of_copy(reader.feed) if fields.content_encoding == b"gzip" else reader.feed


def _is_small(content_length: bytes | None) -> bool:
    return content_length is not None and content_length.isdigit() and int(content_length) <= _WHOLE_ANSWER_BYTES

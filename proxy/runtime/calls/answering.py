"""The way back: a provider's answer to the client, byte for byte as it comes, while the wire's reader sees it pass.

Small whole answers go out in one write; streams are relayed piece by piece. What ends early breaks for the client too. With the
wire's last event a stream is over: SDKs close their connection at it, often before the provider has ended the body.
"""

from collections.abc import Awaitable
from typing import Final

from proxy.core.errors import UpstreamFailed
from proxy.runtime.calls.flight import Flight
from proxy.runtime.transport.exchange import Answer
from proxy.runtime.transport.header_fields import AnswerFields
from proxy.runtime.transport.inflate import TapOfCopy, coding_of
from proxy.runtime.transport.upstream import UpstreamError
from proxy.wires.passed_streams import PassedStream
from proxy.wires.wire import AnswerReader, Wire

#: Up to this size a whole answer is sent in one write; larger ones are relayed.
_WHOLE_ANSWER_BYTES: Final = 1024 * 1024
#: As above, for a compressed one, of which a copy is inflated.
_WHOLE_ENCODED_BYTES: Final = 64 * 1024


def deliver(flight: Flight) -> Awaitable[None] | None:
    """Pass the answer on to its end: what is left of that to be awaited, None where all of it was there. Raises UpstreamFailed;
    awaiting the rest also UpstreamError, ClientGone."""
    answer, route = flight.answer, flight.route
    assert answer is not None
    assert route is not None
    status = flight.status = answer.status
    fields = AnswerFields(answer.headers, route.wire.stream_type)
    if fields.request_id is not None:
        flight.request_id = fields.request_id.decode("latin-1")[:128]
    if 300 <= status < 400 and status != 304:
        answer.close()
        raise UpstreamFailed("upstream_redirect", "the provider answered with a redirect, which is never followed")
    if status >= 400:
        flight.failed("error", "provider_error")
    reader = _reader(flight, route.wire, fields) if status < 300 and route.operation.is_metered else None
    whole_bytes = _WHOLE_ENCODED_BYTES if fields.is_encoded else _WHOLE_ANSWER_BYTES
    if fields.is_stream or not _is_within(fields.content_length, whole_bytes):
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
        copy = _copy(flight, reader, fields)
        body = reader.feed(body) if copy is None else copy.tap(body)
        if tail := reader.finish():
            body += tail
        if _judge(flight, reader, fields, copy):
            # A stream in all but its content type, without its end: it must not look complete here either.
            flight.reply.start(flight.status, fields.passed, lines=flight.stamps())
            flight.reply.write(body)
            raise _incomplete()
    flight.reply.send(flight.status, fields.passed, body, lines=flight.stamps())


async def _relay(flight: Flight, reader: AnswerReader | None, fields: AnswerFields) -> None:
    answer, reply = flight.answer, flight.reply
    assert answer is not None
    flight.forget_request()
    reply.start(flight.status, fields.passed, lines=flight.stamps())
    if reader is None:
        await _pass_on(flight, answer, fields)
        reply.finish()
        return
    copy = _copy(flight, reader, fields)
    flight.stream, flight.takes_events = reader, copy is None
    tap = reader.feed if copy is None else copy.tap
    try:
        await answer.relay(reply, tap, flight.saw_first_byte, flight.has_stream_ended)
    except UpstreamError:
        if not _is_whole_all_the_same(flight, fields):
            # The client gets every byte there was, also of an event that never came to its end.
            reply.write(reader.held_back())
            raise
    reply.write(reader.finish())
    if _judge(flight, reader, fields, copy):
        raise _incomplete()
    reply.finish()


async def _pass_on(flight: Flight, answer: Answer, fields: AnswerFields) -> None:
    """Relay what nobody reads. Of a stream its end is looked for, after which clients leave that were answered in full."""
    if not fields.is_stream or flight.status >= 300:
        await answer.relay(flight.reply, None, flight.saw_first_byte)
        return
    flight.stream = stream = PassedStream()
    copy = _copy(flight, stream, fields)
    tap = stream.feed if copy is None else copy.tap
    try:
        await answer.relay(flight.reply, tap, flight.saw_first_byte, flight.has_stream_ended)
    except UpstreamError:
        if not _is_whole_all_the_same(flight, fields):
            raise


def _is_whole_all_the_same(flight: Flight, fields: AnswerFields) -> bool:
    """Whether a stream that broke off had told its last event: only the end of its body is missing, which clients do not wait for.
    One whose length was announced cannot be ended before that."""
    return flight.is_stream_told() and fields.content_length is None


def _reader(flight: Flight, wire: Wire, fields: AnswerFields) -> AnswerReader:
    """What reads the answer: as a stream where one was asked for, or where the content type says so."""
    injection, request = flight.injection, flight.request
    streamed = fields.is_stream or (request is not None and request.streamed)
    # Nothing can be taken out of a compressed stream, so nothing of it may be held back either.
    removes = streamed and injection is not None and injection.removes_usage_event and not fields.is_encoded
    reader = wire.answer_reader(streamed=streamed, removes_usage_event=removes)
    flight.answer_facts = reader.facts
    return reader if flight.kept is None else flight.kept.reading(reader)


def _copy(flight: Flight, reader: AnswerReader, fields: AnswerFields) -> TapOfCopy | None:
    """What lets the reader see a compressed answer; None for a plain one."""
    coding = coding_of(fields.content_encoding)
    if coding is None:
        return None
    # A stream is read as it comes, and what is read is let go.
    return TapOfCopy(coding, reader.feed, None if reader.is_stream else flight.reply.hold)


def _judge(flight: Flight, reader: AnswerReader, fields: AnswerFields, copy: TapOfCopy | None) -> bool:
    """Note an error that came in the answer; whether it is a stream that ended without its end marker.

    A clean end without it would look complete to most SDKs. What cannot be read says nothing of its end.
    """
    facts = reader.facts
    if copy is not None and not copy.is_readable:
        facts.unreadable += 1
        facts.output_bytes = max(facts.output_bytes, copy.passed_bytes)
        return False
    if facts.error_type is not None:
        flight.failed("error", "stream_error" if reader.is_stream else "provider_error")
        return False
    return (fields.is_stream or reader.is_stream) and not facts.is_complete and facts.finish is None


def _incomplete() -> UpstreamFailed:
    return UpstreamFailed("stream_incomplete", "the provider ended the stream before its end marker")


def _is_within(content_length: bytes | None, most: int) -> bool:
    return content_length is not None and content_length.isdigit() and int(content_length) <= most

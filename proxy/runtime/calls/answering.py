"""The way back: a provider's answer to the client, byte for byte as it comes, while the wire's reader sees it pass.

Small whole answers go out in one write; streams are relayed piece by piece. What ends early breaks for the client too. With the
wire's last event a stream is over: SDKs close their connection at it, often before the provider has ended the body.

Decision: the last event is the one the wire says is the last (`[DONE]`, `message_stop`, `response.completed`), not the one with the
finish reason. What follows a finish reason is part of the answer: the usage comes then, and of several choices the others may still
be written. A client that leaves between the two has left (`client_left`, and under a hard cap its hold is charged): not taken is
to call such a run ok, of which nobody knows what it cost. One to whom the last event was passed on has it all, whoever closes first.
"""

import asyncio
from collections.abc import Awaitable
from typing import Final

from proxy.core.errors import UpstreamFailed
from proxy.core.steps import at_once
from proxy.runtime.calls.stages import Answered, Asked
from proxy.runtime.transport.exchange import Answer, Reply
from proxy.runtime.transport.header_fields import AnswerFields
from proxy.runtime.transport.inflate import TapOfCopy, coding_of
from proxy.runtime.transport.upstream import ClientGone, UpstreamError
from proxy.wires.passed_streams import PassedStream
from proxy.wires.wire import AnswerReader, Injection

#: Up to this size a whole answer is sent in one write; larger ones are relayed.
_WHOLE_ANSWER_BYTES: Final = 1024 * 1024
#: As above, for a compressed one, of which a copy is inflated.
_WHOLE_ENCODED_BYTES: Final = 16 * 1024


def deliver(
    answer: Answer, answered: Answered, asked: Asked, injection: Injection | None, reply: Reply, stamps: bytes
) -> Awaitable[None] | None:
    """Pass the answer on to its end: what is left of that to be awaited, None where all of it was there. Raises UpstreamFailed;
    awaiting the rest also UpstreamError, ClientGone."""
    status, fields, reader = answer.status, answered.fields, None
    if status < 300:
        if asked.route.operation.is_metered:
            reader = _reader(asked, injection, fields)
            answered.facts = reader.facts
            if answered.kept is not None:
                reader = answered.kept.reading(reader)
            if answered.chain is not None:
                reader = answered.chain.reading(reader)
    elif status < 400 and status != 304:
        answer.close()
        raise UpstreamFailed("upstream_redirect", "the provider answered with a redirect, which is never followed")
    elif status >= 400:
        answered.error_class = "provider_error"
    whole_bytes = _WHOLE_ENCODED_BYTES if fields.is_encoded else _WHOLE_ANSWER_BYTES
    if fields.is_stream or not _is_within(fields.content_length, whole_bytes):
        return _relay(answer, answered, reader, reply, stamps)
    body = answer.whole()
    if body is None:
        return _pass_later(answer, answered, reader, reply, stamps)
    _pass_whole(status, answered, reader, body, reply, stamps)
    return None


async def _pass_later(
    answer: Answer, answered: Answered, reader: AnswerReader | None, reply: Reply, stamps: bytes
) -> None:
    _pass_whole(answer.status, answered, reader, await answer.read(), reply, stamps)


def _pass_whole(
    status: int, answered: Answered, reader: AnswerReader | None, body: bytes, reply: Reply, stamps: bytes
) -> None:
    answered.saw_first_byte()
    fields = answered.fields
    if reader is not None:
        copy = None if fields.content_encoding is None else _copy(reply, reader, fields)
        body = reader.feed(body) if copy is None else copy.tap(body)
        if copy is not None:
            at_once(copy.rest())
        if tail := reader.finish():
            body += tail
        if _judge(answered, reader, copy):
            # A stream in all but its content type, without its end: it must not look complete here either.
            reply.start(status, fields.passed, lines=stamps)
            reply.write(body)
            raise _incomplete()
    reply.send(status, fields.passed, body, lines=stamps)


async def _relay(answer: Answer, answered: Answered, reader: AnswerReader | None, reply: Reply, stamps: bytes) -> None:
    fields = answered.fields
    reply.start(answer.status, fields.passed, lines=stamps)
    if reader is None:
        await _pass_on(answer, answered, reply)
        reply.finish()
        return
    copy = _copy(reply, reader, fields)
    answered.stream, answered.takes_events = reader, copy is None
    tap = reader.feed if copy is None else copy.tap
    try:
        await answer.relay(reply, tap, answered.saw_first_byte, answered.has_stream_ended)
        await _read_rest(copy)
    except (UpstreamError, ClientGone) as end:
        if not await _ended_well(end, answered, copy):
            # A client that is there gets every byte there was, also of an event that never came to its end.
            reply.write(reader.held_back())
            raise
    reply.write(reader.finish())
    if _judge(answered, reader, copy):
        raise _incomplete()
    reply.finish()


async def _read_rest(copy: TapOfCopy | None) -> None:
    """Returns when the reader has seen all that came."""
    if copy is not None:
        for _ in copy.rest():
            await asyncio.sleep(0)


async def _pass_on(answer: Answer, answered: Answered, reply: Reply) -> None:
    """Relay what nobody reads. Of a stream its end is looked for, after which clients leave that were answered in full."""
    fields = answered.fields
    if not fields.is_stream or answer.status >= 300:
        await answer.relay(reply, None, answered.saw_first_byte)
        return
    answered.stream = stream = PassedStream()
    copy = _copy(reply, stream, fields)
    tap = stream.feed if copy is None else copy.tap
    try:
        await answer.relay(reply, tap, answered.saw_first_byte, answered.has_stream_ended)
    except (UpstreamError, ClientGone) as end:
        if not await _ended_well(end, answered, copy):
            raise


async def _ended_well(end: UpstreamError | ClientGone, answered: Answered, copy: TapOfCopy | None) -> bool:
    """Whether a stream that was broken off so had told its last event, which of a compressed one may be seen only now."""
    await _read_rest(copy)
    return answered.has_stream_ended() if isinstance(end, ClientGone) else answered.is_whole_all_the_same()


def _reader(asked: Asked, injection: Injection | None, fields: AnswerFields) -> AnswerReader:
    """What reads the answer: as a stream where one was asked for, or where the content type says so."""
    request = asked.request
    streamed = fields.is_stream or (request is not None and request.streamed)
    # Nothing can be taken out of a compressed stream, so nothing of it may be held back either.
    removes = streamed and injection is not None and injection.removes_usage_event and not fields.is_encoded
    return asked.route.wire.answer_reader(streamed=streamed, removes_usage_event=removes)


def _copy(reply: Reply, reader: AnswerReader, fields: AnswerFields) -> TapOfCopy | None:
    """What lets the reader see a compressed answer; None for a plain one."""
    coding = coding_of(fields.content_encoding)
    if coding is None:
        return None
    # A stream is read as it comes, and what is read is let go; whether it is one its first event tells.
    return TapOfCopy(coding, reader.feed, lambda size: reader.is_stream or reply.hold(size))


def _judge(answered: Answered, reader: AnswerReader, copy: TapOfCopy | None) -> bool:
    """Note an error that came in the answer; whether it is a stream that ended without its end marker.

    A clean end without it would look complete to most SDKs. What cannot be read says nothing of its end.
    """
    facts = reader.facts
    if copy is not None and not copy.is_readable:
        facts.unreadable += 1
        facts.output_bytes = max(facts.output_bytes, copy.passed_bytes)
        return False
    if facts.error_type is not None:
        answered.error_class = "stream_error" if reader.is_stream else "provider_error"
        return False
    return (answered.fields.is_stream or reader.is_stream) and not facts.is_complete and facts.finish is None


def _incomplete() -> UpstreamFailed:
    return UpstreamFailed("stream_incomplete", "the provider ended the stream before its end marker")


def _is_within(content_length: bytes | None, most: int) -> bool:
    return content_length is not None and content_length.isdigit() and int(content_length) <= most

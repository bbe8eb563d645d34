"""Streams and bodies that arrive cut at awkward places, odd in content or very large: the client gets the very same bytes.

Where the proxy asked for the usage of a stream on its own account, exactly that event is missing and nothing else.
"""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.hostile.conversation import Said, converse
from tests.hostile.provider import (
    KINDS,
    STREAM_HEAD,
    STREAMS,
    WHOLE,
    Kind,
    Provider,
    chunked,
    recorded,
    says,
    whole,
)
from tests.hostile.stage import Stage, staged
from tests.hostile.test_providers import ask, settled

pytestmark = pytest.mark.usefixtures("nothing_leaks")

AT_ONCE = 16
OPENAI_STREAM = Kind("openai", is_streamed=True)
#: Whether the caller itself asks for the usage of a stream; else the proxy does, and takes that event out.
ASKING = [(kind, asks) for kind in STREAMS for asks in ((True, False) if kind.wire == "openai" else (True,))]
ASKING_IDS = [f"{kind.wire}, usage {'asked for' if asks else 'taken out'}" for kind, asks in ASKING]


@pytest.fixture
async def stage(tmp_path: Path, provider: Provider) -> AsyncIterator[Stage]:
    async with staged(tmp_path / "home", provider=provider, cap_usd=1000) as one:
        yield one


def for_the_client(stream: bytes, *, asks_usage: bool) -> bytes:
    """What is left of a stream when the usage event that only the proxy asked for is taken out."""
    if asks_usage:
        return stream
    events = stream.split(b"\n\n")
    kept = [event for event in events if b'"choices":[]' not in event]
    assert len(kept) == len(events) - 1
    return b"\n\n".join(kept)


@pytest.mark.parametrize(("kind", "asks_usage"), ASKING, ids=ASKING_IDS)
async def test_a_stream_cut_in_two_anywhere_arrives_byte_for_byte(
    stage: Stage, provider: Provider, kind: Kind, asks_usage: bool
) -> None:
    stream = (await recorded(kind)).said.body
    expected = for_the_client(stream, asks_usage=asks_usage)
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(cut: int) -> None:
        provider.parts[f"cut {cut}"] = says(STREAM_HEAD, *chunked(stream[:cut], stream[cut:]))
        async with gate:
            said = await ask(stage, kind, f"cut {cut}", asks_usage=asks_usage)
        assert (said.body, said.is_complete) == (expected, True), cut

    # Every offset where something is taken out or two lines make an event; elsewhere the bytes are not even looked at.
    cuts = range(0, len(stream), 3 if asks_usage and kind.wire == "openai" else 1)
    await asyncio.gather(*(one(cut) for cut in cuts))
    runs = await settled(stage, len(cuts))
    assert {(run["result"], run["usage_source"]) for run in runs} == {("ok", "reported")}
    assert len({run["cost_usd"] for run in runs}) == 1


@pytest.mark.parametrize(("kind", "asks_usage"), ASKING, ids=ASKING_IDS)
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
async def test_a_stream_that_drips_byte_by_byte_arrives_byte_for_byte(
    stage: Stage, provider: Provider, kind: Kind, asks_usage: bool, line_end: bytes
) -> None:
    stream = (await recorded(kind)).said.body
    expected = for_the_client(stream, asks_usage=asks_usage).replace(b"\n", line_end)
    stream = stream.replace(b"\n", line_end)
    raw = STREAM_HEAD + b"".join(chunked(*(stream[at : at + 1] for at in range(len(stream)))))
    provider.parts["drip"] = says(*(raw[at : at + 1] for at in range(len(raw))))
    said = await ask(stage, kind, "drip", asks_usage=asks_usage)
    assert (said.body, said.is_complete) == (expected, True)
    (run,) = await settled(stage, 1)
    assert (run["result"], run["usage_source"]) == ("ok", "reported")


@pytest.mark.parametrize("kind", WHOLE, ids=lambda kind: kind.name)
async def test_a_whole_answer_that_drips_byte_by_byte_arrives_byte_for_byte(
    stage: Stage, provider: Provider, kind: Kind
) -> None:
    answer = await recorded(kind)
    provider.parts["drip"] = says(*(answer.raw[at : at + 1] for at in range(len(answer.raw))))
    said = await ask(stage, kind, "drip")
    assert (said.body, said.is_complete) == (answer.said.body, True)
    (run,) = await settled(stage, 1)
    assert (run["result"], run["usage_source"]) == ("ok", "reported")


@pytest.mark.parametrize(("kind", "asks_usage"), ASKING, ids=ASKING_IDS)
async def test_an_event_of_sixteen_megabytes_passes(
    stage: Stage, provider: Provider, kind: Kind, asks_usage: bool
) -> None:
    stream = (await recorded(kind)).said.body
    large = b"data: {" + b" " * 16_000_000 + b"}\n\n"
    at = stream.index(b"\n\n") + 2
    expected = for_the_client(stream[:at] + large + stream[at:], asks_usage=asks_usage)
    provider.parts["large"] = says(STREAM_HEAD, *chunked(stream[:at], large[:1000], large[1000:], stream[at:]))
    said = await ask(stage, kind, "large", asks_usage=asks_usage)
    assert (said.body == expected, said.is_complete) == (True, True)
    (run,) = await settled(stage, 1)
    assert (run["result"], run["usage_source"]) == ("ok", "reported")


def zipped(stream: bytes) -> list[bytes]:
    """A stream in gzip, each event readable as soon as it arrives."""
    packer = zlib.compressobj(wbits=31)
    pieces = [
        packer.compress(event + b"\n\n") + packer.flush(zlib.Z_SYNC_FLUSH) for event in stream.split(b"\n\n")[:-1]
    ]
    return [*pieces, packer.flush()]


GZIP_HEAD = STREAM_HEAD.replace(b"\r\n\r\n", b"\r\ncontent-encoding: gzip\r\n\r\n")


@pytest.mark.parametrize(("kind", "asks_usage"), ASKING, ids=ASKING_IDS)
@pytest.mark.parametrize("ending", ["whole", "last event unfinished"])
async def test_a_stream_in_gzip_passes_as_it_is_and_is_metered(
    stage: Stage, provider: Provider, kind: Kind, asks_usage: bool, ending: str
) -> None:
    stream = (await recorded(kind)).said.body
    pieces = zipped(stream) if ending == "whole" else [gzip.compress(stream.rstrip(b"\n"))]
    provider.parts["zip"] = says(GZIP_HEAD, *chunked(*pieces))
    said = await ask(stage, kind, "zip", asks_usage=asks_usage)
    assert (said.body == b"".join(pieces), said.is_complete) == (True, True)
    assert said.headers[b"content-encoding"] == b"gzip"
    (run,) = await settled(stage, 1)
    assert (run["result"], run["usage_source"]) == ("ok", "reported")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_an_answer_of_the_other_kind_than_asked_for_passes_and_is_metered(
    stage: Stage, provider: Provider, kind: Kind
) -> None:
    other = await recorded(Kind(kind.wire, not kind.is_streamed))
    provider.parts["other"] = says(other.raw)
    said = await ask(stage, kind, "other", asks_usage=True)
    assert (said.status, said.body, said.is_complete) == (200, other.said.body, True)
    (run,) = await settled(stage, 1)
    assert (run["result"], run["usage_source"]) == ("ok", "reported")


ODD_BODIES: list[tuple[str, bytes]] = [
    ("empty", b""),
    ("no JSON", b"<html>busy</html>"),
    ("cut JSON", b'{"id":"c","choices":['),
    ("null", b"null"),
    ("a list", b"[]"),
    ("deep", b"[" * 100_000),
    ("not UTF-8", b'{"id":"\xff"}'),
    (
        "usage of nonsense",
        b'{"choices":[],"usage":{"prompt_tokens":-1,"completion_tokens":"many","total_tokens":null}}',
    ),
    (
        "usage of astronomers",
        b'{"choices":[],"usage":{"prompt_tokens":1e300,"completion_tokens":99999999999999999999}}',
    ),
    ("gzip that is none", b"gzip"),
]


async def test_a_body_that_makes_no_sense_passes_and_the_whole_hold_is_charged(
    stage: Stage, provider: Provider
) -> None:
    (kind,) = (kind for kind in WHOLE if kind.wire == "openai")
    for name, body in ODD_BODIES:
        lines = (b"content-encoding: gzip",) if "gzip" in name else ()
        provider.parts[name] = says(whole(body, *lines))
        said = await ask(stage, kind, name)
        assert (said.status, said.body, said.is_complete) == (200, body, True), name
    runs = await settled(stage, len(ODD_BODIES))
    assert {run["usage_source"] for run in runs} == {"held"}


ODD_STREAMS: list[tuple[str, bytes, bool]] = [
    ("only comments", b": ping\n\n" * 3, False),
    ("nothing", b"", False),
    ("no JSON", b"data: {\n\ndata: [DONE]\n\n", True),
    ("data after the end", b"data: [DONE]\n\ndata: {}\n\n", True),
    ("twice the end", b"data: [DONE]\n\ndata: [DONE]\n\n", True),
    ("unknown events", b"event: new\nid: 1\nretry: 5\ndata: a\ndata: b\n\ndata: [DONE]\n\n", True),
    ("a byte order mark", b"\xef\xbb\xbfdata: {}\n\ndata: [DONE]\n\n", True),
    ("not UTF-8", b"data: \xff\xfe\n\ndata: [DONE]\n\n", True),
    ("no end", b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n', False),
    ("the end without its empty line", b"data: {}\n\ndata: [DONE]", True),
]  # fmt: skip


async def test_a_stream_of_odd_events_passes_and_one_without_its_end_marker_is_broken(
    stage: Stage, provider: Provider
) -> None:
    for name, stream, is_whole in ODD_STREAMS:
        provider.parts[name] = says(STREAM_HEAD, *chunked(stream))
        said = await ask(stage, OPENAI_STREAM, name, asks_usage=False)
        assert (said.body, said.is_complete) == (stream, is_whole), name
    runs = await settled(stage, len(ODD_STREAMS))
    expected = [None if is_whole else "stream_incomplete" for _, _, is_whole in ODD_STREAMS]
    assert [run["error_class"] for run in runs] == expected


async def test_a_stream_ended_by_closing_is_judged_by_its_end_marker(stage: Stage, provider: Provider) -> None:
    stream = (await recorded(OPENAI_STREAM)).said.body
    head = b"HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    # A stream that gave its finish reason has said everything, with or without the marker behind it.
    cuts = [0, len(stream) // 3, stream.index(b'"finish_reason":"stop"'), len(stream)]
    for cut in cuts:
        provider.parts[f"cut {cut}"] = says(head + stream[:cut], then="close")
        said = await ask(stage, OPENAI_STREAM, f"cut {cut}")
        assert (said.body, said.is_complete) == (stream[:cut], cut == len(stream)), cut
    await settled(stage, len(cuts))


async def test_an_old_client_s_stream_that_breaks_is_reset_as_its_end_would_look_clean(
    stage: Stage, provider: Provider
) -> None:
    stream = (await recorded(OPENAI_STREAM)).said.body
    provider.parts["breaks"] = says(STREAM_HEAD, *chunked(stream[:300])[:-1], then="close")
    provider.parts["ends"] = says(STREAM_HEAD, *chunked(stream))
    for text, is_reset in (("breaks", True), ("ends", False)):
        asked = OPENAI_STREAM.said(text).replace(b"HTTP/1.1", b"HTTP/1.0", 1)
        talk = await converse(stage.address, (asked,))
        assert (talk.was_reset, len(talk.answers)) == (is_reset, 1)
        said: Said = talk.answers[0]
        assert stream.startswith(said.body)
        assert b"transfer-encoding" not in said.headers
    await settled(stage, 2)

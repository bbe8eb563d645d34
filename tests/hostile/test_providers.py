"""Providers that break off, stall, lie about lengths or talk nonsense: a defined answer, one run, the hold settled.

What is broken stays broken for the client: a stream that did not end well never ends cleanly, and a whole answer is given
whole or not at all.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.harness import PATIENCE_SECONDS, eventually
from tests.hostile.conversation import HostileClient, Said, converse
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

pytestmark = pytest.mark.usefixtures("nothing_leaks")

#: Places at which a provider closes; it resets at every byte.
CUTS = 200
AT_ONCE = 12
TIMEOUTS = {"connect_seconds": 5, "first_byte_seconds": 0.5, "stream_idle_seconds": 0.5, "drain_seconds": 2}
UNENDING = {**TIMEOUTS, "first_byte_seconds": 30, "stream_idle_seconds": 30}


@pytest.fixture
async def stage(tmp_path: Path, provider: Provider) -> AsyncIterator[Stage]:
    async with staged(tmp_path / "home", provider=provider, cap_usd=1000, timeouts=UNENDING) as one:
        yield one


@pytest.fixture
async def impatient(tmp_path: Path, provider: Provider) -> AsyncIterator[Stage]:
    """With deadlines short enough to be waited for."""
    async with staged(tmp_path / "home", provider=provider, cap_usd=1000, timeouts=TIMEOUTS) as one:
        yield one


async def ask(stage: Stage, kind: Kind, text: str, **options: Any) -> Said:
    """One call over a connection of its own; the one answer to it."""
    talk = await converse(stage.address, (kind.said(text, **options),))
    assert (talk.hung, len(talk.answers)) == (False, 1)
    return talk.answers[0]


async def ask_all(stage: Stage, kind: Kind, texts: Sequence[str]) -> list[Said]:
    """Many calls, a dozen at a time."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(text: str) -> Said:
        async with gate:
            return await ask(stage, kind, text)

    return await asyncio.gather(*(one(text) for text in texts))


async def settled(stage: Stage, count: int) -> list[dict[str, Any]]:
    """The runs, after proof that there are `count` of them and that the cap counts what they cost and holds nothing."""
    runs = await stage.runs()
    assert len(runs) == count
    cap = await stage.cap()
    assert (cap["held"], cap["spent"]) == (0, pytest.approx(sum(run["cost_usd"] or 0 for run in runs)))
    assert await stage.metric("switchback_holds_outstanding") == 0
    await stage.at_rest()
    assert stage.complaints == []
    return runs


def error_code(answer: Said) -> str:
    """The stable code of a refusal, on either wire."""
    assert answer.is_complete
    error = orjson.loads(answer.body)["error"]
    return error.get("code") or error["type"]


@pytest.mark.parametrize("leaving", ["reset", "close"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_an_answer_broken_off_at_any_byte_before_its_last_event_is_broken_for_the_client_and_charged_once(
    stage: Stage, provider: Provider, kind: Kind, leaving: str
) -> None:
    answer = await recorded(kind)
    step = 1 if leaving == "reset" else len(answer.raw) // CUTS + 1
    cuts = [*range(0, len(answer.raw), step), len(answer.raw) - 1]
    for cut in cuts:
        provider.parts[f"cut {cut}"] = says(answer.raw[:cut], then=leaving)
    answers = await ask_all(stage, kind, [f"cut {cut}" for cut in cuts])
    whole = 0
    for cut, said in zip(cuts, answers, strict=True):
        if said.status == 502:
            assert said.is_complete, cut
        else:
            has_all = said.body == answer.said.body
            assert (said.status, said.is_complete, kind.is_streamed) == (200, has_all, True), cut
            assert answer.said.body.startswith(said.body)
            whole += has_all
    runs = await settled(stage, len(cuts))
    results = Counter((run["result"], run["error_class"]) for run in runs)
    assert results == +Counter({("error", "upstream_broken"): len(cuts) - whole, ("ok", None): whole})
    assert all(run["cost_usd"] > 0 for run in runs)
    assert sorted(provider.calls) == sorted(f"cut {cut}" for cut in cuts)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_a_provider_that_falls_silent_is_given_up_and_the_client_told(
    impatient: Stage, provider: Provider, kind: Kind
) -> None:
    answer = await recorded(kind)
    body_at = len(answer.head)
    cuts = [0, 5, body_at - 2, body_at, body_at + 1, (body_at + len(answer.raw)) // 2, len(answer.raw) - 1]
    for cut in cuts:
        provider.parts[f"cut {cut}"] = says(answer.raw[:cut], then="stall")
    answers = await ask_all(impatient, kind, [f"cut {cut}" for cut in cuts])
    for cut, said in zip(cuts, answers, strict=True):
        if said.status == 504:
            assert (said.is_complete, cut < body_at or not kind.is_streamed) == (True, True), cut
        else:
            assert (said.status, said.is_complete) == (200, said.body == answer.said.body), cut
    runs = await settled(impatient, len(cuts))
    # A stream that had told its last event lacks nothing.
    results = Counter((run["result"], run["error_class"]) for run in runs)
    whole = int(kind.is_streamed)
    assert results == +Counter({("error", "upstream_timeout"): len(cuts) - whole, ("ok", None): whole})


@pytest.mark.parametrize("kind", STREAMS, ids=lambda kind: kind.name)
async def test_a_stream_without_end_stops_when_its_client_leaves(stage: Stage, provider: Provider, kind: Kind) -> None:
    stopped = asyncio.Event()
    answer = await recorded(kind)
    event = chunked(answer.said.body[:200])[0]

    async def endless(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(STREAM_HEAD)
        try:
            while True:
                writer.write(event)
                await writer.drain()
                await asyncio.sleep(0)
        except ConnectionError:
            stopped.set()
        return False

    provider.parts["endless"] = endless
    client = await HostileClient.connect(stage.address)
    await client.send(kind.said("endless"))
    await client.read_at_least(1_000_000)
    await client.close()
    await asyncio.wait_for(stopped.wait(), PATIENCE_SECONDS)
    (run,) = await settled(stage, 1)
    assert (run["result"], run["usage_source"]) == ("client_left", "held")


GOOD = b'{"id":"c","object":"chat.completion","model":"gpt-4o-mini","choices":[{"index":0,"message":{"role":"assistant",' \
    b'"content":"ok"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10}}'  # fmt: skip
_PLAIN = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
_LENGTH = b"content-length: %d\r\n" % len(GOOD)
_CHUNKED = b"transfer-encoding: chunked\r\n"
_END = b"".join(chunked(GOOD))

#: Name, bytes, how the provider leaves: all of them a 502 of `upstream_broken`.
BROKEN: list[tuple[str, bytes, str]] = [
    ("nothing", b"", "close"),
    ("no HTTP", b"hello\r\n\r\n", "close"),
    ("random bytes", bytes(range(128, 256)) * 4, "close"),
    ("HTTP/2 settings", b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(18), "stall"),
    ("TLS", b"\x15\x03\x01\x00\x02\x02\x28", "stall"),
    ("another protocol", b"RTSP/1.0 200 OK\r\n\r\n", "close"),
    ("HTTP/2.0", b"HTTP/2.0 200 OK\r\n" + _LENGTH + b"\r\n" + GOOD, "stall"),
    ("a status of two digits", b"HTTP/1.1 20 OK\r\n\r\n", "close"),
    ("a status of four digits", b"HTTP/1.1 2000 OK\r\n\r\n", "close"),
    ("a status of letters", b"HTTP/1.1 abc OK\r\n\r\n", "close"),
    ("status 000", b"HTTP/1.1 000 OK\r\ncontent-length: 0\r\n\r\n", "stall"),
    ("status 600", b"HTTP/1.1 600 OK\r\ncontent-length: 0\r\n\r\n", "stall"),
    ("status 999", b"HTTP/1.1 999 OK\r\ncontent-length: 0\r\n\r\n", "stall"),
    ("101", b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", "stall"),
    ("70 interim answers", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 70 + whole(GOOD), "stall"),
    ("chunked twice", _PLAIN + _CHUNKED * 2 + b"\r\n" + _END, "stall"),
    ("chunked, chunked", _PLAIN + b"transfer-encoding: chunked, chunked\r\n\r\n" + _END, "stall"),
    ("chunked, then identity", _PLAIN + _CHUNKED + b"transfer-encoding: identity\r\n\r\n" + _END, "stall"),
    ("chunked, gzip", _PLAIN + b"transfer-encoding: chunked, gzip\r\n\r\n" + _END, "stall"),
    ("xchunked", _PLAIN + b"transfer-encoding: xchunked\r\n\r\n" + _END, "close"),
    ("length and chunked", _PLAIN + _LENGTH + _CHUNKED + b"\r\n" + _END, "stall"),
    ("chunked and length", _PLAIN + _CHUNKED + _LENGTH + b"\r\n" + _END, "stall"),
    ("two equal lengths", _PLAIN + _LENGTH * 2 + b"\r\n" + GOOD, "stall"),
    ("two lengths", _PLAIN + _LENGTH + b"content-length: 3\r\n\r\n" + GOOD, "stall"),
    ("a list of lengths", _PLAIN + b"content-length: 3, 3\r\n\r\nabc", "stall"),
    ("a negative length", _PLAIN + b"content-length: -1\r\n\r\n", "stall"),
    ("a length with a sign", _PLAIN + b"content-length: +3\r\n\r\nabc", "stall"),
    ("a length in hex", _PLAIN + b"content-length: 0x3\r\n\r\nabc", "stall"),
    ("an empty length", _PLAIN + b"content-length:\r\n\r\n" + GOOD, "stall"),
    ("a length beyond all bounds", _PLAIN + b"content-length: 99999999999999999999999\r\n\r\n" + GOOD, "stall"),
    ("a length that is too large", _PLAIN + b"content-length: 9999\r\n\r\n" + GOOD, "close"),
    ("gzip, chunked", _PLAIN + b"transfer-encoding: gzip, chunked\r\n\r\n" + _END, "stall"),
    ("identity", _PLAIN + b"transfer-encoding: identity\r\n\r\n" + GOOD, "close"),
    ("NUL in a header", _PLAIN + b"x: a\x00b\r\n" + _LENGTH + b"\r\n" + GOOD, "stall"),
    ("a folded header", _PLAIN + b"x: a\r\n b\r\n" + _LENGTH + b"\r\n" + GOOD, "stall"),
    ("lines that end in LF", (_PLAIN + _LENGTH).replace(b"\r\n", b"\n") + b"\n" + GOOD, "stall"),
    ("a bare CR in a header", _PLAIN + b"x: a\rb\r\n" + _LENGTH + b"\r\n" + GOOD, "stall"),
    ("a header without a name", _PLAIN + b": a\r\n" + _LENGTH + b"\r\n" + GOOD, "stall"),
    ("a space before the colon", _PLAIN + b"x : a\r\n" + _LENGTH + b"\r\n" + GOOD, "stall"),
    ("a header of 40 KB", _PLAIN + b"x: " + b"y" * 40_000 + b"\r\n" + _LENGTH + b"\r\n" + GOOD, "stall"),
    ("300 headers", _PLAIN + b"x: y\r\n" * 300 + _LENGTH + b"\r\n" + GOOD, "stall"),
    ("a head without end", _PLAIN + b"x: y\r\n" * 20_000, "stall"),
]  # fmt: skip

#: The same, begun as an answer that is relayed: the client has the head and sees the rest break off.
BROKEN_LATE: list[tuple[str, bytes, str]] = [
    ("a chunk of no size", STREAM_HEAD + b"xyz\r\n", "stall"),
    ("a chunk of a negative size", STREAM_HEAD + b"-1\r\nabc\r\n", "stall"),
    ("a chunk longer than its size", STREAM_HEAD + b"3\r\nabcdef\r\n", "stall"),
    ("a chunk size beyond all bounds", STREAM_HEAD + b"f" * 20 + b"\r\n", "stall"),
    ("a chunk size in LF", STREAM_HEAD + b"3\nabc\r\n", "stall"),
    ("a chunk without its line end", STREAM_HEAD + b"3\r\nabc3\r\nabc\r\n", "stall"),
    ("a chunk extension without end", STREAM_HEAD + b"3;" + b"x" * 100_000, "stall"),
    ("trailers without end", STREAM_HEAD + b"0\r\n" + b"x: y\r\n" * 20_000, "stall"),
    ("a length among the trailers", STREAM_HEAD + b"0\r\ncontent-length: 3\r\n\r\n", "stall"),
    ("no last chunk", STREAM_HEAD + b"".join(chunked(b"data: {}\n\n"))[:-5], "close"),
    ("half a last chunk", STREAM_HEAD + b"".join(chunked(b"data: {}\n\n"))[:-2], "close"),
]  # fmt: skip


async def test_what_is_no_sound_answer_is_a_502_and_the_provider_can_be_asked_again(
    stage: Stage, provider: Provider
) -> None:
    (kind,) = (kind for kind in WHOLE if kind.wire == "openai")
    provider.parts["good"] = says(whole(GOOD))
    for name, raw, leaving in BROKEN:
        provider.parts[name] = says(raw, then=leaving)
        said = await ask(stage, kind, name)
        assert (said.status, error_code(said)) == (502, "upstream_broken"), name
        assert (await ask(stage, kind, "good")).body == GOOD, name
    runs = await settled(stage, 2 * len(BROKEN))
    assert [run["error_class"] for run in runs] == ["upstream_broken", None] * len(BROKEN)
    assert len(provider.calls) == len(runs)


@pytest.mark.parametrize("kind", STREAMS, ids=lambda kind: kind.name)
async def test_a_stream_whose_framing_breaks_is_cut_for_the_client(
    stage: Stage, provider: Provider, kind: Kind
) -> None:
    for name, raw, leaving in BROKEN_LATE:
        provider.parts[name] = says(raw, then=leaving)
        said = await ask(stage, kind, name)
        # Where the break came together with the head, the client need not see a broken answer.
        assert (said.status, said.is_complete) in ((200, False), (502, True)), name
    runs = await settled(stage, len(BROKEN_LATE))
    assert {(run["result"], run["error_class"]) for run in runs} == {("error", "upstream_broken")}


#: Answers that are odd, but sound: they pass. Name, bytes, how the provider leaves.
ODD: list[tuple[str, bytes, str]] = [
    ("50 interim answers", b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" * 50 + whole(GOOD), "serve"),
    ("a header of 16 KB", whole(GOOD, b"x-large: " + b"y" * 16_384), "serve"),
    ("200 headers", whole(GOOD, *(b"x-%d: y" % n for n in range(200))), "serve"),
    ("garbage after the end", whole(GOOD) + b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc", "stall"),
    ("a length that is too small", whole(GOOD) + b"  ", "stall"),
    ("an end by closing", _PLAIN + b"\r\n" + GOOD, "close"),
    ("HTTP/1.0", b"HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n" + GOOD, "close"),
    ("chunks", _PLAIN + _CHUNKED + b"\r\n" + b"".join(chunked(*(GOOD[n : n + 7] for n in range(0, len(GOOD), 7)))), "serve"),
    ("trailers", _PLAIN + _CHUNKED + b"\r\n" + _END[:-2] + b"switchback-run-id: x\r\nset-cookie: a=b\r\n\r\n", "serve"),
    ("no content type", b"HTTP/1.1 200 OK\r\n" + _LENGTH + b"\r\n" + GOOD, "serve"),
    ("no reason", b"HTTP/1.1 200\r\n" + _LENGTH + b"\r\n" + GOOD, "serve"),
    ("headers that are the proxy's own", whole(GOOD, b"switchback-version: evil@1", b"set-cookie: a=b", b"alt-svc: h3"), "serve"),
    ("Connection names its own headers", whole(GOOD, b"connection: close, x-hop", b"x-hop: 1"), "close"),
]  # fmt: skip


async def test_an_odd_but_sound_answer_passes_whole_and_harms_no_later_call(stage: Stage, provider: Provider) -> None:
    (kind,) = (kind for kind in WHOLE if kind.wire == "openai")
    provider.parts["good"] = says(whole(GOOD))
    for name, raw, leaving in ODD:
        provider.parts[name] = says(raw, then=leaving)
        for text in (name, "good"):
            said = await ask(stage, kind, text)
            assert (said.status, said.body, said.is_complete) == (200, GOOD, True), name
            assert said.headers[b"switchback-version"] == b"support@1", name
            assert not {b"set-cookie", b"alt-svc", b"x-hop", b"link"} & said.headers.keys(), name
    runs = await settled(stage, 2 * len(ODD))
    assert {(run["result"], run["usage_source"], run["tokens"]["output"]) for run in runs} == {("ok", "reported", 1)}


async def test_an_answer_given_before_the_body_was_read_passes(stage: Stage, provider: Provider) -> None:
    (kind,) = (kind for kind in WHOLE if kind.wire == "openai")
    refusal = b'{"error":{"message":"too large","type":"invalid_request_error","param":null,"code":null}}'

    async def hasty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.pause_reading()
        writer.write(whole(refusal, status=b"413 Payload Too Large"))
        await writer.drain()
        closed = asyncio.ensure_future(writer.wait_closed())
        await asyncio.wait({closed}, timeout=PATIENCE_SECONDS)
        writer.close()

    provider.serve_instead = hasty
    said = await ask(stage, kind, "x" * 900_000)
    assert (said.status, said.body, said.is_complete) == (413, refusal, True)
    (run,) = await settled(stage, 1)
    assert (run["result"], run["status"], run["cost_usd"]) == ("error", 413, None)


async def test_a_call_that_a_pooled_connection_took_and_did_not_answer_is_broken_and_not_sent_again(
    stage: Stage, provider: Provider
) -> None:
    (kind,) = (kind for kind in WHOLE if kind.wire == "openai")
    provider.parts["good"] = says(whole(GOOD))
    used: list[asyncio.StreamWriter] = []

    async def only_the_first(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if writer in used:
            return False
        used.append(writer)
        writer.write(whole(GOOD))
        return True

    provider.parts["fickle"] = only_the_first
    said = [await ask(stage, kind, "fickle") for _ in range(3)]
    assert [one.status for one in said] == [200, 502, 200]
    assert error_code(said[1]) == "upstream_broken"
    assert (len(provider.calls), provider.connections) == (3, 2)

    provider.parts["dead"] = says(then="close")
    assert (await ask(stage, kind, "good")).body == GOOD
    for count in (1, 2):
        broken = await ask(stage, kind, "dead")
        assert (broken.status, error_code(broken)) == (502, "upstream_broken")
        assert provider.calls[-1 - count :] == ["good", *["dead"] * count]
    runs = await settled(stage, 6)
    assert [run["result"] for run in runs] == ["ok", "error", "ok", "ok", "error", "error"]


async def test_a_connection_closed_while_idle_is_not_used_again(stage: Stage, provider: Provider) -> None:
    (kind,) = (kind for kind in WHOLE if kind.wire == "openai")
    leave = asyncio.Event()

    async def answers_then_leaves(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(whole(GOOD))
        await writer.drain()
        await leave.wait()
        return False

    provider.parts["leaving"] = answers_then_leaves
    assert (await ask(stage, kind, "leaving")).body == GOOD
    pool = stage.deployment.server._plane._upstream._client._pool
    leave.set()
    await eventually(lambda: not pool._all)
    assert (await ask(stage, kind, "leaving")).body == GOOD
    assert (provider.calls, provider.connections) == (["leaving"] * 2, 2)
    await settled(stage, 2)

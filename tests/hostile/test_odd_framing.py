"""Answers that are not what their head says, and heads that say it in their own way: every byte reaches the client, what can be
read is metered, and an error is an error however it is framed."""

import gzip
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

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
from tests.hostile.test_provider_streams import ASKING, ASKING_IDS, OPENAI_STREAM, for_the_client
from tests.hostile.test_providers import ask, settled

pytestmark = pytest.mark.usefixtures("nothing_leaks")

EVENTS_LINE = b"content-type: text/event-stream\r\n"


@pytest.fixture
async def stage(tmp_path: Path, provider: Provider) -> AsyncIterator[Stage]:
    async with staged(tmp_path / "home", provider=provider, cap_usd=1000) as one:
        yield one


@pytest.mark.parametrize(("kind", "asks_usage"), ASKING, ids=ASKING_IDS)
async def test_a_stream_is_known_by_what_was_asked_and_what_comes(
    stage: Stage, provider: Provider, kind: Kind, asks_usage: bool
) -> None:
    stream = (await recorded(kind)).said.body
    lines = [
        b"content-type: Text/Event-Stream; charset=UTF-8\r\n",
        b"Content-Type: TEXT/EVENT-STREAM\r\n",
        b"content-type: application/json\r\n",
        b"content-type: text/plain; charset=utf-8\r\n",
        b"",
    ]
    for index, line in enumerate(lines):
        provider.parts[f"kind {index}"] = says(
            STREAM_HEAD.replace(EVENTS_LINE, line), *chunked(stream[:90], stream[90:])
        )
        said = await ask(stage, kind, f"kind {index}", asks_usage=asks_usage)
        assert (said.body, said.is_complete) == (for_the_client(stream, asks_usage=asks_usage), True), line
    provider.parts["length"] = says(whole(stream))
    said = await ask(stage, kind, "length", asks_usage=asks_usage)
    assert (said.body, said.is_complete) == (for_the_client(stream, asks_usage=asks_usage), True)
    runs = await settled(stage, len(lines) + 1)
    assert {(run["result"], run["usage_source"]) for run in runs} == {("ok", "reported")}


@pytest.mark.parametrize("kind", STREAMS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("head", ["with its length", "in chunks"])
async def test_a_stream_under_another_type_that_lacks_its_end_is_broken(
    stage: Stage, provider: Provider, kind: Kind, head: str
) -> None:
    stream = (await recorded(kind)).said.body
    part = stream[: stream.index(b"\n\n", len(stream) // 4) + 2]
    raw = whole(part) if head == "with its length" else STREAM_HEAD.replace(EVENTS_LINE, b"") + b"".join(chunked(part))
    provider.parts["part"] = says(raw)
    said = await ask(stage, kind, "part")
    assert (said.body, said.is_complete) == (part, False)
    (run,) = await settled(stage, 1)
    assert (run["result"], run["error_class"], run["usage_source"]) == ("error", "stream_incomplete", "held")


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_an_answer_in_any_coding_passes_as_it_came(stage: Stage, provider: Provider, kind: Kind) -> None:
    body = (await recorded(kind)).said.body
    half = len(body) // 2
    codings = {
        b"gzip": gzip.compress(body),
        b"GZIP": gzip.compress(body[:half]) + gzip.compress(body[half:]),
        b"x-gzip": gzip.compress(body),
        b"deflate": zlib.compress(body),
        b"Deflate": raw_deflate(body),
        b"br": b"\x0b\x02\x80hello\x03",
        b"zstd": b"\x28\xb5\x2f\xfd\x00\x00\x29\x00\x00hello",
        b"gzip, br": b"no telling",
    }
    for coding, packed in codings.items():
        line = b"content-encoding: " + coding
        raw = STREAM_HEAD[:-2] + line + b"\r\n\r\n" + b"".join(chunked(packed[:9], packed[9:]))
        provider.parts[line.decode()] = says(raw if kind.is_streamed else whole(packed, line))
        said = await ask(stage, kind, line.decode())
        assert (said.body, said.is_complete, said.headers[b"content-encoding"]) == (packed, True, coding)
    runs = await settled(stage, len(codings))
    assert {run["result"] for run in runs} == {"ok"}
    assert [run["usage_source"] for run in runs] == ["reported"] * 5 + ["held"] * 3


ERRORS = {
    "openai": b'{"error":{"message":"model is loading","type":"server_error","code":503}}',
    "anthropic": b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}',
}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_an_error_inside_a_success_reaches_the_client_and_costs_nothing(
    stage: Stage, provider: Provider, kind: Kind
) -> None:
    error = ERRORS[kind.wire]
    raws = [
        whole(error),
        STREAM_HEAD + b"".join(chunked(error)),
        STREAM_HEAD + b"".join(chunked(b"\n", error[:1], error[1:9], error[9:])),
        STREAM_HEAD.replace(EVENTS_LINE, b"content-type: application/json\r\n") + b"".join(chunked(error)),
        STREAM_HEAD + b"".join(chunked(b"data: " + error + b"\n\n")),
        whole(gzip.compress(error), b"content-encoding: gzip"),
    ]
    for index, raw in enumerate(raws):
        provider.parts[f"error {index}"] = says(raw)
        said = await ask(stage, kind, f"error {index}", asks_usage=False)
        assert said.is_complete, index
        assert error in said.body or said.body == gzip.compress(error), index
    runs = await settled(stage, len(raws))
    assert {(run["result"], run["cost_usd"]) for run in runs} == {("error", None)}


async def test_an_error_behind_part_of_an_answer_is_charged_as_a_broken_stream(
    stage: Stage, provider: Provider
) -> None:
    stream = (await recorded(OPENAI_STREAM)).said.body
    begun = stream[: stream.index(b"\n\n", len(stream) // 2) + 2] + b"data: " + ERRORS["openai"] + b"\n\n"
    provider.parts["begun"] = says(STREAM_HEAD, *chunked(begun))
    said = await ask(stage, OPENAI_STREAM, "begun", asks_usage=False)
    assert (said.body, said.is_complete) == (begun, True)
    (run,) = await settled(stage, 1)
    assert (run["result"], run["error_class"], run["usage_source"]) == ("error", "stream_error", "held")


@pytest.mark.parametrize("kind", WHOLE, ids=lambda kind: kind.name)
async def test_a_redirect_is_refused_and_costs_nothing(stage: Stage, provider: Provider, kind: Kind) -> None:
    for status in (b"301 Moved", b"302 Found", b"307 Away", b"308 Away"):
        provider.parts[status.decode()] = says(whole(b"", b"location: http://other.test/", status=status))
        assert (await ask(stage, kind, status.decode())).status == 502
    runs = await settled(stage, 4)
    assert {(run["error_class"], run["cost_usd"]) for run in runs} == {("upstream_redirect", None)}


async def test_what_was_held_back_reaches_the_client_when_the_provider_breaks_off(
    stage: Stage, provider: Provider
) -> None:
    stream = (await recorded(OPENAI_STREAM)).said.body
    cut = stream.index(b"\n\n", len(stream) // 2) + 9
    for leaving in ("reset", "close"):
        provider.parts[leaving] = says(STREAM_HEAD, chunked(stream[:cut])[0], then=leaving)
        said = await ask(stage, OPENAI_STREAM, leaving, asks_usage=False)
        assert (said.body, said.is_complete) == (stream[:cut], False)
    await settled(stage, 2)

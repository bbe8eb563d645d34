"""Calls that the proxy itself cuts short, by a switch or because it is stopped: their clients are told, and nothing is lost."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import anthropic
import openai
import orjson
import pytest

from tests.harness import CLAUDE, MODEL, Deployment, deployed
from tests.hostile.conversation import HostileClient, split_answers
from tests.hostile.provider import STREAM_HEAD, Kind, Provider, chunked, playing, says

OPENAI_STREAM, ANTHROPIC_STREAM = Kind("openai", is_streamed=True), Kind("anthropic", is_streamed=True)
EVENT = b'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
USER: Any = [{"role": "user", "content": "hi"}]
STALLING = "[[simulate: stall_after_events=2]]"

Cut = Callable[[Deployment], Awaitable[object]]


async def by_switch(deployment: Deployment) -> object:
    return await deployment.operator.post("/switches", scope={}, mode="block", cut_streams=True, why="wrong refunds")


async def by_stopping(deployment: Deployment) -> object:
    return await deployment.server.stop()


#: How it is cut, the code its client is given, and the status where nothing was answered yet.
WAYS = [(by_switch, "agent_disabled", 403), (by_stopping, "proxy_stopped", 503)]
BY = pytest.mark.parametrize(("cut", "code", "status"), WAYS, ids=["a switch", "the end of the drain"])


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    """Under a cap, and quick to give up waiting."""
    async with deployed(tmp_path / "home", timeouts={"drain_seconds": 0.2}) as running:
        await running.operator.post("/caps", scope={}, window="day", unit="usd", limit=5, why="a test")
        yield running


async def reopened_runs(deployment: Deployment, tmp_path: Path) -> list[dict[str, Any]]:
    """What is recorded, read by a new process where the old one was stopped."""
    await deployment.server.stop()
    async with deployed(tmp_path / "home", simulator=deployment.simulator) as again:
        (shown,) = (await again.operator.get("/caps"))["items"]
        runs = (await again.operator.get("/runs"))["items"]
        assert (shown["held"], shown["spent"]) == (0, pytest.approx(sum(run["cost_usd"] or 0 for run in runs)))
        return runs


def how_it_ended(code: str) -> tuple[str, str]:
    return ("client_left", "switched_off") if code == "agent_disabled" else ("error", "proxy_stopped")


@BY
async def test_an_openai_stream_ends_with_the_error_event_its_sdk_raises_on(
    deployment: Deployment, tmp_path: Path, cut: Cut, code: str, status: int
) -> None:
    await deployment.operator.agent("support", STALLING)
    stream = await deployment.openai().chat.completions.create(model="x", messages=USER, stream=True)
    await anext(stream)
    cutting = asyncio.ensure_future(cut(deployment))
    with pytest.raises(openai.APIError) as caught:
        async for _ in stream:
            pass
    assert caught.value.code == code
    await deployment.simulator.wait_for_clients_left()
    await cutting
    (run,) = await reopened_runs(deployment, tmp_path)
    assert (run["result"], run["error_class"]) == how_it_ended(code)
    assert (run["status"], run["usage_source"]) == (200, "held")


@BY
async def test_an_anthropic_stream_ends_with_the_error_event_its_sdk_raises_on(
    deployment: Deployment, tmp_path: Path, cut: Cut, code: str, status: int
) -> None:
    await deployment.operator.agent("support", STALLING, model=CLAUDE)
    stream = await deployment.anthropic().messages.create(model="x", max_tokens=50, messages=USER, stream=True)
    await anext(stream)
    cutting = asyncio.ensure_future(cut(deployment))
    with pytest.raises(anthropic.APIStatusError) as caught:
        async for _ in stream:
            pass
    body: Any = caught.value.body
    assert (body["type"], body["error"]["details"]["error_code"]) == ("error", code)
    await deployment.simulator.wait_for_clients_left()
    await cutting
    (run,) = await reopened_runs(deployment, tmp_path)
    assert (run["result"], run["error_class"]) == how_it_ended(code)


@BY
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_call_that_has_no_answer_yet_is_refused_and_its_provider_stopped(
    deployment: Deployment, tmp_path: Path, cut: Cut, code: str, status: int, streamed: bool
) -> None:
    await deployment.operator.agent("support", "one")
    deployment.simulator.hold_answers()
    call = asyncio.ensure_future(deployment.openai().chat.completions.create(model="x", messages=USER, stream=streamed))
    await deployment.simulator.wait_for_calls(1)
    cutting = asyncio.ensure_future(cut(deployment))
    with pytest.raises(openai.APIStatusError) as caught:
        await call
    assert (caught.value.status_code, caught.value.code) == (status, code)
    assert caught.value.response.headers["switchback-version"] == "support@1"
    await deployment.simulator.wait_for_clients_left()
    deployment.simulator.release_answers()
    await cutting
    (run,) = await reopened_runs(deployment, tmp_path)
    assert (run["result"], run["error_class"], run["status"]) == (*how_it_ended(code), status)
    assert run["usage_source"] == "held"


async def test_what_the_proxy_cuts_is_no_error_of_the_provider(deployment: Deployment) -> None:
    await deployment.operator.agent("support", STALLING)
    stream = await deployment.openai().chat.completions.create(model="x", messages=USER, stream=True)
    await anext(stream)
    await by_switch(deployment)
    await deployment.operator.runs(1)
    async with deployment.session.get(deployment.server.admin_url + "/metrics") as answer:
        lines = (await answer.text()).splitlines()
    assert [line for line in lines if line.startswith("switchback_upstream_errors_total{")] == []
    await stream.close()


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with playing() as one:
        yield one


async def cut_after(tmp_path: Path, provider: Provider, kind: Kind, head: bytes, *pieces: bytes, asks: bool) -> bytes:
    """What a client has of a stream that says `pieces`, stalls, and is cut by a switch. Its end is never clean."""
    provider.parts["stall"] = says(head, *(chunked(piece)[0] for piece in pieces), then="stall")
    shown = sum(map(len, pieces))
    async with deployed(tmp_path / "home", simulator=provider) as running:  # pyright: ignore[reportArgumentType]
        await running.operator.agent("support", "one", model=MODEL)
        await running.operator.agent("claude", "one", model=CLAUDE)
        host, port = running.server.traffic_url.removeprefix("http://").split(":")
        client = await HostileClient.connect((host, int(port)))
        await client.send(kind.said("stall", asks_usage=asks))
        while sum(len(said.body) for said in split_answers(bytes(client.raw))[0]) < (shown if asks else len(EVENT)):
            assert await client.read_some()
        await by_switch(running)
        await client.read_to_end()
        await client.close()
        (run,) = await running.operator.runs(1)
        assert (run["result"], run["error_class"]) == ("client_left", "switched_off")
    ((said,), _) = split_answers(bytes(client.raw))
    assert (said.status, said.is_complete) == (200, False)
    return said.body


def error_of(event: bytes) -> str:
    return orjson.loads(event.removeprefix(b"data: "))["error"]["code"]


async def test_the_error_event_stands_between_events_and_never_inside_one(tmp_path: Path, provider: Provider) -> None:
    body = await cut_after(tmp_path, provider, OPENAI_STREAM, STREAM_HEAD, EVENT, EVENT, asks=True)
    assert body.startswith(EVENT * 2)
    assert error_of(body[2 * len(EVENT) :]) == "agent_disabled"


async def test_half_an_event_is_broken_off_where_it_is(tmp_path: Path, provider: Provider) -> None:
    half = EVENT[: len(EVENT) // 2]
    assert await cut_after(tmp_path, provider, OPENAI_STREAM, STREAM_HEAD, EVENT, half, asks=True) == EVENT + half


async def test_half_an_event_that_was_held_back_is_not_passed_on_with_the_error(
    tmp_path: Path, provider: Provider
) -> None:
    half = EVENT[: len(EVENT) // 2]
    body = await cut_after(tmp_path, provider, OPENAI_STREAM, STREAM_HEAD, EVENT, half, asks=False)
    assert body.startswith(EVENT)
    assert error_of(body[len(EVENT) :]) == "agent_disabled"


async def test_nothing_is_put_into_a_compressed_stream(tmp_path: Path, provider: Provider) -> None:
    head = STREAM_HEAD.replace(b"\r\n\r\n", b"\r\ncontent-encoding: gzip\r\n\r\n")
    zipped = gzip.compress(EVENT)
    assert await cut_after(tmp_path, provider, OPENAI_STREAM, head, zipped, asks=True) == zipped


async def test_nothing_is_put_into_a_body_that_is_no_stream(tmp_path: Path, provider: Provider) -> None:
    head = STREAM_HEAD.replace(b"text/event-stream", b"application/json")
    assert await cut_after(tmp_path, provider, OPENAI_STREAM, head, b'{"id":', asks=True) == b'{"id":'


async def test_an_anthropic_error_event_has_its_name(tmp_path: Path, provider: Provider) -> None:
    event = b'event: ping\ndata: {"type":"ping"}\n\n'
    body = await cut_after(tmp_path, provider, ANTHROPIC_STREAM, STREAM_HEAD, event, asks=True)
    assert body.startswith(event + b"event: error\ndata: ")
    assert orjson.loads(body.rpartition(b"data: ")[2])["error"]["details"]["error_code"] == "agent_disabled"

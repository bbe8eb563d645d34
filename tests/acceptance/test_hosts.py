"""Servers that speak OpenAI's wire in ways of their own, each by its settings alone: what they take, and what a call costs there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest

from proxy.simulator.app import Simulator
from proxy.simulator.openai_dialects import DIALECTS as SIMULATED
from proxy.simulator.openai_dialects import HABITS
from proxy.wires.dialects import DIALECTS
from tests.acceptance.caps import cap
from tests.harness import MODEL, Deployment, deployed

USER: Any = [{"role": "user", "content": "hi"}]
HOSTS = sorted(SIMULATED)
PRICE = {"input": 0.15, "output": 0.6, "cached": 0.075}
WITH_CACHE = "[[simulate: cached_tokens=3; reasoning_tokens=2]] Be kind to everybody."


@asynccontextmanager
async def hosted(home: Path, host: str, **provider: Any) -> AsyncIterator[Deployment]:
    """A deployment whose one provider is that host, at its own base path."""
    simulator = Simulator(wires=(SIMULATED[host],))
    await simulator.start()
    base_url = simulator.url + HABITS[host].base_path
    providers = {host: {"wire": "openai", "base_url": base_url, "dialect": host, **provider}}
    try:
        async with deployed(
            home, simulator=simulator, providers=providers, prices={f"{host}/{MODEL}": PRICE}
        ) as deployment:
            yield deployment
    finally:
        await simulator.stop()


async def call(deployment: Deployment, *, streamed: bool, **more: Any) -> list[Any]:
    app = deployment.openai()
    if not streamed:
        return [await app.chat.completions.create(model="x", messages=USER, **more)]
    return [chunk async for chunk in await app.chat.completions.create(model="x", messages=USER, stream=True, **more)]


def test_the_simulator_speaks_every_dialect_that_differs() -> None:
    assert set(HOSTS) == set(DIALECTS) - {"openai", "azure"}
    for name in HOSTS:
        base = DIALECTS[name].base_url
        assert not base or base.endswith(HABITS[name].base_path)
        may_ask = not {"stream_options"} & {*HABITS[name].forbidden, *HABITS[name].ignored}
        assert DIALECTS[name].takes_stream_options == may_ask


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("host", HOSTS)
async def test_a_call_costs_what_it_is_billed(tmp_path: Path, host: str, streamed: bool) -> None:
    async with hosted(tmp_path / "home", host) as deployment:
        await deployment.operator.agent("support", WITH_CACHE)
        chunks = await call(deployment, streamed=streamed, max_tokens=50)
        assert chunks
        if streamed:  # nothing that only the proxy asked for
            assert all(chunk.choices or HABITS[host].tells == "always" for chunk in chunks)
        run = (await deployment.operator.runs(1))[0]
        assert (run["provider"], run["version"], run["usage_source"], run["result"]) == (host, 1, "reported", "ok")
        sent = deployment.simulator.calls[-1]
        assert (run["tokens"]["input"], run["tokens"]["output"]) == (sent.input_tokens, sent.output_tokens)
        if HABITS[host].usage is HABITS["deepseek"].usage or DIALECTS[host].tells_cost or host == "xai":
            assert run["cost_usd"] == pytest.approx(deployment.simulator.billed_nanodollars / 1e9, abs=2e-9)
        else:
            # Which of the input was cached these do not tell: it is charged in full.
            assert run["cost_usd"] >= deployment.simulator.billed_nanodollars / 1e9 - 2e-9
        told = "provider:usage.cost" if DIALECTS[host].tells_cost else f"settings:{host}/{MODEL}"
        assert run["price_id"] == told


@pytest.mark.parametrize("asked", ["max_completion_tokens", "max_tokens", None])
@pytest.mark.parametrize("host", HOSTS)
async def test_a_hard_cap_bounds_the_output_by_a_name_that_the_host_looks_at(
    tmp_path: Path, host: str, asked: str | None
) -> None:
    async with hosted(tmp_path / "home", host) as deployment:
        await deployment.operator.agent("support", "[[simulate: output_tokens=5000]] Be kind.")
        await cap(deployment.operator, "usd", 5)
        # Thousands of events would take seconds; the bound is one thing, the framing another.
        await call(deployment, streamed=asked is not None, **({} if asked is None else {asked: 7}))
        bounded = 4096 if asked is None else 7
        assert deployment.simulator.calls[-1].output_tokens == bounded
        run = (await deployment.operator.runs(1))[0]
        assert run["tokens"]["output"] == bounded
        shown = (await deployment.operator.get("/caps"))["items"][0]
        assert (shown["spent"], shown["held"]) == (pytest.approx(run["cost_usd"]), 0)


@pytest.mark.parametrize("host", HOSTS)
async def test_what_a_host_refuses_is_left_out_of_a_versions_call_and_told(tmp_path: Path, host: str) -> None:
    async with hosted(tmp_path / "home", host) as deployment:
        await deployment.operator.agent("support", "Be kind.")
        await call(deployment, streamed=True, stream_options={"include_usage": True}, max_completion_tokens=9)
        run = (await deployment.operator.runs(1))[0]
        assert (run["status"], run["usage_source"]) == (200, "reported")
        left_out = [] if DIALECTS[host].takes_stream_options else ["stream_options"]
        assert run["dropped_parameters"] == left_out


async def test_a_call_that_nobody_counts_goes_as_it_came(tmp_path: Path) -> None:
    async with hosted(tmp_path / "home", "mistral") as deployment:
        body = b'{"model":"gpt-4o-mini", "messages":[{"role":"user","content":"hi"}],"max_completion_tokens": 9}'
        async with deployment.post("/v1/chat/completions", body) as answer:
            assert answer.status == 422
        assert deployment.simulator.calls[-1].body == body


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_cost_that_is_told_stands_in_for_a_price_that_nobody_knows(tmp_path: Path, streamed: bool) -> None:
    async with hosted(tmp_path / "home", "openrouter") as deployment:
        await deployment.operator.agent("support", "Be kind.", model="gpt-4.1-nano")
        await cap(deployment.operator, "usd", 5, at_limit="warn")
        await call(deployment, streamed=streamed)
        run = (await deployment.operator.runs(1))[0]
        assert run["cost_usd"] == pytest.approx(deployment.simulator.billed_nanodollars / 1e9, abs=2e-9)
        shown = (await deployment.operator.get("/caps"))["items"][0]
        assert (shown["spent"], shown["unmetered"]) == (pytest.approx(run["cost_usd"]), 0)


async def test_whoever_is_no_gateway_is_not_believed_a_cost(tmp_path: Path) -> None:
    async with hosted(tmp_path / "home", "openrouter", dialect="openai") as deployment:
        await deployment.operator.agent("support", "Be kind.")
        await call(deployment, streamed=False)
        assert (await deployment.operator.runs(1))[0]["price_id"] == f"settings:openrouter/{MODEL}"


@pytest.mark.parametrize("host", HOSTS)
async def test_a_stream_without_usage_is_charged_what_was_held_under_a_hard_cap_and_estimated_without(
    tmp_path: Path, host: str
) -> None:
    async with hosted(tmp_path / "home", host) as deployment:
        await deployment.operator.agent("support", "[[simulate: no_usage]] Be kind.")
        await call(deployment, streamed=True, max_tokens=20)
        assert (await deployment.operator.runs(1))[0]["usage_source"] == "estimated"
        await cap(deployment.operator, "usd", 5)
        await call(deployment, streamed=True, max_tokens=20)
        run = (await deployment.operator.runs(2))[0]
        assert (run["usage_source"], run["cost_usd"] >= run["estimated_cost_usd"]) == ("held", True)


@pytest.mark.parametrize("host", HOSTS)
async def test_a_stream_that_breaks_off_is_broken_for_the_client(tmp_path: Path, host: str) -> None:
    async with hosted(tmp_path / "home", host) as deployment:
        await deployment.operator.agent("support", "[[simulate: end_after_events=2]] Be kind.")
        with pytest.raises((openai.APIError, Exception)):
            await call(deployment, streamed=True)
        run = (await deployment.operator.runs(1))[0]
        assert (run["result"], run["error_class"]) == ("error", "stream_incomplete")


@pytest.mark.parametrize("host", ["groq", "openrouter", "gemini"])
async def test_vectors_are_asked_below_the_same_path(tmp_path: Path, host: str) -> None:
    async with hosted(tmp_path / "home", host) as deployment:
        vectors = await deployment.openai(None).embeddings.create(model="text-embedding-3-small", input="hi")
        assert vectors.data
        assert deployment.simulator.calls[-1].path == HABITS[host].base_path + "/embeddings"

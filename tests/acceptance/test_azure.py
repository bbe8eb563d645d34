"""Azure OpenAI with its own SDK client, and by plain ones: deployments in the path and in the body, keys, prices, switches."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncAzureOpenAI

from proxy.simulator.app import Simulator
from proxy.simulator.openai_dialects import azure
from tests.acceptance.caps import cap
from tests.harness import CALLER_KEY, Deployment, deployed

USER: Any = [{"role": "user", "content": "hi"}]
DEPLOYMENTS = {"our-small": "gpt-4o-mini", "our-large": "gpt-4o", "vectors": "text-embedding-3-small"}
PRICES = {
    "azure/gpt-4o-mini": {"input": 0.15, "output": 0.6, "cached": 0.075},
    "azure/gpt-4o": {"input": 2.5, "output": 10, "cached": 1.25},
    "azure/text-embedding-3-small": {"input": 0.02, "output": 0},
}
VERSION = "2024-10-21"
SMALL_PATH = f"/openai/deployments/our-small/chat/completions?api-version={VERSION}"


@asynccontextmanager
async def resource(home: Path, *, path: str = "", beside: Any = None, **more: Any) -> AsyncIterator[Deployment]:
    simulator = Simulator(wires=(azure(DEPLOYMENTS),))
    await simulator.start()
    own = {"wire": "openai", "base_url": simulator.url + path, "dialect": "azure", "deployments": DEPLOYMENTS, **more}
    try:
        providers = {**(beside or {}), "azure": own}
        async with deployed(home, simulator=simulator, providers=providers, prices=PRICES) as deployment:
            yield deployment
    finally:
        await simulator.stop()


def app_of(deployment: Deployment, agent: str | None = "support") -> AsyncAzureOpenAI:
    url = deployment.base_url(agent)
    return AsyncAzureOpenAI(azure_endpoint=url, api_key=CALLER_KEY, api_version=VERSION, max_retries=0)


async def newest(deployment: Deployment, count: int = 1) -> dict[str, Any]:
    return (await deployment.operator.runs(count))[0]


async def code_of(call: Any) -> str | None:
    with pytest.raises(openai.APIStatusError) as caught:
        await call
    return caught.value.code


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_deployment_has_its_models_price_and_the_callers_key_goes_with_it(
    tmp_path: Path, streamed: bool
) -> None:
    async with resource(tmp_path / "home") as deployment:
        await deployment.operator.agent("support", "Be kind.", model={})
        async with app_of(deployment) as app:
            if streamed:
                stream = await app.chat.completions.create(model="our-small", messages=USER, stream=True)
                chunks = [chunk async for chunk in stream]
                assert not chunks[0].choices  # what the filter said of the prompt stays
                assert all(chunk.choices for chunk in chunks[1:])
            else:
                assert (await app.chat.completions.create(model="our-small", messages=USER)).choices
        call = deployment.simulator.calls[-1]
        assert (call.path, call.headers["api-key"]) == (SMALL_PATH, CALLER_KEY)
        assert call.system == "Be kind."
        run = await newest(deployment)
        assert (run["operation"], run["version"], run["usage_source"]) == ("chat_completions", 1, "reported")
        assert run["price_id"] == "settings:azure/gpt-4o-mini"
        assert run["cost_usd"] == pytest.approx(deployment.simulator.billed_nanodollars / 1e9)


@pytest.mark.parametrize("path", ["", "/openai", "/openai/v1"])
async def test_a_versions_model_becomes_its_deployment_in_path_and_body(tmp_path: Path, path: str) -> None:
    async with resource(tmp_path / "home", path=path, api_key="the-resource-key") as deployment:
        await deployment.operator.agent(
            "support", "Be kind.", model={"name": "gpt-4o", "embeddings": "text-embedding-3-small"}
        )
        async with app_of(deployment) as app:
            await app.chat.completions.create(model="our-small", messages=USER)
            call = deployment.simulator.calls[-1]
            assert call.path == SMALL_PATH.replace("our-small", "our-large")
            assert (call.json["model"], call.headers["api-key"]) == ("our-large", "the-resource-key")
            await app.embeddings.create(model="anything", input="hi")
            assert (
                deployment.simulator.calls[-1].path == f"/openai/deployments/vectors/embeddings?api-version={VERSION}"
            )
        await deployment.openai().chat.completions.create(model="x", messages=USER)
        call = deployment.simulator.calls[-1]
        assert (call.path, call.json["model"]) == ("/openai/v1/chat/completions", "our-large")
        assert "authorization" not in {name.lower() for name in call.headers}
        await deployment.openai().responses.create(model="x", input="hi")
        assert deployment.simulator.calls[-1].path == "/openai/v1/responses"
        runs = await deployment.operator.runs(4)
        assert {run["price_id"] for run in runs} == {"settings:azure/gpt-4o", "settings:azure/text-embedding-3-small"}
        billed = deployment.simulator.billed_nanodollars / 1e9
        assert sum(run["cost_usd"] for run in runs) == pytest.approx(billed)


@pytest.mark.parametrize("named", ["gpt-4o-mini", "our-small", "azure/gpt-4o-mini"])
async def test_a_switch_on_a_model_or_its_deployment_stops_the_call_before_anything_answered(
    tmp_path: Path, named: str
) -> None:
    async with resource(tmp_path / "home") as deployment:
        await deployment.operator.post("/switches", scope={"model": named}, mode="block", why="stop")
        async with app_of(deployment, None) as app:
            create = app.chat.completions.create
            assert await code_of(create(model="our-small", messages=USER)) == "agent_disabled"
            assert (await create(model="our-large", messages=USER)).choices


async def test_a_hard_cap_holds_and_an_unknown_deployment_has_no_price(tmp_path: Path) -> None:
    async with resource(tmp_path / "home") as deployment:
        await cap(deployment.operator, "usd", 5, agent=None)
        async with app_of(deployment, None) as app:
            await app.chat.completions.create(model="our-small", messages=USER)
            assert await code_of(app.chat.completions.create(model="unlisted", messages=USER)) == "unpriceable"
        shown = (await deployment.operator.get("/caps"))["items"][0]
        costs = [run["cost_usd"] for run in await deployment.operator.runs(2) if run["result"] == "ok"]
        assert (shown["spent"], len(costs), shown["held"]) == (pytest.approx(sum(costs)), 1, 0)


async def test_an_agent_may_be_named_as_the_deployment(tmp_path: Path) -> None:
    async with resource(tmp_path / "home") as deployment:
        await deployment.operator.agent("support", "Be kind.", model="gpt-4o")
        async with app_of(deployment, None) as app:
            await app.chat.completions.create(model="agent:support", messages=USER)
        assert deployment.simulator.calls[-1].path == SMALL_PATH.replace("our-small", "our-large")
        assert (await newest(deployment))["agent"] == "support"


async def test_calls_go_to_the_provider_with_deployments_whoever_is_first(tmp_path: Path) -> None:
    beside = {"openai": {"wire": "openai", "base_url": "http://127.0.0.1:9"}}
    async with resource(tmp_path / "home", beside=beside) as deployment:
        async with app_of(deployment, None) as app:
            assert (await app.chat.completions.create(model="our-small", messages=USER)).choices
        await deployment.operator.agent("elsewhere", "Be kind.", model={"provider": "openai", "name": "gpt-4o"})
        async with app_of(deployment, "elsewhere") as app:
            assert await code_of(app.chat.completions.create(model="our-small", messages=USER)) == "wire_mismatch"


async def test_without_such_a_provider_its_paths_are_nobodys(deployment: Deployment) -> None:
    async with app_of(deployment, None) as app:
        assert await code_of(app.chat.completions.create(model="our-small", messages=USER)) == "path_not_found"


async def test_paths_that_no_wire_meters_are_known_by_what_they_ask(tmp_path: Path) -> None:
    async with resource(tmp_path / "home") as deployment:
        await cap(deployment.operator, "usd", 5, agent=None)
        body = {"prompt": "a cat"}
        target = f"/openai/deployments/our-small/images/generations?api-version={VERSION}"
        async with deployment.post(target, body) as refused:
            assert (refused.status, (await refused.json())["error"]["code"]) == (402, "unpriceable")
        async with deployment.post("/openai/nothing/known", body) as unknown:
            assert unknown.status == 404

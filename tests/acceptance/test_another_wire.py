"""Another provider format needs its wire, its family's row and its part of the simulator; the rest of the proxy knows nothing of it."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from proxy import assembly
from proxy.settings import ProviderSettings
from proxy.simulator.app import WIRES, Simulator
from proxy.wires.families import FAMILIES
from tests.acceptance.toy_wire import FAMILY, LINES, MODELS, SIMULATED, ToyWire
from tests.harness import CALLER_KEY, Deployment, deployed

ASK = {"ask": "How are you?", "most": 50}
PRICES = {"toys/toy-large": {"input": 3, "output": 6}}
NAMED = '{"name": "Ann"}'
HEADERS = {"api-key": CALLER_KEY, "toy-user": "u-1", "authorization": ""}


@pytest.fixture
async def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Deployment]:
    """A deployment that speaks one more wire, with an agent whose version asks for another model than its callers."""
    monkeypatch.setitem(FAMILIES, "toy", FAMILY)  # type: ignore[arg-type]
    monkeypatch.setattr(assembly, "WIRES", (*assembly.WIRES, ToyWire))
    simulator = Simulator(models=MODELS, wires=(SIMULATED, *WIRES))
    await simulator.start()
    provider: Any = {"wire": "toy", "base_url": simulator.url}
    try:
        async with deployed(
            tmp_path / "home",
            simulator=simulator,
            providers={"toys": ProviderSettings.model_construct(**provider)},
            prices=PRICES,
        ) as running:
            model = {"name": "toy-large", "parameters": {"temperature": 0.5}}
            prompt = {"text": "Be brief, {{name}}.", "variables": {"name": None}}
            await running.operator.agent("support")
            await running.operator.version("support", "", parent=None, model=model, prompt=prompt)
            await running.operator.label("support", "prod", 1)
            yield running
    finally:
        await simulator.stop()


@pytest.mark.parametrize("streamed", [False, True])
async def test_another_wire_is_routed_injected_metered_and_streamed(toys: Deployment, streamed: bool) -> None:
    async with toys.post(
        "/a/support/v1/toy/toy-small", ASK | {"lines": streamed}, **HEADERS, switchback_variables=NAMED
    ) as answer:
        body = await answer.text()
        assert (answer.status, answer.headers["switchback-version"]) == (200, "support@1")
        assert answer.content_type == (LINES if streamed else "application/json")

    said = [json.loads(line) for line in body.splitlines()]
    assert said[-1]["model"] == "toy-large"
    [sent] = toys.simulator.calls
    assert sent.path == "/v1/toy/toy-large"
    assert sent.json == ASK | {"lines": streamed, "guidance": "Be brief, Ann."}
    assert sent.headers["toy-temperature"] == "0.5"
    assert "toy-user" not in sent.headers
    [run] = await toys.operator.runs(1)
    assert (run["wire"], run["operation"], run["version"], run["user"]) == ("toy", "toy", 1, "u-1")
    assert (run["model_asked"], run["result"], run["usage_source"]) == ("toy-large", "ok", "reported")
    assert run["cost_usd"] == toys.simulator.billed_nanodollars / 1e9 > 0


async def test_another_wire_is_refused_stopped_and_capped_in_its_own_words(toys: Deployment) -> None:
    async with toys.post("/a/support/v1/toy/toy-small", ASK, **HEADERS) as answer:
        assert (answer.status, (await answer.json())["no"]) == (400, "variable_missing")
    async with toys.post("/a/nobody/v1/toy/toy-small", ASK, **HEADERS) as answer:
        assert (answer.status, (await answer.json())["no"]) == (404, "agent_not_found")

    await toys.operator.post("/caps", scope={}, window="day", unit="calls", limit=0, at_limit="block", why="a test")
    async with toys.post("/a/support/v1/toy/toy-small", ASK, **HEADERS, switchback_variables=NAMED) as answer:
        assert (answer.status, (await answer.json())["no"]) == (402, "spend_cap_exceeded")
    assert not toys.simulator.calls


async def test_a_stream_of_another_wire_that_ends_early_is_no_clean_end(toys: Deployment) -> None:
    toys.simulator.scenario = toys.simulator.scenario.ordered({"end_after_events": 2})
    with pytest.raises(Exception, match="payload is not completed"):
        async with toys.post(
            "/a/support/v1/toy/toy-small", ASK | {"lines": True}, **HEADERS, switchback_variables=NAMED
        ) as answer:
            await answer.read()
    [run] = await toys.operator.runs(1)
    assert (run["result"], run["error_class"]) == ("error", "stream_incomplete")

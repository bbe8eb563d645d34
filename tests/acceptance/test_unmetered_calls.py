"""Calls that nobody can meter: under a cap that warns they pass and are counted as such, never hidden in a sum of $0.00."""

from pathlib import Path
from typing import Any

import pytest

from proxy.simulator.app import Simulator
from tests.acceptance.caps import cap
from tests.harness import CLAUDE, Deployment, deployed, eventually

TRAINING = "/a/support/v1/fine_tuning/jobs"
FREE = "/a/support/v1/moderations"
ASKED: Any = {"model": "gpt-4.1-mini", "training_file": "file-1"}
AGENTS = ("unpriced", "free", "failing")
UNPRICED: Any = {"model": "x", "messages": [{"role": "user", "content": "hi"}]}


async def ask(deployment: Deployment, path: str, body: Any) -> int:
    async with deployment.post(path, body) as answer:
        await answer.read()
        return answer.status


async def shown(deployment: Deployment, unit: str) -> tuple[Any, Any]:
    caps = (await deployment.operator.get("/caps"))["items"]
    found = next(one for one in caps if one["unit"] == unit)
    return found["unmetered"], found["spent"]


@pytest.mark.parametrize("workers", [1, 3])
async def test_a_cap_says_how_many_calls_it_could_not_meter_also_after_a_restart(
    home: Path, simulator: Simulator, workers: int
) -> None:
    async with deployed(home, simulator=simulator, workers=workers) as deployment:
        await deployment.operator.agent("support", "one", model="acme-unpriced")
        for unit in ("usd", "tokens"):
            await cap(deployment.operator, unit, 5, at_limit="warn", window="total")
        assert await shown(deployment, "usd") == (0, 0)
        for _ in range(4):
            assert await ask(deployment, TRAINING, ASKED) == 200
        assert await ask(deployment, FREE, ASKED) < 500
        await deployment.operator.runs(5)

        async def all_settled() -> bool:
            return (await shown(deployment, "usd"))[0] == 4

        await eventually(all_settled)
        assert await shown(deployment, "tokens") == (4, 0)
    async with deployed(home, simulator=simulator, workers=workers) as again:
        assert await shown(again, "usd") == (4, 0)
        assert await shown(again, "tokens") == (4, 0)
        assert await ask(again, TRAINING, ASKED) == 200

        async def one_more() -> bool:
            return await shown(again, "usd") == (5, 0)

        await eventually(one_more)


async def test_a_model_without_a_price_is_unmetered_in_dollars_and_counted_in_tokens(
    home: Path, simulator: Simulator
) -> None:
    providers = {"local": {"wire": "openai", "base_url": simulator.url}}
    async with deployed(home, simulator=simulator, providers=providers, prices={"local/gpt-4.1": "free"}) as deployment:
        await deployment.operator.agent("unpriced", "one", model="gpt-4o-mini")
        await deployment.operator.agent("free", "one", model="gpt-4.1")
        await deployment.operator.agent("failing", "[[simulate: status=500]]", model="gpt-4o-mini")
        for unit in ("usd", "tokens"):
            await cap(deployment.operator, unit, 50_000, at_limit="warn", agent=None)
        statuses = [await ask(deployment, f"/a/{agent}/v1/chat/completions", UNPRICED) for agent in AGENTS]
        assert statuses == [200, 200, 500]
        runs = {run["agent"]: run for run in await deployment.operator.runs(3)}
        assert (runs["unpriced"]["cost_usd"], runs["unpriced"]["usage_source"]) == (None, "reported")
        assert (runs["free"]["cost_usd"], runs["free"]["usage_source"]) == (0, "reported")
        assert await shown(deployment, "usd") == (1, 0)
        unmetered, spent = await shown(deployment, "tokens")
        assert (unmetered, spent > 0) == (0, True)


async def test_a_hard_cap_lets_nothing_unmetered_pass(home: Path, simulator: Simulator) -> None:
    async with deployed(home, simulator=simulator) as deployment:
        await deployment.operator.agent("support", "one", model=CLAUDE)
        await cap(deployment.operator, "usd", 5, at_limit="warn")
        await cap(deployment.operator, "tokens", 5_000_000)
        assert await ask(deployment, TRAINING, ASKED) == 402
        assert (await shown(deployment, "usd"), await shown(deployment, "tokens")) == ((0, 0), (0, 0))

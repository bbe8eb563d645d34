"""A switch on the name a model answers as meets calls that ask for another name: after a restart too, and on every worker."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.runtime.state.answered_names import MAX_NAMES, AnsweredName, AnsweredNames
from proxy.simulator.app import Simulator
from proxy.simulator.models import MODELS, Model
from tests.acceptance.several_workers import bare_call
from tests.harness import Deployment, deployed

ASKED = "fast"
ANSWERED = "acme-blue-7"


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    provider = Simulator(models={**MODELS, ASKED: Model(ASKED, "openai", ANSWERED, 1, 1, 1, 1)})
    await provider.start()
    yield provider
    await provider.stop()


async def statuses(deployment: Deployment, count: int) -> set[int]:
    """Of calls on as many connections, which come to different workers."""
    return set(await asyncio.gather(*(bare_call(deployment.server.traffic_url) for _ in range(count))))


@pytest.mark.parametrize("workers", [1, 3])
async def test_what_one_process_learned_all_know_at_once_and_after_a_restart(
    home: Path, simulator: Simulator, workers: int
) -> None:
    async with deployed(home, simulator=simulator, workers=workers) as first:
        await first.operator.agent("support", "one", model=ASKED)
        assert await bare_call(first.server.traffic_url) == 200
        (run,) = await first.operator.runs(1)
        assert (run["model_asked"], run["model_answered"]) == (ASKED, ANSWERED)
        switch = await first.operator.post("/switches", scope={"model": ANSWERED}, mode="block", why="it misbehaves")
        assert await statuses(first, 12) == {403}
        await first.operator.request("DELETE", f"/switches/{switch['id']}", {"why": "well again"})
    seen = len(simulator.calls)
    async with deployed(home, simulator=simulator, workers=workers) as again:
        await again.operator.post("/switches", scope={"model": ANSWERED}, mode="block", why="it misbehaves")
        assert await statuses(again, 12) == {403}
        assert len(simulator.calls) == seen, "not one call had to teach it again"


def test_names_are_bounded_and_only_news_is_told() -> None:
    names, told = AnsweredNames(), list[AnsweredName]()
    names.on_news(told.append)
    for _ in range(2):
        names.learn("p", "a", "b")
    for strange in ((None, "a", "c"), ("p", None, "c"), ("p", "a", None), ("p", "a", "a"), ("p", "a", "x" * 257)):
        names.learn(*strange)
    assert told == [("p", "a", "b")]
    for number in range(3 * MAX_NAMES):
        names.learn("p", f"m{number}", "b")
    assert len(names.of("p")) <= MAX_NAMES
    assert names.of("p")[f"m{3 * MAX_NAMES - 1}"] == "b"

"""What tests start with: a home to come back to, a provider that outlives servers, three workers on one port."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.simulator.app import Simulator
from tests.harness import Deployment, deployed


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    running = Simulator()
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def three(tmp_path: Path) -> AsyncIterator[Deployment]:
    """A deployment with three workers and an agent `support` of two versions."""
    async with deployed(tmp_path / "home", workers=3) as running:
        await running.operator.agent("support", "one", "two")
        yield running

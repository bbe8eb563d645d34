"""What tests start themselves that stop and start servers: a home to come back to, and a provider that outlives them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.simulator.app import Simulator


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    running = Simulator()
    await running.start()
    yield running
    await running.stop()

"""The stage on which tests of rollouts play."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.runtime.rollouts.stage import RolloutStage, staged


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[RolloutStage]:
    async with staged(tmp_path) as made:
        yield made

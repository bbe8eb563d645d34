"""Fixtures every folder may use."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness import Deployment, deployed


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    """A fresh deployment with default settings."""
    async with deployed(tmp_path / "home") as running:
        yield running

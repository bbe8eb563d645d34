"""Fixtures of the admin application's tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.edges.composition import Admin, serving


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[Admin]:
    async with serving(tmp_path) as running:
        yield running

"""Fixtures of the admin application's tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.core.tokens import Role
from tests.edges.admin.composition import Admin, serving
from tests.edges.admin.people import person
from tests.edges.admin.team import Team


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[Admin]:
    async with serving(tmp_path) as running:
        yield running


@pytest.fixture
async def team(tmp_path: Path) -> AsyncIterator[Team]:
    async with serving(tmp_path) as admin:
        await admin.agent("support", "Be kind.", "Be kind and brief.", "Be brief.")
        roles: tuple[tuple[str, Role], ...] = (("ann", "operator"), ("bob", "operator"), ("cid", "author"))
        yield Team(admin, *[await person(admin, name, role) for name, role in roles])

"""Every test of this folder runs on the event loop that the proxy runs on, and proves that it left nothing behind."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import uvloop

from tests.harness import eventually
from tests.hostile.stage import open_descriptors


def pytest_asyncio_loop_factories():
    """`switchback serve` runs on uvloop."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def nothing_leaks() -> AsyncIterator[None]:
    """Tasks, sockets and files after a test are those before it; closing takes the loop a few turns."""
    loop = asyncio.get_running_loop()
    await loop.getaddrinfo("127.0.0.1", 80)  # whatever the loop opens lazily
    tasks, descriptors = asyncio.all_tasks(), open_descriptors()
    yield
    allowed = tasks | {asyncio.current_task()}
    try:
        await eventually(lambda: asyncio.all_tasks() <= allowed and open_descriptors() == descriptors)
    except TimeoutError:
        assert asyncio.all_tasks() - allowed == set()
        assert open_descriptors() == descriptors

"""Every test of this folder runs on the event loop that the proxy runs on, and proves that it left nothing behind."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvloop

from tests.harness import eventually
from tests.hostile.provider import Provider, playing
from tests.hostile.stage import open_descriptors, staged


def pytest_asyncio_loop_factories():
    """`switchback serve` runs on uvloop."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What the first deployment of a process opens for all its life is open before anything is counted."""

    async def one_call(home: Path) -> None:
        async with staged(home) as stage, stage.deployment.post("/v1/chat/completions", b"{}") as answer:
            await answer.read()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(one_call(tmp_path_factory.mktemp("warm")))


@pytest.fixture
async def nothing_leaks(warm: None) -> AsyncIterator[None]:
    """Tasks, sockets and files after a test are those before it; closing takes the loop a few turns."""
    loop = asyncio.get_running_loop()
    # What the loop opens lazily, once: threads to resolve names, a spare descriptor for the day there are none left.
    await loop.getaddrinfo("127.0.0.1", 80)
    server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
    server.close()
    await server.wait_closed()
    tasks, descriptors = asyncio.all_tasks(), open_descriptors()
    yield
    allowed = tasks | {asyncio.current_task()}
    try:
        await eventually(lambda: asyncio.all_tasks() <= allowed and open_descriptors() == descriptors)
    except TimeoutError:
        assert asyncio.all_tasks() - allowed == set()
        assert open_descriptors() == descriptors


@pytest.fixture
async def provider(nothing_leaks: None) -> AsyncIterator[Provider]:
    """A provider whose answers are scripted byte by byte."""
    async with playing() as one:
        yield one

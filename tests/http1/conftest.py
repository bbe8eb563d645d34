"""Both event loops for every async test, and proof after each that no task and no file descriptor is left."""

import asyncio
import os

import pytest
import uvloop


def pytest_asyncio_loop_factories():
    """Every async test of this folder runs on both loops."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def _sockets():
    """How many sockets this process has open. Not which: uvloop makes its own anew for each run."""
    return sum(_target(fd).startswith("socket:") for fd in os.listdir("/proc/self/fd"))


def _target(fd):
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:  # the listing's own descriptor
        return "gone"


@pytest.fixture
async def nothing_leaks():
    """Tasks and sockets before equal those after; closing takes the loop a few turns."""
    loop = asyncio.get_running_loop()
    await loop.getaddrinfo("127.0.0.1", 80)  # whatever the loop opens lazily
    tasks, sockets = asyncio.all_tasks(), _sockets()
    yield
    deadline = loop.time() + 2
    while loop.time() < deadline:
        if asyncio.all_tasks() <= tasks | {asyncio.current_task()} and _sockets() == sockets:
            return
        await asyncio.sleep(0.001)
    assert asyncio.all_tasks() <= tasks | {asyncio.current_task()}
    assert _sockets() == sockets

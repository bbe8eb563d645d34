"""Both event loops for every async test, and proof after each that no task and no file descriptor is left."""

import asyncio
import gc
import os

import pytest
import uvloop


@pytest.fixture(params=["asyncio", "uvloop"])
def event_loop_policy(request):
    return uvloop.EventLoopPolicy() if request.param == "uvloop" else asyncio.DefaultEventLoopPolicy()


def _open_files():
    return {fd: _target(fd) for fd in os.listdir("/proc/self/fd")}


def _target(fd):
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return "gone"


def _sockets():
    return sorted(target for target in _open_files().values() if target.startswith("socket:"))


@pytest.fixture(autouse=True)
async def nothing_leaks():
    """Tasks and sockets before equal those after; closing takes the loop a few turns."""
    loop = asyncio.get_running_loop()
    await loop.getaddrinfo("127.0.0.1", 80)  # whatever the loop opens lazily
    tasks, sockets = asyncio.all_tasks(), _sockets()
    yield
    deadline = loop.time() + 5
    while loop.time() < deadline:
        if asyncio.all_tasks() <= tasks | {asyncio.current_task()} and _sockets() == sockets:
            return
        await asyncio.sleep(0.005)
        gc.collect()
    assert asyncio.all_tasks() <= tasks | {asyncio.current_task()}
    assert _sockets() == sockets

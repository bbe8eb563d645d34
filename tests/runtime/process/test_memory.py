"""What is free in the heap of a process does not stay with it."""

import subprocess
import sys

import pytest

#: Blocks that come from the heap, each beside one that stays in use: of what is free nothing lies at the heap's end.
PROGRAM = """
import asyncio
from pathlib import Path
from proxy.runtime.process import memory

def resident_pages():
    return int(Path("/proc/self/statm").read_text().split()[1])

async def main():
    kept, free = [], []
    for _ in range(400):
        free.append(bytes(100_000))
        kept.append(bytes(600))
    free.clear()
    before = resident_pages()
    memory._INTERVAL_SECONDS = 0.01
    giving = asyncio.create_task(memory.give_back_memory())
    async with asyncio.timeout(60):
        while before - resident_pages() < 5_000:
            await asyncio.sleep(0.01)
    assert not giving.done()

asyncio.run(main())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc, and is about glibc")
def test_memory_that_is_free_between_what_is_in_use_goes_back_to_the_system() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr

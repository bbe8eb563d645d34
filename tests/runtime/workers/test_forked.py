"""Workers that are forked before their owner begins: what they are given, how they end, and when nobody is forked."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from tests.harness import PATIENCE_SECONDS, eventually

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only there workers are forked")


async def forking(name: str) -> tuple[int, str, str]:
    """Exit code, what it said, and what it said on stderr, once it is gone and whoever has its pipes."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.runtime.workers.forking", name, cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, told = await asyncio.wait_for(process.communicate(), PATIENCE_SECONDS)
    assert process.returncode is not None
    return process.returncode, said.decode(), told.decode()


async def test_each_has_its_own_session_the_sockets_it_was_given_and_an_end_that_is_heard() -> None:
    assert await forking("serve") == (0, "True\nTrue\nTrue\nTrue\n", "")


async def test_one_that_fails_says_why_and_ends_with_1() -> None:
    code, said, told = await forking("fail")
    assert (code, said) == (0, "1\n")
    assert told.rstrip().endswith("RuntimeError: nothing works")


async def test_all_of_them_end_with_an_owner_that_is_killed_before_it_serves() -> None:
    code, said, told = await forking("leave")
    assert (code, told) == (-signal.SIGKILL, "")
    pids = [int(pid) for pid in said.split()]
    assert len(pids) == 3

    def is_gone(pid: int) -> bool:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        return state == "Z"

    await eventually(lambda: all(is_gone(pid) for pid in pids))


async def test_a_process_with_a_second_thread_forks_nobody() -> None:
    assert await forking("threads") == (0, "[]\n", "")

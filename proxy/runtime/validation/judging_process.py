"""The process that judges: started when the first answer comes, asked one answer at a time, killed where it does not answer.

Decision: patterns and schemas run in a process of their own under a limit of its CPU time, not in a thread and not in a matcher of
linear time. Python's matcher holds the interpreter while it searches: `(a+)+$` over 40 letters stops every call of a process for
hours, in whichever thread it runs. Matchers of linear time lack lookaround and back references, read patterns otherwise than people
who test them in Python expect, and leave schemas, which have patterns too, where they are. The child is interrupted
after 1 s of CPU, and ended after 2 (proxy/judge.py); one that is not heard of for 30 s is killed. It costs 27 MB, and 0.6 ms an answer,
from the first answer on that has to be judged, and nothing before.
"""

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from proxy.core.versions.judging import Verdict
from proxy.runtime.process.children import start_child
from proxy.runtime.validation.jobs import LENGTH_BYTES, TOO_LONG, Job, framed, verdict_of

#: Far beyond what the child allows itself, so that a busy machine kills nobody.
DEADLINE_SECONDS: Final = 30.0
_GOING_SECONDS: Final = 2.0
#: Of the environment, what an interpreter needs to start and to find what is installed.
_NEEDED: Final = (
    "HOME", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONHOME", "PYTHONUSERBASE", "PYTHONNOUSERSITE",
    "PYTHONUTF8", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class JudgeProgram:
    """What the process runs. `import_from`: the folder that holds the package."""

    module: str
    import_from: Path

    async def start(self) -> Process:
        """Raises OSError."""
        # No keys of providers: what an answer or a schema makes a library do, it does without them.
        needed = {name: os.environ[name] for name in _NEEDED if name in os.environ}
        return await start_child(self.module, self.import_from, needed, stdin=PIPE, stdout=PIPE, stderr=DEVNULL)


class JudgeLost(Exception):
    """The process could not be started, ended, or did not answer."""


class JudgingProcess:
    """Asks one process, and starts another after it was lost."""

    def __init__(self, program: JudgeProgram, deadline_seconds: float = DEADLINE_SECONDS) -> None:
        self._program = program
        self._deadline_seconds = deadline_seconds
        self._process: Process | None = None

    @property
    def pid(self) -> int | None:
        """Of the process; None while there is none."""
        return None if self._process is None else self._process.pid

    async def verdict(self, job: Job) -> Verdict:
        """What it says of one answer. Raises JudgeLost."""
        try:
            async with asyncio.timeout(self._deadline_seconds):
                return await self._ask(job)
        # RuntimeError: what uvloop raises of a pipe that is closed.
        except (OSError, RuntimeError, EOFError, TimeoutError, msgspec.MsgspecError) as error:
            if await self.close() == -signal.SIGPROF:
                return TOO_LONG
            raise JudgeLost(type(error).__name__) from None
        except asyncio.CancelledError:
            # What it would answer next is not what is asked next.
            self._kill()
            raise
        except BaseException:
            await self.close()
            raise

    async def close(self) -> int | None:
        """End the process; how it ended."""
        process, self._process = self._process, None
        if process is None:
            return None
        if process.stdout is not None and process.stdout.at_eof():
            # It went by itself.
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _GOING_SECONDS)
        with suppress(ProcessLookupError):
            process.kill()
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _GOING_SECONDS)
        return process.returncode

    async def _ask(self, job: Job) -> Verdict:
        if self._process is None or self._process.returncode is not None:
            self._process = await self._program.start()
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(framed(job))
        await stdin.drain()
        size = int.from_bytes(await stdout.readexactly(LENGTH_BYTES), "big")
        return verdict_of(await stdout.readexactly(size))

    def _kill(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()

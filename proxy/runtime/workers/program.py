"""What a worker's process runs, and how it is started.

Decision: workers are new interpreters with inherited sockets, never forks: the owner has threads (store, log) whose locks a
fork would copy. They import from where the owner was imported, and never from the working directory, where somebody else's
folder may be called `proxy`.
"""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerProgram:
    """What the processes run. `settings` as a worker reads them; `import_from`: the folder that holds the package."""

    count: int
    module: str
    import_from: Path
    settings: bytes = field(repr=False)
    drain_seconds: float

    async def start(self, descriptors: Sequence[int]) -> Process:
        """A worker's process that inherits its link and its listening sockets. Raises OSError."""
        place = str(self.import_from)
        given = os.environ.get("PYTHONPATH")
        return await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", self.module, *(str(descriptor) for descriptor in descriptors),
            stdin=DEVNULL,
            pass_fds=descriptors,
            env={**os.environ, "PYTHONPATH": f"{place}{os.pathsep}{given}" if given else place},
            # Ctrl-C at a terminal reaches the owner alone, which drains the workers in good order.
            start_new_session=True,
        )  # fmt: skip

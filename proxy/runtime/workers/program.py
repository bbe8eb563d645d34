"""What a worker's process runs, and what it is given: its link, and its listening sockets."""

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from proxy.runtime.process.children import start_child
from proxy.runtime.workers.forked import ForkedWorker


class WorkerProcess(Protocol):
    """A child of this process."""

    @property
    def pid(self) -> int: ...
    @property
    def returncode(self) -> int | None: ...
    def kill(self) -> None: ...
    async def wait(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerProgram:
    """What the processes run. `settings` as a worker reads them; `import_from`: the folder that holds the package; `forked`: those
    that are there already, and are used first."""

    count: int
    module: str
    import_from: Path
    settings: bytes = field(repr=False)
    drain_seconds: float
    forked: list[ForkedWorker] = field(default_factory=list[ForkedWorker])

    async def start(self, listening: Sequence[socket.socket]) -> tuple[WorkerProcess, socket.socket]:
        """A worker that takes calls on these, and the owner's end of its link. Raises OSError."""
        if self.forked:
            worker = self.forked.pop(0)
            worker.begin(listening)
            return worker, worker.link
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                descriptors = [sock.fileno() for sock in (theirs, *listening)]
                numbers = [str(descriptor) for descriptor in descriptors]
                process = await start_child(
                    self.module, self.import_from, os.environ, arguments=numbers, descriptors=descriptors
                )
            except BaseException:
                ours.close()
                raise
        return process, ours

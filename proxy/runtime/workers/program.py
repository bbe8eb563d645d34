"""What a worker's process runs, and what it inherits: its link, and its listening sockets."""

import os
from asyncio.subprocess import Process
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from proxy.runtime.process.children import start_child


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
        numbers = [str(descriptor) for descriptor in descriptors]
        return await start_child(self.module, self.import_from, os.environ, arguments=numbers, descriptors=descriptors)

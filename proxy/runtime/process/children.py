"""Starting processes of ours: new interpreters that import from where this one was imported.

Decision: no fork. This process has threads (store, log) whose locks a fork would copy; the workers of a start are forked before it
has any (workers/forked.py). Children never import from the working directory, where somebody else's folder may be called `proxy`.
"""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping, Sequence
from pathlib import Path


async def start_child(
    module: str,
    import_from: Path,
    environment: Mapping[str, str],
    *,
    arguments: Sequence[str] = (),
    descriptors: Sequence[int] = (),
    stdin: int = DEVNULL,
    stdout: int | None = None,
    stderr: int | None = None,
) -> Process:
    """A process that runs `module`. `import_from`: the folder that holds the package; `descriptors`: what it inherits. Raises
    OSError."""
    place, given = str(import_from), os.environ.get("PYTHONPATH")
    return await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", module, *arguments,
        stdin=stdin, stdout=stdout, stderr=stderr,
        pass_fds=descriptors,
        env={**environment, "PYTHONPATH": f"{place}{os.pathsep}{given}" if given else place},
        # Ctrl-C at a terminal reaches the server alone, which ends its children in good order.
        start_new_session=True,
    )  # fmt: skip

"""Where the command begins: quiet on Ctrl-C from its first moment, also while it is still being imported and put together.

Afterwards a Ctrl-C is an exception again, which Typer ends with the same exit code.
"""

import os
import signal
import sys
from types import FrameType

#: EXIT_INTERRUPTED of failures.py, which is among what is not imported yet.
_INTERRUPTED = 130


def main() -> None:
    """The entry point. Exits with a code of `failures.py`."""
    usual = signal.signal(signal.SIGINT, _leave)
    # What takes its time; whoever starts a server waits for no other verb's.
    if sys.argv[1:2] == ["serve"]:
        from proxy.cli.serving import main as run  # noqa: PLC0415
    else:
        from proxy.cli.app import main as run  # noqa: PLC0415

    run(ready=lambda: signal.signal(signal.SIGINT, usual))


def _leave(number: int, frame: FrameType | None) -> None:
    os._exit(_INTERRUPTED)

"""Servers as processes of this benchmark: started on a core of their own, paused while others are measured, ended.

Each is a session and process group of its own, so that everything it starts is measured, paused and ended with it. Nothing
that this module did not start is ever signalled.
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from benchmarks import machine

_POLL_SECONDS = 0.05
_END_SECONDS = 5.0


class StartFailed(Exception):
    """A server did not come up; the text says why, with the end of its log."""


class ServerProcess:
    """One running server. `output` is the file that took what it wrote."""

    def __init__(self, command: Sequence[str], *, core: int, output: Path, cwd: Path, env: Mapping[str, str]) -> None:
        self.output = output

        with output.open("wb") as stream, machine.on_core(core):
            self._process = subprocess.Popen(
                command,
                cwd=cwd,
                env={**os.environ, **env},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pids(self) -> list[int]:
        """Every process of the group."""
        return machine.group_members(self._process.pid)

    def wait_for_port(self, port: int, seconds: float) -> None:
        """Returns once the port takes connections. Raises StartFailed."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise StartFailed(f"it ended with status {self._process.returncode}: {self._last_words()}")
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return
            time.sleep(_POLL_SECONDS)
        raise StartFailed(f"nothing listens on port {port} after {seconds:g} s: {self._last_words()}")

    def pause(self) -> None:
        """Take the processor away from the whole group."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Give it back."""
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """End the group, softly first."""
        self._signal(signal.SIGCONT)
        with suppress(ProcessLookupError):
            self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _last_words(self) -> str:
        with suppress(OSError):
            return " / ".join(self.output.read_text(errors="replace").split("\n")[-6:])[-600:]
        return ""


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]

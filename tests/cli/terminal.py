"""The command in a terminal of its own: a pty, with somebody who answers what it asks."""

import asyncio
import io
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_SECONDS = 60.0


class Terminal(io.StringIO):
    """A screen that this process writes to itself."""

    def isatty(self) -> bool:
        return True


@dataclass(frozen=True)
class Seen:
    """What the screen showed, and the exit code."""

    screen: str
    exit_code: int


async def at_a_terminal(
    words: Sequence[str], environment: Mapping[str, str], *, asked: str = "", answer: str = "", interrupt: bool = False
) -> Seen:
    """Run it; when the screen shows `asked`, type `answer`, or press Ctrl-C."""
    return await asyncio.to_thread(_run, words, environment, asked, answer, interrupt)


def _run(words: Sequence[str], environment: Mapping[str, str], asked: str, answer: str, interrupt: bool) -> Seen:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (40, int(environment.get("COLUMNS", "100"))))
    command = [sys.executable, "-m", "proxy", *words]
    whole = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", **environment}
    running = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=whole, start_new_session=True)
    os.close(theirs)
    screen, deadline, has_answered = b"", time.monotonic() + _SECONDS, not asked
    try:
        while time.monotonic() < deadline:
            ready, _, _ = select.select([ours], [], [], 0.1)
            try:
                piece = os.read(ours, 65536) if ready else None
            except OSError:
                # The last of its ends is closed.
                break
            if piece == b"":
                break
            screen += piece or b""
            if not has_answered and asked.encode() in screen:
                has_answered = True
                if interrupt:
                    running.send_signal(signal.SIGINT)
                else:
                    os.write(ours, answer.encode() + b"\n")
        return Seen(screen.decode().replace("\r\n", "\n"), running.wait(timeout=_SECONDS))
    finally:
        if running.poll() is None:
            running.kill()
            running.wait()
        os.close(ours)

"""The first workers of a start: forked from a process that has imported everything and has begun nothing.

Decision: forked, where a worker that is started later is a new interpreter (process/children.py). Three interpreters that import the
same modules side by side took as long as the rest of the start on two cores: 2.4 s until three workers took calls and 2.6 s of CPU, 1.3 s
and 1.2 s forked; and what they imported is in memory once, 11 MB instead of 33 for a worker by itself (compiled). A fork copies locks that other threads hold, connections and event loops: there are none yet,
and where this process has a second thread after all nothing is forked. Only on Linux, whose libraries allow for it and which tells
of the end of a process by a descriptor. No process of its own that would fork later ones too: it would be their parent instead of
the owner, for a start that nobody waits for.

OpenSSL and Python's `random` begin anew in a child by themselves; identifiers are begun in the child.
"""

import asyncio
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn

#: What the kernel passes at once.
_MOST_SOCKETS = 253
#: As asyncio says it of a child that somebody else waited for.
_UNKNOWN_CODE = 255
_Run = Callable[[socket.socket, Sequence[socket.socket]], None]


class ForkedWorker:
    """A child that waits for its listening sockets. `link`: the owner's end of its link."""

    def __init__(self, pid: int, descriptor: int, link: socket.socket) -> None:
        self.pid = pid
        self.link = link
        #: None while it runs; less than 0 where a signal ended it.
        self.returncode: int | None = None
        self._descriptor = descriptor

    def begin(self, listening: Sequence[socket.socket]) -> None:
        """Have it serve on these. Raises OSError where it is gone already."""
        socket.send_fds(self.link, [b"\0"], [sock.fileno() for sock in listening])

    def kill(self) -> None:
        """End it now."""
        if self.returncode is None:
            signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)

    async def wait(self) -> int:
        """Its exit code, once it has one. To be awaited by one task at a time."""
        loop = asyncio.get_running_loop()
        while self.returncode is None:
            ended = asyncio.Event()
            loop.add_reader(self._descriptor, ended.set)
            try:
                await ended.wait()
            finally:
                loop.remove_reader(self._descriptor)
            self._reap()
        return self.returncode

    def _reap(self) -> None:
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            self.returncode = _UNKNOWN_CODE
        else:
            if not pid:
                return
            self.returncode = os.waitstatus_to_exitcode(status)
        os.close(self._descriptor)


def fork_workers(count: int, run: _Run) -> list[ForkedWorker]:
    """Children that call `run` with their end of the link and their listening sockets, once they have those, and end with it; none
    or fewer where the system has no more. For a process that has no event loop yet."""
    sys.stdout.flush()
    sys.stderr.flush()
    found: list[ForkedWorker] = []
    try:
        while len(found) < count and _may_fork():
            found.append(_forked(found, run))
    except OSError:
        # Those that are missing are started like any later one, which says so where that cannot be done either.
        return found
    return found


def _may_fork() -> bool:
    if sys.platform != "linux":
        return False
    # Raises OSError where the kernel knows no such descriptors, or they are not allowed.
    os.close(os.pidfd_open(os.getpid()))
    return len(os.listdir("/proc/self/task")) == 1


def _forked(before: Sequence[ForkedWorker], run: _Run) -> ForkedWorker:
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if not pid:
        # As long as anybody has the owner's end of a link, nobody notices that the owner is gone.
        for sock in (ours, *(worker.link for worker in before)):
            sock.close()
        _live(theirs, run)
    theirs.close()
    return ForkedWorker(pid, os.pidfd_open(pid), ours)


def _live(link: socket.socket, run: _Run) -> NoReturn:
    """The child, from its first moment to its last: what its parent was about to do afterwards is none of its business."""
    code = 1
    try:
        # Ctrl-C at a terminal reaches the owner alone, which ends its workers in good order.
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, sys.__stdin__.fileno() if sys.__stdin__ is not None else 0)
        os.close(nothing)
        said, descriptors, _, _ = socket.recv_fds(link, 1, _MOST_SOCKETS, socket.MSG_CMSG_CLOEXEC)
        # An owner that is gone before it served says nothing.
        if said:
            run(link, [socket.socket(fileno=descriptor) for descriptor in descriptors])
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

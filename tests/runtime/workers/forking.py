"""`python -m tests.runtime.workers.forking NAME`: a process that forks workers as a server does, and says on stdout what it saw."""

import asyncio
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence

import uvloop

from proxy.runtime.workers.forked import ForkedWorker, fork_workers

CODE = 7


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def answer(link: socket.socket, listening: Sequence[socket.socket]) -> None:
    """A worker that says what it is and has, then waits for its owner's end."""
    names = [sock.getsockname()[1] for sock in listening]
    link.sendall(f"{os.getpid()} {os.getsid(0) == os.getpid()} {names}\n".encode())
    link.recv(1)


def fail(link: socket.socket, listening: Sequence[socket.socket]) -> None:
    raise RuntimeError("nothing works")


async def _said(worker: ForkedWorker, listening: Sequence[socket.socket]) -> str:
    worker.begin(listening)
    worker.link.setblocking(False)
    reader, _ = await asyncio.open_connection(sock=worker.link)
    said = (await reader.readline()).decode().strip()
    # The transport would close it with itself.
    worker.link = worker.link.dup()
    return said


async def _serve(workers: list[ForkedWorker]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        ports = [one.getsockname()[1], other.getsockname()[1]]
        said = [await _said(worker, [one, other]) for worker in workers]
    say(said == [f"{worker.pid} True {ports}" for worker in workers])
    first, second, third = workers
    first.kill()
    say(await first.wait() == -signal.SIGKILL == first.returncode)
    first.kill()
    os.kill(second.pid, signal.SIGTERM)
    say(await second.wait() == -signal.SIGTERM)
    say(third.returncode is None)
    third.kill()
    await third.wait()


async def _fail(workers: list[ForkedWorker]) -> None:
    workers[0].begin([])
    say(await workers[0].wait())


def main(name: str) -> None:
    if name == "serve":
        uvloop.run(_serve(fork_workers(3, answer)))
    elif name == "fail":
        uvloop.run(_fail(fork_workers(1, fail)))
    elif name == "leave":
        say(*(worker.pid for worker in fork_workers(3, answer)))
        # Killed as a server may be at any moment, before it served.
        os.kill(os.getpid(), signal.SIGKILL)
    elif name == "threads":
        stop = threading.Event()
        threading.Thread(target=stop.wait).start()
        say(fork_workers(3, answer))
        stop.set()


if __name__ == "__main__":
    main(sys.argv[1])

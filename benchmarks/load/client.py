"""Client connections of the load generator on one epoll: plain sockets, no HTTP library, one call at a time on each.

A connection knows whether its answer is complete and what kind it is; when calls are made and what is measured is the business
of the modes (calls.py, streams.py).
"""

import json
import select
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from benchmarks.load import messages

_READ = 16 * 1024
IN, OUT = select.EPOLLIN, select.EPOLLOUT


@dataclass(slots=True)
class Trouble:
    """What went wrong: answers that were not 200, connections that broke in the middle; with the first one's words."""

    refused: int = 0
    broken: int = 0
    example: str = ""

    @property
    def count(self) -> int:
        return self.refused + self.broken

    def note(self, what: bytes | str) -> None:
        """Keep the first example."""
        if not self.example:
            self.example = (what if isinstance(what, str) else what.decode("latin-1"))[:400]


class Connection:
    """One keep-alive connection. `answered` is called with each complete answer, `received` with each piece of a stream."""

    __slots__ = ("busy", "due_ns", "fd", "kept", "mark", "sock", "unsent")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.kept = b""
        self.unsent: memoryview | None = None
        self.busy = False
        #: When its call should have been sent.
        self.due_ns = 0
        #: Free for the mode's use.
        self.mark = 0


@dataclass(slots=True)
class Client:
    """All connections to one port, and the loop that serves them."""

    port: int
    connections: dict[int, Connection] = field(default_factory=dict[int, Connection])
    trouble: Trouble = field(default_factory=Trouble)
    epoll: select.epoll = field(default_factory=select.epoll)
    handlers: dict[int, Callable[[], None]] = field(default_factory=dict[int, Callable[[], None]])

    def connect(self, receive_buffer_bytes: int | None = None) -> Connection:
        """Open one more connection. Raises OSError."""
        sock = socket.socket()
        if receive_buffer_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.connect(("127.0.0.1", self.port))
        sock.setblocking(False)
        connection = Connection(sock)
        self.connections[connection.fd] = connection
        self.epoll.register(connection.fd, IN)
        return connection

    def watch(self, fd: int, handler: Callable[[], None]) -> None:
        """Call the handler whenever the file is readable (a timer)."""
        self.handlers[fd] = handler
        self.epoll.register(fd, IN)

    def send(self, connection: Connection, request: bytes) -> None:
        """Begin a call."""
        connection.busy = True
        connection.kept = b""
        self._write(connection, memoryview(request))

    def serve(self, until_ns: int, on_data: Callable[[Connection, bytes], None]) -> None:
        """Give everything that arrives to `on_data`, until a moment."""
        poll, connections, handlers = self.epoll.poll, self.connections, self.handlers
        while (now := time.monotonic_ns()) < until_ns:
            for fd, mask in poll(max(0.001, (until_ns - now) / 1e9), 256):
                connection = connections.get(fd)
                if connection is None:
                    handler = handlers.get(fd)
                    if handler is not None:
                        handler()
                    continue
                if mask & OUT:
                    self._write(connection, connection.unsent or memoryview(b""))
                if mask & ~OUT:
                    try:
                        data = connection.sock.recv(_READ)
                    except BlockingIOError:
                        continue
                    except OSError:
                        data = b""
                    on_data(connection, data)

    def drop(self, connection: Connection) -> None:
        """Close one connection."""
        if self.connections.pop(connection.fd, None) is not None:
            with suppress(OSError):
                self.epoll.unregister(connection.fd)
            connection.sock.close()

    def broke(self, connection: Connection) -> Connection:
        """Replace a connection that was closed on us."""
        if connection.busy:
            self.trouble.broken += 1
            self.trouble.note("the connection was closed: " + connection.kept.decode("latin-1"))
        self.drop(connection)
        return self.connect()

    def completes(self, connection: Connection, data: bytes) -> bool:
        """Take in a piece of a whole answer; whether it is complete now. Counts what is not a 200."""
        if connection.kept:
            data = connection.kept + data
        if not data.endswith(messages.ANSWER_TAIL) and not _is_complete(data):
            connection.kept = data
            return False
        connection.busy = False
        if data[9:12] != b"200":
            self.trouble.refused += 1
            self.trouble.note(data)
        connection.kept = b""
        return True

    def close(self) -> None:
        """Close everything."""
        for connection in list(self.connections.values()):
            self.drop(connection)
        self.epoll.close()

    def _write(self, connection: Connection, data: memoryview) -> None:
        try:
            sent = connection.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # the reading side sees it too
        if sent < len(data):
            if connection.unsent is None:
                self.epoll.modify(connection.fd, IN | OUT)
            connection.unsent = data[sent:]
        elif connection.unsent is not None:
            connection.unsent = None
            self.epoll.modify(connection.fd, IN)


def set_profile(provider_port: int, events: int, interval_us: int) -> None:
    """Tell the provider what streams opened from now on do."""
    control(provider_port, "profile", {"events": events, "interval_us": interval_us})


def control(provider_port: int, what: str, content: dict[str, Any]) -> dict[str, Any]:
    """One control call to the provider; its counts."""
    with socket.create_connection(("127.0.0.1", provider_port), timeout=10) as sock:
        body = json.dumps(content).encode()
        sock.sendall(b"POST /bench/%b HTTP/1.1\r\ncontent-length: %d\r\n\r\n%b" % (what.encode(), len(body), body))
        answer = b""
        while not _is_complete(answer):
            data = sock.recv(_READ)
            if not data:
                break
            answer += data
        return json.loads(answer.split(b"\r\n\r\n", 1)[1])


def percentiles(values_ns: Sequence[int]) -> dict[str, float]:
    """p50, p90, p99 and the maximum, in milliseconds."""
    if not values_ns:
        return {}
    ordered = sorted(values_ns)
    last = len(ordered) - 1
    shown = {"p50_ms": 0.5, "p90_ms": 0.9, "p99_ms": 0.99, "max_ms": 1.0}
    return {name: ordered[min(last, int(share * len(ordered)))] / 1e6 for name, share in shown.items()}


def _is_complete(data: bytes) -> bool:
    head_end = data.find(b"\r\n\r\n")
    if head_end < 0:
        return False
    length = messages.content_length(data[:head_end])
    if length < 0:
        return data.endswith(messages.LAST_CHUNK)
    return len(data) - head_end - 4 >= length

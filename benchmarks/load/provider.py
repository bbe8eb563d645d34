"""The benchmark's provider: fixed answers, whole or as events on a schedule, for far less CPU than any proxy under test.

One thread on epoll and plain sockets, no HTTP library. `POST /bench/profile` with `{"events", "interval_us"}` sets what
streams opened from then on do (interval 0: as fast as the reader takes it), and with `"closes": true` each whole answer ends its
connection; `POST /bench/stats` tells what was served.
Run: `python -m benchmarks.load.provider PORT [TLS_PORT PEM]`. Its counterpart is generator.py.
"""

import gc
import heapq
import json
import select
import signal
import socket
import ssl
import sys
import time
from contextlib import suppress

from benchmarks.load import messages
from benchmarks.load.files import raise_file_limit
from benchmarks.load.timer import Timer

_SMALL_BODY = 64 * 1024
_READ = 16 * 1024
_READ_LARGE = 1024 * 1024
_BURST_EVENTS = 64
#: Multiples of it, modulo 1, are spread evenly, as many as there may be.
_GOLDEN = (5**0.5 - 1) / 2
_WOULD_BLOCK = BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError
_IN, _OUT, _BROKEN = select.EPOLLIN, select.EPOLLOUT, select.EPOLLHUP | select.EPOLLERR


class _Connection:
    __slots__ = ("end", "events_left", "fd", "interval_ns", "kept", "missing", "sock", "unsent")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.kept = b""
        self.missing = 0
        self.unsent = b""
        self.events_left = 0
        self.interval_ns = 0
        self.end = b""


class Provider:
    """Serves until its process ends."""

    def __init__(self, port: int) -> None:
        self._epoll = select.epoll()
        self._listeners: dict[int, tuple[socket.socket, ssl.SSLContext | None]] = {}
        self.port = self.listen(port)
        self._timer = Timer()
        self._epoll.register(self._timer.fd, _IN)
        self._timer_due = 0
        self._connections: dict[int, _Connection] = {}
        self._due: list[tuple[int, int, _Connection]] = []
        self._scheduled = 0
        self._spread = 0.0
        self._profile = {"events": 20, "interval_us": 1000, "closes": False}
        self._stats = {"calls": 0, "streams": 0, "events": 0}

    def listen(self, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Listen on one more port, 0 for any; which it is."""
        listener = socket.create_server(("127.0.0.1", port), backlog=4096)
        listener.setblocking(False)
        self._listeners[listener.fileno()] = listener, tls
        self._epoll.register(listener.fileno(), _IN)
        return listener.getsockname()[1]

    def run(self) -> None:
        """Serve for ever."""
        listeners, timer, connections = self._listeners, self._timer.fd, self._connections
        poll = self._epoll.poll
        while True:
            for fd, mask in poll(-1, 256):
                connection = connections.get(fd)
                if connection is not None:
                    if mask & _OUT:
                        self._flush(connection)
                    if mask & _IN:
                        self._read(connection)
                    elif mask & _BROKEN:
                        self._close(connection)
                elif fd in listeners:
                    self._accept(*listeners[fd])
                elif fd == timer:
                    self._tick()

    def _accept(self, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
        with suppress(BlockingIOError):
            while True:
                sock, _ = listener.accept()
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if tls is not None:  # the first read shakes hands
                    sock = tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
                connection = _Connection(sock)
                self._connections[connection.fd] = connection
                self._epoll.register(connection.fd, _IN)

    def _read(self, connection: _Connection) -> None:
        try:
            # Never less than a record of TLS, of which a part would be left where epoll does not see it.
            data = connection.sock.recv(max(_READ, min(connection.missing, _READ_LARGE)))
        except _WOULD_BLOCK:
            return
        except OSError:
            data = b""
        if not data:
            self._close(connection)
        elif connection.missing:
            connection.missing -= len(data)
            if len(connection.kept) < _SMALL_BODY:
                connection.kept += data
            if connection.missing == 0:
                self._answer(connection, connection.kept)
        else:
            self._read_head(connection, connection.kept + data)

    def _read_head(self, connection: _Connection, data: bytes) -> None:
        head_end = data.find(b"\r\n\r\n")
        connection.kept = data
        if head_end < 0:
            return
        missing = messages.content_length(data[:head_end]) - (len(data) - head_end - 4)
        if missing > 0:
            connection.missing = missing
        else:
            self._answer(connection, data)

    def _answer(self, connection: _Connection, request: bytes) -> None:
        connection.kept = b""
        if request.startswith(b"POST /bench/"):
            self._control(connection, request)
        elif messages.is_streamed(request):
            self._stats["streams"] += 1
            connection.events_left = self._profile["events"]
            connection.interval_ns = self._profile["interval_us"] * 1000
            connection.end = messages.stream_end(with_usage=messages.wants_usage(request))
            now = time.monotonic_ns()
            self._send(
                connection, messages.STREAM_HEAD + self._next_piece(connection, now, self._first_due(connection, now))
            )
        else:
            self._stats["calls"] += 1
            self._send(connection, messages.LAST_ANSWER if self._profile["closes"] else messages.ANSWER)
            if self._profile["closes"]:
                self._close(connection)

    def _first_due(self, connection: _Connection, now_ns: int) -> int:
        """A moment in the interval before now from which the events of this stream follow: streams are spread over the
        interval alike for every target, however fast it opened them. Where it opens them faster, their events would
        otherwise come in bunches, which cost less each."""
        if not connection.interval_ns:
            return now_ns
        self._spread = (self._spread + _GOLDEN) % 1
        phase = int(self._spread * connection.interval_ns)
        return now_ns - (now_ns - phase) % connection.interval_ns

    def _control(self, connection: _Connection, request: bytes) -> None:
        if request.startswith(b"POST /bench/profile"):
            self._profile |= json.loads(request.split(b"\r\n\r\n", 1)[1])
            self._spread = 0.0
        body = json.dumps({**self._stats, "open": len(self._connections)}).encode()
        self._send(connection, b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))

    def _next_piece(self, connection: _Connection, now_ns: int, due_ns: int) -> bytes:
        """The next event, many where there is no schedule, or the end; the time of the one after is noted."""
        left = connection.events_left
        if left == 0:
            return connection.end
        if connection.interval_ns == 0:
            count = min(left, _BURST_EVENTS)
            connection.events_left -= count
            self._stats["events"] += count
            return messages.event(now_ns) * count + (connection.end if count == left else b"")
        connection.events_left -= 1
        self._stats["events"] += 1
        self._schedule(connection, max(now_ns, due_ns + connection.interval_ns))
        return messages.event(now_ns)

    def _schedule(self, connection: _Connection, due_ns: int) -> None:
        self._scheduled += 1
        heapq.heappush(self._due, (due_ns, self._scheduled, connection))
        if not self._timer_due or due_ns < self._timer_due:
            self._timer_due = due_ns
            self._timer.set(due_ns)

    def _tick(self) -> None:
        self._timer.expirations()
        due, now = self._due, time.monotonic_ns()
        while due and due[0][0] <= now:
            due_ns, _, connection = heapq.heappop(due)
            if self._connections.get(connection.fd) is not connection:
                continue
            now = time.monotonic_ns()
            if connection.unsent:
                self._schedule(connection, now + connection.interval_ns)
            else:
                self._send(connection, self._next_piece(connection, now, due_ns))
        self._timer_due = due[0][0] if due else 0
        self._timer.set(self._timer_due)

    def _send(self, connection: _Connection, data: bytes) -> None:
        if connection.unsent:
            connection.unsent += data
            return
        try:
            sent = connection.sock.send(data)
        except _WOULD_BLOCK:
            sent = 0
        except OSError:
            self._close(connection)
            return
        connection.unsent = data[sent:]
        if _waits_for_room(connection):
            self._epoll.modify(connection.fd, _IN | _OUT)

    def _flush(self, connection: _Connection) -> None:
        data, connection.unsent = connection.unsent, b""
        if not data and connection.events_left and connection.interval_ns == 0:
            data = self._next_piece(connection, time.monotonic_ns(), 0)
        if data:
            self._send(connection, data)
        if connection.fd in self._connections and not _waits_for_room(connection):
            self._epoll.modify(connection.fd, _IN)

    def _close(self, connection: _Connection) -> None:
        if self._connections.pop(connection.fd, None) is not None:
            connection.events_left = 0
            self._epoll.unregister(connection.fd)
            with suppress(OSError):
                if isinstance(connection.sock, ssl.SSLSocket):
                    connection.sock.unwrap()  # says that it closes, and does not wait for an answer
            connection.sock.close()


def _waits_for_room(connection: _Connection) -> bool:
    return bool(connection.unsent) or (connection.interval_ns == 0 and connection.events_left > 0)


def main() -> None:
    """Serve on the port given, 0 for any, which is printed; over TLS on the second one as well."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise_file_limit()
    provider = Provider(int(sys.argv[1]))
    if len(sys.argv) > 2:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(sys.argv[3])
        provider.listen(int(sys.argv[2]), tls)
    print(provider.port, flush=True)
    gc.disable()
    provider.run()


if __name__ == "__main__":
    main()

"""Modes of the load generator that open streams: events relayed, time to the first event, memory held, slow readers.

The provider stamps every event with its clock, so delays are measured event by event. Streams opened to be held are simply
left when the measurement is over, as clients do.
"""

import time
from collections import deque
from typing import Any

from benchmarks import machine
from benchmarks.load import messages
from benchmarks.load.calls import requests_of
from benchmarks.load.client import Client, Connection, percentiles, set_profile
from benchmarks.load.timer import Timer

_MARK, _DIGITS = messages.STAMP_MARK, messages.STAMP_DIGITS
_ENDLESS = 10_000_000
_OPENING_AT_ONCE = 64
_PATIENCE_NS = 20_000_000_000
_STEP_NS = 100_000_000
_SETTLE_NS = 1_000_000_000
_SHORT_STREAM = {"events": 4, "interval_us": 2000}
_HELD_INTERVAL_US = 2_000_000
_SLOW_BUFFER_BYTES = 4096
_SLOW_PARTS = 10


class _Streams:
    """Streams on connections of their own, counted event by event."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.client = Client(spec["target"]["port"])
        self.events = 0
        self.first_events = 0
        #: Delays of events, provider to here, while not None.
        self.delays_ns: list[int] | None = None
        self._requests = requests_of(spec, streamed=True)
        self._opened = 0

    def open(self, count: int) -> None:
        """Open streams up to a number, some at a time; returns when each has had its first event or was given up."""
        deadline = time.monotonic_ns() + _PATIENCE_NS
        while self.first_events < count and not self.client.trouble.count and (now := time.monotonic_ns()) < deadline:
            while self._opened < count and self._opened - self.first_events < _OPENING_AT_ONCE:
                self.client.send(self.client.connect(), self._requests[self._opened % len(self._requests)])
                self._opened += 1
            self.client.serve(now + 2_000_000, self.received)

    def run(self, nanoseconds: int) -> None:
        """Receive for a while."""
        self.client.serve(time.monotonic_ns() + nanoseconds, self.received)

    def received(self, connection: Connection, data: bytes) -> None:
        """Count the events in a piece; `mark` counts those of the connection."""
        if not data:
            self.client.trouble.broken += 1
            self.client.trouble.note("a stream was closed: " + connection.kept.decode("latin-1"))
            self.client.drop(connection)
            return
        now = time.monotonic_ns()
        data = connection.kept + data
        at, end = data.find(_MARK), 0
        while at >= 0 and len(data) - at >= len(_MARK) + _DIGITS:
            end = at + len(_MARK) + _DIGITS
            stamp = data[at + len(_MARK) : end]
            self.events += 1
            connection.mark += 1
            if connection.mark == 1:
                self.first_events += 1
            if self.delays_ns is not None and stamp.isdigit():
                self.delays_ns.append(now - int(stamp))
            at = data.find(_MARK, end)
        # An event may be cut anywhere; the bytes of a head are of interest only when it is not a 200.
        connection.kept = data[max(end, len(data) - 64) :] if connection.mark else data
        if not connection.mark and data.startswith(b"HTTP/1.1 ") and data[9:12] != b"200":
            self.client.trouble.refused += 1
            self.client.trouble.note(data)


def relayed_events(spec: dict[str, Any]) -> dict[str, Any]:
    """CPU per event and delay of events, with a number of streams that each bring events at an interval."""
    set_profile(spec["provider_port"], _ENDLESS, spec["interval_us"])
    streams = _Streams(spec)
    streams.open(spec["streams"])
    streams.run(int(spec["warm_seconds"] * 1e9))
    streams.delays_ns = []
    begun, cpu, before = time.monotonic_ns(), machine.cpu_seconds(spec["watch"]), streams.events
    streams.run(int(spec["seconds"] * 1e9))
    seconds = (time.monotonic_ns() - begun) / 1e9
    cpu = machine.cpu_seconds(spec["watch"]) - cpu
    events = streams.events - before
    streams.client.close()
    return {
        "events": events,
        "events_per_s": events / seconds,
        "offered_per_s": spec["streams"] * 1e6 / spec["interval_us"],
        "cpu_us_per_event": cpu * 1e6 / max(events, 1),
        "cpu_share": cpu / seconds,
        **percentiles(streams.delays_ns),
        **_trouble(streams),
    }


def first_events(spec: dict[str, Any]) -> dict[str, Any]:
    """Time from when a short stream was due to its first event, at a rate, while other streams are open."""
    set_profile(spec["provider_port"], _ENDLESS, spec["held_interval_us"])
    streams = _Streams(spec)
    streams.open(spec["held"])
    streams.run(int(spec["warm_seconds"] * 1e9))
    set_profile(spec["provider_port"], **_SHORT_STREAM)
    short = _ShortStreams(streams, spec)
    short.run(int(spec["seconds"] * 1e9))
    streams.client.close()
    return {
        "held": streams.first_events,
        **percentiles(short.waits_ns),
        "calls": len(short.waits_ns),
        **_trouble(streams),
    }


class _ShortStreams:
    """Short streams on a schedule and on keep-alive connections of their own, beside those that are held."""

    def __init__(self, streams: _Streams, spec: dict[str, Any]) -> None:
        self.waits_ns: list[int] = []
        self._streams = streams
        self._client = streams.client
        self._requests = requests_of(spec, streamed=True)
        self._interval_ns = int(1e9 / spec["rate"])
        self._free = deque(self._client.connect() for _ in range(spec["connections"]))
        self._own = {connection.fd for connection in self._free}
        self._waiting: deque[int] = deque()
        self._timer = Timer()
        self._next_ns = 0
        self._sent = 0

    def run(self, nanoseconds: int) -> None:
        self._next_ns = start = time.monotonic_ns() + 10_000_000
        self._timer.set(start, self._interval_ns)
        self._client.watch(self._timer.fd, self._due)
        self._client.serve(start + nanoseconds, self._received)
        self._timer.set(0)
        self._client.serve(time.monotonic_ns() + _STEP_NS, self._received)

    def _due(self) -> None:
        for _ in range(self._timer.expirations()):
            self._waiting.append(self._next_ns)
            self._next_ns += self._interval_ns
        self._send_waiting()

    def _send_waiting(self) -> None:
        while self._waiting and self._free:
            connection = self._free.popleft()
            connection.due_ns = self._waiting.popleft()
            connection.mark = 0
            self._sent += 1
            self._client.send(connection, self._requests[self._sent % len(self._requests)])

    def _received(self, connection: Connection, data: bytes) -> None:
        if connection.fd not in self._own:
            self._streams.received(connection, data)
            return
        if not data:
            self._client.trouble.broken += 1
            self._client.trouble.note("a short stream was closed: " + connection.kept.decode("latin-1"))
            self._own.discard(connection.fd)
            self._client.drop(connection)
            return
        data = connection.kept + data
        if not connection.mark and _MARK in data:
            connection.mark = 1
            self.waits_ns.append(time.monotonic_ns() - connection.due_ns)
        if data.endswith(messages.LAST_CHUNK):
            connection.kept = b""
            connection.busy = False
            self._free.append(connection)
            self._send_waiting()
        else:
            connection.kept = data


def held_streams(spec: dict[str, Any]) -> dict[str, Any]:
    """Resident memory before and with growing numbers of open streams, each quiet but for an event now and then."""
    set_profile(spec["provider_port"], _ENDLESS, _HELD_INTERVAL_US)
    streams = _Streams(spec)
    levels = [{"streams": 0, "resident_bytes": machine.resident_bytes(spec["watch"])}]
    for count in spec["levels"]:
        streams.open(count)
        streams.run(_SETTLE_NS)
        levels.append({"streams": streams.first_events, "resident_bytes": machine.resident_bytes(spec["watch"])})
    streams.client.close()
    return {"levels": levels, **_trouble(streams)}


def slow_readers(spec: dict[str, Any]) -> dict[str, Any]:
    """The most memory resident while many clients read little of streams that come as fast as they are taken.

    The time counts from when every client has had its first bytes; each then reads 4 KB about once a second.
    """
    idle = machine.resident_bytes(spec["watch"])
    set_profile(spec["provider_port"], _ENDLESS, 0)
    streams = _Streams(spec)
    client = streams.client
    requests = requests_of(spec, streamed=True)
    for number in range(spec["streams"]):
        connection = client.connect(_SLOW_BUFFER_BYTES)
        client.epoll.modify(connection.fd, 0)
        client.send(connection, requests[number % len(requests)])
    connections = list(client.connections.values())
    peak, read, number = idle, 0, 0
    patience = time.monotonic_ns() + int(spec["patience_seconds"] * 1e9)
    end = 0
    while (now := time.monotonic_ns()) < (end or patience):
        for connection in connections[number % _SLOW_PARTS :: _SLOW_PARTS]:
            read += _read_little(client, connection)
        number += 1
        if not end and all(connection.mark for connection in connections):
            end = now + int(spec["seconds"] * 1e9)
        peak = max(peak, machine.resident_bytes(spec["watch"]))
        time.sleep(1 / _SLOW_PARTS)
    begun = sum(connection.mark for connection in connections)
    client.close()
    return {
        "begun": begun,
        "resident_idle_bytes": idle,
        "resident_peak_bytes": peak,
        "bytes_read": read,
        **_trouble(streams),
    }


def _read_little(client: Client, connection: Connection) -> int:
    try:
        count = len(connection.sock.recv(_SLOW_BUFFER_BYTES))
    except BlockingIOError:
        return 0
    except OSError as error:
        client.trouble.broken += 1
        client.trouble.note(f"a slow reader was cut off: {error}")
        return 0
    connection.mark = 1
    return count


def _trouble(streams: _Streams) -> dict[str, Any]:
    return {"errors": streams.client.trouble.count, "example": streams.client.trouble.example}

"""Modes of the load generator that make whole calls: as fast as answers come, or at a fixed rate.

At a fixed rate a call that has to wait for a free connection counts from the moment it was due, not from when it could be
sent: a server that stalls is not spared the calls it held up (no coordinated omission).
"""

import time
from collections import deque
from typing import Any

from benchmarks import machine
from benchmarks.load import messages
from benchmarks.load.client import Client, Connection, percentiles
from benchmarks.load.timer import Timer

_USERS = 256
_DRAIN_NS = 2_000_000_000
_SECOND_NS = 1_000_000_000


def requests_of(spec: dict[str, Any], *, streamed: bool = False) -> list[bytes]:
    """One ready request for each of some users, so that a rollout finds users on both sides."""
    target, size = spec["target"], spec.get("body_bytes", 0)
    users = 4 if size > 100_000 else _USERS
    return [
        messages.request(
            target["port"],
            target["path"],
            {**target["headers"], "switchback-user": f"user-{number}"},
            messages.chat_body(streamed=streamed, size_bytes=size),
        )
        for number in range(users)
    ]


def closed_loop(spec: dict[str, Any]) -> dict[str, Any]:
    """Every connection calls again as soon as it was answered."""
    client = Client(spec["target"]["port"])
    requests = requests_of(spec)
    count = len(requests)
    done = 0
    goes_on = True

    def answered(connection: Connection, data: bytes) -> None:
        nonlocal done
        if not data:
            connection = client.broke(connection)
        elif client.completes(connection, data):
            done += 1
        else:
            return
        if goes_on:
            client.send(connection, requests[done % count])

    for number in range(spec["connections"]):
        client.send(client.connect(), requests[number % count])
    start = time.monotonic_ns()
    client.serve(start + int(spec["warm_seconds"] * 1e9), answered)
    begun, cpu, done_before = time.monotonic_ns(), machine.cpu_seconds(spec["watch"]), done
    client.serve(begun + int(spec["seconds"] * 1e9), answered)
    ended, cpu = time.monotonic_ns(), machine.cpu_seconds(spec["watch"]) - cpu
    calls = done - done_before
    goes_on = False
    deadline = time.monotonic_ns() + _DRAIN_NS
    while any(one.busy for one in client.connections.values()) and (now := time.monotonic_ns()) < deadline:
        client.serve(now + 20_000_000, answered)
    client.close()
    seconds = (ended - begun) / 1e9
    return {
        "calls": calls,
        "all_calls": done,
        "calls_per_s": calls / seconds,
        "cpu_us_per_call": cpu * 1e6 / max(calls, 1),
        "cpu_share": cpu / seconds,
        **_trouble(client),
    }


def fixed_rate(spec: dict[str, Any]) -> dict[str, Any]:
    """Calls on a schedule, whatever the answers do."""
    schedule = _Schedule(spec)
    cpu, begun = machine.cpu_seconds(spec["watch"]), time.monotonic_ns()
    schedule.run()
    cpu = machine.cpu_seconds(spec["watch"]) - cpu
    return {
        **percentiles(schedule.latencies_ns),
        "calls": len(schedule.latencies_ns),
        "unanswered": schedule.unanswered,
        "cpu_share": cpu / ((time.monotonic_ns() - begun) / 1e9),
        **_trouble(schedule.client),
    }


def watched_versions(spec: dict[str, Any]) -> dict[str, Any]:
    """Calls on a schedule; when each version was first and last seen in an answer, on the machine's monotonic clock."""
    schedule = _Schedule(spec)
    seen: dict[str, list[int]] = {}

    def look(answer: bytes) -> None:
        at = answer.find(b"\r\nswitchback-version: ")
        version = answer[at + 22 : answer.find(b"\r\n", at + 2)].decode("latin-1")
        now = time.monotonic_ns()
        seen.setdefault(version, [now, now])[1] = now

    schedule.look = look
    schedule.run()
    return {"seen": seen, **_trouble(schedule.client)}


class _Schedule:
    """Calls at a fixed rate over a fixed number of connections."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.client = Client(spec["target"]["port"])
        self.latencies_ns: list[int] = []
        self.unanswered = 0
        self.look: Any = None
        self._requests = requests_of(spec)
        self._interval_ns = int(_SECOND_NS / spec["rate"])
        self._warm_ns = int(spec["warm_seconds"] * 1e9)
        self._seconds_ns = int(spec["seconds"] * 1e9)
        self._free = deque(self.client.connect() for _ in range(spec["connections"]))
        self._waiting: deque[int] = deque()
        self._timer = Timer()
        self._next_ns = self._first_ns = self._last_ns = 0
        self._sent = 0

    def run(self) -> None:
        """Warm up, measure, wait a little for what is still under way."""
        start = time.monotonic_ns() + 10_000_000
        self._next_ns, self._first_ns = start, start + self._warm_ns
        self._last_ns = self._first_ns + self._seconds_ns
        self._timer.set(start, self._interval_ns)
        self.client.watch(self._timer.fd, self._due)
        self.client.serve(self._last_ns, self._received)
        self._timer.set(0)
        deadline = time.monotonic_ns() + _DRAIN_NS
        while self._open() and (now := time.monotonic_ns()) < deadline:
            self.client.serve(min(deadline, now + 20_000_000), self._received)
        self.unanswered = self._open()
        self.client.close()

    def _open(self) -> int:
        return len(self._waiting) + sum(connection.busy for connection in self.client.connections.values())

    def _due(self) -> None:
        for _ in range(self._timer.expirations()):
            self._waiting.append(self._next_ns)
            self._next_ns += self._interval_ns
        self._send_waiting()

    def _send_waiting(self) -> None:
        while self._waiting and self._free:
            connection = self._free.popleft()
            connection.due_ns = self._waiting.popleft()
            self._sent += 1
            self.client.send(connection, self._requests[self._sent % len(self._requests)])

    def _received(self, connection: Connection, data: bytes) -> None:
        if not data:
            if not connection.busy:
                self._free.remove(connection)
            self._free.append(self.client.broke(connection))
        elif self.client.completes(connection, data):
            if self._first_ns <= connection.due_ns < self._last_ns:
                self.latencies_ns.append(time.monotonic_ns() - connection.due_ns)
            if self.look is not None:
                self.look(data)
            self._free.append(connection)
        self._send_waiting()


def _trouble(client: Client) -> dict[str, Any]:
    return {"errors": client.trouble.count, "example": client.trouble.example}

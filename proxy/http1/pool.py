"""The connections of one client, in use and idle, and the one timer that keeps their deadlines.

Last in, first out, so that a falling load lets connections grow old and close. Opening them is `dial.py`'s part.
"""

import asyncio
from collections import Counter
from typing import Final

from proxy.http1.dial import learn_session
from proxy.http1.limits import UpstreamLimits, sweep_seconds
from proxy.http1.origin import Origin
from proxy.http1.outgoing import Turn
from proxy.http1.upstream_connection import UpstreamConnection

_CLOSE_SECONDS: Final = 1.0
_READ_BYTES: Final = 64 * 1024


class Pool:
    """Idle connections by origin, and how many there are of each."""

    def __init__(self, limits: UpstreamLimits) -> None:
        self.buffer = memoryview(bytearray(_READ_BYTES))
        self.turn = Turn()
        self._limits = limits
        self._idle: dict[Origin, list[UpstreamConnection]] = {}
        self._all: set[UpstreamConnection] = set()
        self._counts: Counter[Origin] = Counter()
        self._sweep: asyncio.TimerHandle | None = None
        self._all_closed: asyncio.Future[None] | None = None
        self.closing = False

    def take(self, origin: Origin) -> UpstreamConnection | None:
        """The most recently used idle connection that is still good, if there is one."""
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.is_usable():
                return connection
        return None

    def reserve(self, origin: Origin) -> bool:
        """Count a connection that is about to be opened; False when there are too many."""
        if self._counts[origin] >= self._limits.connections_per_origin:
            return False
        if len(self._all) >= self._limits.connections:
            self._make_room()
        self._counts[origin] += 1
        return True

    def unreserve(self, origin: Origin) -> None:
        """Uncount a connection that could not be opened."""
        self._counts[origin] -= 1

    def add(self, connection: UpstreamConnection) -> None:
        """Keep a new connection in view. It was reserved before."""
        self._all.add(connection)
        if connection.transport.is_closing():  # lost before it was ours
            self.closed(connection)
        elif self._sweep is None:
            self._schedule_sweep()

    def proved(self, connection: UpstreamConnection) -> None:
        """The first answer of a connection is complete."""
        if connection.origin.is_tls:
            learn_session(connection.transport, connection.origin)

    def give(self, connection: UpstreamConnection) -> None:
        """Take a connection back for another request, unless it is too old."""
        if self.closing or connection.since - connection.opened_at >= self._limits.connection_age_seconds:
            connection.transport.close()
        else:
            self._idle.setdefault(connection.origin, []).append(connection)

    def closed(self, connection: UpstreamConnection) -> None:
        """Forget a connection."""
        if connection not in self._all:
            return
        self._all.discard(connection)
        self._counts[connection.origin] -= 1
        idle = self._idle.get(connection.origin)
        if idle and connection in idle:
            idle.remove(connection)
        if not self._all:
            self._stop()

    async def close(self) -> None:
        """Close everything; exchanges under way fail with `closed`."""
        self.closing = True
        for connection in list(self._all):
            connection.shut()
        if self._all:
            self._all_closed = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._all_closed], timeout=_CLOSE_SECONDS)

    def _make_room(self) -> None:
        longest = min((idle[0] for idle in self._idle.values() if idle), key=lambda kept: kept.since, default=None)
        if longest is not None:
            self._idle[longest.origin].remove(longest)
            longest.transport.close()

    def _stop(self) -> None:
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        if self._all_closed is not None and not self._all_closed.done():
            self._all_closed.set_result(None)

    def _schedule_sweep(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweep = loop.call_later(sweep_seconds(self._limits), self._check_deadlines, loop)

    def _check_deadlines(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        limits = self._limits
        self._schedule_sweep()
        for idle in self._idle.values():
            for connection in list(idle):
                idle_for, age = now - connection.since, now - connection.opened_at
                if idle_for >= limits.pool_idle_seconds or age >= limits.connection_age_seconds:
                    idle.remove(connection)
                    connection.transport.close()
        for connection in list(self._all):
            connection.check(now)

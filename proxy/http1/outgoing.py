"""What a connection writes: gathered until the present turn of the event loop is over, and watched for a peer that takes nothing.

Decision: handing each write to the kernel where it happens costs 6 µs more than gathering those of a turn: the process at the
other end has fallen asleep again by the time of the next write, and waking a sleeping core costs as much as the rest of the
system call. Sent back to back, the first write wakes it for all. What is large goes at once, so that a transport can say when
it has enough. So does a piece of a stream that comes alone: a turn more for it would cost 2 µs.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final, cast

_GATHERED_BYTES: Final = 16 * 1024
#: Pieces of streams that come closer together than this are gathered.
_CLOSE_SECONDS: Final = 50e-6


class Turn:
    """The connections that have something to send when this turn of the event loop is over."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._waiting: list[Outgoing] = []
        self._relayed_at = 0.0

    def is_quiet(self) -> bool:
        """Whether the last piece of a stream, of whichever connection, was passed on a while ago."""
        now = self._monotonic()
        since = now - self._relayed_at
        self._relayed_at = now
        return since > _CLOSE_SECONDS

    def add(self, outgoing: "Outgoing") -> None:
        """Flush it with the others."""
        self._waiting.append(outgoing)
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self._over)

    def _over(self) -> None:
        waiting, self._waiting = self._waiting[::-1], []
        try:
            while waiting:
                waiting.pop().flush()
        except BaseException:
            # Whatever one transport raises, the others' writes must not be lost with it.
            for outgoing in reversed(waiting):
                self.add(outgoing)
            raise


class Outgoing:
    """The sending side of one connection. Its owner flushes before it closes or aborts the transport, and drops what is held
    once the connection is lost."""

    def __init__(self, turn: Turn) -> None:
        self.transport = cast("asyncio.Transport", None)
        """Set by the owner once there is one, before anything is written."""
        self._turn = turn
        self._held = b""
        self._written = 0
        self._flushed = -1
        self._stalled_since = 0.0

    def write(self, data: bytes) -> None:
        """Send this after what was written before, at the latest when the turn is over."""
        self._written += len(data)
        held = self._held
        if held:
            data = held + data
        if len(data) < _GATHERED_BYTES:
            self._held = data
            if not held:
                self._turn.add(self)
        else:
            self._held = b""
            self.transport.write(data)

    def relay(self, data: bytes) -> None:
        """As `write`, for a piece of a stream: where it comes alone it is sent at once."""
        if self._turn.is_quiet() and not self._held:
            self._written += len(data)
            self.transport.write(data)
        else:
            self.write(data)

    def pass_on(self, data: memoryview) -> None:
        """Hand a piece of what is large to the transport now; nothing may be held."""
        self._written += len(data)
        self.transport.write(data)

    def flush(self) -> None:
        """Hand what is held to the transport now."""
        held = self._held
        if held:
            self._held = b""
            self.transport.write(held)

    def drop(self) -> None:
        """Forget what is held: the connection is lost."""
        self._held = b""

    @property
    def waiting_bytes(self) -> int:
        """Written, and not yet in the hands of the kernel."""
        return len(self._held) + self.transport.get_write_buffer_size()

    def stalled_seconds(self, now: float) -> float:
        """How long bytes have waited, by loop time, without any of them leaving: 0 where none wait. Asked at every sweep."""
        waiting = self.waiting_bytes
        if not waiting:
            return 0.0
        flushed = self._written - waiting
        if flushed != self._flushed:
            self._flushed = flushed
            self._stalled_since = now
        return now - self._stalled_since

"""What asyncio transports have no name for: leaving with a reset, and noticing a peer that takes nothing.

Both halves use it.
"""

import asyncio
import socket
import struct

_LINGER_ZERO = struct.pack("ii", 1, 0)


def abort(transport: asyncio.Transport) -> None:
    """Close at once and with RST, which cannot be taken for the end of a body that is delimited by close."""
    sock = transport.get_extra_info("socket")
    if sock is not None and not transport.is_closing():
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    transport.abort()


class Stall:
    """Notices that bytes wait in a send buffer and none of them leave."""

    __slots__ = ("_flushed", "_since")

    def __init__(self) -> None:
        self._flushed = -1
        self._since = 0.0

    def seconds(self, flushed: int, now: float) -> float:
        """How long the total of flushed bytes has been seen unchanged. Called while bytes are waiting, at every sweep."""
        if flushed != self._flushed:
            self._flushed = flushed
            self._since = now
        return now - self._since

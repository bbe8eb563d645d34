"""What asyncio transports have no name for: leaving with a reset, what a peer has taken, standing in for one that is lost, and
binding a unix socket without taking it from somebody who listens on it.
"""

import asyncio
import errno
import fcntl
import os
import select
import socket
import stat
import struct
import sys
import termios
from typing import Final, cast

_LINGER_ZERO: Final = struct.pack("ii", 1, 0)


class _LostTransport:
    """Takes everything and does nothing."""

    def is_closing(self) -> bool:
        return True

    def get_extra_info(self, name: str) -> None:
        del name

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: bytes) -> None:
        del data

    def pause_reading(self) -> None:
        """Nothing comes."""

    def resume_reading(self) -> None:
        """Nothing comes."""

    def close(self) -> None:
        """It is."""

    def abort(self) -> None:
        """It is closed."""


LOST_TRANSPORT: Final = cast("asyncio.Transport", _LostTransport())
"""For a protocol to keep in place of a transport it has lost. Over TLS that one refers to the protocol, and both would wait for the
garbage collector, which comes seldom, with 20 KB of OpenSSL's memory."""


def abort(transport: asyncio.Transport) -> None:
    """Close at once and with RST, which cannot be taken for the end of a body that is delimited by close."""
    sock = transport.get_extra_info("socket")
    if sock is not None and not transport.is_closing():
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    transport.abort()


def is_readable(transport: asyncio.Transport) -> bool:
    """Whether something has come that the loop has not read yet, an end or an error included. Two microseconds."""
    sock = transport.get_extra_info("socket")
    if sock is None:
        return False
    waiting = select.poll()
    waiting.register(sock.fileno(), select.POLLIN)
    return bool(waiting.poll(0))


def unacknowledged_bytes(transport: asyncio.Transport) -> int:
    """How much of what the kernel was given to send the peer's has not confirmed, also after the connection ended; 0 where that
    cannot be known. Linux: SIOCOUTQ, tcp(7)."""
    sock = transport.get_extra_info("socket")
    if sock is None:
        return 0
    try:
        return int.from_bytes(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except OSError:
        return 0


def bind_unix(path: str) -> socket.socket:
    """A unix socket, bound and not yet listening. A socket file that nobody listens on, left behind by a process that was
    killed, is replaced. Raises OSError: with EADDRINUSE where somebody listens, or where the file is no socket."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        try:
            sock.bind(path)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not _is_deserted(path):
                raise
            os.unlink(path)
            sock.bind(path)
    except OSError as error:
        sock.close()
        raise OSError(error.errno, error.strerror or str(error), path) from error
    return sock


def _is_deserted(path: str) -> bool:
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as visitor:
        visitor.setblocking(False)
        return visitor.connect_ex(path) == errno.ECONNREFUSED

"""The one port of several processes: the owner reserves it, every worker gets listening sockets of its own for it.

The owner's sockets are bound without SO_REUSEPORT, so that nobody else's port is shared by mistake, and marked with it only
then; they never listen. A worker's sockets end with the worker: the kernel gives its share of new connections to the others
at once.

Decision: SO_REUSEPORT instead of one inherited listening socket. 1,000 connections over 3 workers came out as 328/322/350
(64 as 21/17/26), against 154/764/82 (11/53/0) with one socket on uvloop, where whoever wakes first takes all that wait.
"""

import asyncio
import errno
import socket
from typing import Any, Self


class TrafficPort:
    """Where calls are taken, for as long as it is not closed."""

    def __init__(self, reserved: list[socket.socket]) -> None:
        self._reserved = reserved

    @classmethod
    async def reserve(cls, host: str, port: int) -> Self:
        """Bind every address of `host`; port 0 takes a free one. Raises OSError."""
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        reserved: list[socket.socket] = []
        try:
            for family, _, _, _, address in dict.fromkeys(found):
                try:
                    sock = _bound(family, address, shared=False)
                except OSError as error:
                    # A name may stand for an address this machine does not have.
                    if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT) and len(found) > 1:
                        continue
                    raise
                reserved.append(sock)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        except BaseException:
            cls(reserved).close()
            raise
        if not reserved:
            raise OSError(errno.EADDRNOTAVAIL, f"no address of {host} can be listened on")
        return cls(reserved)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the first address."""
        return self._reserved[0].getsockname()[:2]

    def sockets(self) -> list[socket.socket]:
        """New sockets for one worker, bound and not yet listening. The caller closes them. Raises OSError."""
        return [_bound(sock.family, sock.getsockname(), shared=True) for sock in self._reserved]

    def close(self) -> None:
        """Give the port up; workers that still listen on it go on."""
        for sock in self._reserved:
            sock.close()


def _bound(family: int, address: Any, *, shared: bool) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setblocking(False)
        sock.bind(address)
    except BaseException:
        sock.close()
        raise
    return sock

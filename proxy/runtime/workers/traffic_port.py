"""One address of several processes: the owner reserves it, every worker gets sockets for it to listen on.

The owner's sockets are bound without SO_REUSEPORT, so that nobody else's port is shared by mistake, and marked with it only
then; they never listen. A worker's sockets end with the worker: the kernel gives its share of new connections to the others
at once.

Decision: SO_REUSEPORT instead of one inherited listening socket. 1,000 connections over 3 workers came out as 328/322/350
(64 as 21/17/26), against 154/764/82 (11/53/0) with one socket on uvloop, where whoever wakes first takes all that wait.

A unix socket knows no SO_REUSEPORT: there all workers listen on one, which stays the owner's, and share as unevenly as said.
While none of them listens clients wait in its queue instead of being refused.
"""

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol, Self

from proxy.core.addresses import Address, ListenAddress, UnixAddress

BindUnix = Callable[[str], socket.socket]
"""Gives a bound unix socket. Raises OSError where somebody listens on the path."""


class SharedAddress(Protocol):
    """Where calls are taken, for as long as it is not closed."""

    @property
    def address(self) -> ListenAddress: ...
    def sockets(self) -> list[socket.socket]:
        """New descriptors for one worker, bound. The caller closes them. Raises OSError."""
        ...

    def close(self) -> None:
        """Give the address up; workers that still listen on it go on."""
        ...


async def reserve(address: ListenAddress, bind_unix: BindUnix) -> SharedAddress:
    """Keep an address for workers. Raises OSError, which names it."""
    try:
        if isinstance(address, UnixAddress):
            return TrafficPath(address, bind_unix(address.path))
        return await TrafficPort.reserve(*address)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(address)) from error


class TrafficPort:
    """A TCP port."""

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
    def address(self) -> Address:
        """Host and port of the first address."""
        return Address(*self._reserved[0].getsockname()[:2])

    def sockets(self) -> list[socket.socket]:
        """New sockets for one worker, bound and not yet listening. The caller closes them. Raises OSError."""
        return [_bound(sock.family, sock.getsockname(), shared=True) for sock in self._reserved]

    def close(self) -> None:
        """Give the port up; workers that still listen on it go on."""
        for sock in self._reserved:
            sock.close()


class TrafficPath:
    """A unix socket."""

    def __init__(self, address: UnixAddress, sock: socket.socket) -> None:
        self.address = address
        self._socket = sock

    def sockets(self) -> list[socket.socket]:
        """The one socket again. The caller closes it. Raises OSError."""
        return [self._socket.dup()]

    def close(self) -> None:
        """Remove its file; workers that still listen on it go on."""
        with suppress(FileNotFoundError):
            os.unlink(self.address.path)
        self._socket.close()


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

"""How many open files this process may have, and how many clients that leaves room for.

A client costs two descriptors while its call runs: its own connection and the one to its provider. What the store, the log,
and names being resolved need is kept free, so that a crowd of clients meets a 503 and not a proxy that can open nothing any
more. Connections to the admin API have descriptors set apart for them: a crowd on one port takes none from the other.
"""

import os
import resource

#: Clients beyond the limit that are told so at the same time; each holds a descriptor that long.
TURNED_AWAY = 8
#: For what is opened later: listeners, files of the store, sockets that resolve names.
_RESERVE = 10
_PER_CLIENT = 2
_ADMIN_CONNECTIONS = 128
_ADMIN_SHARE = 8
_LEAST_ADMIN_CONNECTIONS = 4


def raise_descriptor_limit() -> None:
    """Let this process open as many files as it may allow itself: RLIMIT_NOFILE up to its hard limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError):
            """Some systems take no unlimited soft limit; what holds already has to do."""


def admin_connections() -> int:
    """How many connections to the admin API this process may hold: 128, or an eighth of what it may open if that is less."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return _ADMIN_CONNECTIONS
    return max(_LEAST_ADMIN_CONNECTIONS, min(_ADMIN_CONNECTIONS, limit // _ADMIN_SHARE))


def connections_within_limits(wanted: int, set_apart: int) -> int:
    """How many clients there is room for beside what this process has open now and `set_apart`; at most `wanted`, at least one."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return wanted
    room = limit - len(os.listdir("/dev/fd")) - TURNED_AWAY - _RESERVE - set_apart
    return max(1, min(wanted, room // _PER_CLIENT))

"""How many open files this process may have, and how many clients that leaves room for.

A client costs two descriptors while its call runs: its own connection and the one to its provider. What the store, the log,
the admin API and names being resolved need is kept free, so that a crowd of clients meets a 503 and not a proxy that can
open nothing any more.
"""

import os
import resource

#: Clients beyond the limit that are told so at the same time; each holds a descriptor that long.
TURNED_AWAY = 8
#: For what is opened later: listeners, admin connections, files of the store, sockets that resolve names.
_RESERVE = 14
_PER_CLIENT = 2


def raise_descriptor_limit() -> None:
    """Let this process open as many files as it may allow itself: RLIMIT_NOFILE up to its hard limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError):
            """Some systems take no unlimited soft limit; what holds already has to do."""


def connections_within_limits(wanted: int) -> int:
    """How many clients there is room for beside what this process has open now; at most `wanted`, at least one."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return wanted
    room = limit - len(os.listdir("/dev/fd")) - TURNED_AWAY - _RESERVE
    return max(1, min(wanted, room // _PER_CLIENT))

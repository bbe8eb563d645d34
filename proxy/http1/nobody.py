"""The reply to a call that nobody waits for: over a connection that takes everything and keeps nothing.

For calls that a program makes itself; what they pass through cannot tell them from others.
"""

import asyncio
from typing import cast

from proxy.http1.body_budget import BodyBudget
from proxy.http1.outgoing import Outgoing, Turn
from proxy.http1.reply import HttpReply


class _Nowhere:
    """A transport whose bytes go nowhere."""

    def write(self, data: bytes) -> None:
        del data

    def get_write_buffer_size(self) -> int:
        return 0


class _NobodysConnection:
    """Always ready for more. Bytes that are kept for its calls count in a budget of their own."""

    writable = True
    draining = False

    def __init__(self, budget: BodyBudget) -> None:
        self.budget = budget
        self.outgoing = Outgoing(Turn())
        self.outgoing.transport = cast("asyncio.Transport", _Nowhere())

    def reply_finished(self, closing: bool) -> None:
        del closing

    def reply_aborted(self, reset: bool) -> None:
        del reset


class Nobody:
    """Makes such replies. All of them together hold at most `room_bytes`."""

    def __init__(self, room_bytes: int) -> None:
        self._budget = BodyBudget(room_bytes)

    def reply(self) -> HttpReply:
        """For one call."""
        connection = _NobodysConnection(self._budget)
        return HttpReply(connection, head_only=False, http10=False, keep_alive=True)

"""Switches whose time is over: out of force, list, status and metrics by themselves, ended in the store with an audit entry.

Every reader asks whether a switch is active, so nothing waits for this. Here the end is written down, once, also for one that
ran out while no process ran or while the store was away. A switch that was ended so does not come back when the clock is set
back afterwards.

Decision: a clock that jumps ahead by mistake ends what expires in the jump. An operator who gave a switch an end said that its
traffic may flow again without anybody's word; what must stay is put on without one.
"""

import asyncio

from proxy.core.errors import NotFound, Refusal
from proxy.runtime.process.clock import Clock
from proxy.runtime.releasing.limit_commands import LimitCommands
from proxy.runtime.state.live_snapshot import LiveSnapshot

_LOOK_SECONDS = 1.0


class SwitchExpiry:
    """Ends what has expired."""

    def __init__(self, live: LiveSnapshot, limits: LimitCommands, clock: Clock) -> None:
        self._live = live
        self._limits = limits
        self._clock = clock

    async def run(self) -> None:
        """Look once a second until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_SECONDS)

    async def look(self) -> None:
        """End what has expired by now."""
        now = self._clock.now_microseconds()
        for switch in self._live.current.switches:
            if switch.is_active(now):
                continue
            try:
                await self._limits.expire_switch(switch.id)
            except NotFound:
                # Somebody took it off meanwhile.
                continue
            except Refusal:
                # A store that is away or busy has it the next time.
                return

"""When tokens were last used: kept in memory at once, in the store once a minute, so that an idle one can be found and ended.

A crash loses a minute of it at most. Which token a request had is authentication's to say.
"""

import asyncio

from proxy.core.errors import Refusal
from proxy.runtime.process.clock import Clock
from proxy.store.ports.tokens import TokenUseStore

_WRITE_SECONDS = 60.0


class TokenUses:
    """Call `used` with the id of each token that was presented."""

    def __init__(self, store: TokenUseStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        #: Since they were last written.
        self._fresh: dict[str, int] = {}

    def used(self, token_id: str) -> None:
        """It was used now."""
        self._fresh[token_id] = self._clock.now_microseconds()

    async def last(self) -> dict[str, int]:
        """When each token was last used, UTC microseconds, by its id. Raises Unavailable."""
        return {**await self._store.token_uses(), **self._fresh}

    async def run(self) -> None:
        """Write once a minute until cancelled."""
        while True:
            await asyncio.sleep(_WRITE_SECONDS)
            await self.write()

    async def write(self) -> None:
        """Write what is new. With the store away it waits for the next time."""
        uses, self._fresh = self._fresh, {}
        if not uses:
            return
        try:
            await self._store.keep_token_uses(uses)
        except Refusal:
            self._fresh = uses | self._fresh

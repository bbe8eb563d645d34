"""Keeps where chains of responses began beyond this process: what the store has is known before calls are taken, what is new is in
the store a second later.

A crash loses that second at most; who goes on with a chain of it gets what anybody gets. With the store away what is new waits, bounded as
the table itself is.
"""

import asyncio
from typing import Final

from proxy.core.calls.chains import ChainBeginning
from proxy.core.errors import Refusal
from proxy.runtime.calls.conversations import CHAIN_LIFETIME_MICROSECONDS, MAX_CHAINS, Chains
from proxy.runtime.process.clock import Clock
from proxy.store.ports.chains import ChainStore, KeptChain

_WRITE_SECONDS: Final = 1.0
#: A start waits no longer: calls are more than what they go on with.
_LOAD_SECONDS = 5.0
#: Old ones are looked for in every so many writes, and dropped so many at once, so that calls do not wait behind that.
_DROPPED_EVERY: Final = 60
_DROPPED_AT_ONCE: Final = 2000
#: So many are written at once, and taken over without a pause.
_CHUNK: Final = 2000


class KeptChains:
    """Loads, and writes behind."""

    def __init__(self, store: ChainStore, chains: Chains, clock: Clock) -> None:
        self._store = store
        self._chains = chains
        self._clock = clock
        #: Since they were last written, by (agent, id).
        self._fresh: dict[tuple[str, str], KeptChain] = {}
        self._is_loaded = False
        chains.on_beginning(self._noted)

    async def load(self) -> None:
        """Take over what the store has. With the store away, or slow to answer, that is done later, by `run`."""
        now = self._clock.now_microseconds()
        try:
            async with asyncio.timeout(_LOAD_SECONDS):
                kept = await self._store.chains(now - CHAIN_LIFETIME_MICROSECONDS, MAX_CHAINS)
        except (Refusal, TimeoutError):
            return
        self._is_loaded = True
        for index, (chain, began, at) in enumerate(kept, 1):
            self._chains.heard(chain, began, at)
            if index % _CHUNK == 0:
                await asyncio.sleep(0)

    async def run(self) -> None:
        """Write once a second until cancelled."""
        writes = 0
        while True:
            await asyncio.sleep(_WRITE_SECONDS)
            if not self._is_loaded:
                await self.load()
            await self.write()
            writes += 1
            if writes % _DROPPED_EVERY == 0:
                await self._drop()

    async def write(self) -> None:
        """Write what is new. With the store away it waits for the next time."""
        fresh, self._fresh = list(self._fresh.values()), {}
        for start in range(0, len(fresh), _CHUNK):
            try:
                await self._store.keep_chains(fresh[start : start + _CHUNK])
            except Refusal:
                left = fresh[start:][-MAX_CHAINS:]
                self._fresh = {(began.agent, chain): (chain, began, at) for chain, began, at in left} | self._fresh
                return

    async def _drop(self) -> None:
        before = self._clock.now_microseconds() - CHAIN_LIFETIME_MICROSECONDS
        try:
            await self._store.drop_chains(before, MAX_CHAINS, _DROPPED_AT_ONCE)
        except Refusal:
            return

    def _noted(self, chain: str, began: ChainBeginning, at_microseconds: int) -> None:
        if len(self._fresh) >= MAX_CHAINS:
            del self._fresh[next(iter(self._fresh))]
        self._fresh[(began.agent, chain)] = (chain, began, at_microseconds)

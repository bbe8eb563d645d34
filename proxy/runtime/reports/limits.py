"""Switches that are on, and caps with what each has counted."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import islice

from proxy.core.errors import NotFound
from proxy.core.releasing.unmatched import unmatched
from proxy.core.scopes import Scope
from proxy.core.spending.caps import Cap, CapStateDocument, CounterDocument, cap_state_document, counter_document
from proxy.core.switches import Switch, still_stopping
from proxy.runtime.process.clock import Clock
from proxy.runtime.providers import Providers
from proxy.runtime.spending.ledger import SpendLedger
from proxy.runtime.spending.prices import PriceBook
from proxy.runtime.state.live_snapshot import LiveSnapshot


@dataclass(frozen=True, slots=True)
class CountersShown:
    """Some of a cap's counters in the order they first spent, the window's start, and how many were shown so far; `is_last` where
    there are no more."""

    items: list[CounterDocument]
    window_start_microseconds: int
    shown: int
    is_last: bool


class SwitchReader:
    """Kill switches in force."""

    def __init__(self, live: LiveSnapshot, clock: Clock) -> None:
        self._live = live
        self._clock = clock

    def active(self) -> dict[str, Switch]:
        """By id."""
        now = self._clock.now_microseconds()
        return {switch.id: switch for switch in self._live.current.switches if switch.is_active(now)}

    def still_on(self, ended: Switch) -> list[Switch]:
        """Those that stop some of what a switch stopped that is off now."""
        return still_stopping(self._live.current.switches, ended, self._clock.now_microseconds())


class CapReader:
    """Caps in force. `confirm` has every process that serves calls hand over what it has settled."""

    def __init__(self, live: LiveSnapshot, ledger: SpendLedger, confirm: Callable[[], Awaitable[object]]) -> None:
        self._live = live
        self._ledger = ledger
        self._confirm = confirm

    async def all(self) -> dict[str, Cap]:
        """By id, once what is answered is counted."""
        await self._confirm()
        return {cap.id: cap for cap in self._live.current.caps}

    async def counters(self, cap_id: str, position: tuple[int, int] | None, limit: int) -> CountersShown:
        """Some counters of a cap; `position`: the window and how many of its counters were shown, None for the present window from
        its beginning. Raises NotFound(`cap_not_found`)."""
        cap = (await self.all()).get(cap_id)
        if cap is None:
            raise NotFound("cap_not_found", f"there is no cap {cap_id!r}", param="cap")
        start, shown = position or (self._ledger.window_of(cap), 0)
        counters = self._ledger.standing(cap, start).counters
        page = [
            counter_document(cap, counter.key, counter.spent, counter.held)
            for counter in islice(counters.values(), shown, shown + limit)
        ]
        shown += len(page)
        return CountersShown(page, start, shown, is_last=not page or shown >= len(counters))

    def standing(self, cap: Cap) -> CapStateDocument:
        """What a cap has spent, holds and has left in its present window."""
        start = self._ledger.window_of(cap)
        standing = self._ledger.standing(cap, start)
        fullest = [(counter.key, counter.spent, counter.held) for counter in standing.fullest()]
        return cap_state_document(
            cap,
            start,
            (standing.spent, standing.held),
            fullest,
            len(standing.counters),
            charged=standing.charged,
            unmetered=self._ledger.unmetered(cap, start),
            is_known=self._ledger.knows(cap),
        )


class ScopeReader:
    """What of a new limit's scope matches nothing that is known."""

    def __init__(self, live: LiveSnapshot, providers: Providers, prices: PriceBook) -> None:
        self._live = live
        self._providers = providers
        self._prices = prices

    def warnings(self, scope: Scope) -> list[str]:
        """A sentence for each part of it that is unknown."""
        return unmatched(scope, self._live.current, lambda model: self._prices.knows(self._providers, model))

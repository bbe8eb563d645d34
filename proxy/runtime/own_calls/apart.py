"""What a data path of the proxy's own calls is put together from, where that differs: no caps, records of another kind."""

from collections.abc import Sequence

from msgspec import structs

from proxy.core.calls.runs import Attempt, Run, RunKind
from proxy.core.scopes import CallFacts
from proxy.core.spending.caps import Cap
from proxy.runtime.spending.holding import HoldBound, Spent, Ticket
from proxy.runtime.telemetry.recorder import TakesRuns


class RecorderOfKind:
    """Records runs as what they are. `last` is the newest."""

    def __init__(self, recorder: TakesRuns, kind: RunKind) -> None:
        self._recorder = recorder
        self._kind: RunKind = kind
        self.last: Run | None = None

    def record(self, run: Run, attempts: Sequence[Attempt]) -> None:
        """Queue one finished run, of this kind."""
        self.last = structs.replace(run, kind=self._kind)
        self._recorder.record(self.last, attempts)


class NoCaps:
    """A ledger for calls that cost nobody anything: whatever caps there are, none of them counts."""

    def hold(self, attempt: str, caps: Sequence[Cap], facts: CallFacts, bound: HoldBound) -> Ticket:
        """Nothing is held."""
        del attempt, caps, facts, bound
        return _NOTHING_HELD


class _NothingHeld:
    sent = False
    nanodollars: int | None = None
    is_durable = True

    async def place(self) -> None:
        """There is nothing to place."""

    def settle(self, spent: Spent) -> None:
        """There is nothing to settle."""
        del spent

    def close(self) -> None:
        """There is nothing to give back."""


_NOTHING_HELD = _NothingHeld()

"""The spend ledger as a worker sees it: the same hold and settle, decided and written by the owner.

Counterpart: spend_ledger.py, which the owner has. A call that no cap touches sends nothing.
"""

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from proxy.core.caps import Cap
from proxy.core.errors import Refusal
from proxy.core.scopes import CallFacts
from proxy.runtime.spend_ledger import HoldBound, Spent


class HoldKeeper(Protocol):
    """Who decides on holds."""

    async def hold(self, attempt: str, facts: CallFacts, bound: HoldBound) -> int | None: ...
    def settle(self, attempt: str, spent: Spent) -> None: ...


class RemoteTicket:
    """The hold of one attempt. Used as `async with`: left unsettled it is charged in full once `sent`, else released."""

    def __init__(self, owner: HoldKeeper, attempt: str, facts: CallFacts, bound: HoldBound) -> None:
        self._owner = owner
        self._attempt = attempt
        self._facts = facts
        self._bound = bound
        self._is_settled = False
        self.nanodollars: int | None = None
        self.is_durable = False
        self.sent = False

    async def __aenter__(self) -> Self:
        await self.place()
        return self

    async def place(self) -> None:
        """Returns when the owner has placed the holds. Raises Refusal (a cap's, or Unavailable); nothing is held then."""
        try:
            self.nanodollars = await self._owner.hold(self._attempt, self._facts, self._bound)
        except Refusal:
            # Nothing was placed.
            self._is_settled = True
            raise
        except BaseException:
            self.settle(Spent(settled_by="released"))
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """The attempt is over."""
        self.settle(Spent(settled_by="held" if self.sent else "released"))

    def settle(self, spent: Spent) -> None:
        """Settle every hold of this attempt, once; later calls change nothing."""
        if not self._is_settled:
            self._is_settled = True
            self._owner.settle(self._attempt, spent)


class FreeTicket:
    """Of a call that no cap touches."""

    nanodollars: int | None = None
    is_durable = True

    def __init__(self) -> None:
        self.sent = False

    async def __aenter__(self) -> Self:
        return self

    async def place(self) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """Nothing is held."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held."""

    def settle(self, spent: Spent) -> None:
        """Nothing is held."""


class RemoteLedger:
    """Hands out tickets."""

    def __init__(self, owner: HoldKeeper) -> None:
        self._owner = owner

    def hold(self, attempt: str, caps: Sequence[Cap], facts: CallFacts, bound: HoldBound) -> RemoteTicket | FreeTicket:
        """A ticket; entering it places the hold, and raises what the owner refuses it with.

        `caps` only tells whether any cap is met: which ones count, the owner decides by its own snapshot."""
        return RemoteTicket(self._owner, attempt, facts, bound) if caps else FreeTicket()

"""What the data path asks of a spend ledger: bounds to hold before an attempt is sent, what it spent in the end.

Two ledgers answer: the one of the process that owns the store (ledger.py), and a worker's (workers/remote_ledger.py).
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from proxy.core.scopes import CallFacts
from proxy.core.spending.caps import Cap
from proxy.core.spending.ledger import SettledBy


class HoldBound(msgspec.Struct, frozen=True, kw_only=True):
    """Upper bounds of one attempt. None: cannot be bounded or priced, so a hard cap of that unit refuses it."""

    nanodollars: int | None
    tokens: int | None
    #: Why there is no bound, for the caller.
    unbounded_because: str = ""


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt really used. `settled_by` held: usage is unknown, so the whole hold is charged."""

    nanodollars: int = 0
    #: False: nobody knows what the tokens cost.
    is_priced: bool = True
    tokens: int = 0
    settled_by: SettledBy = "reported"


class Ticket(Protocol):
    """The holds of one attempt, wherever they are kept: `place` them unless they are durable already, `close` at the end."""

    sent: bool

    @property
    def nanodollars(self) -> int | None: ...
    @property
    def is_durable(self) -> bool:
        """Whether the holds need no placing."""
        ...

    async def place(self) -> None: ...
    def settle(self, spent: Spent) -> None: ...
    def close(self) -> None: ...


class Ledger(Protocol):
    """What the data path needs of a ledger."""

    def hold(self, attempt: str, caps: Sequence[Cap], facts: CallFacts, bound: HoldBound) -> Ticket: ...

"""One hold of an attempt in one counter of a cap, from beginning to end, and what is written of it.

Who changes it is ledger.py (what it holds and spends) and writer.py (where it stands durably).
"""

from proxy.core.spending.ledger import BatchEntry, Hold, SettledBy, Settlement
from proxy.runtime.spending.counters import Counter


class HeldAmount:
    """`is_drawn`: it is in no row, the counter's lease stands for it. `has_row`: it was written open, or may have been.
    `leaves_no_row`: it was refused before anybody tried to write it. `is_unbounded`: nothing is held, because nobody can say how much."""

    __slots__ = (
        "amount",
        "attempt",
        "counter",
        "freed",
        "has_row",
        "is_drawn",
        "is_unbounded",
        "leaves_no_row",
        "placed_at_microseconds",
        "settled_at_microseconds",
        "settled_by",
        "spent",
    )

    def __init__(self, attempt: str, counter: Counter, amount: int, placed_at_microseconds: int) -> None:
        self.attempt = attempt
        self.counter = counter
        self.amount = amount
        self.placed_at_microseconds = placed_at_microseconds
        self.is_drawn = False
        self.has_row = False
        self.leaves_no_row = False
        self.is_unbounded = False
        #: None while it is open; with it come the rest.
        self.settled_by: SettledBy | None = None
        self.settled_at_microseconds = 0
        self.spent = 0
        #: What is freed of what is drawn once it is written.
        self.freed = 0

    def open_row(self) -> Hold:
        """As it is written while it is open."""
        counter = self.counter
        return Hold(self.attempt, counter.key, counter.cap.unit, self.amount, self.placed_at_microseconds)

    def entry(self) -> BatchEntry:
        """As it is written at its end, where it never had a row."""
        return (
            self.attempt,
            self.amount,
            self.placed_at_microseconds,
            self.spent,
            self.settled_by or "held",
            self.settled_at_microseconds,
        )

    def settled_row(self) -> Settlement:
        """As it is written at its end, where it had a row."""
        counter = self.counter
        key = counter.key
        return Settlement(
            key.cap,
            key.window_start_microseconds,
            key.part,
            self.attempt,
            counter.cap.unit,
            self.amount,
            self.placed_at_microseconds,
            self.spent,
            self.settled_by or "held",
            self.settled_at_microseconds,
        )

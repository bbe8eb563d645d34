"""Rows of the spend ledger: a hold placed before an attempt is sent, settled once. Counters are sums of these rows."""

from typing import Literal

import msgspec

from proxy.core.caps import CapUnit, CounterKey

#: How a hold ended: `reported` usage, `held` in full (usage unknown, or a crash), `released` (nothing was sent or billed).
SettledBy = Literal["reported", "held", "released"]


class Hold(msgspec.Struct, frozen=True):
    """`amount` of a cap's unit reserved for one attempt, in one counter."""

    attempt: str
    key: CounterKey
    unit: CapUnit
    amount: int
    placed_at_microseconds: int


class Settlement(msgspec.Struct, frozen=True):
    """The end of a hold: what was really spent. Settling the same hold twice changes nothing."""

    attempt: str
    key: CounterKey
    spent: int
    settled_by: SettledBy
    settled_at_microseconds: int

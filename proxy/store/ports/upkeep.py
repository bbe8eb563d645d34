"""What a store is asked to do beside traffic, a little at a time, so that it does not grow for ever.

Promises: each call is one short transaction of bounded work. Whatever moment it is killed at, sums are the same before and
after: of a counter in the ledger, and of an agent's runs in a day with those that were pruned.
"""

from dataclasses import dataclass
from typing import Protocol

#: Where carrying goes on: table, and in it cap, start of the window, part, attempt.
CarryPosition = tuple[str, tuple[str, int, str, str]]


@dataclass(frozen=True, slots=True)
class Carried:
    """One step of carrying sums."""

    holds: int
    #: What stays as it is, because its holds are not what their batch says they spent.
    unproven: int
    #: None: everything was looked at.
    after: CarryPosition | None


class Upkeep(Protocol):
    """Steps of keeping a store small. All raise Unavailable(`store_unavailable`)."""

    async def sort_lanes(self) -> int:
        """Make what older releases recorded quick to find; 0 when all is."""
        ...

    async def prune_runs(self, before_microseconds: int) -> int:
        """Remove the oldest runs that started before, with their attempts and outcomes, after their sums were added to those of
        their day; how many that were, 0 at the end. The newest run of all stays."""
        ...

    async def prune_latencies(self, before_microseconds: int) -> int:
        """Remove what earlier releases counted of durations in hours that began before; how many, 0 at the end."""
        ...

    async def carry_sums(self, settled_before_microseconds: int, after: CarryPosition | None) -> Carried:
        """Make one sum of each counter's holds that were settled before, where they prove; begins where `after` says."""
        ...

    async def give_back(self) -> int:
        """Give some of what is free in its files back to the disk; how many bytes, 0 at the end or where that cannot be done."""
        ...

    async def free_bytes(self) -> int:
        """What is free in its files and will be used again."""
        ...

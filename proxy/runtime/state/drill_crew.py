"""Who makes the calls of a drill, as the control path sees it: every process that takes calls.

In one process that is runtime/own_calls, with several the owner's Workers.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from proxy.core.rollouts.drills import DrillCalls, DrillOrder


@dataclass(frozen=True, slots=True)
class DrillMember:
    """One process at its calls. `begun`: the candidate answered, or never will; `done`: what they came to, None where it ended."""

    process: str
    begun: "asyncio.Future[None]"
    done: "asyncio.Future[DrillCalls | None]"

    def begin(self) -> None:
        """The candidate answered."""
        if not self.begun.done():
            self.begun.set_result(None)

    def end(self, calls: DrillCalls | None) -> None:
        """It is over, whether or not it had begun. Nothing happens the second time, or where nobody waits any more."""
        self.begin()
        if not self.done.done():
            self.done.set_result(calls)


class DrillCrew(Protocol):
    """Every process that takes calls."""

    def drill(self, order: DrillOrder) -> Sequence[DrillMember]:
        """Have each of them begin."""
        ...

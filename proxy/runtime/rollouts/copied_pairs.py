"""Runs of a rollout in the shadow: each copy beside the run it is a copy of, and no other run of stable.

What is copied is not all of stable's traffic (calls with tools are not, for one), so that all of it would be no fair measure. A run waits
for its copy in a table of a bounded size; one whose copy comes later than that counts on neither side.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final, TypeVar

from proxy.core.calls.outcomes import Outcome
from proxy.core.calls.runs import Run
from proxy.core.rollouts.shadow import as_candidate

_MOST_KEPT: Final = 10_000
#: Ends of a copy that say nothing of the candidate: its process stopped.
_NOT_THE_CANDIDATES: Final = frozenset({"proxy_stopped"})
Kept = TypeVar("Kept")


@dataclass(frozen=True, slots=True)
class CopiedPair:
    """A run of stable, its copy as the candidate's run, and what was told of the former so far."""

    stable: Run
    candidate: Run
    told: list[Outcome]


@dataclass(slots=True)
class CopiedPairs:
    """Of one rollout."""

    #: Runs of stable, and what was told of them, until their copies come.
    _waiting: OrderedDict[str, tuple[Run, list[Outcome]]] = field(
        default_factory=OrderedDict[str, tuple[Run, list[Outcome]]]
    )
    #: Those whose copies came: what is told of them from now on counts.
    _paired: OrderedDict[str, Run] = field(default_factory=OrderedDict[str, Run])

    def paired(self, run: Run) -> CopiedPair | None:
        """The pair that a finished run makes whole; None: it waits for its copy, or has nobody that waits for it."""
        if run.kind == "live":
            _put(self._waiting, run.id, (run, []))
        if run.kind != "shadow" or run.parent_run is None or run.error_class in _NOT_THE_CANDIDATES:
            return None
        waiting = self._waiting.pop(run.parent_run, None)
        if waiting is None:
            return None
        stable, told = waiting
        _put(self._paired, stable.id, stable)
        return CopiedPair(stable, as_candidate(run), told)

    def told_of(self, run: Run, outcome: Outcome) -> Run | None:
        """The run that something told of this one counts for; None: none yet, or none at all."""
        if run.kind == "shadow":
            return as_candidate(run) if run.parent_run in self._paired else None
        if run.id in self._waiting:
            self._waiting[run.id][1].append(outcome)
        return self._paired.get(run.id)


def _put(table: OrderedDict[str, Kept], key: str, value: Kept) -> None:
    table[key] = value
    if len(table) > _MOST_KEPT:
        table.popitem(last=False)

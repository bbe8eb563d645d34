"""Counts facts that are told about runs later, by agent and version of the run: bounded names, and whether they hold.

Which version a run had is looked up; a fact of a run that is gone by then is not counted.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from proxy.core.calls.outcomes import Outcome
from proxy.core.calls.runs import Run
from proxy.runtime.telemetry.metrics import Metrics
from proxy.runtime.telemetry.run_series import OTHER

#: So many names of facts have series of their own.
_MAX_NAMES: Final = 50

RunReader = Callable[[str], Awaitable[Run | None]]
IsReachable = Callable[[str, int], bool]
Reported = Callable[[Sequence[Outcome]], Awaitable[None]]


class OutcomeCounts:
    """Takes what was told, and hands it on."""

    def __init__(self, metrics: Metrics, run: RunReader, is_reachable: IsReachable, then: Reported) -> None:
        """`is_reachable`: whether a version of an agent has series of its own."""
        self._metrics = metrics
        self._run = run
        self._is_reachable = is_reachable
        self._then = then
        self._names: set[str] = set()

    async def reported(self, outcomes: Sequence[Outcome]) -> None:
        """Count facts that were recorded."""
        for outcome in outcomes:
            run = await self._run(outcome.run)
            if run is None:
                continue
            version = OTHER if run.version is None or not self._is_reachable(run.agent, run.version) else run.version
            self._metrics.outcome_told(run.agent, str(version), self._name(outcome.name), _value(outcome))
        await self._then(outcomes)

    def _name(self, name: str) -> str:
        if name not in self._names and len(self._names) < _MAX_NAMES:
            self._names.add(name)
        return name if name in self._names else OTHER


def _value(outcome: Outcome) -> str:
    """What a fact says, where it is one of few things: yes or no, the severity of an incident."""
    if outcome.severity is not None:
        return outcome.severity
    return str(outcome.value).lower() if isinstance(outcome.value, bool) else ""

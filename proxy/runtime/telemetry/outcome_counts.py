"""Counts facts that are told about runs later, by agent and version of the run: bounded names, and whether they hold.

Which version a run had is looked up; a fact of a run that is gone by then is not counted. The facts are recorded already: where
runs cannot be looked up now, nobody who told one is told otherwise, and it is counted with those that come next.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from proxy.core.calls.outcomes import Outcome
from proxy.core.calls.runs import Run
from proxy.core.errors import Unavailable
from proxy.runtime.telemetry.metrics import Metrics
from proxy.runtime.telemetry.run_series import OTHER

#: So many names of facts have series of their own.
_MAX_NAMES: Final = 50
#: So many facts wait for a store that is away; the oldest of more are not counted.
_MAX_WAITING: Final = 10_000

RunsReader = Callable[[Sequence[str]], Awaitable[Mapping[str, Run]]]
IsReachable = Callable[[str, int], bool]
Reported = Callable[[Sequence[tuple[Run, Outcome]]], None]


class OutcomeCounts:
    """Takes what was told, and hands it on."""

    def __init__(self, metrics: Metrics, runs: RunsReader, is_reachable: IsReachable, then: Reported) -> None:
        """`is_reachable`: whether a version of an agent has series of its own. `then` gets each fact with its run."""
        self._metrics = metrics
        self._runs = runs
        self._is_reachable = is_reachable
        self._then = then
        self._names: set[str] = set()
        self._waiting: deque[Outcome] = deque(maxlen=_MAX_WAITING)

    async def reported(self, outcomes: Sequence[Outcome]) -> None:
        """Count facts that were recorded."""
        told = [*self._waiting, *outcomes]
        self._waiting.clear()
        if not told:
            return
        try:
            runs = await self._runs([outcome.run for outcome in told])
        except Unavailable:
            self._waiting.extend(told)
            return
        known = [(run, outcome) for outcome in told if (run := runs.get(outcome.run)) is not None]
        for run, outcome in known:
            version = OTHER if run.version is None or not self._is_reachable(run.agent, run.version) else run.version
            self._metrics.outcome_told(run.agent, str(version), self._name(outcome.name), _value(outcome))
        self._then(known)

    def _name(self, name: str) -> str:
        if name not in self._names and len(self._names) < _MAX_NAMES:
            self._names.add(name)
        return name if name in self._names else OTHER


def _value(outcome: Outcome) -> str:
    """What a fact says, where it is one of few things: yes or no, the severity of an incident."""
    if outcome.severity is not None:
        return outcome.severity
    return str(outcome.value).lower() if isinstance(outcome.value, bool) else ""

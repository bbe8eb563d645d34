"""Facts told later are counted for the version that the run had, under names that are bounded."""

from collections.abc import Sequence
from typing import Any

from prometheus_client import generate_latest

from proxy.core.calls.outcomes import Outcome
from proxy.core.calls.runs import Run
from proxy.core.errors import Unavailable
from proxy.runtime.telemetry.metrics import Metrics
from proxy.runtime.telemetry.outcome_counts import OutcomeCounts


def told(run: str, name: str, value: Any = None, severity: Any = None) -> Outcome:
    return Outcome(
        id="out_1",
        run=run,
        name=name,
        value=value,
        severity=severity,
        why="",
        recorded_by="t",
        recorded_at_microseconds=1,
    )


class CountedOutcomes:
    """Counts over runs named after their version; versions above 2 are not reached any more."""

    def __init__(self) -> None:
        self.metrics = Metrics("t")
        self.handed_on: list[tuple[Run, Outcome]] = []
        self.is_away = False
        self.looks = 0
        self.counts = OutcomeCounts(self.metrics, self.runs, lambda _, version: version <= 2, self.hand_on)

    async def runs(self, run_ids: Sequence[str]) -> dict[str, Run]:
        self.looks += 1
        if self.is_away:
            raise Unavailable("store_unavailable", "away")
        return {run_id: self.run(run_id) for run_id in run_ids if run_id != "gone"}

    @staticmethod
    def run(run_id: str) -> Run:
        version = None if run_id == "none" else int(run_id)
        return Run(id=run_id, agent="support", started_at_microseconds=1, duration_microseconds=1, version=version)

    def hand_on(self, told: Sequence[tuple[Run, Outcome]]) -> None:
        self.handed_on += told

    @property
    def lines(self) -> set[str]:
        text = generate_latest(self.metrics.registry).decode()
        return {line for line in text.splitlines() if line.startswith("switchback_outcomes_total")}


def line(version: str, name: str, value: str, count: float) -> str:
    return f'switchback_outcomes_total{{agent="support",name="{name}",value="{value}",version="{version}"}} {count}'


async def test_facts_are_counted_for_the_version_of_their_run_and_handed_on() -> None:
    stage = CountedOutcomes()
    outcomes = [
        told("1", "validation", True),
        told("1", "validation", False),
        told("2", "validation", True),
        told("2", "validation", True),
        told("2", "score", 0.7),
        told("2", "incident", None, "high"),
        told("7", "escalated", True),
        told("none", "escalated", False),
        told("gone", "escalated", True),
    ]
    await stage.counts.reported(outcomes)
    assert [outcome for _, outcome in stage.handed_on] == outcomes[:-1]
    assert all(run.id == outcome.run for run, outcome in stage.handed_on)
    assert stage.looks == 1
    assert stage.lines == {
        line("1", "validation", "true", 1.0),
        line("1", "validation", "false", 1.0),
        line("2", "validation", "true", 2.0),
        line("2", "score", "", 1.0),
        line("2", "incident", "high", 1.0),
        line("other", "escalated", "true", 1.0),
        line("other", "escalated", "false", 1.0),
    }


async def test_names_without_end_are_counted_together() -> None:
    stage = CountedOutcomes()
    await stage.counts.reported([told("1", f"name-{number}", True) for number in range(60)])
    assert len(stage.lines) == 51
    assert line("1", "other", "true", 10.0) in stage.lines


async def test_facts_whose_runs_cannot_be_looked_up_fail_nobody_and_are_counted_once_with_the_next() -> None:
    stage = CountedOutcomes()
    stage.is_away = True
    await stage.counts.reported([told("1", "validation", True)])
    assert stage.lines == set()
    assert stage.handed_on == []
    stage.is_away = False
    await stage.counts.reported([told("1", "validation", True)])
    await stage.counts.reported([])
    assert stage.lines == {line("1", "validation", "true", 2.0)}
    assert len(stage.handed_on) == 2

"""Facts told later are counted for the version that the run had, under names that are bounded."""

from collections.abc import Sequence
from typing import Any

from prometheus_client import generate_latest

from proxy.core.calls.outcomes import Outcome
from proxy.core.calls.runs import Run
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


class Told:
    """Counts over runs named after their version; versions above 2 are not reached any more."""

    def __init__(self) -> None:
        self.metrics = Metrics("t")
        self.handed_on: list[Outcome] = []
        self.counts = OutcomeCounts(self.metrics, self.run, lambda _, version: version <= 2, self.hand_on)

    async def run(self, run_id: str) -> Run | None:
        if run_id == "gone":
            return None
        version = None if run_id == "none" else int(run_id)
        return Run(id=run_id, agent="support", started_at_microseconds=1, duration_microseconds=1, version=version)

    async def hand_on(self, outcomes: Sequence[Outcome]) -> None:
        self.handed_on += outcomes

    @property
    def lines(self) -> set[str]:
        text = generate_latest(self.metrics.registry).decode()
        return {line for line in text.splitlines() if line.startswith("switchback_outcomes_total")}


def line(version: str, name: str, value: str, count: float) -> str:
    return f'switchback_outcomes_total{{agent="support",name="{name}",value="{value}",version="{version}"}} {count}'


async def test_facts_are_counted_for_the_version_of_their_run_and_handed_on() -> None:
    stage = Told()
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
    assert stage.handed_on == outcomes
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
    stage = Told()
    await stage.counts.reported([told("1", f"name-{number}", True) for number in range(60)])
    assert len(stage.lines) == 51
    assert line("1", "other", "true", 10.0) in stage.lines

"""After a candidate was taken away: cured, not cured, or too little traffic to say; over a restart too."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from proxy.core.calls.outcomes import Outcome
from proxy.core.calls.runs import Run
from tests.runtime.rollouts.stage import PLAN, RolloutStage, staged, worse


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[RolloutStage]:
    async with staged(tmp_path) as made:
        await made.made.store.record_runs(_label_runs(made, 200, 10, "before"), [])
        made.made.clock.now += 1_000_000
        yield made


def _label_runs(stage: RolloutStage, count: int, errors: int, name: str) -> list[Run]:
    """Runs of the label while no rollout is on it."""
    run = Run(
        id="",
        agent="triage",
        started_at_microseconds=stage.made.clock.now,
        duration_microseconds=500_000,
        status=200,
        version=1,
        label="prod",
    )
    failed = msgspec.structs.replace(run, status=500, result="error", error_class="provider_error")
    return [msgspec.structs.replace(failed if n < errors else run, id=f"{name}_{n}") for n in range(count)]


async def _taken_back(stage: RolloutStage) -> None:
    await stage.start(PLAN | {"watch": "30m"})
    await stage.tick(60, 540, worse)
    assert stage.running() is None
    await stage.tick()


async def _watched(stage: RolloutStage, count: int, errors: int) -> dict[str, object]:
    stage.loop.finished(_label_runs(stage, count, errors, "after"))
    await stage.tick(seconds=1801)
    shown = await stage.loop.watch("triage", "r1")
    assert shown is not None
    return shown


async def test_errors_as_before_are_a_cure(stage: RolloutStage) -> None:
    await _taken_back(stage)
    shown = await _watched(stage, 300, 15)
    assert shown["state"] == "cured"
    assert str(shown["sentence"]).startswith("cured: errors 15 of 300 since, ")
    assert str(shown["sentence"]).endswith("10 of 200 before")
    assert [line["state"] for line in stage.log if line["event"] == "rollout_watched"] == ["cured"]


async def test_errors_that_stay_have_another_cause(stage: RolloutStage) -> None:
    await _taken_back(stage)
    shown = await _watched(stage, 300, 120)
    assert (shown["state"], shown["metric"]) == ("not_cured", "errors")
    assert [line["level"] for line in stage.log if line["event"] == "rollout_watched"] == ["warning"]


async def test_answers_that_stay_slow_have_another_cause(stage: RolloutStage) -> None:
    await _taken_back(stage)
    slow = [msgspec.structs.replace(run, duration_microseconds=900_000) for run in _label_runs(stage, 300, 15, "slow")]
    stage.loop.finished(slow)
    await stage.tick(seconds=1801)
    shown = await stage.loop.watch("triage", "r1")
    assert shown is not None
    assert (shown["state"], shown["metric"]) == ("not_cured", "latency")


async def test_too_little_traffic_is_said(stage: RolloutStage) -> None:
    await _taken_back(stage)
    assert (await _watched(stage, 10, 5))["state"] == "not_enough_traffic"


async def test_a_watch_goes_on_after_a_restart(stage: RolloutStage) -> None:
    await _taken_back(stage)
    stage.loop.finished(_label_runs(stage, 200, 10, "first"))
    await stage.tick(seconds=60)
    await stage.loop.keep()
    stage.loop = stage.new_loop()
    await stage.tick()
    shown = await _watched(stage, 100, 5)
    assert shown["state"] == "cured"
    assert str(shown["sentence"]).startswith("cured: errors 15 of 300 since")


async def test_a_candidate_that_was_promoted_is_not_watched(stage: RolloutStage) -> None:
    rollout = await stage.start(PLAN)
    await stage.made.rollouts.promote("ana", "triage", rollout.id, "good")
    await stage.tick()
    assert await stage.loop.watch("triage", "r1") is None


async def test_a_new_rollout_ends_the_watch_with_what_is_known(stage: RolloutStage) -> None:
    await _taken_back(stage)
    stage.loop.finished(_label_runs(stage, 100, 5, "after"))
    await stage.start(PLAN)
    shown = await stage.loop.watch("triage", "r1")
    assert shown is not None
    assert shown["state"] == "cured"


async def test_a_kept_watch_that_cannot_be_read_is_told_and_stops_nothing(stage: RolloutStage) -> None:
    await _taken_back(stage)
    kept = await stage.made.store.evidence("triage", "r1")
    assert kept is not None
    broken = {**kept.progress, "watch": {"state": "watching"}}
    await stage.made.store.keep_evidence([replace(kept, progress=broken)])
    stage.loop = stage.new_loop()
    await stage.start(PLAN)
    await stage.tick(60, 540, worse)
    assert stage.running() is None
    assert [line["rollout"] for line in stage.log if line["event"] == "rollout_unjudged"] == ["r1"]


def _told(run: Run, value: bool | float, name: str = "escalated") -> Outcome:
    return Outcome(
        id=f"out_{run.id}_{name}",
        run=run.id,
        name=name,
        value=value,
        severity=None,
        why="read",
        recorded_by="ana",
        recorded_at_microseconds=run.started_at_microseconds,
    )


async def _reported(stage: RolloutStage, runs: list[Run], outcomes: list[Outcome]) -> None:
    await stage.made.store.record_runs(runs, [])
    await stage.made.store.record_outcomes(outcomes)
    stage.loop.finished(runs)
    by_id = {run.id: run for run in runs}
    stage.loop.reported([(by_id[outcome.run], outcome) for outcome in outcomes])


ASKED = PLAN | {"watch": "30m", "signals": {"outcome.escalated": {}, "outcome.score": {"kind": "score"}}}


@pytest.mark.parametrize(("escalated", "state"), [(120, "not_cured"), (4, "cured")])
async def test_outcomes_are_watched_before_during_and_after(stage: RolloutStage, escalated: int, state: str) -> None:
    before = [one for one in _label_runs(stage, 200, 10, "before") if one.id.startswith("before_")]
    await stage.made.store.record_outcomes([_told(run, n < 4) for n, run in enumerate(before)])
    await stage.start(ASKED)
    await stage.tick(60, 540, worse)
    await stage.tick()
    assert stage.running() is None
    stage.made.clock.now += 1_000_000
    after = _label_runs(stage, 200, 10, "after")
    told = [_told(run, n < escalated) for n, run in enumerate(after)]
    await _reported(stage, after, [*told, _told(after[0], 0.25, "score"), _told(after[1], True, "unasked")])
    await stage.loop.keep()
    stage.loop = stage.new_loop()
    await stage.tick()
    await stage.tick(seconds=1801)
    shown = await stage.loop.watch("triage", "r1")
    assert shown is not None
    assert shown["state"] == state
    assert shown["periods"]["before"]["outcomes"]["outcome.escalated"]["bad"] == 4
    outcomes = shown["periods"]["after"]["outcomes"]
    assert outcomes["outcome.escalated"] == {"told": 200, "bad": escalated, "numbers": 0, "mean": None}
    assert outcomes["outcome.score"] == {"told": 0, "bad": 0, "numbers": 1, "mean": 0.25}
    assert "outcome.unasked" not in outcomes
    if state == "not_cured":
        assert shown["metric"] == "outcome.escalated"
        assert "outcome.escalated 120 of 200 since" in shown["sentence"]


async def test_what_is_told_late_of_the_candidates_runs_is_theirs(stage: RolloutStage) -> None:
    await stage.start(ASKED)
    await stage.tick(60, 540, worse)
    await stage.tick()
    late = msgspec.structs.replace(
        _label_runs(stage, 1, 0, "late")[0], version=2, rollout="r1", arm="candidate", step=0, in_analysis=True
    )
    await stage.made.store.record_runs([late], [])
    outcome = _told(late, True)
    stage.loop.reported([(late, outcome)])
    shown = await stage.loop.watch("triage", "r1")
    assert shown is not None
    assert shown["periods"]["candidate"]["outcomes"]["outcome.escalated"]["bad"] == 1
    assert shown["periods"]["after"]["outcomes"] == {}

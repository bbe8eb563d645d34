"""What the controller makes of traffic that is missing, one-sided, late or silent."""

from typing import Any

import msgspec

from proxy.core.calls.run_filter import RunName
from proxy.core.calls.runs import Run
from proxy.runtime.releasing.run_commands import OutcomeDraft
from tests.runtime.rollouts.stage import PLAN, RolloutStage, worse


async def test_conversations_that_keep_their_arm_over_a_step_are_no_wrong_split(stage: RolloutStage) -> None:
    await stage.start(PLAN)
    await stage.tick(60, 540, seconds=61)
    await stage.tick()
    runs = stage.runs(300, 2700, lambda arm: 0.0)
    stage.loop.finished([_with(run, reason="conversation") for run in runs])
    await stage.tick(100, 100, seconds=61)
    assert stage.version() == 2


async def test_a_number_tells_a_rate_of_outcomes_nothing(stage: RolloutStage) -> None:
    await stage.start(PLAN | {"guards": {"errors": {}, "outcome.quality": {"kind": "rate"}}})
    runs = stage.runs(60, 540, lambda arm: 0.0)
    stage.loop.finished(runs)
    await stage.made.store.record_runs(runs, [])
    drafts = [OutcomeDraft(run=run.id, name="quality", value=0.7) for run in runs if run.arm == "candidate"]
    await stage.made.runs_into(stage.loop).record_outcomes("app", drafts)
    await stage.tick(seconds=90)
    shown = await stage.loop.standing("triage", "r1")
    assert shown is not None
    assert (shown["phase"], shown["code"]) == ("holding", "silent_metric")


async def test_no_traffic_changes_nothing(stage: RolloutStage) -> None:
    await stage.start(PLAN)
    for _ in range(5):
        await stage.tick(seconds=3600)
    rollout = stage.running()
    assert rollout is not None
    assert rollout.step == 0
    shown = await stage.loop.standing("triage", "r1")
    assert shown is not None
    assert "no traffic yet" in shown["sentence"]


async def test_one_user_alone_convicts_nobody(stage: RolloutStage) -> None:
    await stage.start(PLAN | {"hard_triggers": []})
    for _ in range(20):
        runs = stage.runs(50, 450, worse)
        stage.loop.finished([_with(run, user="the-only-one") if run.arm == "candidate" else run for run in runs])
        await stage.tick(seconds=5)
    assert stage.running() is not None


def _with(run: Run, **members: Any) -> Run:
    return msgspec.structs.replace(run, **members)


async def test_an_outage_that_hits_both_arms_convicts_nobody_by_no_rule(stage: RolloutStage) -> None:
    await stage.start(PLAN)
    for _ in range(10):
        await stage.tick(10, 90, lambda arm: 0.6, seconds=1)
    assert stage.running() is not None


async def test_a_hard_trigger_ends_it_at_once(stage: RolloutStage) -> None:
    await stage.start(PLAN)
    await stage.tick(25, 0, lambda arm: 1.0, seconds=1)
    assert stage.running() is None
    assert "above the limit of 50%" in (await stage.releases())[0].why


async def test_outcomes_that_come_late_take_the_candidate_back(stage: RolloutStage) -> None:
    await stage.start(PLAN | {"guards": {"errors": {}, "outcome.validation": {}}})
    runs = stage.runs(60, 540, lambda arm: 0.0)
    stage.loop.finished(runs)
    await stage.made.store.record_runs(runs, [])
    await stage.tick(seconds=30)
    assert stage.running() is not None
    drafts = [
        OutcomeDraft(run=run.id, name="validation", value=run.arm == "stable" or index % 2 == 0)
        for index, run in enumerate(runs)
    ]
    await stage.made.runs_into(stage.loop).record_outcomes("app", drafts)
    await stage.tick()
    assert stage.running() is None
    assert (await stage.releases())[0].why.startswith("candidate outcome.validation 30 of 60 against 0 of 540")


async def test_an_outcome_that_is_never_reported_holds_the_rollout(stage: RolloutStage) -> None:
    await stage.start(PLAN | {"guards": {"errors": {}, "outcome.validation": {}}})
    await stage.tick(60, 540, seconds=90)
    rollout = stage.running()
    assert rollout is not None
    assert rollout.step == 0
    shown = await stage.loop.standing("triage", "r1")
    assert shown is not None
    assert (shown["phase"], shown["code"]) == ("holding", "silent_metric")


async def test_latency_is_held_against_what_stable_did_before(stage: RolloutStage) -> None:
    await stage.made.store.record_runs(
        [
            Run(
                id=f"before_{number}",
                agent="triage",
                started_at_microseconds=number,
                duration_microseconds=300_000 + 1_000 * number,
                status=200,
                version=1,
            )
            for number in range(200)
        ],
        [],
    )
    await stage.start(PLAN | {"guards": {"errors": {}, "latency": {}}})
    runs = stage.runs(60, 540, lambda arm: 0.0)
    fast, slow = 350_000, 700_000
    stage.loop.finished(
        [
            type(run)(
                **{name: getattr(run, name) for name in run.__struct_fields__}
                | {"duration_microseconds": slow if run.arm == "candidate" else fast}
            )
            for run in runs
        ]
    )
    await stage.tick()
    assert stage.running() is None
    assert (await stage.releases())[0].why.startswith("candidate latency 60 of 60 against 0 of 540")


INCIDENTS = PLAN | {"hard_triggers": [{"metric": "outcome.incident.high"}]}


async def test_an_incident_of_at_least_the_severity_takes_the_candidate_back_at_once(stage: RolloutStage) -> None:
    await stage.start(INCIDENTS)
    runs = stage.runs(3, 27, lambda arm: 0.0)
    stage.loop.finished(runs)
    await stage.made.store.record_runs(runs, [])
    commands = stage.made.runs_into(stage.loop)
    first, second = (run.id for run in runs if run.arm == "candidate" and run.id != runs[2].id)
    of_stable = next(run.id for run in runs if run.arm == "stable")
    for run, severity in ((first, "medium"), (of_stable, "critical")):
        await commands.record_outcomes("app", [OutcomeDraft(run=run, name="incident", severity=severity)])
    await stage.tick()
    assert stage.running() is not None
    await commands.record_outcomes("app", [OutcomeDraft(run=second, name="incident", severity="critical")])
    await stage.tick()
    assert (stage.running(), stage.version()) == (None, 1)
    why = (await stage.releases())[0].why
    assert why == "candidate outcome.incident.high 1 of 1: above the limit of 100%; rolled back"


async def test_an_incident_counts_by_whatever_its_run_was_named(stage: RolloutStage) -> None:
    await stage.start(INCIDENTS)
    runs = [_with(run, conversation=f"c-{run.id}") for run in stage.runs(3, 27, lambda arm: 0.0)]
    stage.loop.finished(runs)
    await stage.made.store.record_runs(runs, [])
    named = RunName("conversation", f"c-{runs[0].id}", "triage")
    drafts = [OutcomeDraft(run=named, name="incident", severity="high")]
    await stage.made.runs_into(stage.loop).record_outcomes("app", drafts)
    await stage.tick()
    assert stage.running() is None

"""The controller over a real store: it ramps, takes back, goes on after a restart, and yields to people."""

from dataclasses import replace
from pathlib import Path

import pytest

from proxy.core.errors import Conflict, Unavailable
from proxy.core.releasing.arms import RolloutDraft, candidate_arm
from proxy.core.releasing.protection import Protection
from proxy.core.rollouts.reading import fixed_share, plan_document, read_plan
from proxy.core.snapshot import Agent
from proxy.runtime.releasing.release_commands import VersionDraft
from proxy.runtime.releasing.run_commands import OutcomeDraft
from proxy.runtime.rollouts.applying import CONTROLLER, Applying
from proxy.runtime.rollouts.judged import JudgedRollout
from tests.edges.admin.composition import commands
from tests.runtime.rollouts.stage import PLAN, RolloutStage, worse


async def test_a_worse_candidate_is_taken_back_with_its_evidence_in_ledger_audit_and_log(stage: RolloutStage) -> None:
    await stage.start(PLAN)
    await stage.tick(60, 540, worse)
    assert (stage.running(), stage.version()) == (None, 1)
    newest = (await stage.releases())[0]
    assert (newest.kind, newest.who) == ("rolled_back", CONTROLLER)
    assert newest.why.startswith("candidate errors ")
    assert newest.why.endswith("rolled back")
    assert newest.evidence[0]["kind"] == "rollout"
    assert newest.evidence[0]["metrics"][0]["candidate"]["runs"] == 60
    entry = (await stage.made.store.audit()).items[0]
    assert (entry.what, entry.who) == ("label.rolled_back", CONTROLLER)
    assert entry.evidence == newest.evidence
    assert [line["action"] for line in stage.log if line["event"] == "rollout_decided"][-1] == "roll_back"
    shown = await stage.loop.standing("triage", "r1")
    assert shown is not None
    assert shown["code"] == "worse"


async def test_a_candidate_that_is_no_worse_is_ramped_and_promoted(stage: RolloutStage) -> None:
    await stage.start(PLAN)
    shares: list[int] = []
    for _ in range(60):
        rollout = stage.running()
        if rollout is None:
            break
        shares.append(rollout.arms[1].share_buckets)
        half = rollout.arms[1].share_buckets == 50_000
        await stage.tick(20 if not half else 100, 180 if not half else 100)
    assert sorted(set(shares)) == [10_000, 50_000]
    assert stage.version() == 2
    assert [row.kind for row in await stage.releases()] == [
        "promoted",
        "share_changed",
        "rollout_started",
        "label_moved",
    ]
    assert {row.who for row in (await stage.releases())[:2]} == {CONTROLLER}


async def test_a_step_waits_for_its_time_its_runs_and_its_users_and_says_so(stage: RolloutStage) -> None:
    await stage.start(PLAN)
    await stage.tick(60, 540)
    shown = await stage.loop.standing("triage", "r1")
    assert shown is not None
    assert shown["code"] == "short"
    assert "5 s of 1 min" in shown["sentence"]
    await stage.tick(seconds=60)
    rollout = stage.running()
    assert rollout is not None
    assert rollout.step == 1


async def test_what_comes_before_the_loop_meets_a_rollout_is_counted(stage: RolloutStage) -> None:
    rollout = await stage.start(PLAN | {"guards": {"errors": {}, "outcome.validation": {}}})
    stage.loop = stage.new_loop()
    early = stage.runs(30, 270, worse)
    stage.loop.finished(early)
    stage.loop.finished(stage.runs_of(replace(rollout, id="r99"), 5, 5, worse))
    await stage.made.store.record_runs(early, [])
    drafts = [OutcomeDraft(run=early[0].id, name="validation", value=False)]
    await stage.made.runs_into(stage.loop).record_outcomes("app", drafts)
    await stage.tick(30, 270, lambda arm: 0.0)
    shown = await stage.loop.standing("triage", "r1")
    assert shown is not None
    seen = {metric["metric"]: metric["candidate"]["runs"] for metric in shown["decision"]["metrics"]}
    assert seen == {"errors": 60, "outcome.validation": 1}


async def test_a_restart_goes_on_with_the_evidence_and_the_clock_of_before(stage: RolloutStage) -> None:
    await stage.start(PLAN)
    for _ in range(3):
        await stage.tick(12, 108, lambda arm: 0.08)
    assert stage.running() is not None
    await stage.loop.keep()
    stage.loop = stage.new_loop()
    stage.made.clock.now += 3_600_000_000
    await stage.loop.tick()
    shown = await stage.loop.standing("triage", "r1")
    assert shown is not None
    assert shown["seconds_in_step"] == pytest.approx(15)
    assert shown["decision"]["metrics"][0]["candidate"]["runs"] == 36
    await stage.tick(30, 270, worse)
    assert stage.running() is None


async def test_what_a_person_ended_is_not_ended_again(stage: RolloutStage) -> None:
    rollout = await stage.start(PLAN)
    stage.loop.finished(stage.runs(60, 540, worse))
    await stage.made.rollouts.abort("ana", "triage", rollout.id, "no need")
    await stage.made.rollouts.start_rollout(
        "ana", "triage", RolloutDraft(label="prod", arms=candidate_arm(2, 10), plan=plan_document(read_plan(PLAN))), ""
    )
    await stage.tick()
    assert stage.running() is not None
    assert [row.kind for row in await stage.releases()][:2] == ["rollout_started", "aborted"]


async def test_two_operators_and_the_controller_move_a_share_once(stage: RolloutStage) -> None:
    rollout = await stage.start(PLAN)
    await stage.made.rollouts.set_percentage("ana", "triage", rollout.id, 25, "faster")
    with pytest.raises(Conflict) as refused:
        await stage.made.rollouts.advance(CONTROLLER, rollout, 50, "passed")
    assert refused.value.code == "rollout_moved"
    await stage.tick()
    shown = await stage.loop.standing("triage", rollout.id)
    assert shown is not None
    assert (shown["plan_step"], shown["step"]) == (1, 1)


async def test_a_paused_rollout_does_not_grow_and_is_still_taken_back(stage: RolloutStage) -> None:
    rollout = await stage.start(PLAN)
    await stage.made.rollouts.pause("ana", "triage", rollout.id, "lunch")
    await stage.tick(60, 540, seconds=600)
    paused = stage.running()
    assert paused is not None
    assert (paused.state, paused.step) == ("paused", 0)
    with pytest.raises(Conflict, match="is paused"):
        await stage.made.rollouts.pause("ana", "triage", rollout.id, "again")
    await stage.tick(60, 540, worse)
    assert stage.running() is None
    with pytest.raises(Conflict, match="rolled_back"):
        await stage.made.rollouts.resume("ana", "triage", rollout.id, "too late")


async def test_what_is_refused_or_holds_is_told_once_and_done_as_soon_as_it_may_be(stage: RolloutStage) -> None:
    await stage.start({**PLAN, "steps": PLAN["steps"][:1]})
    protection = Protection(agent="triage", label="prod", evaluation_required=True)
    await stage.made.proposals.protect("ana", protection, "")
    for _ in range(4):
        await stage.tick(20, 180, seconds=60)
    told = [line["told"] for line in stage.log if line.get("code") == "passed"]
    assert len(told) == 1
    assert "not done yet" in told[0]
    shown = await stage.loop.standing("triage", "r1")
    assert shown is not None
    assert shown["phase"] == "holding"
    await stage.made.proposals.unprotect("ana", "triage", "prod", "")
    await stage.tick()
    assert (stage.running(), stage.version()) == (None, 2)


async def test_what_people_did_after_they_ended_a_rollout_is_not_undone(stage: RolloutStage) -> None:
    rollout = await stage.start(PLAN)
    stage.loop.finished(stage.runs(60, 540, worse))
    seen = stage.made.live.current
    await stage.made.rollouts.abort("ana", "triage", rollout.id, "no need")
    await stage.made.releases.move_label("ana", "triage", "prod", 2, "for everyone")
    # The controller had looked before.
    judged = JudgedRollout(rollout, read_plan(PLAN), 0, None)
    for run in stage.runs_of(seen.agents["triage"].rollouts["prod"], 60, 540, worse):
        judged.count(run)
    (of,) = judged.decide(judged.measure(1, 0), 0)
    assert of.decision.action == "roll_back"
    with pytest.raises(Conflict, match="ended by somebody else"):
        await Applying(stage.made.live, stage.made.releases, stage.made.rollouts).apply(judged, of)
    assert stage.version() == 2


async def test_each_share_of_a_plan_is_its_step_whatever_floats_make_of_it(stage: RolloutStage) -> None:
    step = {"min_duration": "1m", "min_runs": 0, "min_users": 0}
    shares = [7, 14, 28, 29, 57]
    await stage.start({"steps": [{"percentage": share} | step for share in shares], "guards": {"errors": {}}})
    seen: list[int] = []
    while (rollout := stage.running()) is not None:
        shown = await stage.loop.standing("triage", "r1")
        assert shown is not None
        seen.append(rollout.arms[1].share_buckets // 1000)
        await stage.tick(5, 5, seconds=61)
    assert seen == shares
    assert stage.version() == 2


async def test_what_is_known_at_the_end_is_what_is_shown_of_it(stage: RolloutStage) -> None:
    rollout = await stage.start(PLAN)
    await stage.tick(20, 180)
    await stage.made.rollouts.abort("ana", "triage", rollout.id, "no need")
    await stage.tick()
    stage.loop = stage.new_loop()
    shown = await stage.loop.standing("triage", rollout.id)
    assert shown is not None
    assert shown["decision"]["metrics"][0]["candidate"]["runs"] == 20


async def test_a_resumed_rollout_goes_on(stage: RolloutStage) -> None:
    rollout = await stage.start(PLAN)
    await stage.made.rollouts.pause("ana", "triage", rollout.id, "lunch")
    await stage.made.rollouts.resume("ana", "triage", rollout.id, "back")
    await stage.tick(60, 540, seconds=90)
    again = stage.running()
    assert again is not None
    assert again.step == 1


async def test_a_verdict_while_the_store_is_away_takes_effect_all_the_same(stage: RolloutStage) -> None:
    await stage.start(PLAN)
    stage.made.standby.presence.lost(Unavailable("store_unavailable", "gone for a test"))
    await stage.tick(60, 540, worse)
    assert (stage.running(), stage.version()) == (None, 1)


async def test_a_share_does_not_grow_while_the_store_is_away_and_grows_when_it_is_back(stage: RolloutStage) -> None:
    await stage.start(PLAN)
    stage.made.standby.presence.lost(Unavailable("store_unavailable", "gone for a test"))
    await stage.tick(60, 540, seconds=90)
    still = stage.running()
    assert still is not None
    assert still.step == 0
    stage.made.standby.presence.found()
    await stage.tick()
    grown = stage.running()
    assert grown is not None
    assert grown.step == 1


async def test_a_fixed_share_stays_until_somebody_moves_it_and_is_guarded(stage: RolloutStage) -> None:
    plan = plan_document(fixed_share(10, {}, {}))
    await stage.start(plan)
    await stage.tick(60, 540, seconds=86_400)
    rollout = stage.running()
    assert rollout is not None
    assert rollout.step == 0
    await stage.tick(60, 540, worse)
    assert stage.running() is None


async def test_a_rollout_whose_plan_cannot_be_read_touches_no_other(tmp_path: Path) -> None:
    async with commands(tmp_path) as made:
        stage = RolloutStage(made)
        for agent in ("first", "triage"):
            await made.releases.create_agent("ana", Agent(name=agent), "")
            for number in (1, 2):
                draft = VersionDraft(
                    components={"prompt": {"text": f"v{number}"}}, parent=number - 1 or None, message=""
                )
                await made.releases.create_version("ana", agent, draft)
            await made.releases.move_label("ana", agent, "prod", 1, "")
        broken = RolloutDraft(label="prod", arms=candidate_arm(2, 10), plan={"steps": "of another release"})
        await made.rollouts.start_rollout("ana", "first", broken, "")
        await stage.start(PLAN)
        await stage.tick(60, 540, worse)
        await stage.tick()
        assert stage.running() is None
        told = [line for line in stage.log if line["event"] == "rollout_unjudged"]
        assert [(line["agent"], line["rollout"]) for line in told] == [("first", "r1")]
        assert "steps must be a list" in told[0]["reason"]

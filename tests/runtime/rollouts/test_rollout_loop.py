"""The controller over a real store: it ramps, judges, takes back, goes on after a restart, and yields to people."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest

from proxy.core.calls.runs import Run
from proxy.core.errors import Conflict, Unavailable
from proxy.core.releasing.protection import Protection
from proxy.core.rollouts.reading import fixed_share, plan_document, read_plan
from proxy.core.snapshot import Agent, Rollout
from proxy.runtime.releasing.release_commands import VersionDraft
from proxy.runtime.releasing.release_rows import RolloutDraft
from proxy.runtime.releasing.run_commands import OutcomeDraft
from proxy.runtime.rollouts.applying import CONTROLLER, Applying
from proxy.runtime.rollouts.judged import JudgedRollout
from proxy.runtime.rollouts.rollout_loop import LoopParts, RolloutLoop
from tests.edges.admin.composition import Commands, commands

PLAN = {
    "steps": [
        {"percentage": 10, "min_duration": "1m", "min_runs": 50, "min_users": 20},
        {"percentage": 50, "min_duration": "1m", "min_runs": 50, "min_users": 20},
    ],
    "guards": {"errors": {}},
}


class Stage:
    """An agent whose label `prod` is rolled out from version 1 to 2."""

    def __init__(self, made: Commands) -> None:
        self.made = made
        self.log: list[dict[str, Any]] = []
        self.errors: list[BaseException] = []
        self.loop = self.new_loop()
        self._draw = random.Random(3)
        self._runs = 0

    def new_loop(self) -> RolloutLoop:
        """A controller as after a restart."""
        made = self.made
        parts = LoopParts(
            live=made.live,
            store=made.store,
            applying=Applying(made.live, made.releases, made.rollouts),
            clock=made.clock,
            log=lambda line: self.log.append(orjson.loads(line)),
            on_error=self.errors.append,
        )
        return RolloutLoop(parts)

    async def start(self, plan: dict[str, Any]) -> Rollout:
        read = read_plan(plan)
        draft = RolloutDraft(label="prod", candidate=2, percentage=read.steps[0].percentage, plan=plan_document(read))
        started = await self.made.rollouts.start_rollout("ana", "triage", draft, "a try")
        assert isinstance(started, Rollout)
        await self.loop.tick()
        return started

    def running(self) -> Rollout | None:
        return self.made.live.current.agents["triage"].rollouts.get("prod")

    def version(self) -> int:
        return self.made.live.current.agents["triage"].labels["prod"].version

    def runs(self, candidate: int, stable: int, fails: Callable[[str], float]) -> list[Run]:
        """So many runs of different users in the running step."""
        rollout = self.running()
        assert rollout is not None
        return self.runs_of(rollout, candidate, stable, fails)

    def runs_of(self, rollout: Rollout, candidate: int, stable: int, fails: Callable[[str], float]) -> list[Run]:
        """The same of a rollout as it was."""
        runs: list[Run] = []
        for arm in ["candidate"] * candidate + ["stable"] * stable:
            self._runs += 1
            is_error = self._draw.random() < fails(arm)
            runs.append(
                Run(
                    id=f"run_{self._runs}",
                    agent="triage",
                    started_at_microseconds=self.made.clock.now,
                    duration_microseconds=500_000,
                    status=500 if is_error else 200,
                    result="error" if is_error else "ok",
                    error_class="provider_error" if is_error else None,
                    version=2 if arm == "candidate" else 1,
                    arm=arm,
                    rollout=rollout.id,
                    step=rollout.step,
                    user=f"user-{self._runs}",
                    in_analysis=True,
                )
            )
        return runs

    async def tick(
        self, candidate: int = 0, stable: int = 0, fails: Callable[[str], float] = lambda arm: 0.05, seconds: float = 5
    ) -> None:
        """Some traffic, some time, one tick."""
        if self.running() is not None:
            self.loop.finished(self.runs(candidate, stable, fails))
        self.made.clock.now += round(seconds * 1_000_000)
        await self.loop.tick()

    async def releases(self) -> list[Any]:
        return list((await self.made.store.releases("triage")).items)


@asynccontextmanager
async def _stage(folder: Path) -> AsyncIterator[Stage]:
    async with commands(folder) as made:
        await made.releases.create_agent("ana", Agent(name="triage"), "")
        for number in (1, 2):
            draft = VersionDraft(
                components={"prompt": {"text": f"v{number}"}}, parent=number - 1 or None, message="a test"
            )
            await made.releases.create_version("ana", "triage", draft)
        await made.releases.move_label("ana", "triage", "prod", 1, "first")
        stage = Stage(made)
        yield stage
        assert stage.errors == []


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with _stage(tmp_path) as made:
        yield made


def _worse(arm: str) -> float:
    return 0.4 if arm == "candidate" else 0.05


async def test_a_worse_candidate_is_taken_back_with_its_evidence_in_ledger_audit_and_log(stage: Stage) -> None:
    await stage.start(PLAN)
    await stage.tick(60, 540, _worse)
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


async def test_a_candidate_that_is_no_worse_is_ramped_and_promoted(stage: Stage) -> None:
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


async def test_a_step_waits_for_its_time_its_runs_and_its_users_and_says_so(stage: Stage) -> None:
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


async def test_a_restart_goes_on_with_the_evidence_and_the_clock_of_before(stage: Stage) -> None:
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
    await stage.tick(30, 270, _worse)
    assert stage.running() is None


async def test_what_a_person_ended_is_not_ended_again(stage: Stage) -> None:
    rollout = await stage.start(PLAN)
    stage.loop.finished(stage.runs(60, 540, _worse))
    await stage.made.rollouts.abort("ana", "triage", rollout.id, "no need")
    await stage.made.rollouts.start_rollout(
        "ana", "triage", RolloutDraft(label="prod", candidate=2, percentage=10, plan=plan_document(read_plan(PLAN))), ""
    )
    await stage.tick()
    assert stage.running() is not None
    assert [row.kind for row in await stage.releases()][:2] == ["rollout_started", "aborted"]


async def test_two_operators_and_the_controller_move_a_share_once(stage: Stage) -> None:
    rollout = await stage.start(PLAN)
    await stage.made.rollouts.set_percentage("ana", "triage", rollout.id, 25, "faster")
    with pytest.raises(Conflict) as refused:
        await stage.made.rollouts.advance(CONTROLLER, rollout, 50, "passed")
    assert refused.value.code == "rollout_moved"
    await stage.tick()
    shown = await stage.loop.standing("triage", rollout.id)
    assert shown is not None
    assert (shown["plan_step"], shown["step"]) == (1, 1)


async def test_a_paused_rollout_does_not_grow_and_is_still_taken_back(stage: Stage) -> None:
    rollout = await stage.start(PLAN)
    await stage.made.rollouts.pause("ana", "triage", rollout.id, "lunch")
    await stage.tick(60, 540, seconds=600)
    paused = stage.running()
    assert paused is not None
    assert (paused.state, paused.step) == ("paused", 0)
    with pytest.raises(Conflict, match="is paused"):
        await stage.made.rollouts.pause("ana", "triage", rollout.id, "again")
    await stage.tick(60, 540, _worse)
    assert stage.running() is None
    with pytest.raises(Conflict, match="rolled_back"):
        await stage.made.rollouts.resume("ana", "triage", rollout.id, "too late")


async def test_what_is_refused_or_holds_is_told_once_and_done_as_soon_as_it_may_be(stage: Stage) -> None:
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


async def test_what_people_did_after_they_ended_a_rollout_is_not_undone(stage: Stage) -> None:
    rollout = await stage.start(PLAN)
    stage.loop.finished(stage.runs(60, 540, _worse))
    seen = stage.made.live.current
    await stage.made.rollouts.abort("ana", "triage", rollout.id, "no need")
    await stage.made.releases.move_label("ana", "triage", "prod", 2, "for everyone")
    # The controller had looked before.
    judged = JudgedRollout(rollout, read_plan(PLAN), 0, None)
    for run in stage.runs_of(seen.agents["triage"].rollouts["prod"], 60, 540, _worse):
        judged.count(run)
    decision, told = judged.decide(judged.measure(1))
    assert decision.action == "roll_back"
    with pytest.raises(Conflict, match="ended by somebody else"):
        await Applying(stage.made.live, stage.made.releases, stage.made.rollouts).apply(judged, decision, told)
    assert stage.version() == 2


async def test_each_share_of_a_plan_is_its_step_whatever_floats_make_of_it(stage: Stage) -> None:
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


async def test_conversations_that_keep_their_arm_over_a_step_are_no_wrong_split(stage: Stage) -> None:
    await stage.start(PLAN)
    await stage.tick(60, 540, seconds=61)
    await stage.tick()
    runs = stage.runs(300, 2700, lambda arm: 0.0)
    stage.loop.finished([_with(run, reason="conversation") for run in runs])
    await stage.tick(100, 100, seconds=61)
    assert stage.version() == 2


async def test_what_is_known_at_the_end_is_what_is_shown_of_it(stage: Stage) -> None:
    rollout = await stage.start(PLAN)
    await stage.tick(20, 180)
    await stage.made.rollouts.abort("ana", "triage", rollout.id, "no need")
    await stage.tick()
    stage.loop = stage.new_loop()
    shown = await stage.loop.standing("triage", rollout.id)
    assert shown is not None
    assert shown["decision"]["metrics"][0]["candidate"]["runs"] == 20


async def test_a_number_tells_a_rate_of_outcomes_nothing(stage: Stage) -> None:
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


async def test_a_resumed_rollout_goes_on(stage: Stage) -> None:
    rollout = await stage.start(PLAN)
    await stage.made.rollouts.pause("ana", "triage", rollout.id, "lunch")
    await stage.made.rollouts.resume("ana", "triage", rollout.id, "back")
    await stage.tick(60, 540, seconds=90)
    again = stage.running()
    assert again is not None
    assert again.step == 1


async def test_a_verdict_while_the_store_is_away_takes_effect_all_the_same(stage: Stage) -> None:
    await stage.start(PLAN)
    stage.made.standby.presence.lost(Unavailable("store_unavailable", "gone for a test"))
    await stage.tick(60, 540, _worse)
    assert (stage.running(), stage.version()) == (None, 1)


async def test_a_share_does_not_grow_while_the_store_is_away_and_grows_when_it_is_back(stage: Stage) -> None:
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


async def test_no_traffic_changes_nothing(stage: Stage) -> None:
    await stage.start(PLAN)
    for _ in range(5):
        await stage.tick(seconds=3600)
    rollout = stage.running()
    assert rollout is not None
    assert rollout.step == 0
    shown = await stage.loop.standing("triage", "r1")
    assert shown is not None
    assert "no traffic yet" in shown["sentence"]


async def test_one_user_alone_convicts_nobody(stage: Stage) -> None:
    await stage.start(PLAN | {"hard_triggers": []})
    for _ in range(20):
        runs = stage.runs(50, 450, _worse)
        stage.loop.finished([_with(run, user="the-only-one") if run.arm == "candidate" else run for run in runs])
        await stage.tick(seconds=5)
    assert stage.running() is not None


def _with(run: Run, **members: Any) -> Run:
    return msgspec.structs.replace(run, **members)


async def test_an_outage_that_hits_both_arms_convicts_nobody(stage: Stage) -> None:
    await stage.start(PLAN | {"hard_triggers": []})
    for _ in range(10):
        await stage.tick(10, 90, lambda arm: 0.6, seconds=1)
    assert stage.running() is not None


async def test_a_hard_trigger_ends_it_at_once(stage: Stage) -> None:
    await stage.start(PLAN)
    await stage.tick(25, 0, lambda arm: 1.0, seconds=1)
    assert stage.running() is None
    assert "above the limit of 50%" in (await stage.releases())[0].why


async def test_outcomes_that_come_late_take_the_candidate_back(stage: Stage) -> None:
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


async def test_an_outcome_that_is_never_reported_holds_the_rollout(stage: Stage) -> None:
    await stage.start(PLAN | {"guards": {"errors": {}, "outcome.validation": {}}})
    await stage.tick(60, 540, seconds=90)
    rollout = stage.running()
    assert rollout is not None
    assert rollout.step == 0
    shown = await stage.loop.standing("triage", "r1")
    assert shown is not None
    assert (shown["phase"], shown["code"]) == ("holding", "silent_metric")


async def test_a_fixed_share_stays_until_somebody_moves_it_and_is_guarded(stage: Stage) -> None:
    plan = plan_document(fixed_share(10, {}))
    await stage.start(plan)
    await stage.tick(60, 540, seconds=86_400)
    rollout = stage.running()
    assert rollout is not None
    assert rollout.step == 0
    await stage.tick(60, 540, _worse)
    assert stage.running() is None


async def test_latency_is_held_against_what_stable_did_before(stage: Stage) -> None:
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


async def test_a_rollout_whose_plan_cannot_be_read_touches_no_other(tmp_path: Path) -> None:
    async with commands(tmp_path) as made:
        stage = Stage(made)
        for agent in ("first", "triage"):
            await made.releases.create_agent("ana", Agent(name=agent), "")
            for number in (1, 2):
                draft = VersionDraft(
                    components={"prompt": {"text": f"v{number}"}}, parent=number - 1 or None, message=""
                )
                await made.releases.create_version("ana", agent, draft)
            await made.releases.move_label("ana", agent, "prod", 1, "")
        broken = RolloutDraft(label="prod", candidate=2, percentage=10, plan={"steps": "of another release"})
        await made.rollouts.start_rollout("ana", "first", broken, "")
        await stage.start(PLAN)
        await stage.tick(60, 540, _worse)
        await stage.tick()
        assert stage.running() is None
        told = [line for line in stage.log if line["event"] == "rollout_unjudged"]
        assert [(line["agent"], line["rollout"]) for line in told] == [("first", "r1")]
        assert "steps must be a list" in told[0]["reason"]

"""Arms with fixed shares under the controller: each against stable by itself, a bad one out, the others on."""

import math
from typing import Any

import pytest
from msgspec import structs

from proxy.core.calls.outcomes import Outcome
from proxy.core.calls.runs import Run
from proxy.core.errors import Conflict, Unavailable
from proxy.core.rollouts.watching import WatchDocument
from proxy.core.snapshot import Rollout
from tests.runtime.rollouts.stage import RolloutStage

PLAN: dict[str, Any] = {"arms": {"b": 20, "c": 20}, "guards": {"errors": {}}, "hard_triggers": []}
RUNS = {"b": 60, "c": 60, "stable": 180}


def b_fails(arm: str) -> float:
    return 0.4 if arm == "b" else 0.05


def both_fail(arm: str) -> float:
    return 0.05 if arm == "stable" else 0.4


def escalated(run: Run, *, is_bad: bool) -> Outcome:
    return Outcome(
        id=f"out_{run.id}",
        run=run.id,
        name="escalated",
        value=is_bad,
        severity=None,
        why="",
        recorded_by="ana",
        recorded_at_microseconds=1,
    )


def names(rollout: Rollout | None) -> list[str]:
    return [] if rollout is None else [arm.name for arm in rollout.arms]


async def shown(stage: RolloutStage) -> dict[str, Any]:
    progress = await stage.loop.standing("triage", "r1")
    assert progress is not None
    return dict(progress)


async def test_a_bad_arm_is_taken_out_and_the_others_go_on(stage: RolloutStage) -> None:
    await stage.start(PLAN)
    for _ in range(5):
        await stage.tick_of_arms(RUNS if "b" in names(stage.running()) else {"c": 60, "stable": 240}, b_fails)
    assert names(stage.running()) == ["stable", "c"]
    assert stage.version() == 1
    newest = (await stage.releases())[0]
    assert (newest.kind, newest.who) == ("share_changed", "rollout-controller")
    assert newest.why.startswith("b errors ")
    assert newest.why.endswith("taken out, stable has its users again")
    assert (newest.evidence[0]["arm"], newest.evidence[0]["code"]) == ("b", "worse")
    assert [arm.share_buckets for arm in newest.arms] == [80_000, 20_000]
    arms = (await shown(stage))["arms"]
    assert (arms["b"]["state"], arms["b"]["version"], arms["c"]["state"], arms["c"]["version"]) == (
        "taken_out", 2, "running", 3,
    )  # fmt: skip
    assert arms["b"]["decision"]["metrics"][0]["candidate"]["bad"] > 10
    audited = await stage.made.store.audit()
    assert audited.items[0].what == "rollout.arm_taken_out"
    assert [arm["name"] for arm in audited.items[0].before["arms"]] == ["stable", "b", "c"]
    assert [
        line["arm"] for line in stage.log if line["event"] == "rollout_decided" and line["action"] == "roll_back"
    ] == ["b"]


async def test_the_last_arm_that_is_bad_ends_the_rollout(stage: RolloutStage) -> None:
    await stage.start(PLAN)
    for _ in range(8):
        live = names(stage.running())
        await stage.tick_of_arms({arm: RUNS[arm] for arm in live}, both_fail)
    assert stage.running() is None
    assert stage.version() == 1
    kinds = [row.kind for row in await stage.releases()]
    assert kinds == ["rolled_back", "share_changed", "rollout_started", "label_moved"]
    rollout = await stage.made.store.rollout("triage", "r1")
    assert rollout is not None
    assert rollout.state == "rolled_back"
    assert {one["state"] for one in (await shown(stage))["arms"].values()} == {"taken_out"}


async def test_equal_arms_stay_and_each_is_told_by_itself(stage: RolloutStage) -> None:
    await stage.start(PLAN)
    for _ in range(5):
        await stage.tick_of_arms(RUNS)
    assert names(stage.running()) == ["stable", "b", "c"]
    progress = await shown(stage)
    assert (progress["phase"], progress["decision"]) == ("running", None)
    for arm in ("b", "c"):
        told = progress["arms"][arm]
        assert (told["state"], told["code"]) == ("running", "short")
        assert told["sentence"].startswith(f"no sign that {arm} is worse")
        assert told["decision"]["metrics"][0]["candidate"]["runs"] == 300
        assert told["decision"]["metrics"][0]["stable"]["runs"] == 900


async def test_what_one_arm_did_says_nothing_of_another(stage: RolloutStage) -> None:
    """c fails no call: all that b's failures are held against is stable's."""
    await stage.start(PLAN)
    for _ in range(3):
        live = [name for name in RUNS if name in names(stage.running())]
        await stage.tick_of_arms({arm: RUNS[arm] for arm in live}, lambda arm: 0.4 if arm == "b" else 0.0)
    arms = (await shown(stage))["arms"]
    assert arms["c"]["decision"]["metrics"][0]["candidate"]["bad"] == 0
    assert arms["c"]["state"] == "running"
    assert arms["b"]["state"] == "taken_out"


async def test_the_plans_alpha_is_shared_by_all_of_its_arms(stage: RolloutStage) -> None:
    """Evidence that takes back the only arm does not take out one of two."""

    one, two = {"arms": {"b": 20}}, {"arms": {"b": 20, "c": 20}}
    first = await stage.start({**PLAN, **two})
    runs = stage.runs_of_arms(first, {"b": 35, "stable": 300}, lambda arm: 0.0)
    runs += stage.runs_of_arms(first, {"b": 5}, lambda arm: 1.0)
    await stage.made.rollouts.abort("ana", "triage", first.id, "")

    async def left_by(plan: dict[str, Any]) -> tuple[list[str], float]:
        """The arms that are left after five of b's forty runs failed and none of stable's; and the evidence."""
        rollout = await stage.start({**PLAN, **plan})
        assert rollout.salt == first.salt
        stage.loop.finished([structs.replace(run, rollout=rollout.id) for run in runs])
        await stage.loop.tick()
        left = names(stage.running())
        if left:
            await stage.made.rollouts.abort("ana", "triage", rollout.id, "")
        progress = await stage.loop.standing("triage", rollout.id)
        assert progress is not None
        return left, progress["arms"]["b"]["decision"]["log_evidence"]

    left, log_evidence = await left_by({**one, "alpha": 0.5})
    assert left == []
    enough = math.exp(-log_evidence)
    assert (await left_by({**one, "alpha": enough * 0.9}))[0] == ["stable", "b"]
    assert (await left_by({**one, "alpha": enough * 1.1}))[0] == []
    assert (await left_by({**two, "alpha": enough * 1.1}))[0] == ["stable", "b", "c"]
    assert (await left_by({**two, "alpha": enough * 2.1}))[0] == ["stable", "c"]


async def test_a_controller_goes_on_with_every_arm_after_a_restart(stage: RolloutStage) -> None:
    await stage.start(PLAN)
    await stage.tick_of_arms(RUNS)
    await stage.loop.keep()
    before = await shown(stage)
    stage.loop = stage.new_loop()
    await stage.loop.tick()
    after = await shown(stage)
    for arm in ("b", "c"):
        assert after["arms"][arm]["decision"] == before["arms"][arm]["decision"]
    for _ in range(4):
        await stage.tick_of_arms(RUNS if "b" in names(stage.running()) else {"c": 60, "stable": 240}, b_fails)
    stage.loop = stage.new_loop()
    await stage.tick_of_arms({"c": 60, "stable": 240})
    assert names(stage.running()) == ["stable", "c"]
    assert {name: one["state"] for name, one in (await shown(stage))["arms"].items()} == {
        "b": "taken_out",
        "c": "running",
    }


async def test_an_arm_that_went_out_just_before_a_crash_is_shown_so(stage: RolloutStage) -> None:
    rollout = await stage.start(PLAN)
    await stage.tick_of_arms(RUNS)
    await stage.loop.keep()
    await stage.made.releases.take_out("rollout-controller", rollout, "b", "worse")
    stage.loop = stage.new_loop()
    await stage.tick_of_arms({"c": 60, "stable": 240})
    assert (await shown(stage))["arms"]["b"]["state"] == "taken_out"


async def test_a_paused_rollout_still_loses_its_bad_arm(stage: RolloutStage) -> None:
    await stage.start(PLAN)
    await stage.made.rollouts.pause("ana", "triage", "r1", "holidays")
    for _ in range(5):
        await stage.tick_of_arms(RUNS if "b" in names(stage.running()) else {"c": 60, "stable": 240}, b_fails)
    rollout = stage.running()
    assert names(rollout) == ["stable", "c"]
    assert rollout is not None
    assert rollout.state == "paused"


async def test_who_was_quicker_than_the_controller_has_the_last_word(stage: RolloutStage) -> None:
    seen = await stage.start(PLAN)
    await stage.made.rollouts.set_percentage("ana", "triage", "r1", 10, "less", arm="b")
    with pytest.raises(Conflict, match="changed meanwhile"):
        await stage.made.releases.take_out("rollout-controller", seen, "b", "worse")
    await stage.tick_of_arms(RUNS)
    rollout = stage.running()
    assert rollout is not None
    assert [(arm.name, arm.share_buckets) for arm in rollout.arms] == [
        ("stable", 70_000),
        ("b", 10_000),
        ("c", 20_000),
    ]


async def test_users_are_held_against_the_share_of_their_arm_and_stable_alone(stage: RolloutStage) -> None:
    """20 of 80 and not 20 of 100; where b's users are far too few, b holds and c does not."""
    await stage.start(PLAN)
    for _ in range(10):
        await stage.tick_of_arms({"b": 5, "c": 60, "stable": 180}, lambda arm: 0.0)
    arms = (await shown(stage))["arms"]
    assert (arms["b"]["state"], arms["b"]["code"]) == ("holding", "sample_ratio")
    assert (arms["c"]["state"], arms["c"]["code"]) == ("running", "short")
    assert (await shown(stage))["phase"] == "holding"


async def test_without_the_store_a_bad_arm_takes_the_whole_rollout_back(
    stage: RolloutStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.start(PLAN)
    await stage.tick_of_arms(RUNS)

    async def away(*_: object, **__: object) -> Rollout:
        raise Unavailable("store_unavailable", "the store is away")

    monkeypatch.setattr(stage.made.releases, "take_out", away)
    for _ in range(4):
        if stage.running() is not None:
            await stage.tick_of_arms(RUNS, b_fails)
    assert (stage.running(), stage.version()) == (None, 1)
    newest = (await stage.releases())[0]
    assert newest.kind == "rolled_back"
    assert newest.why.endswith("without the store only the whole rollout can be taken back")


async def test_the_label_is_watched_with_each_arm_by_its_name(stage: RolloutStage) -> None:
    await stage.start(PLAN)
    for _ in range(8):
        if (live := names(stage.running())) != []:
            await stage.tick_of_arms({arm: RUNS[arm] for arm in live}, both_fail)
    await stage.loop.tick()
    stage.loop = stage.new_loop()
    await stage.loop.tick()
    watch: WatchDocument | None = await stage.loop.watch("triage", "r1")
    assert watch is not None
    assert list(watch["periods"]) == ["before", "b", "c", "stable", "after"]
    assert watch["periods"]["b"]["errors"] > 0
    assert " of b, " in watch["sentence"]


async def test_late_outcomes_count_for_the_arm_that_the_run_had(stage: RolloutStage) -> None:
    plan = {"arms": {"b": 20, "c": 20}, "guards": {"outcome.escalated": {}}, "hard_triggers": []}
    rollout = await stage.start(plan)
    runs = stage.runs_of_arms(rollout, RUNS, lambda arm: 0.0)
    stage.loop.finished(runs)
    stage.loop.reported([(run, escalated(run, is_bad=run.arm == "c")) for run in runs])
    await stage.loop.tick()
    assert names(stage.running()) == ["stable", "b"]

"""Rollouts that wait for their schedule: to begin, to grow, to be promoted; and are taken back all the same."""

from typing import Any

from proxy.core.times import rfc3339
from tests.edges.admin.composition import AN_HOUR, NOON
from tests.runtime.rollouts.stage import PLAN, RolloutStage, worse

IN_AN_HOUR = NOON + AN_HOUR
LATER = {**PLAN, "schedule": {"not_before": rfc3339(IN_AN_HOUR)}}
#: From half an hour after the beginning on, for an hour.
FROZEN_SOON = {
    "freezes": [{"from": rfc3339(NOON + AN_HOUR // 2), "to": rfc3339(NOON + AN_HOUR * 3 // 2), "why": "a sale"}]
}


async def shown(stage: RolloutStage, rollout: str = "r1") -> Any:
    found = await stage.loop.standing("triage", rollout)
    assert found is not None
    return found


def share(stage: RolloutStage) -> int:
    rollout = stage.running()
    assert rollout is not None
    return rollout.arms[1].share_buckets


async def test_a_rollout_that_starts_too_early_gives_nobody_the_candidate_until_it_may(stage: RolloutStage) -> None:
    await stage.start(LATER)
    assert share(stage) == 0
    told = await shown(stage)
    assert (told["code"], told["plan_step"]) == ("schedule", 0)
    assert told["sentence"] == "it is not to begin yet, until 2026-11-20T13:00:00Z; waits to begin"
    assert told["decision"]["schedule"] == {"by": "not_before", "why": "", "until": rfc3339(IN_AN_HOUR)}
    await stage.tick(0, 100, seconds=3500)
    assert share(stage) == 0
    await stage.tick(0, 100, seconds=100)
    assert share(stage) == 10_000
    told = await shown(stage)
    assert (told["plan_step"], told["step"], told["seconds_in_step"]) == (0, 0, 3600)
    await stage.tick(60, 540)
    told = await shown(stage)
    assert (told["plan_step"], told["step"], told["seconds_in_step"]) == (0, 1, 5)
    kinds = [(row.kind, row.who, row.arms[1].share_buckets) for row in list(reversed(await stage.releases()))[1:]]
    assert kinds == [("rollout_started", "ana", 0), ("share_changed", "rollout-controller", 10_000)]


async def test_it_waits_over_a_restart_and_begins_once(stage: RolloutStage) -> None:
    await stage.start(LATER)
    await stage.loop.keep()
    stage.made.clock.now = IN_AN_HOUR + 1
    for _ in range(2):
        stage.loop = stage.new_loop()
        await stage.loop.tick()
    assert share(stage) == 10_000
    assert [row.kind for row in await stage.releases()].count("share_changed") == 1


async def test_a_clock_that_is_set_back_takes_no_share_away_and_one_that_jumps_ahead_gives_the_first_only(
    stage: RolloutStage,
) -> None:
    await stage.start(LATER)
    stage.made.clock.now = IN_AN_HOUR + 30 * 24 * AN_HOUR
    await stage.loop.tick()
    assert share(stage) == 10_000
    stage.made.clock.now = NOON
    await stage.loop.tick()
    assert share(stage) == 10_000
    assert (await shown(stage))["decision"]["schedule"]["by"] == "not_before"


async def test_whoever_sets_a_share_by_hand_overrules_the_schedule_also_with_none(stage: RolloutStage) -> None:
    rollout = await stage.start(LATER)
    await stage.made.rollouts.set_percentage("ana", "triage", rollout.id, 1, "I am watching")
    await stage.tick()
    assert share(stage) == 1_000
    await stage.made.rollouts.set_percentage("ana", "triage", rollout.id, 0, "lunch")
    await stage.tick(seconds=3 * 3600)
    assert share(stage) == 0


async def test_a_freeze_keeps_share_and_promotion_and_everything_goes_on_behind_it(stage: RolloutStage) -> None:
    await stage.start({**PLAN, "schedule": FROZEN_SOON})
    await stage.tick(60, 540, seconds=1799)
    assert share(stage) == 50_000
    await stage.tick(seconds=1)
    await stage.tick(300, 300, seconds=60)
    told = await shown(stage)
    assert (told["code"], told["phase"]) == ("schedule", "running")
    assert told["sentence"] == "frozen (a sale), until 2026-11-20T13:30:00Z; stays at this share"
    await stage.tick(seconds=3600)
    assert stage.running() is None
    assert stage.version() == 2


async def test_a_worse_candidate_is_taken_back_in_a_freeze(stage: RolloutStage) -> None:
    await stage.start({**PLAN, "schedule": FROZEN_SOON})
    await stage.tick(5, 45, seconds=2000)
    await stage.tick(100, 900, worse)
    assert (stage.running(), stage.version()) == (None, 1)


async def test_what_waits_to_begin_is_aborted_and_rolled_back_at_once(stage: RolloutStage) -> None:
    first = await stage.start(LATER)
    await stage.made.rollouts.abort("ana", "triage", first.id, "not needed")
    assert stage.running() is None
    await stage.start(LATER)
    await stage.made.releases.rollback("ana", "triage", "prod", "not needed")
    assert stage.running() is None


async def test_a_paused_rollout_does_not_begin_when_its_time_comes(stage: RolloutStage) -> None:
    rollout = await stage.start(LATER)
    await stage.made.rollouts.pause("ana", "triage", rollout.id, "wait for Bob")
    await stage.tick(seconds=7200)
    assert share(stage) == 0
    await stage.made.rollouts.resume("ana", "triage", rollout.id, "Bob is here")
    await stage.tick()
    assert share(stage) == 10_000


async def test_waiting_to_begin_takes_no_time_of_the_first_step(stage: RolloutStage) -> None:
    """Nor is it a step that was inconclusive for too long."""
    await stage.start({**LATER, "max_step_duration": "10m", "on_inconclusive": "rollback"})
    await stage.tick(seconds=3599)
    assert share(stage) == 0
    await stage.tick(seconds=2)
    await stage.tick(seconds=5)
    assert (share(stage), (await shown(stage))["seconds_in_step"]) == (10_000, 5)


SHADOWED = {**PLAN, "shadow": {"percentage": 100, "cap_usd": 1, "min_duration": "1m", "min_runs": 0, "min_users": 0}}


async def test_a_shadow_waits_for_the_schedule_and_waiting_takes_none_of_its_time(stage: RolloutStage) -> None:
    impatient = {"max_step_duration": "10m", "on_inconclusive": "rollback"}
    await stage.start({**SHADOWED, **impatient, "schedule": LATER["schedule"]})
    await stage.tick(seconds=3500)
    told = await shown(stage)
    assert (told["code"], told["plan_step"], told["seconds_in_step"]) == ("schedule", 0, 0)
    assert told["sentence"].endswith("; waits to begin")
    await stage.tick(seconds=100)
    await stage.tick(seconds=30)
    assert share(stage) == 0
    assert (await shown(stage))["code"] == "short"
    await stage.tick(seconds=60)
    assert (share(stage), (await shown(stage))["plan_step"]) == (10_000, 0)
    await stage.tick()
    assert (await shown(stage))["plan_step"] == 1


async def test_a_freeze_stops_the_clock_of_a_shadow_that_has_begun(stage: RolloutStage) -> None:
    await stage.start({**SHADOWED, "schedule": FROZEN_SOON})
    stage.made.clock.now += 30 * 1_000_000
    await stage.loop.tick()
    stage.made.clock.now = NOON + AN_HOUR
    await stage.loop.tick()
    told = await shown(stage)
    assert (told["code"], told["seconds_in_step"], share(stage)) == ("schedule", 30, 0)

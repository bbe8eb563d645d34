"""A rollout lived through before it begins decides as the real one would, shows the candidate to those it would, and is the same again
for the same chance."""

import dataclasses
import random
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from proxy.core.bucketing import bucket_of
from proxy.core.calls.runs import Run
from proxy.core.errors import BadInput
from proxy.core.rollouts.plan import Guard, Plan, Step
from proxy.core.rollouts.rehearsing import Rehearsal, moved_to, read_assumptions, rehearse, runs_before
from proxy.core.rollouts.schedule import Freeze, Schedule

PLAN = Plan(
    steps=(Step(10, 600, 50, 5), Step(50, 600, 50, 5)),
    guards=(Guard("errors", "rate"), Guard("cost_per_success", "ratio", 1.0, 0.1)),
)


def traffic(count: int, *, users: int = 300, per_minute: int = 20) -> Iterator[Run]:
    for number in range(count):
        yield Run(
            id="",
            agent="support",
            started_at_microseconds=number * 60_000_000 // per_minute,
            duration_microseconds=1_000_000,
            user=f"u{number * 7919 % users}",
            status=200,
            cost_nanodollars=1_000_000 + number * 7907 % 500_000,
        )


def lived(*assumed: str, seed: int = 1, plan: Plan = PLAN, runs: int = 40_000) -> Rehearsal:
    return rehearse(plan, traffic(runs), read_assumptions(assumed), "support/r1", random.Random(seed).random)


def test_a_candidate_that_fails_is_taken_back_and_few_users_have_seen_it():
    told = lived("stable.errors=0.01", "candidate.errors=0.2")
    assert (told.end, told.metric, told.percentage) == ("rolled_back", "errors", 10)
    assert "rolled back" in told.told
    in_the_arm = sum(bucket_of("support/r1", f"u{number}") < 10_000 for number in range(300))
    assert 0 < told.candidate_users <= in_the_arm
    assert told.candidate_runs < told.runs / 5


def test_a_candidate_that_is_no_worse_goes_through_every_step():
    told = lived("stable.errors=0.01")
    assert told.end == "promoted"
    assert [percentage for _, percentage in told.steps] == [10, 50]
    assert told.steps[1][0] >= 600


def test_one_that_costs_more_is_taken_back_by_its_cost():
    told = lived("candidate.cost=1.5", plan=Plan(steps=(Step(50, 1e9, 0, 0),), guards=PLAN.guards))
    assert (told.end, told.metric) == ("rolled_back", "cost_per_success")


def test_the_same_chance_gives_the_same_rehearsal():
    assumed = ("stable.errors=0.02", "candidate.errors=0.05")
    assert lived(*assumed, seed=3) == lived(*assumed, seed=3)


def test_traffic_that_ends_too_soon_leaves_it_undecided():
    told = lived("candidate.errors=0.01", runs=600)
    assert told.end == "traffic_over"
    assert rehearse(PLAN, [], read_assumptions(()), "a/r1", random.Random(1).random).runs == 0


def test_it_stops_when_it_is_told_to():
    told = rehearse(PLAN, traffic(40_000), read_assumptions(()), "a/r1", random.Random(1).random, goes_on=lambda: False)
    assert (told.end, told.seconds) == ("traffic_over", 60)


def test_only_those_who_carry_the_plans_tags_get_the_candidate_and_are_counted():
    runs = [
        replace(run, tags={"tier": "internal"} if int((run.user or "")[1:]) < 30 else {}) for run in traffic(40_000)
    ]
    plan = dataclasses.replace(PLAN, steps=(Step(50, 1e9, 0, 0),), eligible={"tier": "internal"}, most_step_seconds=1e9)
    told = rehearse(plan, runs, read_assumptions(()), "a/r1", random.Random(1).random)
    in_the_arm = sum(bucket_of("a/r1", f"u{number}") < 50_000 for number in range(30))
    assert (told.end, told.candidate_users) == ("traffic_over", in_the_arm)


def test_it_begins_and_grows_when_the_schedule_lets_it():
    hour = 3_600_000_000
    schedule = Schedule(not_before_microseconds=hour, freezes=(Freeze(hour + 900_000_000, 3 * hour),))
    plan = dataclasses.replace(PLAN, schedule=schedule)
    told = rehearse(plan, traffic(40_000), read_assumptions(()), "a/r1", random.Random(1).random)
    assert (told.end, told.steps) == ("promoted", ((0.0, 0.0), (3600.0, 10), (10_800.0, 50)))
    late = rehearse(plan, traffic(900), read_assumptions(()), "a/r1", random.Random(1).random)
    assert (late.end, late.candidate_runs, late.percentage) == ("traffic_over", 0, 0)
    assert "waits to begin" in late.told


def test_recorded_runs_are_moved_by_whole_weeks():
    week = 7 * 86_400_000_000
    assert [moved_to(5, earliest) for earliest in (0, 5, 6, week + 5, week + 6)] == [
        5,
        5,
        week + 5,
        week + 5,
        2 * week + 5,
    ]


@pytest.mark.parametrize(("count", "before"), [(0, 0), (199, 0), (200, 100), (500, 250), (1000, 500), (9000, 500)])
def test_so_many_recorded_runs_are_before_the_rollout(count: int, before: int):
    assert runs_before(count) == before


@pytest.mark.parametrize(
    "pair",
    [
        "errors=0.1",
        "candidate.errors",
        "candidate.errors=2",
        "candidate.latency=0",
        "other.errors=0.1",
        "stable.bugs=1",
        "stable.cost=nan",
    ],
)
def test_what_is_no_assumption_is_refused(pair: str):
    with pytest.raises(BadInput) as refused:
        read_assumptions([pair])
    assert refused.value.code == "bad_assumption"

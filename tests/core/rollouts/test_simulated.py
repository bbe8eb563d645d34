"""The decision code in seeded worlds, small: benchmarks/canary runs the same with more of everything."""

from benchmarks.canary.replay import live, ramp
from benchmarks.canary.run import COST, ERRORS
from benchmarks.canary.worlds import World

_LONG = {"ticks": 100, "runs_per_tick": 100}


def test_a_candidate_that_is_no_worse_is_seldom_taken_back_where_the_naive_rule_often_does() -> None:
    world = World(name="uneven users", users=300, icc=0.1, activity_sigma=1.2, drifts=True)
    lived = [live(world, ramp((5, 10, 25, 50), [ERRORS]), seed, **_LONG) for seed in range(12)]
    assert sum(one.is_rolled_back for one in lived) <= 1
    assert sum(one.naive_rolled_back for one in lived) >= 4


def test_a_candidate_that_fails_twice_as_often_is_taken_back() -> None:
    world = World(name="worse", error_rate=0.05, candidate_error_rate=0.10)
    lived = [live(world, ramp((10,), [ERRORS]), seed, **_LONG) for seed in range(12)]
    assert all(one.is_rolled_back for one in lived)


def test_a_dearer_candidate_is_taken_back() -> None:
    world = World(name="dearer", cost_sigma=1.0, cost_factor=1.4)
    lived = [live(world, ramp((10,), [COST]), seed, **_LONG) for seed in range(8)]
    assert all(one.is_rolled_back for one in lived)

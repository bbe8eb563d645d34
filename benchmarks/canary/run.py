"""python -m benchmarks.canary.run [--replicates N] [--seed S]: false rollbacks and detection of the rollout controller.

Under five minutes on two cores with the default of 200 replicates. Exit status 1 where a bar does not hold: false rollback at
most 5 % (plus two standard errors of the harness), detection's median within 15 % of the figures it was designed to (plus
the same), and the naive rule above 30 % in the same worlds.
"""

import argparse
import math
import statistics
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

from benchmarks.canary.replay import Lived, live, ramp
from benchmarks.canary.worlds import World
from proxy.core.rollouts.plan import Guard, Plan

ERRORS = Guard("errors", "rate")
COST = Guard("cost", "ratio", 1.0, 0.0)
#: Whole ramps of 40,000 runs in which the candidate is no worse: drifting rates, an outage, users who differ.
NULL_WORLDS = (
    World(name="5,000 users, ICC 0.02", users=5000, icc=0.02, activity_sigma=1.0, drifts=True),
    World(name="500 users, ICC 0.1", users=500, icc=0.1, activity_sigma=1.2, drifts=True),
    World(name="100 users, ICC 0.1", users=100, icc=0.1, activity_sigma=1.5, drifts=True),
)
NULL_COST_WORLD = World(name="500 users, cost", users=500, activity_sigma=1.2, cost_sigma=1.0)


@dataclass(frozen=True, slots=True)
class Detection:
    """A regression and the median of the candidate's runs until it is taken back, by design, at a 10 % share."""

    world: World
    guard: Guard
    designed_p50: float
    ticks: int


DETECTIONS = (
    Detection(World(name="errors 1 -> 3 %", error_rate=0.01, candidate_error_rate=0.03), ERRORS, 290, 300),
    Detection(World(name="errors 1 -> 2 %", error_rate=0.01, candidate_error_rate=0.02), ERRORS, 950, 800),
    Detection(World(name="errors 5 -> 10 %", error_rate=0.05, candidate_error_rate=0.10), ERRORS, 180, 200),
    Detection(World(name="errors 5 -> 8 %", error_rate=0.05, candidate_error_rate=0.08), ERRORS, 450, 400),
    Detection(World(name="errors 0.5 -> 5 %", error_rate=0.005, candidate_error_rate=0.05), ERRORS, 70, 100),
    Detection(World(name="errors 10 -> 20 %", error_rate=0.10, candidate_error_rate=0.20), ERRORS, 90, 100),
    Detection(World(name="cost +30 %, sigma 1", cost_sigma=1.0, cost_factor=1.3), COST, 200, 200),
)
_RUNS_A_TICK_NULL, _TICKS_NULL, _RAMP = 200, 200, (5, 10, 25, 50)
#: Both arms together: ten of the candidate's between two looks.
_RUNS_A_TICK_DETECTION = 100


def replicate(
    pool: ProcessPoolExecutor, world: World, plan: Plan, seeds: Sequence[int], *, ticks: int, runs_per_tick: int
) -> list[Lived]:
    """The same world lived through once a seed."""
    once = partial(live, world, plan, ticks=ticks, runs_per_tick=runs_per_tick)
    return list(pool.map(once, seeds, chunksize=max(1, len(seeds) // 16)))


def false_rollbacks(pool: ProcessPoolExecutor, seeds: Sequence[int]) -> bool:
    """Print the table of worlds without a difference; whether its bars hold."""
    holds = True
    limit = 0.05 + 2 * math.sqrt(0.05 * 0.95 / len(seeds))
    print(f"{'no difference':28} {'rolled back':>12} {'naive 1.5x':>12}")
    for world, guard in [*((world, ERRORS) for world in NULL_WORLDS), (NULL_COST_WORLD, COST)]:
        plan = ramp(_RAMP, [guard])
        lived = replicate(pool, world, plan, seeds, ticks=_TICKS_NULL, runs_per_tick=_RUNS_A_TICK_NULL)
        ours = sum(one.is_rolled_back for one in lived) / len(lived)
        naive = sum(one.naive_rolled_back for one in lived) / len(lived)
        is_errors = guard is ERRORS
        holds = holds and ours <= limit and (naive > 0.30 or not is_errors)
        print(f"{world.name:28} {ours:12.1%} {f'{naive:.1%}' if is_errors else '-':>12}")
    return holds


def detections(pool: ProcessPoolExecutor, seeds: Sequence[int]) -> bool:
    """Print the table of regressions; whether its bars hold."""
    holds = True
    print(f"\n{'regression at 10 %':28} {'found':>12} {'runs p50':>12} {'p90':>8} {'designed':>9}")
    for case in DETECTIONS:
        plan = ramp((10,), [case.guard])
        lived = replicate(pool, case.world, plan, seeds, ticks=case.ticks, runs_per_tick=_RUNS_A_TICK_DETECTION)
        runs = sorted(one.candidate_runs for one in lived)
        p50, p90 = statistics.median(runs), runs[int(0.9 * len(runs))]
        # The standard error of a median of such a skewed law is about 1.25 * 0.9 * median / sqrt(n).
        room = 0.15 + 2 * 1.1 / math.sqrt(len(seeds))
        holds = holds and abs(p50 / case.designed_p50 - 1) <= room
        found = sum(one.is_rolled_back for one in lived) / len(lived)
        print(f"{case.world.name:28} {found:12.1%} {p50:12.0f} {p90:8.0f} {case.designed_p50:9.0f}")
    return holds


def main() -> int:
    """Run both tables."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("--replicates", type=int, default=200)
    arguments.add_argument("--seed", type=int, default=1)
    chosen = arguments.parse_args()
    seeds = range(chosen.seed * 1_000_000, chosen.seed * 1_000_000 + chosen.replicates)
    with ProcessPoolExecutor(2) as pool:
        is_rarely_wrong = false_rollbacks(pool, seeds)
        is_fast = detections(pool, seeds)
    return 0 if is_rarely_wrong and is_fast else 1


if __name__ == "__main__":
    raise SystemExit(main())

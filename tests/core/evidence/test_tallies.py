"""Counts add exactly, whoever counted, and only enough of them may act."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.evidence.clustering import StepClusters, design_effect, non_empty
from proxy.core.evidence.tallies import RateTally, RatioTally, Side, Tick, mean_log_e

_RUN = st.tuples(st.integers(0, 2), st.sampled_from(["candidate", "stable"]), st.integers(0, 63), st.booleans())


@given(st.lists(_RUN, max_size=200), st.integers(1, 4))
def test_a_tick_is_the_same_however_it_was_split_over_processes(
    runs: list[tuple[int, Side, int, bool]], processes: int
) -> None:
    whole, merged = Tick(), Tick()
    parts = [Tick() for _ in range(processes)]
    for index, (step, side, cluster, is_bad) in enumerate(runs):
        whole.count(step, side, cluster, is_bad=is_bad)
        parts[index % processes].count(step, side, cluster, is_bad=is_bad)
    for part in parts:
        merged.merge(part)
    assert RateTally().close(merged) == RateTally().close(whole)


@given(st.lists(st.tuples(st.integers(0, 63), st.integers(0, 1000)), max_size=100))
def test_sums_add_over_processes(runs: list[tuple[int, int]]) -> None:
    whole, merged, part = Tick(), Tick(), Tick()
    for index, (cluster, amount) in enumerate(runs):
        whole.add(0, "candidate", cluster, float(amount), 1.0)
        (part if index % 2 else merged).add(0, "candidate", cluster, float(amount), 1.0)
    merged.merge(part)
    assert RatioTally().close(merged, 1) == RatioTally().close(whole, 1)


def _tick(seed: int, candidate_rate: float, stable_rate: float, clusters: int = 64) -> Tick:
    draw, tick = random.Random(seed), Tick()
    for _ in range(300):
        tick.count(0, "candidate", draw.randrange(clusters), is_bad=draw.random() < candidate_rate)
        tick.count(0, "stable", draw.randrange(clusters), is_bad=draw.random() < stable_rate)
    return tick


def test_a_worse_candidate_gathers_evidence_and_an_equal_one_does_not() -> None:
    worse = RateTally().close(_tick(1, 0.3, 0.05))
    equal = RateTally().close(_tick(2, 0.05, 0.05))
    assert worse.log_e() > math.log(1000)
    assert equal.log_e() < math.log(20)


def test_few_clusters_do_not_act_however_bad_they_are() -> None:
    assert RateTally().close(_tick(1, 0.9, 0.05, clusters=9)).log_e() == 0.0


_CELLS = st.dictionaries(
    st.integers(0, 63), st.integers(0, 30).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))
)


def _columns(cells: dict[int, tuple[int, int]]) -> tuple[dict[int, int], dict[int, int]]:
    return {cluster: n for cluster, (n, _) in cells.items()}, {cluster: k for cluster, (_, k) in cells.items()}


def _plain_effect(arms: list[list[dict[int, tuple[int, int]]]]) -> float:
    """The formula as it is written: residuals of each cluster, squared, beside what independent runs would give."""
    found = 1.0
    for steps in arms:
        expected, residuals = 0.0, [0.0] * 64
        for step in steps:
            runs, bad = (sum(cell[index] for cell in step.values()) for index in (0, 1))
            rate = bad / runs if runs else 0.0
            expected += runs * rate * (1 - rate)
            for cluster, (n, k) in step.items():
                residuals[cluster] += k - n * rate
        if expected > 0:
            found = max(found, 64 / 63 * math.fsum(residual**2 for residual in residuals) / expected)
    return found


@given(st.lists(st.lists(st.lists(_CELLS, min_size=1, max_size=3), max_size=3), min_size=2, max_size=2))
def test_what_is_kept_of_clusters_tick_by_tick_gives_the_plain_design_effect(
    arms: list[list[list[dict[int, tuple[int, int]]]]],
) -> None:
    kept, plain = [], []
    for steps in arms:
        kept.append([])
        plain.append([])
        for ticks in steps:
            step, total = StepClusters(), dict[int, tuple[int, int]]()
            for tick in ticks:
                step = step.plus(*_columns(tick))
                for cluster, (n, k) in tick.items():
                    had = total.get(cluster, (0, 0))
                    total[cluster] = (had[0] + n, had[1] + k)
            assert step == StepClusters().plus(*_columns(total)) == StepClusters.of(step.runs_of, step.bad_of)
            assert (step.runs, step.bad) == tuple(sum(cell[index] for cell in total.values()) for index in (0, 1))
            assert non_empty([step]) == sum(n > 0 for n, _ in total.values())
            kept[-1].append(step)
            plain[-1].append(total)
    assert design_effect(*kept) == pytest.approx(_plain_effect(plain), rel=1e-9)


def test_users_who_fail_together_weigh_less_than_strangers_who_do() -> None:
    runs = dict.fromkeys(range(40), 10)
    together = [StepClusters().plus(runs, dict.fromkeys(range(4), 10))]
    spread = [StepClusters().plus(runs, dict.fromkeys(range(40), 1))]
    assert design_effect(together, spread) > 5
    assert design_effect(spread, spread) == 1.0
    assert design_effect([], []) == 1.0


def test_a_ratio_acts_only_on_a_hundred_runs_and_twenty_clusters() -> None:
    tick = Tick()
    for cluster in range(19):
        tick.add(0, "candidate", cluster, 90.0 + cluster, 10.0)
        tick.add(0, "stable", cluster, 10.0 + cluster / 10, 10.0)
    assert RatioTally().close(tick, 190).log_e(0.0) == 0.0
    tick.add(0, "candidate", 20, 90.0, 10.0)
    assert RatioTally().close(tick, 99).log_e(0.0) == 0.0
    assert RatioTally().close(tick, 200).log_e(0.0) > math.log(20)


def test_one_metric_seen_from_two_sides_is_the_mean_of_both() -> None:
    assert mean_log_e([math.log(10), math.log(30)]) == pytest.approx(math.log(20))

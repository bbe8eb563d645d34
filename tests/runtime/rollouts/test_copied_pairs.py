"""Copies beside the runs they are copies of: only both together count."""

from typing import Any

import pytest

from proxy.core.calls.outcomes import Outcome
from proxy.core.calls.runs import Run
from proxy.runtime.rollouts import copied_pairs
from proxy.runtime.rollouts.copied_pairs import CopiedPairs


def _run(run_id: str, **members: Any) -> Run:
    return Run(id=run_id, agent="a", started_at_microseconds=1, duration_microseconds=1, arm="stable", **members)


def _copy(of: str, **members: Any) -> Run:
    return Run(
        id=f"copy-{of}", agent="a", started_at_microseconds=2, duration_microseconds=1, arm="shadow", kind="shadow",
        parent_run=of, **members,
    )  # fmt: skip


def _told(run: Run, value: bool) -> Outcome:
    return Outcome(
        id=f"out-{run.id}", run=run.id, name="validation", value=value, severity=None, why="", recorded_by="proxy",
        recorded_at_microseconds=3,
    )  # fmt: skip


def test_a_run_counts_once_its_copy_has_come_which_stands_for_the_candidate() -> None:
    pairs = CopiedPairs()
    assert pairs.paired(_run("r1")) is None
    pair = pairs.paired(_copy("r1", result="error"))
    assert pair is not None
    assert (pair.stable.id, pair.candidate.arm, pair.candidate.kind, pair.candidate.result) == (
        "r1", "candidate", "live", "error",
    )  # fmt: skip
    assert pairs.paired(_copy("r1")) is None


@pytest.mark.parametrize("copy", [_copy("r2"), _copy("r1", error_class="proxy_stopped"), _run("r1", kind="drill")])
def test_a_copy_of_nothing_known_or_one_that_its_process_cut_counts_for_nobody(copy: Run) -> None:
    pairs = CopiedPairs()
    pairs.paired(_run("r1"))
    assert pairs.paired(copy) is None


def test_what_is_told_counts_on_both_sides_whichever_comes_first() -> None:
    pairs, stable, copy = CopiedPairs(), _run("r1"), _copy("r1")
    pairs.paired(stable)
    early = _told(stable, True)
    assert pairs.told_of(stable, early) is None
    assert pairs.told_of(copy, _told(copy, False)) is None
    pair = pairs.paired(copy)
    assert pair is not None
    assert pair.told == [early]
    about = pairs.told_of(copy, _told(copy, False))
    assert about is not None
    assert about.arm == "candidate"
    assert pairs.told_of(stable, _told(stable, False)) == stable
    other = _run("r2")
    assert pairs.told_of(other, _told(other, True)) is None


def test_what_waits_does_not_grow_with_traffic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copied_pairs, "_MOST_KEPT", 3)
    pairs = CopiedPairs()
    for number in range(10):
        pairs.paired(_run(f"r{number}"))
    assert [pairs.paired(_copy(f"r{number}")) is not None for number in range(10)] == [False] * 7 + [True] * 3

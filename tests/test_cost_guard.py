"""A call must not grow dearer unnoticed: counts of instructions, calls and memory on a fixed path, not times.

The path is the real one in memory (benchmarks/guard/path.py); the figures it is held against are in cost_guard.json.
"""

import json
from pathlib import Path

import pytest

from benchmarks.guard.counting import Figures, count_all, python_version
from benchmarks.guard.path import EVENTS, GuardedPath
from benchmarks.load import messages

STORED = Path(__file__).with_name("cost_guard.json")
MARGIN = 0.10
HOW_TO_ACCEPT = "if the change is worth it: python -m benchmarks.guard.rewrite (--where shows what costs)"


@pytest.fixture(scope="module")
def counted() -> dict[str, Figures]:
    return count_all()


@pytest.mark.parametrize("kind", ["plain_call", "stream"])
def test_a_call_costs_no_more_than_ten_percent_above_what_it_cost_when_last_looked_at(
    counted: dict[str, Figures], kind: str
) -> None:
    stored = json.loads(STORED.read_text()).get(python_version())
    assert stored is not None, f"no figures for Python {python_version()}: python -m benchmarks.guard.rewrite"
    grown = {
        name: f"{was} -> {counted[kind][name]}"
        for name, was in stored[kind].items()
        if counted[kind][name] > was * (1 + MARGIN)
    }
    assert not grown, f"a {kind.replace('_', ' ')} grew dearer: {grown}; {HOW_TO_ACCEPT}"


def test_a_call_leaves_nothing_in_memory(counted: dict[str, Figures]) -> None:
    assert {kind: figures["blocks_kept_per_call"] for kind, figures in counted.items()} == {
        "plain_call": 0,
        "stream": 0,
    }


def test_what_is_counted_is_the_same_in_every_run(counted: dict[str, Figures]) -> None:
    steady = ("instructions", "python_calls", "c_calls")
    again = count_all()
    for kind, figures in counted.items():
        assert {name: figures[name] for name in steady} == {name: again[kind][name] for name in steady}


def test_the_guarded_path_is_the_whole_one() -> None:
    path = GuardedPath()
    try:
        plain, stream = path.run(streamed=False), path.run(streamed=True)
        log_bytes = path.log_bytes
    finally:
        path.close()
    assert plain.startswith(b"HTTP/1.1 200")
    assert b"switchback-version: guarded@" in plain
    assert plain.endswith(messages.ANSWER_TAIL)
    assert stream.count(messages.STAMP_MARK) == EVENTS
    assert b'"usage"' not in stream
    assert messages.DONE in stream
    assert log_bytes > 0

"""A call must not grow dearer unnoticed: counts of instructions, calls and memory on a fixed path, not times.

The path is the real one in memory (benchmarks/guard/path.py); the figures it is held against are in cost_guard.json. What calls
over TLS leave is looked at from outside, in resident memory (benchmarks/guard/resident.py).
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.guard.counting import Figures, count_all, python_version
from benchmarks.guard.path import EVENTS, GuardedPath
from benchmarks.load import messages

STORED = Path(__file__).with_name("cost_guard.json")
STEADY = ("instructions", "python_calls", "c_calls")
#: What is counted is the same in every run, so that little room is enough; memory is not to the byte.
MARGIN = 0.03
MEMORY_MARGIN = 0.10
#: Bytes a call over TLS may leave in resident memory. One TLS session is 5.4 KB, a connection left to the garbage collector 20 KB.
MOST_LEFT = {"kept": 1_000, "new": 2_500, "left": 600}
HOW_TO_ACCEPT = "if the change is worth it: python -m benchmarks.guard.rewrite (--where shows what costs)"


@pytest.fixture(scope="module")
def counted() -> dict[str, Figures]:
    return count_all()


@pytest.mark.parametrize("kind", ["plain_call", "plain_call_over_tls", "stream"])
def test_a_call_costs_no_more_than_a_little_above_what_it_cost_when_last_looked_at(
    counted: dict[str, Figures], kind: str
) -> None:
    stored = json.loads(STORED.read_text()).get(python_version())
    assert stored is not None, f"no figures for Python {python_version()}: python -m benchmarks.guard.rewrite"
    grown = {
        name: f"{was} -> {counted[kind][name]}"
        for name, was in stored[kind].items()
        if counted[kind][name] > was * (1 + (MARGIN if name in STEADY else MEMORY_MARGIN))
    }
    assert not grown, f"a {kind.replace('_', ' ')} grew dearer: {grown}; {HOW_TO_ACCEPT}"


def test_a_call_leaves_nothing_in_memory(counted: dict[str, Figures]) -> None:
    assert {kind: figures["blocks_kept_per_call"] for kind, figures in counted.items()} == {
        "plain_call": 0,
        "plain_call_over_tls": 0,
        "stream": 0,
    }


def test_a_kept_connection_over_tls_is_asked_nothing_for_a_call(counted: dict[str, Figures]) -> None:
    over_http, over_tls = counted["plain_call"], counted["plain_call_over_tls"]
    assert [over_tls[name] for name in STEADY] == [over_http[name] for name in STEADY]


def test_calls_over_tls_leave_nothing_in_resident_memory_nor_do_streams_that_clients_leave() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.guard.resident"],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    left = json.loads(done.stdout)
    assert all(left[name] <= most for name, most in MOST_LEFT.items()), left


def test_what_is_counted_is_the_same_in_every_run(counted: dict[str, Figures]) -> None:
    again = count_all()
    for kind, figures in counted.items():
        assert {name: figures[name] for name in STEADY} == {name: again[kind][name] for name in STEADY}


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

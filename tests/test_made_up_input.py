"""Tests with made-up input try the same inputs at every run of the suite, whatever ran before."""

import re
from pathlib import Path

from hypothesis import settings

TESTS = Path(__file__).parent


def test_the_suite_tries_the_same_inputs_every_time_and_gives_them_the_time_they_take() -> None:
    explored = settings.get_profile("explore")
    suite = settings.get_profile("suite")
    assert (suite.derandomize, suite.deadline, explored.derandomize, explored.deadline) == (True, None, False, None)
    assert settings.get_current_profile_name() in ("suite", "explore")


def test_no_test_chooses_otherwise_for_itself() -> None:
    own = re.compile(r"derandomize=|deadline=(?!None)|@seed\(|random\.Random\(\)")
    chosen = [
        f"{path.relative_to(TESTS)}:{number}"
        for path in sorted(TESTS.rglob("*.py"))
        if path.name not in ("conftest.py", Path(__file__).name)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if own.search(line)
    ]
    assert chosen == []
